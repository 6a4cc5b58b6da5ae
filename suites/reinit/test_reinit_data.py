# SPDX-License-Identifier: GPL-2.0-only
"""New initial data reaches the destination, whatever else happens in the session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device.double import StatusName
from fixtures.device.firmware import Firmware
from fixtures.plugin.recorder import Recorder
from fixtures.session import DataFd, Session, State
from suites.reinit.calls import CHUNK, Arrive, reported, the_rest

pytestmark = pytest.mark.any_api

MORE = 16384  # bytes
# The status with which a save fails, by the end of the behaviour's name.
STATUSES: dict[str, StatusName] = {
    "internal_error": "internal_error",
    "resource_state": "bad_resource_state",
}


def stopped(session: Session, data_fd: DataFd) -> bytes:
    """Move to STOP_COPY, and return the rest of the stream."""
    session.move(State.STOP_COPY)
    return the_rest(data_fd)


@pytest.mark.clause("reinit.nothing-lost")
@pytest.mark.parametrize("ask", [True, False], ids=["reported", "not-asked-for"])
@pytest.mark.parametrize("drain", [True, False], ids=["drained", "unread"])
def test_stop_copy_straight_after_reinit(
    opted_in: Session,
    reinits: Firmware,
    started: DataFd,
    arrive: Arrive,
    ask: bool,
    drain: bool,
) -> None:
    stream = started.read_on()[0] if drain else b""
    reinits.reinit(CHUNK)
    if ask:
        assert reported(started)
    assert arrive(stream + stopped(opted_in, started)) == reinits.state()


@pytest.mark.clause("reinit.nothing-lost")
def test_stop_copy_while_the_new_chunk_is_not_yet_there(
    opted_in: Session, reinits: Firmware, saves: Firmware, started: DataFd, arrive: Arrive
) -> None:
    stream, _ = started.read_on()
    reinits.reinit(CHUNK)
    saves.hold_save()
    assert reported(started)
    move = opted_in.begin_state(State.STOP_COPY)
    saves.release_save()
    assert move.end(5000).ret == 0
    stream += the_rest(started)
    assert arrive(stream) == reinits.state()


@pytest.mark.clause("reinit.nothing-lost")
def test_stop_copy_with_the_new_chunk_half_read(
    opted_in: Session, reinits: Firmware, started: DataFd, arrive: Arrive
) -> None:
    stream, _ = started.read_on()
    reinits.reinit(CHUNK)
    assert reported(started)
    stream += started.read(CHUNK // 2).data
    assert arrive(stream + stopped(opted_in, started)) == reinits.state()


@pytest.mark.clause("reinit.nothing-lost")
def test_several_chunks_and_changes_between_them(
    opted_in: Session, reinits: Firmware, started: DataFd, arrive: Arrive
) -> None:
    stream = b""
    for length in (CHUNK, MORE, CHUNK + 1):
        reinits.reinit(length)
        assert reported(started)
        stream += started.read(length).data
        reinits.dirty(length)
        assert not reported(started)
    stream += started.read_on()[0]
    reinits.dirty(CHUNK)
    assert arrive(stream + stopped(opted_in, started)) == reinits.state()


@pytest.mark.clause("reinit.nothing-lost")
def test_what_comes_up_in_pre_copy_p2p(
    opted_in: Session, reinits: Firmware, started: DataFd, arrive: Arrive
) -> None:
    stream, _ = started.read_on()
    opted_in.move(State.PRE_COPY_P2P)
    reinits.reinit(CHUNK)
    reported(started)
    stream += started.read_on()[0]
    assert arrive(stream + stopped(opted_in, started)) == reinits.state()


@pytest.mark.clause("reinit.nothing-lost")
def test_without_the_opt_in(
    session: Session, reinits: Firmware, pre_copy: DataFd, arrive: Arrive
) -> None:
    stream, _ = pre_copy.read_on()
    reinits.reinit(CHUNK)
    assert not reported(pre_copy)
    stream += pre_copy.read_on()[0]
    assert arrive(stream + stopped(session, pre_copy)) == reinits.state()


@pytest.mark.clause("reinit.nothing-lost")
def test_from_firmware_that_saves_in_chunks(
    session: Session, reinits: Firmware, open_variant: Callable[..., Session], arrive: Arrive
) -> None:
    source = open_variant(*reinits.setup("chunks"))
    assert source.device.firmware is not None
    assert not source.opt_in().error
    data_fd = source.start(State.PRE_COPY)
    stream, _ = data_fd.read_on()
    source.device.firmware.reinit(MORE)
    assert reported(data_fd)
    stream += data_fd.read(CHUNK).data
    source.move(State.STOP_COPY)
    stream += the_rest(data_fd)
    assert arrive(stream, session) == source.device.firmware.state()


@pytest.fixture(params=STATUSES)
def failed(request: pytest.FixtureRequest, started: DataFd, reinits: Firmware) -> tuple[str, bytes]:
    """The kind of failure of a REINIT's save, and all data that could be read before and after."""
    stream, _ = started.read_on()
    reinits.reinit(CHUNK)
    reinits.fail_save(STATUSES[request.param])
    assert reported(started)
    return request.param, stream + started.read_on()[0]


@pytest.mark.clause("reinit.failed-save")
def test_a_save_that_fails_after_reinit_leaves_no_stream_that_only_looks_whole(
    opted_in: Session,
    started: DataFd,
    failed: tuple[str, bytes],
    reinits: Firmware,
    arrive: Arrive,
    record: Recorder,
) -> None:
    answer, _ = opted_in.set_state(State.STOP_COPY)
    rest, end = started.read_on()
    behaviour = f"reinit.failed_save.{failed[0]}"
    if answer.error or end.error:
        record.behaviour(behaviour, "refused")
        return
    whole = arrive(failed[1] + rest) == reinits.state()
    record.behaviour(behaviour, "whole" if whole else "cut_short")
    assert whole


@pytest.mark.clause("reinit.failed-save.reset")
def test_after_a_save_that_failed_a_reset_makes_the_device_migrate_again(
    opted_in: Session, failed: tuple[str, bytes], reinits: Firmware, arrive: Arrive
) -> None:
    opted_in.set_state(State.STOP_COPY)
    assert not opted_in.reset().error
    assert opted_in.state() == State.RUNNING
    answer, data_fd = opted_in.set_state(State.PRE_COPY)
    assert not answer.error
    assert data_fd is not None
    stream, _ = data_fd.read_on()
    answer, _ = opted_in.set_state(State.STOP_COPY)
    assert not answer.error
    stream += the_rest(data_fd)
    assert arrive(stream) == reinits.state()
