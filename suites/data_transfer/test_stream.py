# SPDX-License-Identifier: GPL-2.0-only
"""The data fd as a stream: the system calls for files, each as a stream has it or refused."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest

from fixtures.oracle import SAVING, StateMachine
from fixtures.session import DataFd, Session, State
from suites.calls import SOON

pytestmark = pytest.mark.any_api

PARTS = (1, 7, 4096, 3)  # bytes
LENGTH = 4096  # bytes

saving = pytest.mark.parametrize("state", sorted(SAVING), ids=operator.attrgetter("name"))
by_ring = pytest.mark.parametrize("apart", [False, True], ids=["at-once", "by-a-thread"])
each_way = pytest.mark.parametrize(
    "again",
    [Session.duplicate_data, Session.fork_data, Session.send_data],
    ids=["dup", "fork", "message"],
)


@pytest.fixture
def stream(session: Session, state: State, fsm: StateMachine) -> tuple[DataFd, bytes]:
    """A data fd that nobody has read from, and all that it gives."""
    fsm.need(state)
    whole, _ = session.start(state).read_on()
    session.reset()
    return session.start(state), whole


def some_of(whole: bytes) -> int:
    """Return a length after which some of the stream is left."""
    return min(LENGTH, len(whole) // 2)


@saving
@pytest.mark.clause("data-transfer.vector")
def test_a_read_into_several_buffers(stream: tuple[DataFd, bytes], state: State) -> None:
    data_fd, whole = stream
    some = data_fd.readv(*PARTS)
    assert some.ret > 0
    assert some.data + data_fd.read_on()[0] == whole


@saving
@pytest.mark.clause("data-transfer.zero-length")
def test_a_read_of_nothing_takes_nothing(stream: tuple[DataFd, bytes], state: State) -> None:
    data_fd, whole = stream
    assert data_fd.read(0).ret <= 0
    assert data_fd.read_on()[0] == whole


@pytest.mark.clause("data-transfer.zero-length")
def test_a_write_of_nothing_gives_nothing(session: Session) -> None:
    whole, _ = session.start(State.STOP_COPY).read_on()
    data_fd = session.start(State.RESUMING)
    assert data_fd.write(b"").ret <= 0
    assert not data_fd.write_on(whole).error
    assert data_fd.write(b"").ret <= 0
    assert not session.set_state(State.STOP)[0].error


@saving
@pytest.mark.clause("data-transfer.splice")
def test_a_splice_moves_the_stream_or_is_refused(
    stream: tuple[DataFd, bytes], state: State
) -> None:
    data_fd, whole = stream
    spliced = data_fd.splice(some_of(whole))
    moved = spliced.data if spliced.ret > 0 else b""
    assert moved + data_fd.read_on()[0] == whole


@saving
@by_ring
@pytest.mark.clause("data-transfer.io-uring")
def test_a_read_by_io_uring_gives_the_stream_or_is_refused(
    stream: tuple[DataFd, bytes], state: State, apart: bool
) -> None:
    data_fd, whole = stream
    came = data_fd.ring_read(some_of(whole), apart=apart)
    read = came.data if came.ret > 0 else b""
    assert read + data_fd.read_on()[0] == whole


@by_ring
@pytest.mark.clause("data-transfer.io-uring")
def test_a_write_by_io_uring_is_taken_or_refused(session: Session, apart: bool) -> None:
    whole, _ = session.start(State.STOP_COPY).read_on()
    data_fd = session.start(State.RESUMING)
    taken = max(data_fd.ring_write(whole[: some_of(whole)], apart=apart).ret, 0)
    assert not data_fd.write_on(whole[taken:]).error
    assert not session.set_state(State.STOP)[0].error


@saving
@each_way
@pytest.mark.clause("data-transfer.first-close")
def test_the_first_close_of_a_data_fd_keeps_its_stream(
    session: Session,
    stream: tuple[DataFd, bytes],
    state: State,
    again: Callable[[Session, DataFd], DataFd],
) -> None:
    data_fd, whole = stream
    some = data_fd.read(some_of(whole)).data
    assert some + again(session, data_fd).read_on()[0] == whole


@each_way
@pytest.mark.clause("data-transfer.first-close")
def test_the_first_close_of_a_data_fd_keeps_what_was_written(
    session: Session, again: Callable[[Session, DataFd], DataFd]
) -> None:
    whole, _ = session.start(State.STOP_COPY).read_on()
    data_fd = session.start(State.RESUMING)
    part = len(whole) // 2
    assert not data_fd.write_on(whole[:part]).error
    assert not again(session, data_fd).write_on(whole[part:]).error
    assert not session.set_state(State.STOP)[0].error


@saving
@pytest.mark.clause("data-transfer.map")
def test_it_cannot_be_mapped(stream: tuple[DataFd, bytes], state: State) -> None:
    data_fd, whole = stream
    assert data_fd.map(LENGTH).error
    assert data_fd.read_on()[0] == whole


@saving
@pytest.mark.clause("data-transfer.nonblocking")
def test_data_that_is_there_can_be_read_without_blocking(
    stream: tuple[DataFd, bytes], state: State
) -> None:
    data_fd, whole = stream
    data_fd.poll(SOON)
    data_fd.set_nonblocking()
    assert data_fd.read_on()[0] == whole


@pytest.mark.clause("data-transfer.failed-read")
@pytest.mark.parametrize(
    "state", [State.PRE_COPY, State.STOP_COPY], ids=operator.attrgetter("name")
)
@pytest.mark.parametrize("room", [1, LENGTH - 1, LENGTH], ids=str)
def test_a_read_to_memory_that_ends_takes_no_more_than_it_returns(
    session: Session, stream: tuple[DataFd, bytes], state: State, room: int
) -> None:
    data_fd, whole = stream
    taken = data_fd.read_to(session.memory(bytes(room), writable=True), len(whole))
    rest, _ = data_fd.read_on()
    assert whole[max(taken.ret, 0) :] == rest, f"the read returned {taken.error or taken.ret}"
