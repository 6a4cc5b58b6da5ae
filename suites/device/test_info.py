# SPDX-License-Identifier: GPL-2.0-only
"""What a device says of itself, its regions and its interrupts; what it refuses to say."""

from __future__ import annotations

import operator

import pytest

from fixtures.errors import NotThere
from fixtures.oracle import REQUESTABLE, StateMachine
from fixtures.session import Session, State
from fixtures.session.config_space import BARS, HEADER, REGION, ConfigSpace
from fixtures.session.session import UNMAPPED
from fixtures.session.transfer import arrive
from fixtures.uapi import (
    DISARM,
    DeviceFlag,
    DeviceInfo,
    Ioctl,
    IrqInfo,
    IrqSet,
    RegionFlag,
    RegionInfo,
)
from suites.conftest import MSIX
from suites.device.told import told

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")
# The bytes that a caller must have room for.
NEEDED = {
    Ioctl.VFIO_DEVICE_GET_INFO: 16,
    Ioctl.VFIO_DEVICE_GET_REGION_INFO: 32,
    Ioctl.VFIO_DEVICE_GET_IRQ_INFO: 16,
    Ioctl.VFIO_DEVICE_SET_IRQS: IrqSet.layout.size,
}
NO_INDEX = 0xFFFF


def asked(request: Ioctl, **fields: int) -> bytes:
    """Return the structure that ``request`` is made with."""
    if request is Ioctl.VFIO_DEVICE_GET_INFO:
        return DeviceInfo.pack(**fields)
    if request is Ioctl.VFIO_DEVICE_GET_REGION_INFO:
        return RegionInfo.pack(**fields)
    if request is Ioctl.VFIO_DEVICE_GET_IRQ_INFO:
        return IrqInfo.pack(**fields)
    return IrqSet.pack(flags=DISARM, **fields)


@pytest.mark.clause("device.info")
def test_it_is_a_pci_function(session: Session) -> None:
    answer = session.device_info()
    assert not answer.error
    info = DeviceInfo.unpack(answer.data)
    assert info.flags & DeviceFlag.PCI
    assert info.num_regions > REGION
    assert info.num_irqs > MSIX
    answer = session.region_info(REGION)
    assert not answer.error
    region = RegionInfo.unpack(answer.data)
    assert region.flags & RegionFlag.READ
    assert region.size >= HEADER


@pytest.mark.clause("device.info.bar-size")
def test_a_bar_decodes_what_its_region_has(session: Session) -> None:
    sizes = {}
    for index in range(BARS):
        answer = session.region_info(index)
        assert not answer.error
        sizes[index] = RegionInfo.unpack(answer.data).size
    if not any(sizes.values()):
        raise NotThere("this device has no BARs")
    decoded = ConfigSpace(session).bar_sizes()
    for index, size in sizes.items():
        assert size.bit_count() <= 1, f"the size of region {index} is no power of two"
        assert size <= decoded[index], f"region {index} is larger than its BAR"


@pytest.mark.clause("device.info.states")
@pytest.mark.parametrize("state", REQUESTABLE, ids=NAME)
def test_it_says_the_same_in_each_state(session: Session, fsm: StateMachine, state: State) -> None:
    fsm.need(state)
    before = told(session)
    arrive(session, state)
    assert told(session) == before


@pytest.mark.clause("device.info.refused")
@pytest.mark.parametrize("kind", NEEDED, ids=NAME)
def test_a_short_argsz_is_refused(session: Session, kind: Ioctl) -> None:
    for argsz in (0, 4, NEEDED[kind] - 1):
        given = asked(kind, argsz=argsz)
        answer = session.ioctl(kind, given)
        assert answer.error == "EINVAL"
        assert answer.data == given


@pytest.mark.clause("device.info.refused")
@pytest.mark.parametrize("kind", list(NEEDED)[1:], ids=NAME)
def test_an_index_that_is_not_there_is_refused(session: Session, kind: Ioctl) -> None:
    given = asked(kind, index=NO_INDEX)
    answer = session.ioctl(kind, given)
    assert answer.error == "EINVAL"
    assert answer.data == given


@pytest.mark.clause("device.info.refused")
@pytest.mark.parametrize("kind", NEEDED, ids=NAME)
def test_an_address_that_is_not_mapped_is_refused(session: Session, kind: Ioctl) -> None:
    assert session.ioctl(kind, UNMAPPED).error == "EFAULT"


@pytest.mark.clause("device.irqs.range")
def test_interrupts_beyond_the_last_are_refused(session: Session, index: int) -> None:
    count = session.irq_count(index)
    for start, number in ((count, 1), (0, count + 1), (0xFFFFFFFF, 2)):
        beyond = IrqSet.pack(flags=DISARM, index=index, start=start, count=number)
        assert session.ioctl(Ioctl.VFIO_DEVICE_SET_IRQS, beyond).error == "EINVAL"
