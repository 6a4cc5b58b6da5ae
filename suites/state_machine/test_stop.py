# SPDX-License-Identifier: GPL-2.0-only
"""A stopped device: it answers calls, and its state does not change."""

from __future__ import annotations

import operator

import pytest

from fixtures.device import Driver
from fixtures.session import Session, State
from fixtures.session.config_space import HEADER, INTERRUPT_LINE, ConfigSpace
from fixtures.session.region import regions
from fixtures.session.transfer import Arrived, arrive
from fixtures.uapi import RegionFlag
from suites import must
from suites.contents import Contents

pytestmark = pytest.mark.any_api

A_WHILE = 0.2  # seconds
STOPPED = [State.STOP, State.STOP_COPY]
SOME = 64  # bytes at the beginning of a region
WRITTEN = b"\x2a"


@pytest.mark.clause("state-machine.stop.config-space")
@pytest.mark.parametrize("state", STOPPED, ids=operator.attrgetter("name"))
def test_its_configuration_space_can_be_read(session: Session, state: State) -> None:
    config_space = ConfigSpace(session)
    running = config_space.read(HEADER, 0).data
    assert len(running) == HEADER
    arrive(session, state)
    assert config_space.read(HEADER, 0).data == running


@pytest.mark.clause("state-machine.stop.config-space-write")
@pytest.mark.parametrize("state", STOPPED, ids=operator.attrgetter("name"))
def test_its_configuration_space_can_be_written(session: Session, state: State) -> None:
    config_space = ConfigSpace(session)
    arrive(session, state)
    assert config_space.write(WRITTEN, INTERRUPT_LINE).ret == len(WRITTEN)
    assert config_space.read(len(WRITTEN), INTERRUPT_LINE).data == WRITTEN
    must.move(session, State.RUNNING)
    assert config_space.read(len(WRITTEN), INTERRUPT_LINE).data == WRITTEN


@pytest.mark.clause("state-machine.stop.regions")
@pytest.mark.parametrize("state", [*STOPPED, State.RESUMING], ids=operator.attrgetter("name"))
def test_reading_its_regions_does_no_harm(session: Session, state: State) -> None:
    """A read may fail. A splat that it leaves in the kernel's log fails the test."""
    arrive(session, state)
    for region in list(regions(session)):
        if RegionFlag.READ & region.flags and not region.is_migration:
            session.pread(min(SOME, region.size), region.offset)
    assert session.state() is state
    must.move(session, State.RUNNING)


@pytest.mark.clause("state-machine.resuming.config-space")
def test_its_configuration_space_can_be_read_in_resuming(session: Session) -> None:
    """A VMM restores it there. What it reads as is not said: RESUMING may reset the device."""
    config_space = ConfigSpace(session)
    arrive(session, State.RESUMING)
    assert config_space.read(HEADER, 0).ret == HEADER


@pytest.mark.clause("state-machine.stop.unchanged")
@pytest.mark.parametrize("arrived", [State.STOP], indirect=True, ids=["STOP"])
def test_its_state_stays_what_it_was(session: Session, driver: Driver, arrived: Arrived) -> None:
    contents = Contents(session, driver)
    held, first = contents.get(), must.save(session)
    must.move(session, State.STOP)
    assert not session.data_size().error
    list(regions(session))
    session.wait(A_WHILE)
    assert contents.get() == held
    assert must.save(session) == first
