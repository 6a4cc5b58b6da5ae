# SPDX-License-Identifier: GPL-2.0-only
"""A device that is open more than once: only the last close ends anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.oracle import StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import Arrived, save
from suites import must
from suites.calls import ask
from suites.state_machine.checks import check_it_continues, check_works

UNKNOWN_FLAGS = 0x80000000

each_way = pytest.mark.parametrize(
    "again",
    [Session.duplicate, Session.open_twice, Session.fork, Session.send],
    ids=["dup", "open", "fork", "message"],
)
elsewhere = pytest.mark.parametrize("sent", [False, True], ids=["fork", "message"])


@pytest.mark.clause("state-machine.first-close")
@each_way
def test_the_first_close_keeps_state_and_session(
    session: Session, arrived: Arrived, again: Callable[[Session], None]
) -> None:
    again(session)
    check_it_continues(session, arrived)


@pytest.mark.clause("feature.precopy-info-v2.first-close")
@each_way
def test_the_first_close_keeps_the_opt_in(
    opted_in: Session, again: Callable[[Session], None]
) -> None:
    again(opted_in)
    assert ask(opted_in.start(State.PRE_COPY), UNKNOWN_FLAGS).flags == 0


@pytest.mark.clause("state-machine.first-close")
@each_way
def test_a_device_works_by_the_fd_that_is_left(
    session: Session, fsm: StateMachine, again: Callable[[Session], None]
) -> None:
    stream = save(session)
    again(session)
    session.reset()
    must.load(session, stream)
    for state in (State.STOP, State.RUNNING):
        must.move(session, state)


@pytest.mark.clause("state-machine.last-close")
@elsewhere
def test_the_death_of_the_last_process_closes_the_device(
    session: Session, arrived: Arrived, sent: bool
) -> None:
    with session.share(sent=sent):
        session.close()
    session.open_again()
    assert session.state() is State.RUNNING
    check_works(session)


@pytest.mark.clause("feature.precopy-info-v2.last-close")
@elsewhere
def test_the_death_of_the_last_process_ends_the_opt_in(opted_in: Session, sent: bool) -> None:
    with opted_in.share(sent=sent):
        opted_in.close()
    opted_in.open_again()
    assert ask(opted_in.start(State.PRE_COPY), UNKNOWN_FLAGS).flags == UNKNOWN_FLAGS
