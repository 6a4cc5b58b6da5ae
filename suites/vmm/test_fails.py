# SPDX-License-Identifier: GPL-2.0-only
"""A migration by a VMM that does not complete, and the next one, which does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device import Driver
from fixtures.device.firmware import Activity, need
from fixtures.plugin.recorder import Recorder
from fixtures.vmm import ALL_IS_DIRTY, PAUSED, PAUSES, Pair, VmmDescription
from suites.vmm.checks import arrived, has, runs
from suites.vmm.conftest import Join, StartSide

pytestmark = pytest.mark.usefixtures("at_length")
SEED = 9
PHASES = pytest.mark.parametrize("phase", ["PRE_COPY", "STOP_COPY"])
MigrateAgain = Callable[[bytes], None]


@pytest.fixture
def properties() -> str:
    """So that migrations are held in PRE_COPY."""
    return ALL_IS_DIRTY


@pytest.mark.clause("vmm.cancel.pre-copy")
def test_a_migration_that_is_cancelled_in_pre_copy_is_made_again(
    pair: Pair, migrate_again: MigrateAgain
) -> None:
    state = pair.source.set_state(SEED)
    pair.begin(held=True)
    pair.await_resuming()
    pair.cancel()
    migrate_again(state)


@pytest.mark.clause("vmm.cancel.stop-copy")
def test_a_migration_that_is_cancelled_in_stop_copy_is_made_again(
    pair: Pair, migrate_again: MigrateAgain
) -> None:
    state = pair.source.set_state(SEED)
    pair.begin(capabilities=[PAUSES])
    pair.until(PAUSED)
    pair.cancel()
    migrate_again(state)


def begin(pair: Pair, phase: str) -> None:
    """Begin a migration, and wait until the source's device is in the state ``phase``."""
    pair.begin(held=phase == "PRE_COPY", capabilities=[PAUSES])
    if phase == "PRE_COPY":
        pair.await_resuming()
    else:
        pair.until(PAUSED)


@PHASES
@pytest.mark.clause("vmm.killed.destination")
def test_a_source_whose_destination_is_killed_runs_on(
    pair: Pair, start_side: StartSide, join: Join, phase: str
) -> None:
    state = pair.source.set_state(SEED)
    begin(pair, phase)
    pair.lose_destination()
    runs(pair.source)
    has(pair.source, state)
    again = join(pair.source, start_side("second", pair.destination.device))
    again.begin()
    arrived(again, again.end(), state)


@PHASES
@pytest.mark.clause("vmm.killed.source")
def test_the_devices_of_a_killed_source_and_its_destination_can_be_used_again(
    pair: Pair, start_side: StartSide, join: Join, phase: str
) -> None:
    begin(pair, phase)
    pair.source.vmm.kill()
    pair.destination.vmm.stop()
    again = join(
        start_side("source", pair.source.device), start_side("second", pair.destination.device)
    )
    state = again.source.set_state(SEED)
    again.begin()
    arrived(again, again.end(), state)


@pytest.mark.clause("vmm.failed-load")
def test_a_state_that_cannot_be_loaded_is_told(
    pair: Pair, driver: Driver, record: Recorder, vmm: VmmDescription
) -> None:
    need(driver)
    firmware = pair.destination.device.firmware
    assert firmware is not None
    state = pair.source.set_state(SEED)
    firmware.fail(firmware.word("load"), firmware.status("internal_error"))
    pair.begin()
    ended = pair.end()
    fails = "failed" in (ended.source, ended.destination)
    record.behaviour(f"vmm.{vmm.name}.failed_load", "fails" if fails else "completes")
    pair.destination.vmm.listen()
    assert pair.destination.vmm.complaints
    if ended.source == "failed":
        runs(pair.source)
        has(pair.source, state)


@pytest.mark.clause("vmm.failed-resume")
def test_a_device_that_cannot_be_resumed_is_told(
    pair: Pair, driver: Driver, record: Recorder, vmm: VmmDescription
) -> None:
    need(driver)
    source, destination = pair.source.device.firmware, pair.destination.device.firmware
    assert source is not None
    assert destination is not None
    resume = destination.word("resume")
    pair.begin(capabilities=[PAUSES])
    pair.await_resuming()
    pair.until(PAUSED)
    destination.fail(resume, destination.status("internal_error"))
    pair.go_on()
    ended = pair.end()
    fails = "failed" in (ended.source, ended.destination)
    record.behaviour(f"vmm.{vmm.name}.failed_resume", "fails" if fails else "completes")
    pair.destination.vmm.listen()
    assert pair.destination.vmm.complaints
    if ended.source == "completed":
        assert source.activity() is Activity.STOPPED


@pytest.mark.clause("vmm.failed-save")
def test_a_source_whose_device_does_not_save_runs_on(
    pair: Pair, driver: Driver, migrate_again: MigrateAgain
) -> None:
    need(driver)
    firmware = pair.source.device.firmware
    assert firmware is not None
    state = pair.source.set_state(SEED)
    firmware.fail_save("internal_error")
    pair.begin()
    ended = pair.end()
    assert ended.source == "failed"
    assert ended.destination == "failed"
    migrate_again(state)
