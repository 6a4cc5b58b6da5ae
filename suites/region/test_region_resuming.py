# SPDX-License-Identifier: GPL-2.0-only
"""Resuming: a second device takes over the state of the first one."""

from __future__ import annotations

import pytest

from fixtures.session.region2019 import Region2019
from fixtures.uapi import RegionState
from suites.region.phases import PRE_COPY, STOP_AND_COPY

RUNNING, RESUMING = RegionState.RUNNING, RegionState.RESUMING


def resume(target: Region2019, pieces: list[bytes], count: int | None = None) -> None:
    """Write the saved ``pieces`` to ``target``, ``count`` bytes a write, and let it run."""
    target.migration.move(RESUMING)
    for piece in pieces:
        target.migration.give(piece, count)
    target.migration.move(RUNNING)


@pytest.mark.clause("region.resuming.state")
def test_the_state_of_a_stopped_device_arrives(device: Region2019, target: Region2019) -> None:
    device.migration.move(STOP_AND_COPY)
    resume(target, device.migration.save())
    assert target.memory() == device.memory()


@pytest.mark.clause("region.resuming.state", "region.saving.both-phases")
def test_the_state_arrives_through_pre_copy_and_stop_and_copy(
    device: Region2019, target: Region2019
) -> None:
    device.migration.move(PRE_COPY)
    pieces = device.migration.save()
    device.write(b"changed when it had been saved", offset=device.size // 2)
    device.migration.move(STOP_AND_COPY)
    pieces += device.migration.save()
    resume(target, pieces)
    assert target.memory() == device.memory()


@pytest.mark.clause("region.resuming.order")
def test_of_what_was_saved_twice_the_later_arrives(device: Region2019, target: Region2019) -> None:
    device.migration.move(PRE_COPY)
    pieces = []
    for version in (b"first", b"second", b"third"):
        device.write(version, offset=device.size - 64)
        pieces += device.migration.save()
    device.migration.move(STOP_AND_COPY)
    resume(target, pieces + device.migration.save())
    assert target.memory() == device.memory()


@pytest.mark.clause("region.data-section.parts")
@pytest.mark.parametrize("count", [1000, 1 << 12], ids=["parts", "whole"])
def test_the_data_section_is_read_and_written_in_parts(
    device: Region2019, target: Region2019, count: int
) -> None:
    device.migration.move(STOP_AND_COPY)
    resume(target, device.migration.save(count), count)
    assert target.memory() == device.memory()


@pytest.mark.clause("region.saving.cancelled")
def test_a_migration_that_was_cancelled_begins_anew(device: Region2019, target: Region2019) -> None:
    device.migration.move(PRE_COPY)
    device.migration.save()
    device.migration.move(RUNNING)
    device.migration.move(STOP_AND_COPY)
    resume(target, device.migration.save())
    assert target.memory() == device.memory()
