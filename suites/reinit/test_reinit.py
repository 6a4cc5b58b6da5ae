# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_PRECOPY_INFO_REINIT: when it must be reported, and when not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device.firmware import Firmware
from fixtures.plugin.recorder import Recorder
from fixtures.session import DataFd, Session, State
from fixtures.session.session import UNMAPPED
from fixtures.uapi import PRECOPY_INFO, PRECOPY_INFO_REINIT, Ioctl
from suites.calls import SOON, ask
from suites.reinit.calls import CHUNK, reported

FEW = 16  # bytes; hisi_acc's state, the smallest one, is larger


@pytest.mark.clause("reinit.flag")
def test_new_initial_data_is_reported_by_the_next_call(
    reinits: Firmware, started: DataFd, record: Recorder
) -> None:
    reinits.reinit(CHUNK)
    seen = reported(started)
    record.behaviour("precopy_info.reinit", "reported" if seen else "never")
    assert seen


@pytest.mark.clause("reinit.flag")
def test_it_is_reported_when_all_was_read(reinits: Firmware, drained: DataFd) -> None:
    reinits.reinit(CHUNK)
    assert reported(drained)


@pytest.mark.clause("reinit.flag")
def test_no_other_flag_comes_with_it(reinits: Firmware, started: DataFd) -> None:
    reinits.reinit(CHUNK)
    assert ask(started, flags=0xFFFFFFFF & ~PRECOPY_INFO_REINIT).flags == PRECOPY_INFO_REINIT


@pytest.mark.clause("reinit.flag")
def test_an_opt_in_during_pre_copy_is_enough(
    session: Session, reinits: Firmware, pre_copy: DataFd
) -> None:
    pre_copy.poll(SOON)
    reinits.reinit(CHUNK)
    assert not session.opt_in().error
    assert reported(pre_copy)


@pytest.mark.clause("reinit.once")
def test_the_flag_is_gone_in_the_next_call(reinits: Firmware, started: DataFd) -> None:
    reinits.reinit(CHUNK)
    assert [reported(started) for _ in range(3)] == [True, False, False]


@pytest.mark.clause("reinit.once")
def test_it_does_not_come_back_as_the_chunk_is_read(reinits: Firmware, drained: DataFd) -> None:
    reinits.reinit(CHUNK)
    assert reported(drained)
    while drained.read(CHUNK // 3).ret > 0:
        assert not reported(drained)
    assert not reported(drained)


@pytest.mark.clause("reinit.once")
def test_changes_that_follow_are_no_new_initial_data(reinits: Firmware, started: DataFd) -> None:
    reinits.reinit(CHUNK)
    assert reported(started)
    assert not reported(started)
    reinits.dirty(CHUNK)
    assert not reported(started)
    started.read_on()
    assert not reported(started)


def read_nothing(_: DataFd, __: int) -> None:
    """The next chunk appears before any of this one is read."""


def read_a_part(data_fd: DataFd, available: int) -> None:
    """The next chunk appears while this one is read."""
    assert data_fd.read(available - CHUNK // 2).ret > 0


def read_all(data_fd: DataFd, _: int) -> None:
    """The next chunk appears after this one was read."""
    data_fd.read_on()


@pytest.mark.clause("reinit.again")
@pytest.mark.parametrize(
    "read",
    [
        pytest.param(read_nothing, id="before"),
        pytest.param(read_a_part, id="while"),
        pytest.param(read_all, id="after"),
    ],
)
def test_a_second_and_a_third_reinit_around_the_draining_of_the_first(
    reinits: Firmware, started: DataFd, read: Callable[[DataFd, int], None]
) -> None:
    for length in (CHUNK, CHUNK + 1000, CHUNK):
        reinits.reinit(length)
        info = ask(started)
        assert info.flags & PRECOPY_INFO_REINIT
        assert info.initial_bytes >= length
        assert not reported(started)
        read(started, info.initial_bytes)


@pytest.mark.clause("reinit.again")
def test_a_second_reinit_while_the_chunk_of_the_first_is_not_yet_there(
    reinits: Firmware, saves: Firmware, drained: DataFd
) -> None:
    reinits.reinit(CHUNK)
    saves.hold_save()
    first = ask(drained)
    assert first.flags & PRECOPY_INFO_REINIT
    reinits.reinit(CHUNK)
    saves.release_save()
    second = ask(drained)
    assert second.flags & PRECOPY_INFO_REINIT
    assert second.initial_bytes >= CHUNK
    assert not reported(drained)


@pytest.mark.clause("reinit.failed-call")
@pytest.mark.parametrize("why", ["argsz", "copying in", "copying out", "firmware"])
def test_a_call_that_fails_does_not_use_it_up(
    session: Session, reinits: Firmware, started: DataFd, why: str
) -> None:
    reinits.reinit(CHUNK)
    if why == "argsz":
        assert started.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, bytes(32)).error
    elif why == "copying in":
        assert started.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, UNMAPPED).error
    elif why == "copying out":
        asked = PRECOPY_INFO.pack(PRECOPY_INFO.size, 0, 0, 0)
        address = session.memory(asked, writable=False)
        assert started.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, address).error
    else:
        reinits.fail(reinits.word("query"), reinits.status("internal_error"))
        assert started.precopy_info().error
    assert reported(started)


