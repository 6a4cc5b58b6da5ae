# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_DEVICE_RESET, the last close, and changes of state without a request."""

from __future__ import annotations

import pytest

from fixtures.oracle import SAVING
from fixtures.session import Session, State
from fixtures.session.transfer import Arrived
from suites.state_machine.checks import check_reopening_leads_back, check_reset_leads_back

A_WHILE = 0.2  # seconds without a call

on_saving = pytest.mark.parametrize(
    "arrived", sorted(SAVING), indirect=True, ids=lambda state: state.name
)


@pytest.mark.clause("state-machine.reset.running")
def test_a_reset_leads_to_running(session: Session, arrived: Arrived) -> None:
    check_reset_leads_back(session)


@pytest.mark.clause("state-machine.reset.running")
def test_a_reset_aborts_resuming(session: Session) -> None:
    session.start(State.RESUMING)
    check_reset_leads_back(session)


@pytest.mark.clause("state-machine.reset.session")
@on_saving
def test_a_reset_ends_the_session(session: Session, arrived: Arrived) -> None:
    assert arrived.data_fd is not None
    assert not session.reset().error
    assert arrived.data_fd.read(1 << 16).ret <= 0


@pytest.mark.clause("state-machine.reopen")
def test_a_device_that_was_closed_is_running_again(session: Session, arrived: Arrived) -> None:
    check_reopening_leads_back(session)


@pytest.mark.clause("state-machine.close.session")
@on_saving
def test_the_last_close_ends_the_session(session: Session, arrived: Arrived) -> None:
    assert arrived.data_fd is not None
    session.close_device(keep=arrived.data_fd)
    assert arrived.data_fd.read(1 << 16).ret <= 0  # before the next open, which resets the device
    session.open_again()
    assert arrived.data_fd.read(1 << 16).ret <= 0


@pytest.mark.clause("state-machine.no-async")
def test_the_state_stays_until_it_is_changed(session: Session, arrived: Arrived) -> None:
    data_fd, firmware = arrived.data_fd, session.device.firmware
    assert session.state() is arrived.state
    session.wait(A_WHILE)
    assert session.state() is arrived.state
    if firmware is not None:
        firmware.command("dirty 64")  # refused if the device is stopped
        assert session.state() is arrived.state
    if data_fd is not None and arrived.state in SAVING:
        data_fd.precopy_info()
        assert session.state() is arrived.state
        data_fd.read_on()
        assert session.state() is arrived.state
    if data_fd is not None and arrived.state is State.RESUMING:
        data_fd.write(b"\0")  # behind the end of the stream: accepted or refused
        assert session.state() is arrived.state
    if data_fd is not None:
        session.close_data(data_fd)
    assert session.state() is arrived.state
