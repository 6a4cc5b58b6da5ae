# SPDX-License-Identifier: GPL-2.0-only
"""Resets that are not VFIO_DEVICE_RESET: by the guest, in configuration space, and by the host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device.firmware import Firmware
from fixtures.guest import Guest
from fixtures.oracle import SAVING, StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import Arrived
from suites.calls import OTHER_RESETS, SOON
from suites.state_machine.checks import check_works

pytestmark = pytest.mark.any_api

A_WHILE = 100  # milliseconds; a reset that has not ended by then waits for the arc


each_way = pytest.mark.parametrize("reset", OTHER_RESETS.values(), ids=OTHER_RESETS)


@pytest.mark.clause("state-machine.reset.other")
@each_way
def test_it_leads_to_running_and_ends_the_session(
    session: Session, guest: Guest, arrived: Arrived, reset: Callable[[Session, Guest], None]
) -> None:
    reset(session, guest)
    assert session.state() is State.RUNNING
    if arrived.data_fd is not None and arrived.state in SAVING:
        assert arrived.data_fd.read(1 << 16).ret <= 0
    check_works(session)


@pytest.mark.clause("state-machine.reset.other")
@each_way
def test_it_can_come_while_a_save_is_in_flight(
    session: Session,
    guest: Guest,
    firmware: Firmware,
    reset: Callable[[Session, Guest], None],
    fsm: StateMachine,
) -> None:
    fsm.need(State.PRE_COPY)
    firmware.hold_save()
    data_fd = session.start(State.PRE_COPY)
    begun = data_fd.begin_read(1)
    reset(session, guest)
    firmware.release_save()
    assert begun.end(SOON).error != "EINPROGRESS"
    assert session.state() is State.RUNNING
    assert data_fd.read(1).ret <= 0
    check_works(session)


@pytest.mark.clause("state-machine.reset.one-device")
@each_way
def test_it_leaves_another_device_alone(
    session: Session,
    guest: Guest,
    arrived: Arrived,
    open_session: Callable[[], Session],
    reset: Callable[[Session, Guest], None],
) -> None:
    other = open_session()
    data_fd = other.start(State.STOP_COPY)
    whole, _ = data_fd.read_on()
    other.reset()
    data_fd = other.start(State.STOP_COPY)
    read = data_fd.read(1).data
    reset(session, guest)
    assert other.state() is State.STOP_COPY
    assert read + data_fd.read_on()[0] == whole


@pytest.mark.clause("state-machine.reset.in-arc")
def test_it_can_come_while_the_device_is_being_stopped(
    session: Session, firmware: Firmware
) -> None:
    """The driver is in the middle of the arc: it has not heard that its firmware has stopped."""
    suspend = firmware.word("suspend")
    firmware.hold(suspend, after=True)
    stop = session.begin_state(State.STOP)
    reset = session.begin_reset()
    reset.end(A_WHILE)
    firmware.release(suspend)
    assert stop.end(SOON).error != "EINPROGRESS"
    assert not reset.end(SOON).error
    firmware.forgive()  # the rest of the arc finds a device that was reset
    assert session.state() is State.RUNNING
    check_works(session)
