# SPDX-License-Identifier: GPL-2.0-only
"""Writes and reads of memory that is not there, or ends too early."""

from __future__ import annotations

import operator

import pytest

from fixtures.errors import NotThere
from fixtures.oracle import StateMachine
from fixtures.plugin.recorder import Recorder
from fixtures.session import Session, State
from fixtures.session.transfer import save
from suites.contents import Contents
from suites.data_transfer.loads import check_loads

pytestmark = pytest.mark.any_api

PAGE = 4096  # bytes


@pytest.mark.clause("data-transfer.no-memory")
@pytest.mark.parametrize(
    "state", [State.PRE_COPY, State.STOP_COPY], ids=operator.attrgetter("name")
)
def test_a_read_to_no_memory_fails(session: Session, fsm: StateMachine, state: State) -> None:
    fsm.need(state)
    data_fd = session.start(state)
    session.settle()
    if data_fd.read(1).ret != 1:
        raise NotThere("the stream has no data there")
    assert data_fd.read_to(session.memory(b""), PAGE).error == "EFAULT"


@pytest.mark.clause("data-transfer.no-memory")
def test_a_write_from_no_memory_fails(session: Session) -> None:
    data_fd = session.start(State.RESUMING)
    assert data_fd.write_from(session.memory(b""), 1).error == "EFAULT"


@pytest.mark.clause("data-transfer.failed-write")
@pytest.mark.parametrize("room", [0, 1, 16, PAGE - 1, PAGE])
def test_a_write_from_memory_that_ends_loads_nothing_else(
    source: Contents, target: Contents, room: int, record: Recorder
) -> None:
    target.differs(source)
    session, stream = target.session, save(source.session)
    there = stream[: min(room, len(stream) - 1)]
    data_fd = session.start(State.RESUMING)
    taken = data_fd.write_from(session.memory(there), len(stream))
    assert taken.ret <= len(there)
    rest = stream[max(taken.ret, 0) :]
    refused = data_fd.write_on(rest).error or session.set_state(State.STOP)[0].error
    if not refused:
        assert target.get() == source.get()
    if taken.error:
        record.behaviour("data_transfer.failed_write", "ends" if refused else "goes_on")
    else:
        assert not refused
    check_loads(target, stream, source)
