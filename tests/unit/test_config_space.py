# SPDX-License-Identifier: GPL-2.0-only
"""The sizes of BARs, as a guest finds out."""

from __future__ import annotations

import pytest

from fixtures.session.config_space import bar_sizes

KIB, GIB = 1 << 10, 1 << 30


class Bars:
    """Registers of BARs: each has bits that can be written, and bits that say what it is."""

    def __init__(self, *registers: tuple[int, int, int]) -> None:
        self._fixed = {0x10 + 4 * n: one[:2] for n, one in enumerate(registers)}
        self.values = {0x10 + 4 * n: one[2] | one[1] for n, one in enumerate(registers)}

    def read(self, at: int) -> int:
        return self.values.get(at, 0)

    def write(self, value: int, at: int) -> None:
        mask, flags = self._fixed.get(at, (0, 0))
        self.values[at] = value & mask | flags


def memory(size: int, address: int = 0, *, is_64: bool = False) -> list[tuple[int, int, int]]:
    """Return the registers of a BAR: bits to write, flags, address."""
    mask = -size
    low = (mask & 0xFFFFFFFF, 0x4 if is_64 else 0, address & 0xFFFFFFFF)
    return [low, (mask >> 32 & 0xFFFFFFFF, 0, address >> 32)] if is_64 else [low]


IO = (0xFFFFFFF8, 0x1, 0xC000)
IO_OF_16_BITS = (0xFFF8, 0x1, 0xC000)
NONE = (0, 0, 0)


@pytest.mark.parametrize(
    ("registers", "sizes"),
    [
        ([IO, IO_OF_16_BITS], [8, 8, 0, 0, 0, 0]),
        ([*memory(4 * KIB), NONE, *memory(16 * KIB, 0xFE000000)], [4 * KIB, 0, 16 * KIB, 0, 0, 0]),
        ([*memory(8 * GIB, is_64=True), *memory(4 * KIB)], [8 * GIB, 0, 4 * KIB, 0, 0, 0]),
        # The upper half of an address looks like the flags of a BAR of 64 bits.
        (
            [*memory(16 * KIB, 0x380400000000, is_64=True), *memory(4 * KIB)],
            [16 * KIB, 0, 4 * KIB, 0, 0, 0],
        ),
        ([NONE] * 5 + [memory(4 * KIB, is_64=True)[0]], [0, 0, 0, 0, 0, 4 * KIB]),
    ],
)
def test_each_bar_has_its_size_and_keeps_its_address(
    registers: list[tuple[int, int, int]], sizes: list[int]
) -> None:
    bars = Bars(*registers)
    before = dict(bars.values)
    assert list(bar_sizes(bars.read, bars.write).values()) == sizes
    assert {at: value for at, value in bars.values.items() if at in before} == before
