# SPDX-License-Identifier: GPL-2.0-only
"""State requests that fail for the caller's sake: its memory, or its descriptors."""

from __future__ import annotations

import operator

import pytest

from fixtures.guest import Guest
from fixtures.oracle import SESSIONS, StateMachine
from fixtures.session import Session, State
from suites.state_machine.checks import check_works

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")

opening = pytest.mark.parametrize("state", sorted(SESSIONS), ids=NAME)


def open_files(guest: Guest) -> list[str]:
    """Return the descriptors of the process that makes the tests' calls."""
    names: list[str] = guest.call("list", path="/proc/self/fd").more["names"]
    return names


def check_it_failed(session: Session, fsm: StateMachine, state: State) -> None:
    """Check that a request for ``state`` from RUNNING, which failed, left a device that works."""
    path = fsm.outcome(State.RUNNING, state).path or ()
    assert session.state() in (State.RUNNING, *path)
    assert not session.reset().error
    check_works(session)


@pytest.mark.clause("state-machine.no-descriptor")
@opening
def test_no_file_can_be_opened(session: Session, fsm: StateMachine, state: State) -> None:
    fsm.need(state)
    assert session.set_state_without_files(state).error == "EMFILE"
    check_it_failed(session, fsm, state)


@pytest.mark.clause("state-machine.no-answer")
@opening
def test_the_answer_cannot_be_written(
    session: Session, fsm: StateMachine, state: State, guest: Guest
) -> None:
    fsm.need(state)
    before = open_files(guest)
    assert session.set_state_at(state, writable=False).error == "EFAULT"
    assert open_files(guest) == before
    check_it_failed(session, fsm, state)
