# SPDX-License-Identifier: GPL-2.0-only
"""A VMM migrates a device from one virtual machine to another."""

from __future__ import annotations

import pytest

from fixtures.errors import NotThere
from fixtures.plugin.recorder import Recorder
from fixtures.vmm import Pair, VmmDescription
from suites.vmm.checks import arrived, word
from suites.vmm.conftest import Join, StartSide

SEED = 7
AGAIN = 8


@pytest.mark.clause("vmm.migrates")
def test_the_device_arrives_with_its_state(pair: Pair, record: Recorder) -> None:
    state = pair.source.set_state(SEED)
    pair.begin()
    ended = pair.end()
    record.behaviour(f"vmm.{pair.source.vmm.about.name}.migrates", word(pair, ended, state))
    arrived(pair, ended, state)


class TestIommufd:
    """By the device's own node."""

    @pytest.fixture
    def interface(self, at_length: None, vmm: VmmDescription) -> str:
        if "iommufd" not in vmm.knows:
            raise NotThere(f"{vmm.title} cannot use iommufd")
        return "iommufd"

    @pytest.mark.clause("vmm.migrates")
    def test_the_device_arrives_by_iommufd(self, pair: Pair) -> None:
        state = pair.source.set_state(SEED)
        pair.begin()
        arrived(pair, pair.end(), state)


class TestMultifd:
    """Through several connections."""

    @pytest.fixture
    def properties(self, at_length: None, vmm: VmmDescription) -> str:
        if "multifd" not in vmm.knows:
            raise NotThere(f"{vmm.title} sends no device state through several connections")
        return ",x-migration-multifd-transfer=on"

    @pytest.mark.clause("vmm.migrates")
    def test_the_device_arrives_through_several_connections(self, pair: Pair) -> None:
        state = pair.source.set_state(SEED)
        pair.begin(capabilities=["multifd"])
        arrived(pair, pair.end(), state)


@pytest.mark.clause("vmm.migrates.back")
def test_the_device_migrates_back(
    at_length: None, pair: Pair, start_side: StartSide, join: Join
) -> None:
    pair.begin()
    pair.end()
    pair.source.vmm.stop()
    state = pair.destination.set_state(AGAIN)
    home = start_side("home", pair.source.device)
    back = join(pair.destination, home)
    back.begin()
    arrived(back, back.end(), state)
