# SPDX-License-Identifier: GPL-2.0-only
"""Interrupts that a user sets up, simulates, masks and takes away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.errors import NotThere
from fixtures.guest import Answer
from fixtures.session import Session
from fixtures.session.session import EventFd
from fixtures.uapi import IrqInfo, IrqInfoFlag, IrqSetFlag
from suites.conftest import INTX, MSI, MSIX, kinds

pytestmark = pytest.mark.any_api

BY_NONE, BY_BOOL = IrqSetFlag.DATA_NONE, IrqSetFlag.DATA_BOOL
TRIGGER = IrqSetFlag.ACTION_TRIGGER
MASK, UNMASK = IrqSetFlag.ACTION_MASK, IrqSetFlag.ACTION_UNMASK
TRUE, FALSE = b"\1", b"\0"
NO_EVENTFD = (-1).to_bytes(4, "little", signed=True)

# How an interrupt is named that an action is for: by the range, or by a byte in the data.
each_way = pytest.mark.parametrize(
    ("way", "named"), [(BY_NONE, b""), (BY_BOOL, TRUE)], ids=["none", "bool"]
)


@pytest.fixture(params=[INTX, MSI, MSIX], ids=["INTX", "MSI", "MSIX"])
def kind(request: pytest.FixtureRequest, session: Session) -> int:
    """A kind of interrupts that the device has, INTx, MSI or MSI-X."""
    index: int = request.param
    if index not in kinds(session):
        raise NotThere("this device has no such interrupts")
    return index


def flags_of(session: Session, kind: int) -> IrqInfoFlag:
    return IrqInfoFlag(IrqInfo.unpack(session.irq_info(kind).data).flags)


def armed(session: Session, kind: int) -> EventFd:
    answer, event = session.arm_irq(kind)
    assert not answer.error
    return event


def triggered(session: Session, kind: int, event: EventFd) -> bool:
    """Simulate the interrupt; return whether it signals ``event``."""
    assert not session.set_irq(kind, BY_NONE | TRIGGER).error
    return event.take()


def unmask(session: Session, kind: int) -> None:
    """Unmask the interrupt, if it masks itself as it comes."""
    if flags_of(session, kind) & IrqInfoFlag.AUTOMASKED:
        assert not session.set_irq(kind, BY_NONE | UNMASK).error


@each_way
@pytest.mark.clause("device.irqs.triggered")
def test_one_can_be_simulated(session: Session, kind: int, way: IrqSetFlag, named: bytes) -> None:
    event = armed(session, kind)
    assert not event.take()
    for _ in range(2):
        assert not session.set_irq(kind, way | TRIGGER, named).error
        assert event.take()
        unmask(session, kind)


@pytest.mark.clause("device.irqs.triggered")
def test_one_that_is_not_named_is_not_simulated(session: Session, kind: int) -> None:
    event = armed(session, kind)
    assert not session.set_irq(kind, BY_BOOL | TRIGGER, FALSE).error
    assert not event.take()
    assert triggered(session, kind, event)


@pytest.mark.parametrize(
    "take_away",
    [
        pytest.param(
            lambda session, kind: session.set_irq(
                kind, IrqSetFlag.DATA_EVENTFD | TRIGGER, NO_EVENTFD
            ),
            id="minus-one",
        ),
        pytest.param(lambda session, kind: session.disarm_irq(kind), id="whole-index"),
        pytest.param(lambda session, kind: session.arm_irq(kind)[0], id="another-eventfd"),
    ],
)
@pytest.mark.clause("device.irqs.taken-away")
def test_what_is_taken_away_is_not_signalled(
    session: Session, kind: int, take_away: Callable[[Session, int], Answer]
) -> None:
    before = armed(session, kind)
    assert not take_away(session, kind).error
    session.set_irq(kind, BY_NONE | TRIGGER)
    assert not before.take()
    session.disarm_irq(kind)  # an error where -1 has disabled the index
    after = armed(session, kind)
    assert triggered(session, kind, after)
    assert not before.take()


@each_way
@pytest.mark.clause("device.irqs.masked")
def test_one_that_is_masked_does_not_come(
    session: Session, kind: int, way: IrqSetFlag, named: bytes
) -> None:
    need(session, kind, IrqInfoFlag.MASKABLE)
    event = armed(session, kind)
    assert not session.set_irq(kind, way | MASK, named).error
    assert not triggered(session, kind, event)
    assert not session.set_irq(kind, way | UNMASK, named).error
    assert triggered(session, kind, event)


@pytest.mark.clause("device.irqs.masked")
def test_one_that_is_not_named_stays_as_it_is(session: Session, kind: int) -> None:
    need(session, kind, IrqInfoFlag.MASKABLE)
    event = armed(session, kind)
    assert not session.set_irq(kind, BY_BOOL | MASK, FALSE).error
    assert triggered(session, kind, event)
    assert not session.set_irq(kind, BY_NONE | MASK).error
    assert not session.set_irq(kind, BY_BOOL | UNMASK, FALSE).error
    assert not triggered(session, kind, event)


@pytest.mark.clause("device.irqs.masked")
def test_one_that_masks_itself_comes_once(session: Session, kind: int) -> None:
    need(session, kind, IrqInfoFlag.AUTOMASKED)
    event = armed(session, kind)
    for _ in range(2):
        assert triggered(session, kind, event)
        assert not triggered(session, kind, event)
        unmask(session, kind)


@each_way
@pytest.mark.clause("device.irqs.not-maskable")
def test_one_that_cannot_be_masked_is_not(
    session: Session, kind: int, way: IrqSetFlag, named: bytes
) -> None:
    if flags_of(session, kind) & IrqInfoFlag.MASKABLE:
        raise NotThere("these interrupts can be masked")
    event = armed(session, kind)
    for action in (MASK, UNMASK):
        assert session.set_irq(kind, way | action, named).error
        assert triggered(session, kind, event)


@each_way
@pytest.mark.clause("device.irqs.not-set-up")
def test_one_that_is_not_set_up_cannot_be_simulated(
    session: Session, kind: int, way: IrqSetFlag, named: bytes
) -> None:
    assert session.set_irq(kind, way | TRIGGER, named).error == "EINVAL"
    armed(session, kind)
    assert not session.disarm_irq(kind).error
    assert session.set_irq(kind, way | TRIGGER, named).error == "EINVAL"


@pytest.mark.clause("device.irqs.one-kind")
def test_two_kinds_are_not_set_up_together(session: Session, kind: int) -> None:
    others = [one for one in kinds(session) if one != kind]
    if not others:
        raise NotThere("this device has one kind of interrupts")
    event = armed(session, kind)
    for other in others:
        answer, none = session.arm_irq(other)
        assert answer.error == "EINVAL"
        assert not none.take()
        assert triggered(session, kind, event)
        unmask(session, kind)
    assert not session.disarm_irq(kind).error
    assert triggered(session, others[0], armed(session, others[0]))


def need(session: Session, kind: int, flag: IrqInfoFlag) -> None:
    if not flags_of(session, kind) & flag:
        raise NotThere(f"these interrupts are not {flag.name}")
