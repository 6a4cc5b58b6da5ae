# SPDX-License-Identifier: GPL-2.0-only
"""The data fd as a file descriptor, and the data transfer session behind it."""

from __future__ import annotations

import fcntl
import operator
import os

import pytest

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.oracle import SAVING, StateMachine
from fixtures.plugin.recorder import Recorder
from fixtures.session import ArrangementFailed, DataFd, Session, State
from fixtures.session.transfer import Arrived, load, save
from suites import must
from suites.calls import ask
from suites.contents import Contents

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")
OPENING = [State.PRE_COPY, State.PRE_COPY_P2P, State.STOP_COPY, State.RESUMING]
# Arcs that end a session: from which state, to which state.
LEAVING = [
    (State.PRE_COPY, State.RUNNING),
    (State.PRE_COPY_P2P, State.RUNNING_P2P),
    (State.STOP_COPY, State.STOP),
]
# Paths inside the saving group.
WALKS = [
    [State.PRE_COPY, State.PRE_COPY_P2P],
    [State.PRE_COPY, State.PRE_COPY_P2P, State.PRE_COPY],
    [State.PRE_COPY_P2P, State.PRE_COPY],
]


def data_fd_of(arrived: Arrived) -> DataFd:
    """Return the data fd of ``arrived``.

    Raises NotThere if the state has none, and ArrangementFailed if none was given.
    """
    if arrived.state not in OPENING:
        raise NotThere(f"{arrived.state.name} has no data transfer session")
    if arrived.data_fd is None:
        raise ArrangementFailed(f"going to {arrived.state.name} gave no data_fd")
    return arrived.data_fd


on_opening = pytest.mark.parametrize("arrived", OPENING, indirect=True, ids=NAME)


@pytest.mark.clause("state-machine.data-fd.close-on-exec")
@on_opening
def test_it_is_close_on_exec(arrived: Arrived) -> None:
    assert data_fd_of(arrived).fcntl(fcntl.F_GETFD).ret & fcntl.FD_CLOEXEC


@pytest.mark.clause("state-machine.data-fd.read-only")
@pytest.mark.parametrize("arrived", sorted(SAVING), indirect=True, ids=NAME)
def test_the_one_for_saving_can_only_be_read(arrived: Arrived) -> None:
    data_fd = data_fd_of(arrived)
    assert data_fd.fcntl(fcntl.F_GETFL).ret & os.O_ACCMODE == os.O_RDONLY
    assert data_fd.write(b"data").error == "EBADF"


@pytest.mark.clause("state-machine.data-fd.write-only")
@pytest.mark.parametrize("arrived", [State.RESUMING], indirect=True, ids=NAME)
def test_the_one_for_resuming_can_only_be_written(arrived: Arrived) -> None:
    data_fd = data_fd_of(arrived)
    assert data_fd.fcntl(fcntl.F_GETFL).ret & os.O_ACCMODE == os.O_WRONLY
    assert data_fd.read(1).error == "EBADF"


@pytest.mark.clause("state-machine.data-fd.stream")
@on_opening
def test_it_has_no_position(arrived: Arrived) -> None:
    data_fd = data_fd_of(arrived)
    for whence in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
        assert data_fd.lseek(0, whence).error == "ESPIPE"
    if arrived.state is State.RESUMING:
        assert data_fd.pwrite(b"data", 0).error == "ESPIPE"
    else:
        assert data_fd.pread(1, 0).error == "ESPIPE"


@pytest.mark.clause("state-machine.session.kept")
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: "-".join(map(NAME, walk)))
def test_moving_inside_the_saving_group_keeps_fd_and_position(
    session: Session, walk: list[State], fsm: StateMachine
) -> None:
    fsm.need(*walk)
    whole, _ = session.start(walk[0]).read_on()
    session.reset()
    data_fd = session.start(walk[0])
    part = len(whole) // (len(walk) + 1)
    read = data_fd.read(part).data
    for state in walk[1:]:
        answer, another = session.set_state(state)
        assert not answer.error
        assert another is None
        read += data_fd.read(part).data
    rest, _ = data_fd.read_on()
    assert read + rest == whole


@pytest.mark.clause("state-machine.session.kept")
@pytest.mark.parametrize("begin", [State.PRE_COPY, State.PRE_COPY_P2P], ids=NAME)
def test_stop_copy_goes_on_where_pre_copy_was(
    session: Session, driver: Driver, begin: State, fsm: StateMachine
) -> None:
    fsm.need(begin)
    contents = Contents(session, driver)
    contents.set(seed=29)
    sent = contents.get()
    data_fd = session.start(begin)
    read = data_fd.read(ask(data_fd).initial_bytes // 2)
    assert read.ret > 0
    answer, another = session.set_state(State.STOP_COPY)
    assert not answer.error
    assert another is None
    stream = read.data + must.read_stop_copy(data_fd)
    session.reset()
    contents.set(seed=3)
    must.load(session, stream)
    must.move(session, State.STOP)
    assert contents.get() == sent


@pytest.mark.clause("state-machine.session.ended")
@pytest.mark.parametrize(("begin", "end"), LEAVING, ids=NAME)
def test_leaving_the_saving_group_ends_the_session(
    session: Session, begin: State, end: State, fsm: StateMachine, record: Recorder
) -> None:
    fsm.need(begin, end)
    data_fd = session.start(begin)
    session.move(end)
    answer = data_fd.read(1 << 16)
    record.errno("state_machine.ended_session.read", answer)
    assert answer.ret <= 0
    assert data_fd.read(1 << 16).ret <= 0


@pytest.mark.clause("state-machine.session.ended")
@pytest.mark.parametrize(("begin", "end"), LEAVING, ids=NAME)
def test_an_ended_session_stays_ended_while_another_goes_on(
    session: Session, begin: State, end: State, fsm: StateMachine
) -> None:
    fsm.need(begin, end)
    old = session.start(begin)
    session.move(end)
    new = session.start(begin)
    assert old.read(1 << 16).ret <= 0
    assert new.read(1 << 16).ret > 0
    assert old.read(1 << 16).ret <= 0


@pytest.mark.clause("state-machine.session.resuming-ended")
@pytest.mark.parametrize("by", ["leaving", "another", "reset", "close"])
def test_the_session_of_resuming_ends(session: Session, by: str) -> None:
    stream = save(session)
    data_fd = load(session, stream)
    if by == "close":
        session.close_device(keep=data_fd)
        assert data_fd.write(stream).error  # before the next open, which resets the device
        session.open_again()
    elif by == "reset":
        session.reset()
    else:
        session.move(State.STOP)
    if by == "another":
        session.start(State.RESUMING)
    assert data_fd.write(stream).error


@pytest.mark.clause("state-machine.session.fd-closed")
@on_opening
def test_closing_the_data_fd_changes_no_state(session: Session, arrived: Arrived) -> None:
    session.close_data(data_fd_of(arrived))
    assert session.state() is arrived.state
    must.move(session, State.RUNNING)
    again = must.arrive(session, arrived.state)
    assert session.state() is arrived.state
    assert again.data_fd is not None
