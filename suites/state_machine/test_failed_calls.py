# SPDX-License-Identifier: GPL-2.0-only
"""State requests that fail for the caller's sake: its memory, or its descriptors."""

from __future__ import annotations

import operator

import pytest

from fixtures.oracle import SESSIONS, StateMachine
from fixtures.session import Session, State
from suites.state_machine.checks import check_works

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")

opening = pytest.mark.parametrize("state", sorted(SESSIONS), ids=NAME)


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
def test_the_answer_cannot_be_written(session: Session, fsm: StateMachine, state: State) -> None:
    """The data fd would be lost: the test's end counts the files that are open."""
    fsm.need(state)
    assert session.set_state_at(state, writable=False).error == "EFAULT"
    check_it_failed(session, fsm, state)
