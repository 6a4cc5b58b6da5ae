# SPDX-License-Identifier: GPL-2.0-only
"""What is damaged of a migration on its way, wherever its parts begin and end."""

from __future__ import annotations

import pytest

from fixtures.vmm.wire import DEVICE_DATA, LENGTH, Damage, Damaging

BEFORE = b"QEVM" + DEVICE_DATA[:5] + b"ram"  # what only begins like a device's data
DATA = b"device"
STREAM = BEFORE + DEVICE_DATA + LENGTH.pack(len(DATA)) + DATA + DEVICE_DATA + LENGTH.pack(1) + b"x"
FIRST = STREAM.index(DATA)


def sent(damaging: Damaging, size: int, *, stops: bool) -> bytes:
    """Return what arrives of STREAM, in parts of ``size`` bytes."""
    arrived = b""
    for first in range(0, len(STREAM), size):
        arrived += damaging.pass_on(STREAM[first : first + size])
        if damaging.done and stops:
            break
    return arrived


@pytest.mark.parametrize("size", [*range(1, 40), len(STREAM)])
def test_the_first_byte_of_the_device_changes(size: int) -> None:
    damaging = Damaging(Damage.CHANGE)
    arrived = sent(damaging, size, stops=False)
    assert arrived == STREAM[:FIRST] + bytes([DATA[0] ^ 0xFF]) + STREAM[FIRST + 1 :]
    assert damaging.done


@pytest.mark.parametrize("size", [*range(1, 40), len(STREAM)])
def test_the_connection_breaks_after_it(size: int) -> None:
    damaging = Damaging(Damage.CUT)
    assert sent(damaging, size, stops=True) == STREAM[: FIRST + 1]


def test_without_a_device_nothing_is_damaged() -> None:
    damaging = Damaging(Damage.CUT)
    assert damaging.pass_on(BEFORE) == BEFORE
    assert not damaging.done
