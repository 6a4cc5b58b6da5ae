# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures that several suites share: a session in the state in which a test begins."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fixtures.device import Device
from fixtures.errors import NotThere
from fixtures.guest import Guest
from fixtures.oracle import REQUESTABLE, StateMachine
from fixtures.session import ArrangementFailed, DataFd, Session, State, opened
from fixtures.session.transfer import Arrived, arrive

INTX, MSI, MSIX = 0, 1, 2  # VFIO_PCI_INTX_IRQ_INDEX and the following


@pytest.fixture(params=REQUESTABLE, ids=operator.attrgetter("name"))
def arrived(request: pytest.FixtureRequest, session: Session, fsm: StateMachine) -> Arrived:
    """A device in a state; the test runs once for each state that the device has."""
    fsm.need(request.param)
    return arrive(session, request.param)


def kinds(session: Session) -> Iterator[int]:
    """Yield the kinds of interrupts that the device has, those that a VMM prefers first."""
    session.device_info()  # as a VMM does first; mtty does not know its interrupts without it
    for index in (MSIX, MSI, INTX):
        if session.irq_count(index):
            yield index


@pytest.fixture
def index(session: Session) -> int:
    """The kind of interrupts that a VMM would use for the device."""
    for index in kinds(session):
        return index
    raise NotThere("this device has no interrupts")


@pytest.fixture
def opted_in(session: Session) -> Session:
    """A session that has opted in to VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2."""
    answer = session.opt_in()
    if answer.error == "ENOTTY":  # suites/feature judges this
        raise NotThere("the kernel's header has MIG_PRECOPY_INFOv2, but the device lacks it")
    if answer.error:
        raise ArrangementFailed(f"the opt-in failed with {answer.error}")
    return session


@pytest.fixture
def pre_copy(session: Session) -> DataFd:
    """The data fd of a device in PRE_COPY, without the opt-in."""
    return _settled(session)


@pytest.fixture
def pre_copy_v2(opted_in: Session) -> DataFd:
    """The data fd of a device in PRE_COPY, after the opt-in."""
    return _settled(opted_in)


def _settled(session: Session) -> DataFd:
    data_fd = session.start(State.PRE_COPY)
    session.settle()
    return data_fd


@pytest.fixture
def open_variant(
    guest: Guest, api: str, make_device: Callable[..., Device]
) -> Iterator[Callable[..., Session]]:
    """Open a device whose firmware gets commands before the driver is bound."""
    with ExitStack() as opens:
        yield lambda *commands: opens.enter_context(opened(guest, make_device(*commands), api))
