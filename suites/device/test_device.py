# SPDX-License-Identifier: GPL-2.0-only
"""Preconditions of all other tests: the kernel boots, the driver binds, and the device opens."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device import Device, Driver
from fixtures.guest import Guest
from fixtures.plugin.blame import KernelComplained
from fixtures.plugin.run import Run
from fixtures.session import Session


@pytest.mark.clause("device.boot")
def test_the_kernel_boots_without_a_complaint(run: Run, guest: Guest, driver: Driver) -> None:
    if run.machines.boot_splats:
        raise KernelComplained(*run.machines.boot_splats)


@pytest.mark.clause("device.load", "device.bind")
@pytest.mark.every_variant
def test_the_driver_loads_and_binds(make_device: Callable[[], Device]) -> None:
    device = make_device()
    assert device.group or device.cdev, "a device that is bound has no node in /dev/vfio"


@pytest.mark.clause("device.open")
def test_the_device_opens(open_session: Callable[[], Session]) -> None:
    assert open_session().device_fd >= 0


@pytest.mark.clause("device.remove")
def test_a_device_can_be_removed_and_made_again(
    run: Run, driver: Driver, make_device: Callable[[], Device]
) -> None:
    make_device()  # sets up what all devices share, and stays while others come and go
    for _ in range(2):
        with run.devices().make(driver) as device:
            assert device.group or device.cdev
