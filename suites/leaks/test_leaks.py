# SPDX-License-Identifier: GPL-2.0-only
"""What is left of devices that have migrated."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.guest import Guest, kmemleak
from fixtures.oracle import StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import load, save

pytestmark = pytest.mark.any_api

ROUNDS = 3


def migrate(session: Session, fsm: StateMachine) -> None:
    """Save a device, through PRE_COPY if it has that, and load the stream into the same one."""
    before_stop_copy = [State.PRE_COPY] if fsm.has(State.PRE_COPY) else []
    load(session, save(session, *before_stop_copy))
    session.move(State.RUNNING)


@pytest.mark.clause("leaks.references")
def test_a_device_that_migrated_leaves_nothing(session: Session, fsm: StateMachine) -> None:
    """What is left is looked at when the device is gone, as it is after every test."""
    migrate(session, fsm)


@pytest.mark.clause("leaks.references")
def test_a_save_that_fails_as_pre_copy_is_left_leaves_nothing(
    session: Session, firmware: Firmware, fsm: StateMachine
) -> None:
    """What the save leaves to be done is still to be done when the driver cleans up."""
    fsm.need(State.PRE_COPY)
    session.start(State.PRE_COPY)
    firmware.overtake()
    firmware.fail_save("internal_error")
    session.set_state(State.RUNNING)
    assert not session.reset().error


@pytest.mark.clause("leaks.memory")
def test_kmemleak_finds_nothing(guest: Guest, session: Session, fsm: StateMachine) -> None:
    began = kmemleak.forget(guest)
    session.reopen()  # so that what an open allocates is among what is looked at
    for _ in range(ROUNDS):
        migrate(session, fsm)
        session.reset()
    session.reopen()
    kmemleak.check(guest, began)
