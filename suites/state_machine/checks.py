# SPDX-License-Identifier: GPL-2.0-only
"""Checks that several tests of the state machine end with."""

from __future__ import annotations

from collections.abc import Callable

from fixtures.oracle import SAVING, StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import Arrived, arrive
from suites import must


def check_works(session: Session) -> None:
    """Check that a device in RUNNING can be saved, loaded, and set running again."""
    must.migrate(session)
    assert session.state() is State.RUNNING


def check_reset_leads_back(session: Session) -> None:
    """Check that a reset sets the device running, and that it works then."""
    assert not session.reset().error
    assert session.state() is State.RUNNING
    check_works(session)


def check_reopening_leads_back(session: Session) -> None:
    """Check that a device that is closed and opened again runs, and works."""
    session.reopen()
    assert session.state() is State.RUNNING
    check_works(session)


def check_it_continues(session: Session, arrived: Arrived) -> None:
    """Check that state and session are undisturbed, and that the device can run again."""
    assert session.state() is arrived.state
    if arrived.data_fd is not None and arrived.state in SAVING:
        stream, _ = arrived.data_fd.read_on()
        session.reset()
        anew = must.arrive(session, arrived.state).data_fd
        assert anew is not None
        assert stream == anew.read_on()[0]
    if arrived.state is State.RESUMING:
        must.move(session, State.STOP)  # with the stream that was written before
    must.move(session, State.RUNNING)


def check_stream_stays(
    session: Session, arrived: Arrived, parts: int, meanwhile: Callable[[Session], object]
) -> None:
    """Check that the stream is the same if ``meanwhile`` is called before each of its parts."""
    assert arrived.data_fd is not None
    plain, _ = arrived.data_fd.read_on()
    session.reset()
    data_fd = arrive(session, arrived.state).data_fd
    assert data_fd is not None
    stream = b""
    for _ in range(parts):
        meanwhile(session)
        stream += data_fd.read(len(plain) // parts).data
    meanwhile(session)
    assert stream + data_fd.read_on()[0] == plain


def check_answered(
    session: Session, fsm: StateMachine, requested: State, when: str = "then"
) -> None:
    """Request a state; check that the state is then allowed by the answer, success or errno."""
    before = session.state()
    answer, _ = session.set_state(requested)
    path = fsm.outcome(before, requested).path or ()
    allowed = (before, *path, State.ERROR) if answer.error else (requested,)
    assert session.state() in allowed, when
