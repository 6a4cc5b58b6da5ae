# SPDX-License-Identifier: GPL-2.0-only
"""Calls that the tests of several suites share."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.guest import Guest, Pending, write_file
from fixtures.session import DataFd, Session, State
from fixtures.session.config_space import ConfigSpace
from fixtures.uapi import PrecopyInfo
from suites.contents import CHANGED

# Seconds. virtio's driver queries its device for changes at most once a second, and reports none in
# between (pre_copy_rl_state in drivers/vfio/pci/virtio/migrate.c).
ASKED_AGAIN = 1.1

SOON = 5000  # milliseconds; for an event that is immediate unless the machine is overloaded

# Calls that end a session. They are begun, not completed: a call that they end may be in progress.
WAYS_TO_END: dict[str, Callable[[Session], Pending]] = {
    "reset": Session.begin_reset,
    "STOP": lambda session: session.begin_state(State.STOP),
    "close": Session.begin_close,
}


def _reset_by_guest(session: Session, guest: Guest) -> None:
    assert not ConfigSpace(session).function_reset().error


def _reset_by_host(session: Session, guest: Guest) -> None:
    answer = guest.calls(write_file(f"/sys/bus/pci/devices/{session.device.name}/reset", "1"))[0]
    if answer.error == "ENOENT":
        raise NotThere("this is no PCI device: it has no reset in sysfs")
    assert not answer.error


# Resets that are not VFIO_DEVICE_RESET: a guest makes one in configuration space, the host by the
# device's file in sysfs. Each asserts that it succeeds.
OTHER_RESETS: dict[str, Callable[[Session, Guest], None]] = {
    "guest": _reset_by_guest,
    "host": _reset_by_host,
}


def ask(data_fd: DataFd, flags: int = 0) -> PrecopyInfo:
    """Call VFIO_MIG_GET_PRECOPY_INFO and return its structure; assert that it succeeds."""
    asked = data_fd.precopy_info(flags=flags)
    assert not asked.error
    return asked.info


def ask_for_changes(data_fd: DataFd) -> PrecopyInfo:
    """Call VFIO_MIG_GET_PRECOPY_INFO on a changed device; retry once if it reports no changes."""
    info = ask(data_fd)
    if not info.dirty_bytes:
        data_fd.wait(ASKED_AGAIN)
        info = ask(data_fd)
    return info


def announced_changes(data_fd: DataFd, firmware: Firmware) -> int:
    """Let a device in PRE_COPY change its state; return the dirty_bytes that it then reports.

    Raises NotThere if it reports none.
    """
    firmware.dirty(CHANGED)
    announced = ask_for_changes(data_fd).dirty_bytes
    if announced == 0:
        raise NotThere("this device has nothing more to send in PRE_COPY when its state changes")
    return announced
