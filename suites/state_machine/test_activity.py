# SPDX-License-Identifier: GPL-2.0-only
"""A device does what its device_state says; its firmware tells, not the driver under test."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Activity, Firmware
from fixtures.oracle import StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import Arrived
from suites import must
from suites.state_machine.settled import settled
from suites.state_machine.test_arcs import NAME, PAIRS
from suites.state_machine.test_failed_arcs import attempts

pytestmark = pytest.mark.any_api

RUNNING_STATES = [State.RUNNING, State.PRE_COPY]
P2P_STATES = [State.RUNNING_P2P, State.PRE_COPY_P2P]
STOPPED_STATES = [State.STOP, State.STOP_COPY, State.RESUMING]


def is_as(state: State, activity: Activity) -> bool:
    """Return whether a device in ``state`` may do what it does."""
    if state is State.ERROR:
        return True
    if state in P2P_STATES:
        return activity is not Activity.RUNS
    return activity is (Activity.RUNS if state in RUNNING_STATES else Activity.STOPPED)


def in_each(states: list[State]) -> pytest.MarkDecorator:
    """Run a test for a device in each of ``states``."""
    return pytest.mark.parametrize("arrived", states, indirect=True, ids=NAME)


@pytest.mark.every_variant
@pytest.mark.clause("state-machine.activity.running")
@in_each(RUNNING_STATES)
def test_a_device_runs(firmware: Firmware, arrived: Arrived) -> None:
    assert firmware.activity() is Activity.RUNS


@pytest.mark.every_variant
@pytest.mark.clause("state-machine.activity.running")
def test_a_device_runs_again(session: Session, firmware: Firmware, arrived: Arrived) -> None:
    must.move(session, State.RUNNING)
    assert firmware.activity() is Activity.RUNS


@pytest.mark.every_variant
@pytest.mark.clause("state-machine.activity.p2p")
@in_each(P2P_STATES)
def test_a_device_begins_no_dma(firmware: Firmware, arrived: Arrived) -> None:
    assert firmware.activity() is not Activity.RUNS


@pytest.mark.every_variant
@pytest.mark.clause("state-machine.activity.stopped")
@in_each(STOPPED_STATES)
def test_a_device_is_stopped(firmware: Firmware, arrived: Arrived) -> None:
    assert firmware.activity() is Activity.STOPPED


@pytest.mark.clause("state-machine.activity.failed-arc")
def test_a_failed_arc_leaves_the_device_in_its_state(
    session: Session, firmware: Firmware, arc: tuple[State, State]
) -> None:
    wrong = []
    for tried in attempts(session, firmware, *arc):
        activity = firmware.activity()
        if not is_as(tried.state, activity):
            wrong.append(f"{activity.name} in {tried.state.name} after {tried.failed}")
    assert not wrong, f"it is {', '.join(wrong)}."


def commands(session: Session, firmware: Firmware, begin: State, *then: State) -> list[str]:
    """Return the commands of the way from ``begin`` through the states ``then``."""
    session.reset()
    settled(session, begin)
    firmware.clear_journal()
    for state in then:
        answer, _ = session.set_state(state)
        assert not answer.error
        session.settle()
    return firmware.commands()


@pytest.mark.clause("state-machine.path")
@pytest.mark.parametrize(("begin", "end"), PAIRS, ids=NAME)
def test_a_combination_is_made_of_its_arcs(
    session: Session, firmware: Firmware, begin: State, end: State, fsm: StateMachine
) -> None:
    fsm.need(begin, end)
    path = fsm.outcome(begin, end).path
    assert path is not None
    assert commands(session, firmware, begin, end) == commands(session, firmware, begin, *path)
