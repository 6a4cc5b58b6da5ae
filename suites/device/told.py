# SPDX-License-Identifier: GPL-2.0-only
"""What a device says of itself."""

from __future__ import annotations

from fixtures.session import Session
from fixtures.session.region import regions
from fixtures.uapi import DeviceInfo, IrqInfo


def told(session: Session) -> dict[str, object]:
    """Return what a device says of itself, its regions and its interrupts.

    A kind of interrupts that it does not know is None.
    """
    info = DeviceInfo.unpack(session.device_info().data)
    kinds = (session.irq_info(index) for index in range(info.num_irqs))
    return {
        "device": (info.flags, info.num_regions, info.num_irqs),
        "regions": [(one.index, one.flags, one.size, one.offset) for one in regions(session)],
        "interrupts": [None if kind.error else IrqInfo.unpack(kind.data) for kind in kinds],
    }
