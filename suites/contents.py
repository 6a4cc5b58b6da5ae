# SPDX-License-Identifier: GPL-2.0-only
"""The state of a device, read from the device itself and not through the driver under test."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.session import ArrangementFailed, Session
from fixtures.session.region import regions
from fixtures.session.uart import Uart

CHANGED = 64  # bytes of state that the device changes


@dataclass(frozen=True)
class Contents:
    """The state of the session's device: the state of its firmware, or of its UARTs.

    The state of other devices, such as hardware, is not visible.
    """

    session: Session
    driver: Driver

    @property
    def seen(self) -> bool:
        """Whether the state can be set and read."""
        return self.session.device.firmware is not None or self.driver.uart is not None

    def set(self, seed: int) -> None:
        """Give the device another state, chosen by ``seed``; do nothing if it is not visible."""
        if (firmware := self.session.device.firmware) is not None:
            firmware.set_state(firmware.sizes.usual, seed)
        for number, uart in enumerate(self._uarts):
            uart.set(seed + number, divisor=(seed + number) % 2 == 0)

    def change(self, round_: int) -> None:
        """Let the device change some of its state.

        Raises NotThere if the device changes nothing by itself, or its state is not visible.
        """
        firmware = self.session.device.firmware
        if not self.seen:
            raise NotThere("this device's state is not visible; that of mtty and the doubles is")
        if firmware is None:
            self.set(seed=100 + round_)
        elif firmware.command(f"dirty {CHANGED}").error:
            raise NotThere("this firmware changes nothing by itself")

    def get(self) -> bytes:
        """Return the state; b"" if it is not visible."""
        if (firmware := self.session.device.firmware) is not None:
            return firmware.state()
        return b"".join(uart.get() for uart in self._uarts)

    def glance(self) -> bytes:
        """Return the part of the state that is safe to read even after a bad stream was loaded.

        mtty does not check the ends of a FIFO in such a stream, and would read outside the FIFO.
        """
        if (firmware := self.session.device.firmware) is not None:
            return firmware.state()
        return b"".join(uart.registers() for uart in self._uarts)

    def differs(self, other: Contents) -> None:
        """Check that the two devices differ in their initial state.

        Raises ArrangementFailed.
        """
        if self.seen and self.get() == other.get():
            raise ArrangementFailed("the two devices have the same initial state")

    @functools.cached_property
    def _uarts(self) -> list[Uart]:
        if self.driver.uart is None:
            return []
        found = {region.index: region for region in regions(self.session)}
        return [Uart(self.session, found[index]) for index in self.driver.uart.regions]
