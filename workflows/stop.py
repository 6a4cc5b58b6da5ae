# SPDX-License-Identifier: GPL-2.0-only
"""Have a job that is told to end (SIGTERM: a time limit of CI, say) report what it has judged."""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(BaseException):
    """The process was told to end."""


def on_sigterm() -> None:
    """Raise Terminated, once, when the process is told to end; a second time it just ends."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated("terminated by a signal")
