# SPDX-License-Identifier: GPL-2.0-only
"""Let a job that gets SIGTERM, for instance at a time limit of CI, still report its steps."""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(BaseException):
    """The process got SIGTERM."""


def on_sigterm() -> None:
    """Raise Terminated at the first SIGTERM; the second one ends the process."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated("terminated by a signal")
