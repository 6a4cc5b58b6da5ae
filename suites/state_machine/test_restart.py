# SPDX-License-Identifier: GPL-2.0-only
"""The adapter is reset, or goes away and comes back, while its function is in use."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.oracle import SAVING, StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import Arrived
from suites.calls import SOON
from suites.state_machine.checks import check_answered, check_it_continues, check_works

pytestmark = pytest.mark.any_api

A_WHILE = 100  # milliseconds; a reset that has not ended by then waits for the adapter's


def check_requests_are_answered(session: Session, fsm: StateMachine) -> None:
    """Check that requests for two states succeed, or fail as the protocol allows."""
    for requested in (State.STOP, State.RUNNING):
        check_answered(session, fsm, requested)


def ask_and_read(arrived: Arrived) -> None:
    """Use the data fd of a saving session, if there is one."""
    if arrived.data_fd is not None and arrived.state in SAVING:
        arrived.data_fd.precopy_info()
        arrived.data_fd.read(1 << 16)


@pytest.mark.clause("state-machine.adapter-restart")
def test_the_data_fd_answers_then(session: Session, firmware: Firmware, arrived: Arrived) -> None:
    firmware.restart()
    ask_and_read(arrived)
    if arrived.data_fd is not None and arrived.state is State.RESUMING:
        arrived.data_fd.write(b"\0")
    assert not session.reset().error
    check_works(session)


@pytest.mark.clause("state-machine.adapter-restart")
def test_state_requests_are_answered_then(
    session: Session, firmware: Firmware, arrived: Arrived, fsm: StateMachine
) -> None:
    firmware.restart()
    check_requests_are_answered(session, fsm)
    assert not session.reset().error
    check_works(session)


@pytest.mark.clause("state-machine.adapter-down")
def test_an_adapter_that_takes_no_commands(
    session: Session, firmware: Firmware, arrived: Arrived, fsm: StateMachine
) -> None:
    firmware.go_down()
    ask_and_read(arrived)
    check_requests_are_answered(session, fsm)
    assert not session.reset().error
    assert session.state() is State.RUNNING
    firmware.come_up()
    check_works(session)


@pytest.mark.clause("state-machine.adapter-down")
def test_an_adapter_that_goes_down_and_restarts(
    session: Session, firmware: Firmware, arrived: Arrived
) -> None:
    firmware.go_down()
    session.reset()
    firmware.begin_restart()
    firmware.come_up()
    firmware.end_restart()
    assert not session.reset().error
    check_works(session)


@pytest.mark.clause("state-machine.adapter-restart.state")
def test_the_state_stays_then(session: Session, firmware: Firmware, arrived: Arrived) -> None:
    firmware.begin_restart()
    assert session.state() is arrived.state
    firmware.end_restart()
    assert session.state() is arrived.state


@pytest.mark.clause("state-machine.adapter-restart")
def test_it_restarts_while_a_request_waits(session: Session, firmware: Firmware) -> None:
    suspend = firmware.word("suspend")
    firmware.hold(suspend)
    request = session.begin_state(State.STOP)
    try:
        assert request.end(A_WHILE).error == "EINPROGRESS"
        firmware.restart()
    finally:
        firmware.release(suspend)
    assert request.end(SOON).error != "EINPROGRESS"
    session.state()
    assert not session.reset().error
    check_works(session)


@pytest.mark.clause("state-machine.other-adapter")
def test_another_adapter_restarts(session: Session, firmware: Firmware, arrived: Arrived) -> None:
    firmware.restart_another()
    assert session.state() is arrived.state
    check_it_continues(session, arrived)


@pytest.mark.clause("state-machine.reset.adapter")
def test_a_reset_while_the_adapter_is_reset(
    session: Session, firmware: Firmware, arrived: Arrived
) -> None:
    firmware.begin_adapter_reset()
    try:
        reset = session.begin_reset()
        early = reset.end(A_WHILE)
    finally:
        firmware.end_adapter_reset()
    answer = reset.end(SOON)
    assert answer.error != "EINPROGRESS"
    assert early.error, "the reset did not wait"
    if not answer.error:
        assert session.state() is State.RUNNING
    assert not session.reset().error
    assert session.state() is State.RUNNING
    check_works(session)
