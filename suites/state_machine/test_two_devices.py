# SPDX-License-Identifier: GPL-2.0-only
"""Two devices of a driver at a time: none sees the other, and a VMM migrates both together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fixtures.device import Driver
from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.oracle import StateMachine
from fixtures.session import DataFd, Session, State
from fixtures.session.transfer import Arrived
from suites import must
from suites.contents import Contents

pytestmark = pytest.mark.any_api

SOME = 64  # bytes
WAYS = {
    "PRE_COPY": (State.PRE_COPY, State.PRE_COPY_P2P, State.STOP_COPY),
    "STOP_COPY": (State.RUNNING_P2P, State.STOP_COPY),
}


@pytest.fixture
def other(open_session: Callable[[], Session], arrived: Arrived) -> Session:
    """Another device of the driver, in RUNNING."""
    return open_session()


@pytest.mark.clause("state-machine.one-device")
def test_what_one_device_does_leaves_another_in_its_state(
    session: Session, other: Session, arrived: Arrived, fsm: StateMachine
) -> None:
    for state in fsm.states:
        other.reset()
        other.set_state(state)
        assert session.state() is arrived.state, f"the other one has gone to {state.name}"
    other.reset()
    other.opt_in()
    other.reopen()
    assert session.state() is arrived.state


@pytest.mark.clause("state-machine.one-device")
@pytest.mark.parametrize("arrived", [State.STOP_COPY], indirect=True, ids=["STOP_COPY"])
def test_what_one_device_does_leaves_the_stream_of_another(
    session: Session, other: Session, arrived: Arrived
) -> None:
    assert arrived.data_fd is not None
    whole, _ = arrived.data_fd.read_on()
    session.reset()
    data_fd = must.start(session, State.STOP_COPY)
    part = data_fd.read(len(whole) // 2).data
    must.migrate(other)
    must.start(other, State.STOP_COPY)
    other.reset()
    assert part + data_fd.read_on()[0] == whole


@pytest.mark.clause("state-machine.one-device")
def test_an_arc_that_fails_on_one_device_leaves_another(
    session: Session, other: Session, arrived: Arrived
) -> None:
    firmware = failing(other)
    for command in ("suspend", "save"):
        firmware.fail(firmware.word(command), firmware.status("internal_error"))
        other.set_state(State.STOP_COPY)
        other.reset()
    firmware.reset()
    assert session.state() is arrived.state
    must.move(session, State.RUNNING)
    must.migrate(session)


def failing(session: Session) -> Firmware:
    """Return the firmware of the device, which can fail; raise NotThere if there is none."""
    if session.device.firmware is None:
        raise NotThere("nothing can make this device fail an arc")
    return session.device.firmware


@dataclass
class Migrating:
    """A device that is being saved, and what it has sent so far."""

    contents: Contents
    data_fd: DataFd | None = None
    stream: bytes = b""

    def go(self, state: State) -> None:
        """Go to ``state``; the first state of the saving group gives the data fd."""
        answer, data_fd = self.contents.session.set_state(state)
        assert not answer.error
        self.data_fd = data_fd or self.data_fd

    def take_some(self) -> None:
        """Read a part of the stream, where there is one."""
        if self.data_fd is not None:
            self.stream += self.data_fd.read(SOME).data


@pytest.mark.clause("state-machine.together")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_two_devices_migrate_together(
    session: Session,
    driver: Driver,
    open_session: Callable[[], Session],
    fsm: StateMachine,
    way: tuple[State, ...],
) -> None:
    """As a VMM does it: all devices take a step before the first one takes the next."""
    if State.PRE_COPY in way:
        fsm.need(State.PRE_COPY)
    both = [Migrating(Contents(one, driver)) for one in (session, open_session())]
    for seed, device in enumerate(both, 40):
        device.contents.set(seed)
    sent = [device.contents.get() for device in both]
    for state in filter(fsm.has, way):
        for device in both:
            device.go(state)
        for device in both:
            device.take_some()
    for device in both:
        assert device.data_fd is not None
        device.stream += must.read_stop_copy(device.data_fd)
    for device in both:
        device.contents.session.reset()
        device.contents.set(seed=3)
        must.load(device.contents.session, device.stream)
    for state in (State.STOP, State.RUNNING):
        for device in both:
            must.move(device.contents.session, state)
    assert [device.contents.get() for device in both] == sent
