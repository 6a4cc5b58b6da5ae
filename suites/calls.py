# SPDX-License-Identifier: GPL-2.0-only
"""Calls that tests of several suites make again and again."""

from __future__ import annotations

from fixtures.session import DataFd
from fixtures.session.uapi import PrecopyInfo


def ask(data_fd: DataFd, flags: int = 0) -> PrecopyInfo:
    """Make VFIO_MIG_GET_PRECOPY_INFO, which is to succeed."""
    asked = data_fd.precopy_info(flags=flags)
    assert not asked.error
    return asked.info
