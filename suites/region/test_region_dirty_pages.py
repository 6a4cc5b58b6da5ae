# SPDX-License-Identifier: GPL-2.0-only
"""The dirty-page query: the pages of system memory that the device has written to."""

from __future__ import annotations

import pytest

from fixtures.session.region import INFO_SIZE
from fixtures.session.region2019 import PAGE, Region2019
from fixtures.uapi import DIRTY_PFNS_ALL, DIRTY_PFNS_NONE, RegionState
from suites.region.phases import PRE_COPY, in_both_phases

LARGE_PAGE = 16 * PAGE


@pytest.fixture
def saving(device: Region2019) -> Region2019:
    """A device in pre-copy, where it must report the pages that it dirties."""
    device.migration.move(PRE_COPY)
    return device


def dirty(device: Region2019, pfns: set[int]) -> None:
    """Let the device write to the pages ``pfns``."""
    for pfn in pfns:
        device.dma(pfn * PAGE, 1)


@pytest.mark.clause("region.dirty-pages.none")
@in_both_phases
def test_none_where_nothing_was_dirtied(saving: Region2019, phase: RegionState) -> None:
    saving.migration.move(phase)
    assert saving.migration.ask_dirty(0, 1000, PAGE) == DIRTY_PFNS_NONE


@pytest.mark.clause("region.dirty-pages.none")
@pytest.mark.parametrize("pfn", [9, 110], ids=["before", "behind"])
def test_none_where_only_pages_outside_the_range_were_dirtied(saving: Region2019, pfn: int) -> None:
    dirty(saving, {pfn})
    assert saving.migration.ask_dirty(10, 100, PAGE) == DIRTY_PFNS_NONE


@pytest.mark.clause("region.dirty-pages.all")
@in_both_phases
def test_all_where_the_whole_range_was_dirtied(saving: Region2019, phase: RegionState) -> None:
    saving.dma(0x100 * PAGE, 64 * PAGE)
    saving.migration.move(phase)
    copied = saving.migration.ask_dirty(0x100, 64, PAGE)
    if copied != DIRTY_PFNS_ALL:  # a bitmap with all bits set means the same
        assert saving.migration.bitmap(copied) == set(range(copied))
        assert copied == 64


@pytest.mark.clause("region.dirty-pages.bitmap")
@in_both_phases
@pytest.mark.parametrize("start", [0, 8])
def test_the_bitmap_has_the_pages_that_were_dirtied(
    saving: Region2019, phase: RegionState, start: int
) -> None:
    dirty(saving, {8, 9, 40})
    saving.migration.move(phase)
    copied = saving.migration.ask_dirty(start, 64, PAGE)
    assert 0 < copied <= 64
    dirtied = {pfn - start for pfn in (8, 9, 40) if pfn - start < copied}
    assert saving.migration.bitmap(copied) == dirtied


@pytest.mark.clause("region.dirty-pages.data-offset")
def test_data_offset_then_tells_where_the_bitmap_is(saving: Region2019) -> None:
    dirty(saving, {3})
    copied = saving.migration.ask_dirty(0, 64, PAGE)
    offset = saving.migration.read("data_offset")
    length = (copied + 7) // 8
    assert INFO_SIZE <= offset <= saving.migration.region.size - length
    assert saving.migration.pread(length, offset).ret == length


@pytest.mark.clause("region.dirty-pages.page-size")
def test_pages_are_of_the_size_that_was_asked_for(saving: Region2019) -> None:
    dirty(saving, {0, 1, 16, 63})
    assert saving.migration.dirty_pfns(0, 8, LARGE_PAGE) == {0, 1, 3}


@pytest.mark.clause("region.dirty-pages.loop")
@pytest.mark.parametrize(
    ("total", "pfns"),
    [
        pytest.param(10000, {0, 4095, 4096, 5000, 9999}, id="here-and-there"),
        pytest.param(10000, {1}, id="none-in-the-rest"),
        pytest.param(10000, {0, 9999}, id="far-apart"),
    ],
)
def test_query_after_query_covers_the_whole_range(
    saving: Region2019, total: int, pfns: set[int]
) -> None:
    dirty(saving, pfns)
    assert saving.migration.dirty_pfns(0, total, PAGE) == pfns


@pytest.mark.clause("region.dirty-pages.loop")
def test_all_of_the_rest_ends_the_query(saving: Region2019) -> None:
    dirty(saving, {1})
    saving.dma(4000 * PAGE, 6000 * PAGE)
    assert saving.migration.dirty_pfns(0, 10000, PAGE) == {1} | set(range(4000, 10000))


@pytest.mark.clause("region.dirty-pages.device-data")
def test_the_devices_own_data_is_not_disturbed(saving: Region2019) -> None:
    dirty(saving, {3})
    pending = saving.migration.read("pending_bytes")
    saving.migration.dirty_pfns(0, 64, PAGE)
    pieces = saving.migration.save()
    assert sum(len(piece) for piece in pieces) == pending
