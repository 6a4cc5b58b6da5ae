# SPDX-License-Identifier: GPL-2.0-only
"""Source and target of a migration, and what of their state can be seen and changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fixtures.device import Driver
from fixtures.device.driver import Registers
from fixtures.errors import NotThere
from fixtures.session import ArrangementFailed, Session
from fixtures.session.region import regions


@dataclass(frozen=True)
class Contents:
    """The state of the device of ``session``: its firmware's, or what its registers hold."""

    session: Session
    registers: Registers | None

    def set(self, seed: int) -> None:
        """Give the device another state, which ``seed`` decides."""
        firmware = self.session.device.firmware
        if firmware is not None:
            firmware.set_state(firmware.sizes[-1], seed)
            return
        for number, at in enumerate(self._register_offsets()):
            value = bytes([(seed * 37 + number * 11) & 0x7F])
            if self.session.pwrite(value, at).error:
                raise ArrangementFailed("the device's registers cannot be written")

    def get(self) -> bytes:
        """Return the state."""
        if self.session.device.firmware is not None:
            return self.session.device.firmware.state()
        return b"".join(self.session.pread(1, at).data for at in self._register_offsets())

    def _register_offsets(self) -> list[int]:
        if self.registers is None:
            raise NotThere(
                "the state of this device cannot be seen; that of mtty and of doubles can"
            )
        wanted = self.registers
        region = next(one for one in regions(self.session) if one.index == wanted.region)
        return [region.offset + offset for offset in wanted.offsets]


@pytest.fixture
def source(session: Session, driver: Driver) -> Contents:
    """The state of the session's device, which is not what a new device has."""
    contents = Contents(session, driver.registers)
    contents.set(seed=29)
    return contents


@pytest.fixture
def target(open_session: Callable[[], Session], driver: Driver) -> Contents:
    """The state of a second device."""
    return Contents(open_session(), driver.registers)
