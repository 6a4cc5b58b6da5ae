# SPDX-License-Identifier: GPL-2.0-only
"""How a migration ended: "completed" alone says too little."""

from __future__ import annotations

from fixtures.device.firmware import Activity
from fixtures.errors import Deviation
from fixtures.vmm import Migrated, Pair, Side

DONE = Migrated("completed", "completed")


def word(pair: Pair, ended: Migrated, state: bytes) -> str:
    """Return the word of a behaviour for a migration that ``ended``, of a device with ``state``."""
    if ended != DONE:
        return "fails"
    return "completes" if pair.destination.state() == state else "wrong"


def arrived(pair: Pair, ended: Migrated, state: bytes) -> None:
    """Check that the device runs at the destination alone, with ``state``, without an error.

    Raises Deviation.
    """
    if ended != DONE:
        raise Deviation(f"the migration {ended.source}, {ended.destination} there: {ended.why}")
    has(pair.destination, state)
    runs(pair.destination)
    firmware = pair.source.device.firmware
    if firmware is not None and (activity := firmware.activity()) is not Activity.STOPPED:
        raise Deviation(f"the device {activity.value} at the source, too")
    quiet(pair.source, pair.destination)


def has(side: Side, state: bytes, number: int = 0) -> None:
    """Check that a device of ``side`` has ``state``; the first one, unless ``number`` is given.

    Raises Deviation.
    """
    found = side.state(number)
    if found != state:
        pairs = zip(found, state, strict=False)
        at = next((n for n, (one, other) in enumerate(pairs) if one != other), len(found))
        raise Deviation(
            f"the device has another state at the {side.vmm.name}: {len(found)} bytes of"
            f" {len(state)}, the first difference at {at}"
        )


def runs(side: Side) -> None:
    """Check that the virtual machine of ``side`` runs, and each of its devices.

    Raises Deviation.
    """
    status = side.vmm.do("query-status")["status"]
    if status != "running":
        raise Deviation(f"the virtual machine is {status} at the {side.vmm.name}")
    for device in side.devices:
        firmware = device.firmware
        if firmware is not None and (activity := firmware.activity()) is not Activity.RUNS:
            raise Deviation(f"the device is {activity.value} at the {side.vmm.name}")


def quiet(*sides: Side) -> None:
    """Check that the VMMs report no errors; warnings are about what they do without.

    Raises Deviation.
    """
    for side in sides:
        side.vmm.listen()
        if errors := side.vmm.complaints:
            raise Deviation(f"the VMM reports an error at the {side.vmm.name}: {errors[0]}")
