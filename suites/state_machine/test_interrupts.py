# SPDX-License-Identifier: GPL-2.0-only
"""Interrupts of a stopped device: they can be set up, and stay silent."""

from __future__ import annotations

import operator

import pytest

from fixtures.session import Session, State
from fixtures.session.transfer import arrive
from suites import must

pytestmark = pytest.mark.any_api

A_WHILE = 0.1  # seconds

in_stop = pytest.mark.parametrize(
    "state", [State.STOP, State.STOP_COPY], ids=operator.attrgetter("name")
)


@in_stop
@pytest.mark.clause("state-machine.stop.interrupts")
def test_interrupts_can_be_set_up_and_taken_away(
    session: Session, index: int, state: State
) -> None:
    arrive(session, state)
    for _ in range(2):
        answer, event = session.arm_irq(index)
        assert not answer.error
        assert not session.disarm_irq(index).error
        assert not event.signalled
    answer, _ = session.arm_irq(index)
    assert not answer.error
    must.move(session, State.RUNNING)
    assert not session.disarm_irq(index).error


@in_stop
@pytest.mark.clause("state-machine.stop.silent")
def test_no_interrupt_comes(session: Session, index: int, state: State) -> None:
    answer, event = session.arm_irq(index)
    assert not answer.error
    arrive(session, state)
    session.wait(A_WHILE)
    session.data_size()
    assert not event.signalled


@pytest.mark.clause("state-machine.resuming.interrupts")
def test_interrupts_can_be_set_up_in_resuming(session: Session, index: int) -> None:
    """A VMM restores them there, as it loads the configuration space."""
    arrive(session, State.RESUMING)
    answer, _ = session.arm_irq(index)
    assert not answer.error
    must.move(session, State.RUNNING)
    assert not session.disarm_irq(index).error
