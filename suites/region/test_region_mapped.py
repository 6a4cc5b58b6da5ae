# SPDX-License-Identifier: GPL-2.0-only
"""The data section, where a part of it is mapped and not read and written."""

from __future__ import annotations

import pytest

from fixtures.session.region import PASSES, MigrationRegion
from fixtures.session.region2019 import PAGE, Region2019
from fixtures.uapi import RegionFlag, RegionState
from suites.region.phases import PRE_COPY, STOP_AND_COPY, in_each_state


def taken(region: MigrationRegion) -> list[bytes]:
    """Save as the protocol says, and read each piece where it is mapped."""
    pieces: list[bytes] = []
    while region.read("pending_bytes"):
        assert len(pieces) < PASSES, "pending_bytes does not reach 0"
        with region.data_mapped() as mapped:
            pieces.append(mapped.get(region.read("data_size")))
    return pieces


@pytest.mark.clause("region.mapped.parts")
def test_the_mapped_parts_are_pages_behind_the_structure(region: MigrationRegion) -> None:
    parts = region.region.mapped
    assert bool(parts) is (RegionFlag.MMAP in region.region.flags)
    for offset, size in parts:
        assert offset % PAGE == size % PAGE == 0
        assert 0 < offset < offset + size <= region.region.size


@pytest.mark.clause("region.mapped.structure")
def test_the_structure_is_not_mapped(region: MigrationRegion) -> None:
    mapped = region.try_map(PAGE, 0)
    mapped.unmap()
    assert mapped.answer.error == "EINVAL"


@pytest.mark.clause("region.mapped.data-offset")
@in_each_state
def test_data_that_is_mapped_begins_with_a_page(device: Region2019, state: RegionState) -> None:
    device.migration.move(state)
    with device.migration.data_mapped():
        assert device.migration.read("data_offset") % PAGE == 0


@pytest.mark.clause("region.mapped.same")
def test_what_is_mapped_is_what_a_read_gives(device: Region2019) -> None:
    device.migration.move(STOP_AND_COPY)
    assert device.migration.read("pending_bytes")
    with device.migration.data_mapped() as mapped:
        seen = mapped.get(device.migration.read("data_size"))
        assert seen == device.migration.take()


@pytest.mark.clause("region.mapped.saving")
def test_the_state_is_saved_through_the_mapping(device: Region2019, target: Region2019) -> None:
    device.migration.move(PRE_COPY)
    pieces = taken(device.migration)
    device.write(b"changed when it had been saved", offset=device.size // 2)
    device.migration.move(STOP_AND_COPY)
    pieces += taken(device.migration)
    target.migration.move(RegionState.RESUMING)
    for piece in pieces:
        target.migration.give(piece)
    assert target.memory() == device.memory()


@pytest.mark.clause("region.mapped.resuming")
def test_the_state_is_loaded_through_the_mapping(device: Region2019, target: Region2019) -> None:
    device.migration.move(STOP_AND_COPY)
    pieces = device.migration.save()
    target.migration.move(RegionState.RESUMING)
    for piece in pieces:
        with target.migration.data_mapped() as mapped:
            mapped.put(piece)
            target.migration.write("data_size", len(piece))
    assert target.memory() == device.memory()
