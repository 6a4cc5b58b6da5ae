# SPDX-License-Identifier: GPL-2.0-only
"""struct vfio_device_migration_info: the layout of its fields, and accesses to them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.guest import Answer
from fixtures.session.region import FIELDS, INFO_SIZE, MigrationRegion
from fixtures.uapi import RegionFlag

READABLE = [name for name, field in FIELDS.items() if field.readable]
WRITABLE = [name for name, field in FIELDS.items() if field.writable]
READ_ONLY = [name for name in READABLE if name not in WRITABLE]
WRITE_ONLY = [name for name in WRITABLE if name not in READABLE]


def other_widths(name: str) -> list[int]:
    """Return widths, in bytes, other than the field's."""
    return [width for width in (1, 2, 4, 8, 16) if width != FIELDS[name].width]


def other_places(name: str) -> list[int]:
    """Return offsets at which the field's width is not aligned."""
    field = FIELDS[name]
    return [field.offset + shift for shift in range(1, field.width)]


def read(region: MigrationRegion, count: int, offset: int) -> Answer:
    """Read ``count`` bytes."""
    return region.pread(count, offset)


def write(region: MigrationRegion, count: int, offset: int) -> Answer:
    """Write ``count`` zeroes."""
    return region.pwrite(bytes(count), offset)


Access = Callable[[MigrationRegion, int, int], Answer]
each_access = pytest.mark.parametrize(
    ("name", "access"),
    [
        *(pytest.param(name, read, id=f"read-{name}") for name in READABLE),
        *(pytest.param(name, write, id=f"write-{name}") for name in WRITABLE),
    ],
)


@pytest.mark.clause("region.layout")
def test_the_region_holds_the_structure_and_a_data_section(region: MigrationRegion) -> None:
    assert RegionFlag.READ | RegionFlag.WRITE in region.region.flags
    assert region.region.size > INFO_SIZE


@pytest.mark.clause("region.access.native")
@pytest.mark.parametrize("name", ["device_state", "pending_bytes", "data_offset", "data_size"])
def test_a_field_is_read_at_its_native_width(region: MigrationRegion, name: str) -> None:
    field = FIELDS[name]
    assert region.pread(field.width, field.offset).ret == field.width


@pytest.mark.clause("region.access.native")
@pytest.mark.parametrize(
    ("name", "value"), [("device_state", 1), ("start_pfn", 0), ("page_size", 4096)]
)
def test_a_field_is_written_at_its_native_width(
    region: MigrationRegion, name: str, value: int
) -> None:
    assert region.try_write(name, value).ret == FIELDS[name].width


@pytest.mark.clause("region.access.width")
@each_access
def test_an_access_of_another_width_is_refused(
    region: MigrationRegion, name: str, access: Access
) -> None:
    offset, widths = FIELDS[name].offset, other_widths(name)
    assert [width for width in widths if access(region, width, offset).error] == widths


@pytest.mark.clause("region.access.alignment")
@each_access
def test_an_access_that_is_not_aligned_is_refused(
    region: MigrationRegion, name: str, access: Access
) -> None:
    width, places = FIELDS[name].width, other_places(name)
    assert [place for place in places if access(region, width, place).error] == places


@pytest.mark.clause("region.access.read-only")
@pytest.mark.parametrize("name", READ_ONLY)
def test_a_read_only_field_is_not_written(region: MigrationRegion, name: str) -> None:
    assert region.try_write(name, 1).error


@pytest.mark.clause("region.access.write-only")
@pytest.mark.parametrize("name", WRITE_ONLY)
def test_a_write_only_field_is_not_read(region: MigrationRegion, name: str) -> None:
    field = FIELDS[name]
    assert region.pread(field.width, field.offset).error
