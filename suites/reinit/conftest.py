# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of new initial data stand on: data that was read, and a device to load it into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fixtures.device import Device, Driver
from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.guest import Guest
from fixtures.session import ArrangementFailed, DataFd, Session, State, opened
from suites.reinit.calls import SOON, Arrive


@pytest.fixture(scope="session")
def lacking() -> dict[tuple[str, str], str]:
    """Why there is no such thing, by driver and fixture; "" where there is one."""
    return {}


@pytest.fixture(autouse=True)
def _known(
    request: pytest.FixtureRequest, driver: Driver, lacking: dict[tuple[str, str], str]
) -> None:
    """Do not make a device to find out again what is not there: it takes time."""
    if driver.double is None and "firmware" in request.fixturenames:
        raise NotThere(f"{driver.name} has no firmware that a test commands; a double would")
    for name in ("reinits", "saves"):
        if name in request.fixturenames and (reason := lacking.get((driver.name, name))):
            raise NotThere(reason)


@pytest.fixture
def saves(
    firmware: Firmware, driver: Driver, lacking: dict[tuple[str, str], str]
) -> Iterator[Firmware]:
    """Firmware of which a save can be held; a test may leave it so.

    Raises NotThere where a save completes at once.
    """
    try:
        firmware.hold_save()
    except NotThere as reason:
        lacking[driver.name, "saves"] = str(reason)
        raise
    firmware.release_save()
    yield firmware
    firmware.release_save()


@pytest.fixture
def reinits(firmware: Firmware, driver: Driver, lacking: dict[tuple[str, str], str]) -> Firmware:
    """Firmware that has new initial data when a test wants it.

    Raises NotThere where it never has.
    """
    if (driver.name, "reinits") not in lacking:
        try:
            firmware.check_reinit()
        except NotThere as reason:
            lacking[driver.name, "reinits"] = str(reason)
            raise
        lacking[driver.name, "reinits"] = ""
    return firmware


@pytest.fixture
def started(reinits: Firmware, pre_copy_v2: DataFd) -> DataFd:
    """The data fd of a device in PRE_COPY, after the opt-in, with its first data on the stream.

    New initial data that came up before that would go out with the first data.
    """
    if not pre_copy_v2.poll(SOON):
        raise ArrangementFailed("no data comes in PRE_COPY")
    return pre_copy_v2


@pytest.fixture
def drained(started: DataFd) -> DataFd:
    """The same, with all of that data read."""
    started.read_on()
    return started


@pytest.fixture
def arrive(open_session: Callable[[], Session]) -> Arrive:
    """Load a stream into a device, another one unless it is given; see :class:`Arrive`."""

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


@pytest.fixture
def open_variant(
    guest: Guest, api: str, make_device: Callable[..., Device]
) -> Iterator[Callable[..., Session]]:
    """Open a device of which the firmware gets commands before the driver is bound."""
    with ExitStack() as opens:
        yield lambda *commands: opens.enter_context(opened(guest, make_device(*commands), api))
