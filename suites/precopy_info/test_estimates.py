# SPDX-License-Identifier: GPL-2.0-only
"""initial_bytes and dirty_bytes while the data stream is read."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.oracle import PRE_COPIES, StateMachine
from fixtures.session import DataFd, Session, State
from fixtures.session.transfer import read_pre_copy
from fixtures.uapi import PRECOPY_INFO, Ioctl
from suites import must
from suites.calls import ASKED_AGAIN, SOON, announced_changes, ask
from suites.contents import CHANGED

pytestmark = pytest.mark.any_api

A_WHILE = 100  # milliseconds; a call that has not returned by then waits for the save
PARTS = 5  # the initial data is read in so many parts


@pytest.fixture(params=sorted(PRE_COPIES), ids=lambda state: state.name)
def in_pre_copies(request: pytest.FixtureRequest, session: Session, fsm: StateMachine) -> DataFd:
    """The data fd of a device in PRE_COPY or PRE_COPY_P2P; the test runs once for each."""
    fsm.need(request.param)
    data_fd = session.start(request.param)
    session.settle()
    return data_fd


@pytest.mark.clause("precopy-info.initial-bytes.start")
def test_initial_bytes_start_above_zero(in_pre_copies: DataFd) -> None:
    assert ask(in_pre_copies).initial_bytes > 0


@pytest.mark.clause("precopy-info.dirty-bytes.start")
def test_dirty_bytes_start_at_zero(in_pre_copies: DataFd) -> None:
    assert ask(in_pre_copies).dirty_bytes == 0


@pytest.mark.clause("precopy-info.initial-bytes.falls")
@pytest.mark.parametrize("count", [1, 7, 1 << 20])
def test_initial_bytes_fall_by_what_is_read(in_pre_copies: DataFd, count: int) -> None:
    before = ask(in_pre_copies).initial_bytes
    taken = in_pre_copies.read(min(count, before))
    assert taken.ret > 0
    assert ask(in_pre_copies).initial_bytes == before - taken.ret


@pytest.mark.clause("precopy-info.initial-bytes.falls")
def test_initial_bytes_fall_to_zero(in_pre_copies: DataFd) -> None:
    left = ask(in_pre_copies).initial_bytes
    part = max(left // 5, 1)
    while left:
        taken = in_pre_copies.read(min(part, left))
        assert taken.ret > 0
        left -= taken.ret
        assert ask(in_pre_copies).initial_bytes == left


@pytest.mark.clause("precopy-info.initial-bytes.monotone")
def test_initial_bytes_do_not_rise_as_a_save_ends(
    session: Session, firmware: Firmware, fsm: StateMachine
) -> None:
    """The path from RUNNING leads through RUNNING_P2P, so that the save begins in PRE_COPY_P2P."""
    fsm.need(State.PRE_COPY_P2P)
    firmware.hold_save()
    data_fd = session.start(State.PRE_COPY_P2P)
    asking = data_fd.begin_precopy_info()
    waits = asking.end(A_WHILE).error == "EINPROGRESS"
    first = None if waits else ask(data_fd).initial_bytes
    firmware.release_save()
    if first is None:
        assert not asking.end(SOON).error
        return
    session.settle()
    assert ask(data_fd).initial_bytes <= first


@pytest.mark.clause("precopy-info.initial-bytes.monotone")
def test_initial_bytes_never_rise(session: Session, pre_copy: DataFd, fsm: StateMachine) -> None:
    firmware = session.device.firmware
    first = last = ask(pre_copy).initial_bytes
    for _ in range(2 * PARTS):
        if firmware is not None:
            firmware.command(f"dirty {CHANGED}")  # some firmware does not report changes
        pre_copy.read(first // PARTS + 1)
        now = ask(pre_copy).initial_bytes
        assert now <= last
        last = now
    assert last == 0
    if fsm.has(State.PRE_COPY_P2P):
        session.move(State.PRE_COPY_P2P)
        assert ask(pre_copy).initial_bytes == 0


@pytest.mark.clause("precopy-info.dirty-bytes.falls")
def test_dirty_bytes_fall_by_what_is_read(pre_copy: DataFd, firmware: Firmware) -> None:
    read_pre_copy(pre_copy)
    before = announced_changes(pre_copy, firmware)
    taken = pre_copy.read(min(100, before))
    assert taken.ret > 0
    assert ask(pre_copy).dirty_bytes == before - taken.ret


@pytest.mark.clause("precopy-info.end-of-stream")
def test_data_comes_exactly_while_there_are_bytes(in_pre_copies: DataFd) -> None:
    info = ask(in_pre_copies)
    part = max((info.initial_bytes + info.dirty_bytes) // 3, 1)
    while info.initial_bytes + info.dirty_bytes:
        assert in_pre_copies.read(part).ret > 0
        info = ask(in_pre_copies)
    assert in_pre_copies.read(part).ret <= 0


@pytest.mark.clause("precopy-info.idle")
def test_a_device_that_changes_nothing_has_nothing_more_to_send(in_pre_copies: DataFd) -> None:
    must.read_pre_copy(in_pre_copies)
    for _ in range(2):  # also once its driver has asked it again
        in_pre_copies.wait(ASKED_AGAIN)
        info = ask(in_pre_copies)
        assert (info.initial_bytes, info.dirty_bytes) == (0, 0)


@pytest.mark.clause("precopy-info.not-consuming")
def test_asking_takes_nothing_from_the_stream(session: Session, pre_copy: DataFd) -> None:
    plain, _ = pre_copy.read_on()
    session.reset()
    data_fd = session.start(State.PRE_COPY)
    asked = b""
    for _ in range(5):
        ask(data_fd)
        asked += data_fd.read(len(plain) // 5).data
        ask(data_fd)
    asked += data_fd.read_on()[0]
    assert asked == plain


@pytest.mark.clause("precopy-info.untouched")
@pytest.mark.parametrize("state", [State.STOP_COPY, State.RUNNING], ids=lambda state: state.name)
def test_a_call_that_fails_leaves_the_structure_alone(
    session: Session, pre_copy: DataFd, state: State
) -> None:
    session.move(state)
    given = PRECOPY_INFO.pack(PRECOPY_INFO.size, 0x5A5A5A5A, 0x1122334455667788, 0x99AABBCCDDEEFF00)
    answer = pre_copy.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, given)
    assert answer.error
    assert answer.data == given
