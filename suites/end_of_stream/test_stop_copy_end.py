# SPDX-License-Identifier: GPL-2.0-only
"""The permanent end of stream, in STOP_COPY."""

from __future__ import annotations

import pytest

from fixtures.oracle import StateMachine
from fixtures.session import READABLE, DataFd, Session, State
from fixtures.session.transfer import to_stop_copy

pytestmark = pytest.mark.any_api


@pytest.fixture(params=[(), (State.PRE_COPY,)], ids=["STOP_COPY", "PRE_COPY"])
def stop_copy(request: pytest.FixtureRequest, session: Session, fsm: StateMachine) -> DataFd:
    """The data fd of a device in STOP_COPY, opened there or in PRE_COPY."""
    fsm.need(*request.param)
    data_fd, _ = to_stop_copy(session, *request.param)
    return data_fd


@pytest.mark.clause("end-of-stream.stop-copy.zero")
def test_the_end_is_the_end(stop_copy: DataFd) -> None:
    data, end = stop_copy.read_on()
    assert len(data) > 0
    answers = [end, *(stop_copy.read(count) for count in (1, 4096, 1 << 20))]
    assert [(answer.ret, answer.error) for answer in answers] == [(0, "")] * 4


@pytest.mark.clause("end-of-stream.stop-copy.poll")
def test_poll_says_readable_before_and_after_the_end(stop_copy: DataFd) -> None:
    assert stop_copy.poll(1000) & READABLE
    stop_copy.read(1)
    assert stop_copy.poll(1000) & READABLE
    stop_copy.read_on()
    assert stop_copy.poll() & READABLE
    assert stop_copy.poll() & READABLE
