# SPDX-License-Identifier: GPL-2.0-only
"""Files, references and memory that devices leave behind after a migration."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.guest import Guest, memory
from fixtures.oracle import StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import load, save

pytestmark = pytest.mark.any_api

ROUNDS = 3


def migrate(session: Session, fsm: StateMachine) -> None:
    """Save a device, through PRE_COPY if it has it, and load the stream into the same device."""
    before_stop_copy = [State.PRE_COPY] if fsm.has(State.PRE_COPY) else []
    load(session, save(session, *before_stop_copy))
    session.move(State.RUNNING)


@pytest.mark.clause("leaks.references")
def test_a_device_that_migrated_leaves_nothing(session: Session, fsm: StateMachine) -> None:
    """Leftovers are checked after every test, when the device is gone."""
    migrate(session, fsm)


@pytest.mark.clause("leaks.references")
def test_a_save_that_fails_as_pre_copy_is_left_leaves_nothing(
    session: Session, firmware: Firmware, fsm: StateMachine
) -> None:
    """The driver cleans up before the failed save's queued work has run."""
    fsm.need(State.PRE_COPY)
    session.start(State.PRE_COPY)
    firmware.overtake()
    firmware.fail_save("internal_error")
    session.set_state(State.RUNNING)
    assert not session.reset().error


@pytest.mark.clause("leaks.memory")
def test_kmemleak_finds_nothing(guest: Guest, session: Session, fsm: StateMachine) -> None:
    began = memory.forget(guest)
    session.reopen()  # so that the check covers the allocations of an open
    for _ in range(ROUNDS):
        migrate(session, fsm)
        session.reset()
    session.reopen()
    memory.check(guest, began)
