# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for the migration region, and for the project's own device that has one."""

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
    """The migration region; the clauses of a test that uses it apply only if there is one."""
    found = next(region for region in regions(session) if region.is_migration)
    return MigrationRegion(session, found)


@pytest.fixture
def device(session: Session, driver: Driver) -> Region2019:
    """The session's device, if a test can set its state; its memory is not empty.

    Raises NotThere.
    """
    if driver.name != NAME:
        raise NotThere(f"a test cannot set the state of {driver.name}; it can set that of {NAME}")
    device = Region2019(session)
    device.write(content(device.size))
    return device


@pytest.fixture
def target(device: Region2019, open_session: Callable[[], Session]) -> Region2019:
    """A second device, newly opened, that takes over the first one's state."""
    return Region2019(open_session())


def content(length: int) -> bytes:
    """Return ``length`` bytes in which no two blocks are equal."""
    return b"".join(number.to_bytes(4, "little") for number in range(1, length // 4 + 1))
