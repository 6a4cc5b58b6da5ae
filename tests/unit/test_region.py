# SPDX-License-Identifier: GPL-2.0-only
"""Regions, as VFIO_DEVICE_GET_REGION_INFO describes them."""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest

from fixtures import uapi
from fixtures.errors import Deviation
from fixtures.guest import Answer
from fixtures.session.region import MigrationRegion, Refused, Region, regions

SPARSE_MMAP = struct.pack("=HHIIIQQ", 1, 1, 0, 1, 0, 0x1000, 0x1000)
TYPE = 2


def described(capabilities: list[bytes]) -> bytes:
    """Return a region's structure with ``capabilities``, chained."""
    at, chain = 32, b""
    for number, capability in enumerate(capabilities):
        last = number == len(capabilities) - 1
        following = 0 if last else at + len(capability)
        chain += capability[:4] + struct.pack("=I", following) + capability[8:]
        at += len(capability)
    head = struct.pack("=IIIIQQ", at, 3, 9, 32 if chain else 0, 0x3000, 9 << 40)
    return head + chain


def of_type(number: int, subtype: int) -> bytes:
    return struct.pack("=HHIII", TYPE, 1, 0, number, subtype)


@pytest.mark.parametrize(
    ("capabilities", "is_migration"),
    [
        ([], False),
        ([SPARSE_MMAP], False),
        ([of_type(3, 1)], True),
        ([SPARSE_MMAP, of_type(3, 1)], True),
        ([of_type(3, 1), SPARSE_MMAP], True),
        ([of_type(3, 2)], False),
        ([of_type(1, 1)], False),
    ],
)
def test_a_migration_region_is_told_by_its_type(
    capabilities: list[bytes], is_migration: bool
) -> None:
    region = Region.unpack(described(capabilities))
    assert region.is_migration is is_migration
    assert (region.index, region.size, region.offset) == (9, 0x3000, 9 << 40)


def test_the_parts_that_can_be_mapped() -> None:
    assert Region.unpack(described([of_type(3, 1), SPARSE_MMAP])).mapped == ((0x1000, 0x1000),)
    assert Region.unpack(described([of_type(3, 1)])).mapped == ()


@pytest.mark.parametrize("areas", [2, 1 << 31])
def test_more_mapped_parts_than_there_is_room_for_are_a_deviation(areas: int) -> None:
    with pytest.raises(Deviation, match="capability"):
        Region.unpack(described([SPARSE_MMAP[:8] + struct.pack("=I", areas) + SPARSE_MMAP[12:]]))


def test_a_chain_that_leads_back_ends() -> None:
    data = bytearray(described([SPARSE_MMAP]))
    data[36:40] = struct.pack("=I", 32)
    assert Region.unpack(bytes(data)).type is None


def test_a_capability_outside_of_the_structure_is_a_deviation() -> None:
    data = bytearray(described([SPARSE_MMAP]))
    data[36:40] = struct.pack("=I", 1 << 31)
    with pytest.raises(Deviation, match="region 9 has a capability at byte 2147483648 of 64"):
        Region.unpack(bytes(data))


class Teller:
    """A session whose device reports what a test chooses."""

    def __init__(self, count: int, argsz: int = 32, fields: dict[int, int] | None = None) -> None:
        self._count, self._argsz, self._fields = count, argsz, fields or {}

    def device_info(self) -> Answer:
        return Answer(0, data=uapi.DeviceInfo.pack(num_regions=self._count))

    def region_info(self, index: int, argsz: int = 32) -> Answer:
        assert argsz < 1 << 20, "so much is allocated"
        given = uapi.RegionInfo.pack(argsz=self._argsz, index=index, size=1 << 63)
        return Answer(0, data=given.ljust(argsz, b"\0"))

    def pread(self, count: int, offset: int) -> Answer:
        assert count == 8, "so much is read"
        return Answer(8, data=self._fields[offset].to_bytes(8, "little"))


@pytest.mark.parametrize(
    ("teller", "said"),
    [
        (Teller(1 << 31), "reports 2147483648 regions"),
        (Teller(1, argsz=(1 << 32) - 1), "asks for 4294967295 bytes"),
    ],
)
def test_what_a_device_says_of_its_regions_takes_no_memory(teller: Teller, said: str) -> None:
    with pytest.raises(Deviation, match=said):
        list(regions(cast(Any, teller)))


def test_a_piece_that_no_region_holds_is_not_read() -> None:
    told = {16: 64, 24: 1 << 62}  # data_offset, data_size
    (found,) = regions(cast(Any, Teller(1)))
    with pytest.raises(Refused, match="more than a test keeps"):
        MigrationRegion(cast(Any, Teller(1, fields=told)), found).take(count=1)
