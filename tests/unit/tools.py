# SPDX-License-Identifier: GPL-2.0-only
"""Host programs for some unit tests; ``make unit`` installs none."""

from __future__ import annotations

import shutil

import pytest


def needs(*programs: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test on a host without one of ``programs``."""
    missing = ", ".join(name for name in programs if shutil.which(name) is None)
    return pytest.mark.skipif(bool(missing), reason=f"{missing}: not installed; run make setup")
