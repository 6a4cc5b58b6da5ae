# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for new initial data: a data fd that was read, and a device to load the data into."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures.device import Driver
from fixtures.device.double import Ability
from fixtures.device.firmware import Firmware, need
from fixtures.session import ArrangementFailed, DataFd, Session, State
from suites.calls import SOON
from suites.reinit.calls import Arrive

# The abilities of the firmware that the fixtures below need.
NEEDS: dict[str, Ability] = {"reinits": "reinit", "saves": "hold_save"}


@pytest.fixture(autouse=True)
def _firmware_can(request: pytest.FixtureRequest, driver: Driver) -> None:
    """Check the firmware's abilities before a device is made, because making one takes time.

    Raises NotThere.
    """
    if "firmware" in request.fixturenames:
        need(driver, *(NEEDS[name] for name in NEEDS if name in request.fixturenames))


@pytest.fixture
def saves(firmware: Firmware) -> Iterator[Firmware]:
    """Firmware whose saves can be held; a test may leave one held."""
    yield firmware
    firmware.release_save()


@pytest.fixture
def reinits(firmware: Firmware) -> Firmware:
    """Firmware that can bring up new initial data on request."""
    return firmware


@pytest.fixture
def started(reinits: Firmware, pre_copy_v2: DataFd) -> DataFd:
    """The data fd of a device in PRE_COPY, after the opt-in, with its first data on the stream.

    New initial data that appears earlier would be sent with the first data.
    """
    if not pre_copy_v2.poll(SOON):
        raise ArrangementFailed("no data comes in PRE_COPY")
    return pre_copy_v2


@pytest.fixture
def drained(started: DataFd) -> DataFd:
    """The same, with that data read."""
    started.read_on()
    return started


@pytest.fixture
def arrive(open_session: Callable[[], Session]) -> Arrive:
    """Load a stream into a device, by default a new one; see :class:`Arrive`."""

    def load(stream: bytes, target: Session | None = None) -> bytes:
        target = target or open_session()
        wrote = target.start(State.RESUMING).write_on(stream)
        assert not wrote.error
        for state in (State.STOP, State.RUNNING):
            answer, _ = target.set_state(state)
            assert not answer.error
        assert target.device.firmware is not None
        return target.device.firmware.state()

    return load
