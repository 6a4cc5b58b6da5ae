# SPDX-License-Identifier: GPL-2.0-only
"""Every request for a state, from every state, checked against the oracle."""

from __future__ import annotations

import operator

import pytest

from fixtures.errors import NotThere
from fixtures.oracle import PRE_COPIES, REQUESTABLE, SAVING, StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import Arrived, arrive
from fixtures.uapi import FEATURE_HEADER, MIG_STATE
from suites import must

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")
PAIRS = [
    (begin, end)
    for begin in REQUESTABLE
    for end in REQUESTABLE
    if begin is not end and not (begin is State.STOP_COPY and end in PRE_COPIES)
]
PART = 8  # bytes of a stream
NO_STATES = (len(State), 0xFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


def refuses(session: Session, requested: int, stays: State) -> None:
    """Check that a request for ``requested`` fails, and leaves the device in ``stays``."""
    answer, data_fd = session.set_state(requested)
    assert answer.error
    assert data_fd is None
    assert session.state() is stays


def goes_on(session: Session) -> None:
    """Check that a device goes where it is told: nothing has changed but in device_state."""
    for state in (State.STOP, State.RUNNING):
        must.move(session, state)


@pytest.mark.clause("state-machine.initial")
def test_an_opened_device_is_running(session: Session) -> None:
    assert session.state() is State.RUNNING


@pytest.mark.every_variant
@pytest.mark.clause("state-machine.arcs")
@pytest.mark.parametrize(
    ("arrived", "requested"), PAIRS, indirect=["arrived"], ids=lambda state: state.name
)
def test_a_request_leads_to_the_state(
    session: Session, arrived: Arrived, requested: State, fsm: StateMachine
) -> None:
    fsm.need(requested)
    answer, _ = session.set_state(requested)
    assert not answer.error
    assert session.state() is requested


@pytest.mark.clause("state-machine.data-fd.given")
def test_a_data_fd_is_given_where_a_session_starts(
    session: Session, arrived: Arrived, fsm: StateMachine
) -> None:
    for requested in fsm.states:
        outcome = fsm.outcome(arrived.state, requested)
        answer, data_fd = session.set_state(requested)
        assert (data_fd is not None) is outcome.opens, f"on the way to {requested.name}"
        said = MIG_STATE.unpack_from(answer.data, FEATURE_HEADER.size)[1]
        assert outcome.opens or said == -1, f"on the way to {requested.name}"
        session.reset()
        arrive(session, arrived.state)


@pytest.mark.clause("state-machine.same")
def test_a_request_for_the_state_it_is_in_does_nothing(session: Session, arrived: Arrived) -> None:
    old, saving = arrived.data_fd, arrived.state in SAVING
    part = old.read(PART).data if old and saving else b""
    answer, data_fd = session.set_state(arrived.state)
    assert not answer.error
    assert data_fd is None
    assert session.state() is arrived.state
    if old and saving:
        rest, _ = old.read_on()
        session.reset()
        anew = arrive(session, arrived.state).data_fd
        assert anew is not None
        assert part + rest == anew.read_on()[0]
    elif old:
        must.move(session, State.STOP)  # the stream was written before


@pytest.mark.clause("state-machine.stop-copy-to-pre-copy")
@pytest.mark.parametrize("requested", sorted(PRE_COPIES), ids=NAME)
def test_stop_copy_does_not_lead_back_to_pre_copy(session: Session, requested: State) -> None:
    data_fd = session.start(State.STOP_COPY)
    refuses(session, requested, stays=State.STOP_COPY)
    assert data_fd.read(1).ret == 1


@pytest.mark.clause("state-machine.error-requested")
def test_error_cannot_be_requested(session: Session, arrived: Arrived) -> None:
    refuses(session, State.ERROR, stays=arrived.state)
    goes_on(session)


@pytest.mark.clause("state-machine.no-such-state")
def test_a_number_that_is_no_state_is_refused(session: Session, arrived: Arrived) -> None:
    for requested in NO_STATES:
        refuses(session, requested, stays=arrived.state)
    goes_on(session)


@pytest.mark.clause("state-machine.unsupported")
def test_a_state_that_the_device_lacks_is_refused(
    session: Session, arrived: Arrived, fsm: StateMachine
) -> None:
    lacking = [state for state in REQUESTABLE if not fsm.has(state)]
    if not lacking:
        raise NotThere("this device has all of the optional states")
    for requested in lacking:
        refuses(session, requested, stays=arrived.state)
    goes_on(session)
