# SPDX-License-Identifier: GPL-2.0-only
"""The migration region of the session's device, and the works of a device of our own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.session import Session
from fixtures.session.region import MigrationRegion, regions
from fixtures.session.region2019 import NAME, Region2019


@pytest.fixture
def region(session: Session) -> MigrationRegion:
    """The migration region; the clauses of a test that asks for it apply where there is one."""
    found = next(region for region in regions(session) if region.is_migration)
    return MigrationRegion(session, found)


@pytest.fixture
def device(session: Session, driver: Driver) -> Region2019:
    """The session's device, where it is one whose state a test sets; its memory is not empty."""
    if driver.name != NAME:
        raise NotThere(f"the state of {driver.name} is not a test's to set; that of {NAME} is")
    device = Region2019(session)
    device.write(content(device.size))
    return device


@pytest.fixture
def target(device: Region2019, open_session: Callable[[], Session]) -> Region2019:
    """A second device, as it is after being opened, to take the first one's state."""
    return Region2019(open_session())


def content(length: int) -> bytes:
    """Return ``length`` bytes in which no two blocks are alike."""
    return b"".join(number.to_bytes(4, "little") for number in range(1, length // 4 + 1))
