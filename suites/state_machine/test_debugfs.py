# SPDX-License-Identifier: GPL-2.0-only
"""What VFIO and the drivers show of a device in debugfs."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from fixtures.device import Device
from fixtures.errors import NotThere
from fixtures.guest import Answer, Guest, read_file
from fixtures.plugin.run import Abilities
from fixtures.session import Migration, Session
from fixtures.session.transfer import Arrived
from suites.state_machine.checks import check_it_continues, check_works

NAMES = {
    Migration.STOP_COPY: "stop-copy",
    Migration.P2P: "p2p",
    Migration.PRE_COPY: "pre-copy",
}
MORE = "dirty-tracking"  # which is no capability of VFIO_DEVICE_FEATURE_MIGRATION
SOME = 4096  # bytes


def files_in(guest: Guest, folder: str) -> list[str]:
    """Return the paths of all files below a folder."""
    paths = []
    for name in guest.call("list", path=folder).more.get("names", ()):
        path = f"{folder}/{name}"
        is_folder = not guest.call("list", path=path).error
        paths += files_in(guest, path) if is_folder else [path]
    return sorted(paths)


def read_all(guest: Guest, device: Device) -> dict[str, Answer]:
    """Read all files of a device; a read may fail."""
    paths = files_in(guest, device.debugfs)
    answers = guest.calls(*(read_file(path) for path in paths))
    return dict(zip(paths, answers, strict=True))


@pytest.mark.clause("state-machine.debugfs.state")
def test_it_names_the_state(session: Session, guest: Guest, arrived: Arrived) -> None:
    shown = guest.calls(read_file(f"{session.device.debugfs}/migration/state"))[0]
    assert not shown.error
    assert shown.text == f"{session.state().name}\n"


@pytest.mark.clause("state-machine.debugfs.features")
def test_it_names_the_capabilities(session: Session, guest: Guest, abilities: Abilities) -> None:
    shown = guest.calls(read_file(f"{session.device.debugfs}/migration/features"))[0]
    if shown.error == "ENOENT":
        raise NotThere("this kernel does not show the capabilities in debugfs; 6.18 does")
    assert not shown.error
    names = {name for name in shown.text.split() if name != MORE}
    assert names == {NAMES[flag] for flag in abilities.capabilities}


@pytest.mark.clause("state-machine.debugfs.undisturbed")
def test_to_read_its_files_does_not_disturb_the_session(
    session: Session, guest: Guest, arrived: Arrived
) -> None:
    for _ in range(2):
        assert read_all(guest, session.device)
        assert session.state() is arrived.state
    check_it_continues(session, arrived)


@pytest.mark.any_api
@pytest.mark.clause("state-machine.debugfs.undisturbed")
def test_its_files_can_be_read_when_it_is_closed(
    session: Session, guest: Guest, arrived: Arrived
) -> None:
    assert not session.reset().error
    assert read_all(guest, session.device)
    check_works(session)
    session.close()
    assert read_all(guest, session.device)
    session.open_again()
    assert read_all(guest, session.device)
    check_works(session)


@pytest.mark.any_api
@pytest.mark.clause("state-machine.debugfs.removed")
def test_its_files_go_with_the_device(
    session: Session, guest: Guest, remove_device: Callable[[Device, bool], None]
) -> None:
    device = session.device
    paths = files_in(guest, device.debugfs)
    assert paths
    opened = [guest.call("open", path=path, flags=os.O_RDONLY).ret for path in paths]
    assert min(opened) >= 0
    session.close()
    try:
        remove_device(device, False)
    finally:
        for fd in opened:
            guest.call("read", fd=fd, count=SOME)
            guest.call("close", fd=fd)
    assert guest.call("list", path=device.debugfs).error == "ENOENT"
