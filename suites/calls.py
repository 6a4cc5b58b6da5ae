# SPDX-License-Identifier: GPL-2.0-only
"""Calls that tests of several suites make again and again."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.guest import Pending
from fixtures.session import DataFd, Session, State
from fixtures.uapi import PrecopyInfo
from suites.contents import CHANGED

# Seconds. virtio's driver asks its device for changes once a second, and tells of none until then
# (pre_copy_rl_state in drivers/vfio/pci/virtio/migrate.c).
ASKED_AGAIN = 1.1

SOON = 5000  # milliseconds; for what comes at once on a machine that is not overloaded

# How a session can end, as a call that is begun: what it ends may be under way.
WAYS_TO_END: dict[str, Callable[[Session], Pending]] = {
    "reset": Session.begin_reset,
    "STOP": lambda session: session.begin_state(State.STOP),
    "close": Session.begin_close,
}


def ask(data_fd: DataFd, flags: int = 0) -> PrecopyInfo:
    """Make VFIO_MIG_GET_PRECOPY_INFO, which is to succeed."""
    asked = data_fd.precopy_info(flags=flags)
    assert not asked.error
    return asked.info


def ask_for_changes(data_fd: DataFd) -> PrecopyInfo:
    """Make VFIO_MIG_GET_PRECOPY_INFO of a device that has changed; again where it tells nothing."""
    info = ask(data_fd)
    if not info.dirty_bytes:
        data_fd.wait(ASKED_AGAIN)
        info = ask(data_fd)
    return info


def announced_changes(data_fd: DataFd, firmware: Firmware) -> int:
    """Have a device in PRE_COPY change; return the dirty_bytes that it tells of then.

    Raises NotThere if it tells of none.
    """
    firmware.dirty(CHANGED)
    announced = ask_for_changes(data_fd).dirty_bytes
    if announced == 0:
        raise NotThere("this device has nothing more to send in PRE_COPY when its state changes")
    return announced
