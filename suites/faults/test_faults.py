# SPDX-License-Identifier: GPL-2.0-only
"""Allocations and copies that fail: the first one in a call, then the second, until the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures.errors import NotThere
from fixtures.guest import Answer, Guest, Injection, memory, write_file
from fixtures.oracle import StateMachine
from fixtures.session import ArrangementFailed, DataFd, Session, State
from fixtures.session.transfer import arrive, save
from suites import must

pytestmark = pytest.mark.any_api

DEBUGFS = "/sys/kernel/debug"
# By default the kernel's fault injection skips allocations that may sleep, and single pages.
ALL = (
    ("failslab/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
)
WRITTEN = 4096  # bytes in a call
MOST = 500  # fault sites in one call; a call with more is assumed to allocate endlessly


def faults(guest: Guest, prepare: Callable[[], None]) -> Iterator[Injection]:
    """Repeat the call in the loop's body, with a fault at each of its fault sites in turn.

    Raises ArrangementFailed.
    """
    for answer in guest.calls(*(write_file(f"{DEBUGFS}/{path}", text) for path, text in ALL)):
        if answer.error:
            raise ArrangementFailed(f"faults cannot be injected: {answer.error}")
    for nth in range(1, MOST):
        prepare()
        with guest.failing(nth) as fault:
            yield fault
        if not fault.injected:
            return
    pytest.fail(f"the call has more than {MOST} fault sites")


def check_error(answer: Answer, fault: Injection) -> None:
    """Check that a call fails only because of the fault, and with an errno for user space."""
    assert fault.injected or not answer.error, "the call fails without a fault"
    assert not answer.error.isdecimal(), f"errno {answer.error} is internal to the kernel"


@pytest.mark.clause("faults.state")
def test_a_request_for_a_state_that_meets_a_fault(
    session: Session, guest: Guest, fsm: StateMachine, arc: tuple[State, State]
) -> None:
    begin, end = arc
    path = fsm.outcome(begin, end).path or ()

    def prepare() -> None:
        assert not session.reset().error
        assert session.state() is State.RUNNING
        arrive(session, begin)

    met = 0
    for fault in faults(guest, prepare):
        # A data fd that is returned despite an error is later reported as a file left open.
        answer, _ = session.set_state(end)
        state = session.state()
        met += fault.injected
        if answer.error:
            check_error(answer, fault)
            assert state in (begin, *path, State.ERROR)
        else:
            assert state is end
    if not met:
        raise ArrangementFailed("no fault was injected, but the copy of the request has a site")
    assert not session.reset().error
    must.migrate(session)


@pytest.mark.clause("faults.memory")
def test_requests_that_meet_faults_lose_no_memory(
    session: Session, guest: Guest, fsm: StateMachine
) -> None:
    began = memory.forget(guest)
    for begin, end in fsm.arcs:

        def prepare(begin: State = begin) -> None:
            session.reset()
            arrive(session, begin)

        for _ in faults(guest, prepare):
            session.set_state(end)
    session.reset()
    session.reopen()
    memory.check(guest, began)


@pytest.mark.clause("faults.call")
def test_a_write_that_meets_a_fault(session: Session, guest: Guest) -> None:
    stream = save(session)
    data_fd: DataFd | None = None

    def prepare() -> None:
        nonlocal data_fd
        session.move(State.RUNNING)
        data_fd = session.start(State.RESUMING)

    for fault in faults(guest, prepare):
        assert data_fd is not None
        answer = data_fd.write(stream[:WRITTEN])
        check_error(answer, fault)
        assert session.state() is State.RESUMING
        session.reset()  # RESUMING cannot be left with the beginning of a stream


@pytest.mark.clause("faults.call")
@pytest.mark.parametrize(
    "name", ["get_state", "opt_in", "data_size", "precopy_info", "read", "reset"]
)
def test_another_call_that_meets_a_fault(
    session: Session, guest: Guest, fsm: StateMachine, name: str
) -> None:
    state = State.PRE_COPY if fsm.has(State.PRE_COPY) else State.STOP_COPY
    if name in ("precopy_info", "opt_in") and state is State.STOP_COPY:
        raise NotThere("this device has no PRE_COPY")
    data_fd = session.start(state)
    calls: dict[str, Callable[[], Answer]] = {
        "get_state": session.get_state,
        "opt_in": session.opt_in,
        "data_size": session.data_size,
        "precopy_info": lambda: data_fd.precopy_info().answer,
        "read": lambda: data_fd.read(64),
        "reset": session.reset,
    }
    for fault in faults(guest, lambda: None):
        answer = calls[name]()
        check_error(answer, fault)
        if name != "reset":
            assert session.state() is state
        elif not answer.error:
            assert session.state() is State.RUNNING


@pytest.mark.clause("faults.read")
def test_a_read_that_fails_takes_nothing(session: Session, guest: Guest, fsm: StateMachine) -> None:
    state = State.PRE_COPY if fsm.has(State.PRE_COPY) else State.STOP_COPY
    data_fd = session.start(state)
    stream = b"".join(data_fd.read(64).data for _ in faults(guest, lambda: None))
    stream += data_fd.read_on()[0]
    session.reset()
    assert stream == session.start(state).read_on()[0]
