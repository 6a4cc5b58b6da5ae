# SPDX-License-Identifier: GPL-2.0-only
"""Arcs that fail in the device: each firmware command of an arc fails in turn."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.oracle import SAVING, StateMachine
from fixtures.session import ArrangementFailed, DataFd, Session, State
from suites import must
from suites.state_machine.checks import check_answered
from suites.state_machine.settled import settled

pytestmark = pytest.mark.any_api


@dataclass(frozen=True)
class Attempt:
    """A request for a state during which one firmware command failed."""

    failed: str  # the command, and how it failed
    may_succeed: bool  # whether the command only releases resources
    error: str
    state: State
    data_fd: DataFd | None  # the session's: a new one, or an older one


def attempts(session: Session, firmware: Firmware, begin: State, end: State) -> Iterator[Attempt]:
    """Make the arc, note its firmware commands, and repeat it with each of these failing in turn.

    Each fails in every way in which it can: with any status, before and after its effect.

    Raises NotThere if the arc has no commands that can fail, and ArrangementFailed if it fails by
    itself.
    """
    arrived = settled(session, begin)
    firmware.clear_journal()
    answer, given = session.set_state(end)
    if answer.error:
        raise ArrangementFailed(f"the device does not go to {end.name}: {answer.error}")
    data_fd = given or arrived.data_fd
    if data_fd is not None and end in SAVING:
        data_fd.read_on()  # waits for a save in the background
    faults = firmware.faults(firmware.commands())
    if not faults:
        raise NotThere("no firmware command of this arc can fail")
    for fault in faults:
        session.reset()
        arrived = settled(session, begin)
        firmware.cause(fault)
        answer, given = session.set_state(end)
        yield Attempt(
            str(fault),
            fault.command in firmware.gives_back,
            answer.error,
            session.state(),
            given or arrived.data_fd,
        )


@pytest.mark.clause("state-machine.failed-arc")
def test_the_state_is_one_of_the_path_or_error(
    session: Session, firmware: Firmware, arc: tuple[State, State], fsm: StateMachine
) -> None:
    begin, end = arc
    for tried in attempts(session, firmware, begin, end):
        if tried.error:
            path = fsm.outcome(begin, end).path or ()
            assert tried.state in (begin, *path, State.ERROR), tried.failed
        else:
            assert tried.state is end


@pytest.mark.clause("state-machine.failed-arc.told")
def test_a_request_whose_arc_failed_does_not_succeed(
    session: Session, firmware: Firmware, arc: tuple[State, State]
) -> None:
    begin, end = arc
    ignored, decisive = [], 0
    for tried in attempts(session, firmware, begin, end):
        decisive += not tried.may_succeed
        if tried.error or tried.may_succeed:
            continue
        # A save may still run after the request; who reads to the end then gets its failure. Any
        # other data fd belongs to a session that has ended, or to RESUMING: a read of it always
        # fails.
        data_fd = tried.data_fd if end in SAVING else None
        if data_fd is None or data_fd.read_on()[1].error in ("", "ENOMSG"):
            ignored.append(tried.failed)
    if not decisive:
        raise NotThere("no firmware command of this arc can make it fail")
    assert ignored == []


@pytest.mark.clause("state-machine.failed-arc.again")
def test_the_same_request_can_be_made_again(
    session: Session, firmware: Firmware, arc: tuple[State, State], fsm: StateMachine
) -> None:
    begin, end = arc
    for tried in attempts(session, firmware, begin, end):
        for requested in (end, begin, State.RUNNING):
            check_answered(session, fsm, requested, f"after {tried.failed}")


@pytest.mark.clause("state-machine.failed-arc.reset")
def test_a_reset_recovers_from_it(
    session: Session, firmware: Firmware, arc: tuple[State, State]
) -> None:
    for _ in attempts(session, firmware, *arc):
        assert not session.reset().error
        assert session.state() is State.RUNNING
        must.migrate(session)
        assert session.state() is State.RUNNING


@pytest.mark.clause("state-machine.error.reset-only")
def test_error_is_left_by_a_reset_alone(
    session: Session, firmware: Firmware, arc: tuple[State, State]
) -> None:
    if all(tried.state is not State.ERROR for tried in attempts(session, firmware, *arc)):
        raise NotThere("the device never goes to ERROR when a command of this arc fails")
    for tried in attempts(session, firmware, *arc):
        if tried.state is State.ERROR:
            for requested in State:
                assert session.set_state(requested)[0].error
                assert session.state() is State.ERROR
            assert not session.reset().error
            assert session.state() is State.RUNNING


@pytest.mark.clause("state-machine.failed-arc")
def test_a_save_that_is_refused(
    session: Session, firmware: Firmware, arc: tuple[State, State], fsm: StateMachine
) -> None:
    """The vendor's core may have no room for the command: the firmware never has it."""
    begin, end = arc
    settled(session, begin)
    firmware.refuse_save(errno.ENOMEM)
    answer, data_fd = session.set_state(end)
    if not firmware.refused():
        firmware.refuse_save(0)
        raise NotThere("this arc has no save")
    state = session.state()
    if answer.error:
        path = fsm.outcome(begin, end).path or ()
        assert state in (begin, *path, State.ERROR)
    else:
        assert state is end
        assert data_fd is not None
        assert data_fd.read_on()[1].error not in ("", "ENOMSG")
    assert not session.reset().error
    must.migrate(session)
