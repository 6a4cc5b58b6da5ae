# SPDX-License-Identifier: GPL-2.0-only
"""Calls that the tests of new initial data share."""

from __future__ import annotations

from typing import Protocol

from fixtures.session import DataFd, Session
from fixtures.uapi import PRECOPY_INFO_REINIT
from suites.calls import ask

CHUNK = 4096  # bytes of new initial data


class Arrive(Protocol):
    """Load a stream into ``target``, by default a new device.

    Returns the state with which the device then runs. Raises AssertionError if it refuses.
    """

    def __call__(self, stream: bytes, target: Session | None = None) -> bytes: ...


def reported(data_fd: DataFd) -> bool:
    """Return whether VFIO_MIG_GET_PRECOPY_INFO reports new initial data now."""
    return bool(ask(data_fd).flags & PRECOPY_INFO_REINIT)


def the_rest(data_fd: DataFd) -> bytes:
    """Read to the end of the stream, in STOP_COPY; assert that it ends."""
    rest, end = data_fd.read_on()
    assert (end.ret, end.error) == (0, "")
    return rest
