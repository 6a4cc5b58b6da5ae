# SPDX-License-Identifier: GPL-2.0-only
"""Saving: pending_bytes, data_offset, data_size and the data while the state is read."""

from __future__ import annotations

import pytest

from fixtures.session.region import INFO_SIZE
from fixtures.session.region2019 import Region2019
from fixtures.uapi import RegionState
from suites.region.phases import PRE_COPY, STOP_AND_COPY, in_both_phases, in_each_state


@pytest.mark.clause("region.pending-bytes.start")
@in_both_phases
def test_the_state_is_pending_when_saving_begins(device: Region2019, phase: RegionState) -> None:
    device.migration.move(phase)
    assert device.migration.read("pending_bytes") > 0


@pytest.mark.clause("region.pending-bytes.falls")
@in_both_phases
def test_pending_bytes_fall_by_what_is_taken(device: Region2019, phase: RegionState) -> None:
    device.migration.move(phase)
    before = device.migration.read("pending_bytes")
    piece = device.migration.take()
    assert piece
    assert device.migration.read("pending_bytes") == before - len(piece)


@pytest.mark.clause("region.pending-bytes.rises")
def test_pending_bytes_rise_when_the_state_changes_in_pre_copy(device: Region2019) -> None:
    device.migration.move(PRE_COPY)
    device.migration.save()
    device.write(b"changed")
    assert device.migration.read("pending_bytes") >= len(b"changed")


@pytest.mark.clause("region.pending-bytes.stop-and-copy")
def test_what_is_pending_in_pre_copy_is_pending_in_stop_and_copy(device: Region2019) -> None:
    device.migration.move(PRE_COPY)
    device.migration.take()
    left = device.migration.read("pending_bytes")
    device.migration.move(STOP_AND_COPY)
    assert left > 0
    assert device.migration.read("pending_bytes") >= left


@pytest.mark.clause("region.data-offset")
@in_each_state
def test_data_offset_is_behind_the_structure(device: Region2019, state: RegionState) -> None:
    device.migration.move(state)
    offset = device.migration.read("data_offset")
    assert INFO_SIZE <= offset < device.migration.region.size


@pytest.mark.clause("region.data-size")
@in_both_phases
def test_data_size_bytes_lie_in_the_region_and_are_read(
    device: Region2019, phase: RegionState
) -> None:
    region = device.migration
    region.move(phase)
    assert region.read("pending_bytes")
    offset, size = region.read("data_offset"), region.read("data_size")
    assert 0 < size <= region.region.size - offset
    assert region.pread(size, offset).ret == size


@pytest.mark.clause("region.saving.sequence")
@in_both_phases
def test_taking_piece_after_piece_comes_to_an_end(device: Region2019, phase: RegionState) -> None:
    device.migration.move(phase)
    pending = device.migration.read("pending_bytes")
    pieces = device.migration.save()
    assert sum(len(piece) for piece in pieces) == pending
    assert device.migration.read("pending_bytes") == 0
