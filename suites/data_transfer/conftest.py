# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for the source and the target of a migration."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device import Driver
from fixtures.device.driver import StreamFormat
from fixtures.errors import NotThere
from fixtures.session import Session
from suites.contents import Contents


@pytest.fixture
def source(session: Session, driver: Driver) -> Contents:
    """The state of the session's device, set to differ from a new device's."""
    contents = Contents(session, driver)
    contents.set(seed=29)
    return contents


@pytest.fixture
def target(open_session: Callable[[], Session], driver: Driver) -> Contents:
    """The state of a second device."""
    return Contents(open_session(), driver)


@pytest.fixture
def form(driver: Driver) -> StreamFormat:
    """The format of the driver's stream."""
    if driver.stream is None:
        raise NotThere(f"fixtures/drivers/{driver.name}.yaml describes no stream")
    return driver.stream
