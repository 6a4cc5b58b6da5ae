# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the tests with a VMM: two of them, with a device each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fixtures.device import Device, Driver
from fixtures.device.driver import MdevDevice
from fixtures.errors import Deviation, NotThere, VmmFailed
from fixtures.guest import Guest
from fixtures.guest.guest import Host
from fixtures.plugin.recorder import Recorder
from fixtures.plugin.run import Run
from fixtures.vmm import Damage, Pair, Side, Vmm, VmmDescription, Way, Wire, mount
from suites.vmm.checks import arrived, has, runs

StartSide = Callable[..., Side]
Join = Callable[[Side, Side], Pair]
NextDevice = Callable[[Device], Device | None]


@pytest.fixture
def vmm(run: Run, vmm_name: str) -> VmmDescription:
    """The VMM that this test is run with."""
    return run.vmm(vmm_name)


@pytest.fixture
def interface() -> str:
    """How the VMM opens a device: group, or iommufd."""
    return "group"


@pytest.fixture
def properties() -> str:
    """More properties of the VMM's device, each with a comma before it."""
    return ""


@pytest.fixture
def at_length(run: Run) -> None:
    """For tests that take long: only where a VMM is named."""
    run.need_vmm_named()


@pytest.fixture
def host(run: Run, driver: Driver) -> Host:
    """The machine in which VMMs run."""
    if run.machines.virtual is None:
        raise NotThere("a VMM runs in a machine that this suite boots, not on a remote one")
    if driver.firmware is None and driver.uart is None:
        raise NotThere(f"the state of a device of {driver.name} cannot be seen")
    return run.machines.virtual


@pytest.fixture
def start_side(
    may_run: None,
    guest: Guest,
    host: Host,
    driver: Driver,
    vmm: VmmDescription,
    interface: str,
    properties: str,
    record: Recorder,
    make_device: Callable[..., Device],
    applies: Callable[[Device], None],
) -> Iterator[StartSide]:
    """Start a VMM, as source or destination: with devices of another one; None is a new device."""
    mount(guest, vmm)
    with ExitStack() as running:

        def new() -> Device:
            device = make_device()
            applies(device)
            return device

        def start(name: str, *given: Device | None) -> Side:
            devices = [device or new() for device in given or (None,)]
            process = Vmm(host, guest, vmm, name, record.transcript)
            running.callback(process.stop)
            side = Side(host, guest, driver, devices, process, interface)
            try:
                side.start(incoming=name != "source", properties=properties)
            except VmmFailed as error:
                if "vfio" in str(error):
                    raise Deviation(f"the VMM does not take a device: {error}") from error
                raise
            return side

        yield start


@pytest.fixture
def join(host: Host) -> Join:
    """Make a pair of two sides."""
    return lambda source, destination: Pair(source, destination, host)


@pytest.fixture
def pair(start_side: StartSide, join: Join) -> Pair:
    """A VMM with a device, and one that waits for it."""
    return join(start_side("source"), start_side("destination"))


@pytest.fixture
def open_wire(host: Host, record: Recorder) -> Iterator[Callable[[Damage], tuple[Wire, Way]]]:
    """Open a connection for a migration, which is damaged on the way."""
    with ExitStack() as opened:

        def open_one(damage: Damage) -> tuple[Wire, Way]:
            wire = Wire(host, damage, record.transcript)
            opened.callback(wire.close)
            return wire, wire.listen()

        yield open_one


@pytest.fixture
def next_device(driver: Driver) -> NextDevice:
    """The device of the next VMM, after one that had a device.

    None for a new mdev, or the same function: whether an mdev can be used again that a VMM left in
    RESUMING is for the tests of VMMs that are killed.
    """
    is_mdev = isinstance(driver.device, MdevDevice)
    return lambda device: None if is_mdev else device


@pytest.fixture
def migrate_again(
    pair: Pair, start_side: StartSide, next_device: NextDevice, join: Join
) -> Callable[[bytes], None]:
    """Check that the source runs with a state, and migrates to a new VMM."""

    def migrate(state: bytes) -> None:
        runs(pair.source)
        has(pair.source, state)
        pair.destination.vmm.stop()
        device = next_device(pair.destination.device)
        again = join(pair.source, start_side("second", device))
        again.begin()
        arrived(again, again.end(), state)

    return migrate
