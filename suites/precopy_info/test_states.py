# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_MIG_GET_PRECOPY_INFO is valid in the PRE_COPY states only."""

from __future__ import annotations

import operator

import pytest

from fixtures.oracle import StateMachine
from fixtures.plugin.recorder import Recorder
from fixtures.session import DataFd, Session, State

NOT_SAVING = (State.RUNNING, State.RUNNING_P2P, State.STOP, State.RESUMING)


@pytest.mark.clause("precopy-info.support-p2p")
def test_it_works_in_pre_copy_p2p(session: Session) -> None:
    data_fd = session.start(State.PRE_COPY)
    session.move(State.PRE_COPY_P2P)
    assert not data_fd.precopy_info().error


@pytest.mark.clause("precopy-info.state.stop-copy")
def test_it_fails_in_stop_copy(session: Session, pre_copy: DataFd) -> None:
    session.move(State.STOP_COPY)
    assert pre_copy.precopy_info().error == "EINVAL"


@pytest.mark.clause("precopy-info.state.stop-copy")
def test_it_fails_on_a_data_fd_that_began_in_stop_copy(session: Session) -> None:
    assert session.start(State.STOP_COPY).precopy_info().error == "EINVAL"


@pytest.mark.clause("precopy-info.state.not-saving")
@pytest.mark.parametrize("state", NOT_SAVING, ids=operator.attrgetter("name"))
def test_it_fails_once_the_session_has_ended(
    session: Session, pre_copy: DataFd, state: State, fsm: StateMachine, record: Recorder
) -> None:
    fsm.need(state)
    session.move(state)
    asked = pre_copy.precopy_info()
    record.errno("precopy_info.ended_session", asked.answer)
    assert asked.error == "EINVAL"


@pytest.mark.clause("precopy-info.state.resuming-fd")
def test_it_fails_on_the_data_fd_of_resuming(session: Session, record: Recorder) -> None:
    asked = session.start(State.RESUMING).precopy_info()
    record.errno("precopy_info.resuming_fd", asked.answer)
    assert asked.error == "EINVAL"
