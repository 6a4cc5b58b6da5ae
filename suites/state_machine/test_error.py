# SPDX-License-Identifier: GPL-2.0-only
"""The state ERROR, into which a restart of its adapter takes a device.

Only a driver can go there: no request can. With a driver that does not, nothing here applies.
"""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.guest import Answer
from fixtures.oracle import SAVING
from fixtures.session import DataFd, Session, State
from fixtures.session.transfer import Arrived
from suites.state_machine.checks import check_reopening_leads_back, check_reset_leads_back

pytestmark = pytest.mark.any_api


@pytest.fixture
def failed(session: Session, firmware: Firmware, arrived: Arrived) -> Arrived:
    """A device in ERROR, and what it was before."""
    firmware.restart()
    if session.state() is not State.ERROR:
        raise NotThere("a restart of its adapter does not take this device to ERROR")
    return arrived


@pytest.fixture
def data_fd(failed: Arrived) -> DataFd:
    """The data fd of the session that a device had before it went to ERROR."""
    if failed.data_fd is None:
        raise NotThere(f"there is no session in {failed.state.name}")
    return failed.data_fd


@pytest.mark.clause("state-machine.error.reported")
def test_get_says_so(session: Session, failed: Arrived) -> None:
    for _ in range(2):
        assert session.state() is State.ERROR
    assert session.capabilities() is not None


@pytest.mark.clause("state-machine.error.reset-only")
def test_every_request_is_refused(session: Session, failed: Arrived) -> None:
    for requested in State:
        answer, data_fd = session.set_state(requested)
        assert answer.error, f"a request for {requested.name} succeeds"
        assert data_fd is None
        assert session.state() is State.ERROR, f"left by a request for {requested.name}"


@pytest.mark.clause("state-machine.error.reset-only")
def test_a_reset_leads_back(session: Session, failed: Arrived) -> None:
    check_reset_leads_back(session)


@pytest.mark.clause("state-machine.reopen")
def test_a_device_that_is_opened_again_runs(session: Session, failed: Arrived) -> None:
    check_reopening_leads_back(session)


@pytest.mark.clause("state-machine.error.session")
def test_the_session_has_ended(session: Session, failed: Arrived, data_fd: DataFd) -> None:
    def use() -> Answer:
        return data_fd.read(1) if failed.state in SAVING else data_fd.write(b"\0")

    assert use().error, "a read that returns 0 would say that the stream is whole"
    session.reset()
    assert use().error


@pytest.mark.clause("precopy-info.state.error")
def test_there_is_no_precopy_info(failed: Arrived, data_fd: DataFd) -> None:
    assert data_fd.precopy_info().error
