# SPDX-License-Identifier: GPL-2.0-only
"""device_state: its bits, their valid combinations, and a stopped device."""

from __future__ import annotations

import pytest

from fixtures.plugin.recorder import Recorder
from fixtures.session.region import STATE_MASK, MigrationRegion
from fixtures.session.region2019 import PAGE, Region2019
from fixtures.uapi import RegionState

RUNNING, SAVING, RESUMING = RegionState.RUNNING, RegionState.SAVING, RegionState.RESUMING
STOPPED = RegionState.STOP
STATES = [RUNNING, SAVING | RUNNING, SAVING, STOPPED, RESUMING]
NAMES = ["RUNNING", "SAVING-RUNNING", "SAVING", "STOPPED", "RESUMING"]
PATHS = {
    "source": [SAVING | RUNNING, SAVING, STOPPED],
    "source-without-pre-copy": [STOPPED, SAVING, STOPPED],
    "cancelled": [SAVING | RUNNING, RUNNING, SAVING | RUNNING, SAVING, RUNNING],
    "target": [RESUMING, RUNNING],
    "stopped-target": [STOPPED, RESUMING, STOPPED, RUNNING],
}
in_each_state = pytest.mark.parametrize("state", STATES, ids=NAMES)


@pytest.mark.clause("region.device-state.set")
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_it_goes_where_a_migration_goes(region: MigrationRegion, path: list[RegionState]) -> None:
    passed = []
    for state in path:
        region.move(state)
        passed.append(region.state() & STATE_MASK)
    assert passed == path


@pytest.mark.clause("region.device-state.write")
@pytest.mark.parametrize("value", range(STATE_MASK + 1))
def test_a_write_that_succeeds_counts(
    region: MigrationRegion, value: int, record: Recorder
) -> None:
    before = region.state()
    answer = region.try_write("device_state", before & ~STATE_MASK | value)
    if value == RESUMING | RUNNING:
        word = "refused" if answer.error else "accepted"
        record.behaviour("region.resuming_running", word)
    assert answer.error or region.state() & STATE_MASK == value


@pytest.mark.clause("region.device-state.invalid")
@pytest.mark.parametrize("more", [STOPPED, RUNNING], ids=["STOPPED", "RUNNING"])
@in_each_state
def test_saving_and_resuming_exclude_each_other(
    region: MigrationRegion, state: RegionState, more: RegionState
) -> None:
    region.move(state)
    before = region.state()
    assert region.try_write("device_state", before & ~STATE_MASK | SAVING | RESUMING | more).error
    assert region.state() == before


@pytest.mark.clause("region.device-state.reserved")
@in_each_state
def test_the_reserved_bits_read_as_zero(region: MigrationRegion, state: RegionState) -> None:
    region.move(state)
    assert region.state() & ~STATE_MASK == 0


@pytest.mark.clause("region.device-state.reserved-write")
@pytest.mark.parametrize("bits", [1 << 3, 1 << 31, 0xFFFFFFF8], ids=hex)
def test_the_reserved_bits_cannot_be_set(region: MigrationRegion, bits: int) -> None:
    before = region.state()
    assert region.try_write("device_state", before | bits).error
    assert region.state() == before


@pytest.mark.clause("region.device-state.stopped")
@pytest.mark.parametrize("state", [STOPPED, SAVING], ids=["STOPPED", "SAVING"])
def test_a_stopped_device_does_nothing(device: Region2019, state: RegionState) -> None:
    before = device.memory()
    device.migration.move(state)
    for _ in range(2):  # the device may delay requests until it runs, or drop them
        device.try_write(b"more")
        device.try_dma(0, PAGE)
        assert device.memory() == before
