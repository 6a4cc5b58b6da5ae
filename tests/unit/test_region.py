# SPDX-License-Identifier: GPL-2.0-only
"""Regions, as VFIO_DEVICE_GET_REGION_INFO describes them."""

from __future__ import annotations

import struct

import pytest

from fixtures.session.region import Region

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


def test_a_chain_that_leads_back_ends() -> None:
    data = bytearray(described([SPARSE_MMAP]))
    data[36:40] = struct.pack("=I", 32)
    assert Region.unpack(bytes(data)).type is None
