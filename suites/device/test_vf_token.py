# SPDX-License-Identifier: GPL-2.0-only
"""A function whose physical function is held by another process, which shares a token with it."""

from __future__ import annotations

from contextlib import ExitStack
from uuid import UUID

import pytest

from fixtures.device import Device, Driver
from fixtures.errors import GuestError, NotThere
from fixtures.guest import Guest
from fixtures.kernel import Kernel
from fixtures.plugin.run import Run
from fixtures.session import ANY, opened
from fixtures.session.session import CDEV
from fixtures.uapi import Op

pytestmark = [
    pytest.mark.usefixtures("may_run", "make_device"),
    pytest.mark.clause("device.vf-token"),
]

VF_TOKEN = 0  # VFIO_DEVICE_FEATURE_PCI_VF_TOKEN
TOKEN = UUID("7d1ab2a5-44f4-4b50-8c51-0d2ee1f0a1f7")
OTHER = UUID("7d1ab2a5-44f4-4b50-8c51-0d2ee1f0a1f8")


@pytest.fixture
def function(
    run: Run, guest: Guest, kernel: Kernel, driver: Driver, made: ExitStack, api: str
) -> Device:
    """A closed virtual function, whose physical function is open, and has TOKEN."""
    if api == CDEV and kernel.features is not None and "bind_token" not in kernel.features:
        raise NotThere("this kernel's VFIO_DEVICE_BIND_IOMMUFD takes no token; 6.17's does")
    devices = run.devices()
    physical = made.enter_context(devices.held_by_vfio_pci(driver))
    # Opened before there are functions, because that resets it, and until they go, because a closed
    # one may sleep.
    session = made.enter_context(opened(guest, physical, ANY))
    function = made.enter_context(devices.serve(driver))
    assert not session.feature(Op.SET, VF_TOKEN, TOKEN.bytes).error
    return function


def test_it_does_not_open_without_the_token(function: Device, guest: Guest, api: str) -> None:
    for token in (None, OTHER):
        with (
            pytest.raises(GuestError, match=r": EACCES$"),
            opened(guest, function, api, token),
        ):
            pass


def test_it_opens_with_the_token(function: Device, guest: Guest, api: str) -> None:
    for _ in range(2):
        with opened(guest, function, api, TOKEN) as session:
            assert not session.device_info().error
