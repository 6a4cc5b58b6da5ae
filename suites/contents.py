# SPDX-License-Identifier: GPL-2.0-only
"""The state of a device, as the device has it: nothing that the driver under test says of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.session import ArrangementFailed, Session
from fixtures.session.region import regions
from fixtures.session.uart import Uart

CHANGED = 64  # bytes of its state that the device changes


@dataclass(frozen=True)
class Contents:
    """The state of the device of ``session``: its firmware's, or that of its UARTs.

    That of other devices, hardware say, is not to be seen.
    """

    session: Session
    driver: Driver

    @property
    def seen(self) -> bool:
        """Whether the state can be set and read."""
        return self.session.device.firmware is not None or self.driver.uart is not None

    def set(self, seed: int) -> None:
        """Give the device another state, which ``seed`` decides; nothing where it is not seen."""
        if (firmware := self.session.device.firmware) is not None:
            firmware.set_state(firmware.sizes.usual, seed)
        for number, uart in enumerate(self._uarts):
            uart.set(seed + number, divisor=(seed + number) % 2 == 0)

    def change(self, round_: int) -> None:
        """Have the device change some of its state.

        Raises NotThere if it changes nothing by itself, or that is not seen.
        """
        firmware = self.session.device.firmware
        if not self.seen:
            raise NotThere("what changes in this device is not seen; mtty and the doubles show it")
        if firmware is None:
            self.set(seed=100 + round_)
        elif firmware.command(f"dirty {CHANGED}").error:
            raise NotThere("this firmware changes nothing by itself")

    def get(self) -> bytes:
        """Return the state; b"" if it is not seen."""
        if (firmware := self.session.device.firmware) is not None:
            return firmware.state()
        return b"".join(uart.get() for uart in self._uarts)

    def glance(self) -> bytes:
        """Return what can be looked at of any state, also of one that a bad stream has left.

        mtty would go by such a FIFO's ends to wherever they are.
        """
        if (firmware := self.session.device.firmware) is not None:
            return firmware.state()
        return b"".join(uart.registers() for uart in self._uarts)

    def differs(self, other: Contents) -> None:
        """Check that two devices do not have the same state to begin with.

        Raises ArrangementFailed.
        """
        if self.seen and self.get() == other.get():
            raise ArrangementFailed("the two devices have the same state to begin with")

    @functools.cached_property
    def _uarts(self) -> list[Uart]:
        if self.driver.uart is None:
            return []
        found = {region.index: region for region in regions(self.session)}
        return [Uart(self.session, found[index]) for index in self.driver.uart.regions]