@pytest.mark.clause("reinit.opt-in")
def test_it_is_not_reported_without_the_opt_in(pre_copy: DataFd, reinits: Firmware) -> None:
    pre_copy.poll(SOON)
    for _ in range(2):
        reinits.reinit(CHUNK)
        assert not reported(pre_copy)
        assert not reported(pre_copy)
        pre_copy.read_on()
        assert not reported(pre_copy)


@pytest.mark.clause("reinit.opt-in")
def test_it_is_not_reported_to_who_opens_the_device_after_one_that_had_opted_in(
    opted_in: Session, reinits: Firmware
) -> None:
    opted_in.reopen()
    data_fd = opted_in.start(State.PRE_COPY)
    data_fd.poll(SOON)
    reinits.reinit(CHUNK)
    assert not reported(data_fd)


@pytest.mark.clause("reinit.v1-initial-bytes")
@pytest.mark.parametrize("drain", [False, True], ids=["unread", "drained"])
def test_without_the_opt_in_initial_bytes_do_not_rise(
    pre_copy: DataFd, reinits: Firmware, drain: bool
) -> None:
    pre_copy.poll(SOON)
    if drain:
        pre_copy.read_on()
    before = ask(pre_copy).initial_bytes
    reinits.reinit(CHUNK)
    for _ in range(3):
        after = ask(pre_copy).initial_bytes
        assert after <= before
        before = after
        pre_copy.read(CHUNK)


@pytest.mark.clause("reinit.unasked")
def test_it_is_not_reported_in_a_life_without_new_initial_data(
    opted_in: Session, record: Recorder
) -> None:
    firmware = opted_in.device.firmware
    for last in (State.RUNNING, State.STOP, State.RUNNING):
        data_fd = opted_in.start(State.PRE_COPY)
        assert not reported(data_fd)
        data_fd.read(1)
        assert not reported(data_fd)
        if firmware is not None:
            firmware.dirty(FEW)
        assert not reported(data_fd)
        data_fd.read_on()
        assert not reported(data_fd)
        if firmware is not None:
            firmware.dirty(FEW)
        if "P2P" in (record.capabilities or ()):
            opted_in.move(State.PRE_COPY_P2P)
            assert not reported(data_fd)
            opted_in.move(State.PRE_COPY)
        assert not reported(data_fd)
        data_fd.read_on()
        if last is State.STOP:
            opted_in.move(State.STOP_COPY)
            data_fd.read_on()
        opted_in.move(last)
        opted_in.move(State.RUNNING)
    if firmware is None or not firmware.can("reinit"):
        record.behaviour("precopy_info.reinit", "never")


def check_nothing_is_new(opted_in: Session) -> None:
    """Check that a session that begins now never reports new initial data."""
    data_fd = opted_in.start(State.PRE_COPY)
    assert not reported(data_fd)
    data_fd.read_on()
    assert not reported(data_fd)


@pytest.mark.clause("reinit.before-session")
def test_what_came_up_before_pre_copy_is_not_new(opted_in: Session, reinits: Firmware) -> None:
    reinits.reinit(CHUNK)
    check_nothing_is_new(opted_in)


@pytest.mark.clause("reinit.before-session")
def test_what_came_up_in_an_earlier_session_is_not_new(
    opted_in: Session, started: DataFd, reinits: Firmware
) -> None:
    reinits.reinit(CHUNK)
    opted_in.move(State.RUNNING)
    check_nothing_is_new(opted_in)


@pytest.mark.clause("reinit.capability")
def test_firmware_without_the_capability_never_has_it_reported(
    reinits: Firmware, open_variant: Callable[..., Session]
) -> None:
    reinits.reinit(CHUNK)
    variant = open_variant(*reinits.setup("no_reinit"))
    assert not variant.opt_in().error
    data_fd = variant.start(State.PRE_COPY)
    assert variant.device.firmware is not None
    data_fd.poll(SOON)
    for _ in range(2):
        variant.device.firmware.reinit(CHUNK)
        assert not reported(data_fd)
        data_fd.read_on()
        assert not reported(data_fd)


@pytest.mark.clause("reinit.p2p")
def test_what_comes_up_in_pre_copy_p2p_is_reported_there_or_back_in_pre_copy(
    opted_in: Session, started: DataFd, reinits: Firmware, record: Recorder
) -> None:
    opted_in.move(State.PRE_COPY_P2P)
    reinits.reinit(CHUNK)
    there = reported(started)
    opted_in.move(State.PRE_COPY)
    back = reported(started)
    record.behaviour("reinit.p2p", "at_once" if there else "later" if back else "never")
    assert [there, back].count(True) == 1
