# SPDX-License-Identifier: GPL-2.0-only
"""A device has new initial data while a VMM migrates it."""

from __future__ import annotations

import pytest

from fixtures.device import Driver
from fixtures.device.firmware import Firmware, need
from fixtures.errors import NotThere
from fixtures.kernel import Kernel
from fixtures.plugin.recorder import Recorder
from fixtures.vmm import ALL_IS_DIRTY, Pair, VmmDescription
from suites.vmm.checks import arrived

NEW = 2048  # bytes of initial data


@pytest.fixture
def properties() -> str:
    """So that migrations are held in PRE_COPY."""
    return ALL_IS_DIRTY


@pytest.fixture
def reinitializing(driver: Driver) -> None:
    """A driver whose device can have new initial data."""
    need(driver, "reinit")


@pytest.fixture
def firmware(reinitializing: None, pair: Pair) -> Firmware:
    """The firmware of the source's device."""
    assert pair.source.device.firmware is not None
    return pair.source.device.firmware


@pytest.fixture
def opts_in(reinitializing: None, vmm: VmmDescription) -> None:
    """A VMM that opts in to VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, if the kernel has it."""
    if "v2" not in vmm.knows:
        raise NotThere(f"{vmm.title} does not know MIG_PRECOPY_INFOv2")


@pytest.fixture
def does_not_opt_in(reinitializing: None, vmm: VmmDescription, kernel: Kernel) -> None:
    """A VMM that does not know MIG_PRECOPY_INFOv2, or a kernel that does not have it."""
    if "v2" in vmm.knows and "precopy_info_v2" in (kernel.features or ()):
        raise NotThere(f"{vmm.title} opts in to MIG_PRECOPY_INFOv2 on this kernel")


@pytest.mark.clause("vmm.reinit")
def test_new_initial_data_needs_another_switchover_ack(
    opts_in: None, firmware: Firmware, pair: Pair, record: Recorder
) -> None:
    pair.begin(held=True)
    pair.await_acks(1)
    firmware.reinit(NEW)
    state = firmware.state()
    pair.await_acks(2)
    seen = any(one.reinit for one in pair.estimates())
    record.behaviour(f"vmm.{pair.source.vmm.about.name}.reinit", "reported" if seen else "never")
    assert seen
    pair.let_go()
    arrived(pair, pair.end(), state)
    assert pair.acks() == 2


@pytest.mark.clause("vmm.reinit.without-opt-in")
def test_without_the_opt_in_new_initial_data_is_dirty(
    does_not_opt_in: None, firmware: Firmware, pair: Pair, record: Recorder
) -> None:
    pair.begin(held=True)
    pair.await_acks(1)
    firmware.reinit(NEW)
    state = firmware.state()
    pair.let_go()
    ended = pair.end()
    seen = [one for one in pair.estimates() if one.dirty_bytes >= NEW]
    word = "dirty" if seen else "never"
    record.behaviour(f"vmm.{pair.source.vmm.about.name}.reinit", word)
    arrived(pair, ended, state)
    assert seen
    assert not any(one.reinit for one in seen)
    assert pair.acks() == 1
