# SPDX-License-Identifier: GPL-2.0-only
"""The data fd as a stream: the system calls for files, each as a stream has it or refused."""

from __future__ import annotations

import operator

import pytest

from fixtures.oracle import SAVING, StateMachine
from fixtures.session import DataFd, Session, State
from suites.calls import SOON

pytestmark = pytest.mark.any_api

PARTS = (1, 7, 4096, 3)  # bytes
LENGTH = 4096  # bytes

saving = pytest.mark.parametrize("state", sorted(SAVING), ids=operator.attrgetter("name"))


@pytest.fixture
def stream(session: Session, state: State, fsm: StateMachine) -> tuple[DataFd, bytes]:
    """A data fd that nobody has read from, and all that it gives."""
    fsm.need(state)
    whole, _ = session.start(state).read_on()
    session.reset()
    return session.start(state), whole


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
    spliced = data_fd.splice(LENGTH)
    moved = spliced.data if spliced.ret > 0 else b""
    assert moved + data_fd.read_on()[0] == whole


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
