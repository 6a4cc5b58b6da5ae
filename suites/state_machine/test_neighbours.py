# SPDX-License-Identifier: GPL-2.0-only
"""Other parts of VFIO around a migration: address spaces, low power, and hot unplug."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fixtures.device import Device
from fixtures.errors import NotThere
from fixtures.guest import Answer, Guest, Pending, Request, read_file, write_file
from fixtures.oracle import SAVING
from fixtures.session import ArrangementFailed, Feature, Session, State
from fixtures.session.config_space import ConfigSpace
from fixtures.session.transfer import Arrived
from fixtures.uapi import Op
from suites import must
from suites.calls import SOON
from suites.state_machine.checks import check_it_continues, check_works
from suites.state_machine.test_reset import on_saving

REQUEST = 4  # VFIO_PCI_REQ_IRQ_INDEX
A_WHILE = 200  # milliseconds


@pytest.mark.clause("state-machine.address-space")
def test_the_address_space_can_be_replaced(session: Session, arrived: Arrived) -> None:
    assert not session.attach().error
    check_it_continues(session, arrived)


@pytest.mark.clause("state-machine.address-space")
def test_the_address_space_can_be_taken_away_and_given_again(
    session: Session, arrived: Arrived
) -> None:
    assert not session.detach().error
    assert session.state() is arrived.state
    assert not session.attach().error
    check_it_continues(session, arrived)


def need_low_power(session: Session, feature: Feature) -> None:
    """Raise NotThere if the device does not have a feature for low power."""
    if session.feature(Op.PROBE | Op.SET, feature).error:
        raise NotThere(f"this device has no {feature.name}")


def low_power(session: Session, feature: Feature) -> None:
    """SET a feature for low power; raise NotThere if the device does not have it."""
    need_low_power(session, feature)
    assert not session.feature(Op.SET, feature).error


@pytest.mark.any_api
@pytest.mark.clause("state-machine.low-power")
def test_a_session_is_not_disturbed_by_low_power(session: Session, arrived: Arrived) -> None:
    low_power(session, Feature.LOW_POWER_ENTRY)
    assert session.state() is arrived.state
    assert not session.data_size().error
    low_power(session, Feature.LOW_POWER_EXIT)
    check_it_continues(session, arrived)


@pytest.mark.any_api
@pytest.mark.clause("state-machine.low-power")
def test_a_device_migrates_that_may_be_in_low_power(session: Session) -> None:
    low_power(session, Feature.LOW_POWER_ENTRY)
    check_works(session)
    low_power(session, Feature.LOW_POWER_EXIT)
    check_works(session)


def suspended(session: Session, guest: Guest) -> None:
    """Wait until the device has gone to low power, which it has been allowed to.

    Raises NotThere if the kernel cannot tell, and ArrangementFailed if it does not go there.
    """
    path = f"/sys/bus/pci/devices/{session.device.name}/power/runtime_status"
    for _ in range(SOON // A_WHILE):
        told = guest.calls(read_file(path))[0]
        if told.error or told.text == "unsupported\n":
            raise NotThere("this kernel has no runtime power management (CONFIG_PM)")
        if told.text == "suspended\n":
            return
        guest.wait(A_WHILE / 1000)
    raise ArrangementFailed(f"the device does not go to low power: it is {told.text.strip()}")


WAKING: dict[str, Callable[[Session], Answer]] = {
    "ioctl": Session.get_state,
    "read": lambda session: ConfigSpace(session).read(1, 0),
    "exit": lambda session: session.feature(Op.SET, Feature.LOW_POWER_EXIT),
}


@pytest.mark.any_api
@pytest.mark.clause("state-machine.low-power.wake-up")
@pytest.mark.parametrize("wake", WAKING.values(), ids=WAKING)
def test_a_call_wakes_the_device_up(
    session: Session, guest: Guest, arrived: Arrived, wake: Callable[[Session], Answer]
) -> None:
    need_low_power(session, Feature.LOW_POWER_ENTRY_WITH_WAKEUP)
    answer, event = session.enter_low_power()
    assert not answer.error
    suspended(session, guest)
    assert not event.signalled
    assert not wake(session).error
    assert event.signalled
    # It may go to low power again only if it is allowed to again.
    answer, event = session.enter_low_power()
    assert not answer.error
    suspended(session, guest)
    assert not event.signalled
    check_it_continues(session, arrived)
    assert event.signalled


@pytest.mark.any_api
@pytest.mark.clause("state-machine.low-power.data-fd")
@on_saving
def test_the_stream_of_a_device_in_low_power_is_whole(
    session: Session, guest: Guest, arrived: Arrived
) -> None:
    assert arrived.data_fd is not None
    low_power(session, Feature.LOW_POWER_ENTRY)
    suspended(session, guest)
    stream, _ = arrived.data_fd.read_on()
    low_power(session, Feature.LOW_POWER_EXIT)
    session.reset()
    anew = must.arrive(session, arrived.state).data_fd
    assert anew is not None
    assert stream == anew.read_on()[0]


@contextmanager
def unbinding(guest: Guest, device: Device) -> Iterator[Pending]:
    """Have the device's driver be unbound, in the block; bind it again at its end.

    Raises ArrangementFailed.
    """
    name = device.name
    path = f"/sys/bus/pci/devices/{name}/driver/unbind"
    file = guest.call("open", path=path, flags=os.O_WRONLY)
    if file.error:
        raise ArrangementFailed(f"{path}: {file.error}")
    try:
        yield guest.begin("write", fd=file.ret, data=name.encode())
    finally:
        guest.calls(
            Request("close", {"fd": file.ret}), write_file("/sys/bus/pci/drivers_probe", name)
        )


@pytest.mark.any_api
@pytest.mark.clause("state-machine.unplug")
def test_a_device_that_is_taken_away_asks_for_its_release(
    session: Session, arrived: Arrived, guest: Guest
) -> None:
    if not session.irq_count(REQUEST):
        raise NotThere("this device does not ask for its release")
    answer, event = session.arm_irq(REQUEST)
    assert not answer.error
    with unbinding(guest, session.device) as unbound:
        assert unbound.end(A_WHILE).error == "EINPROGRESS"
        assert event.signalled
        assert session.state() is arrived.state
        if arrived.data_fd is not None and arrived.state in SAVING:
            arrived.data_fd.read_on()
        answer, _ = session.set_state(State.RUNNING)
        session.close()
        assert not unbound.end(SOON).error
    if session.device.firmware is not None:
        # The last file may hold the device a moment longer than the driver is bound.
        session.device.firmware.forgive()
    assert not answer.error
