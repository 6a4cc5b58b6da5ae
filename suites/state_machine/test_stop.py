# SPDX-License-Identifier: GPL-2.0-only
"""A stopped device: it can be talked to, and does nothing."""

from __future__ import annotations

import operator

import pytest

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.session import Session, State
from fixtures.session.region import regions
from fixtures.session.transfer import Arrived, arrive
from suites import must
from suites.contents import Contents

pytestmark = pytest.mark.any_api

CONFIG_SPACE = 7  # VFIO_PCI_CONFIG_REGION_INDEX
A_WHILE = 0.2  # seconds
HEADER = 64  # bytes of it that every PCI device has
STOPPED = [State.STOP, State.STOP_COPY]


def config_space(session: Session) -> bytes:
    """Return the header of the device's configuration space, b"" if that cannot be read."""
    found = next((one for one in regions(session) if one.index == CONFIG_SPACE), None)
    if found is None:
        raise NotThere("this is no PCI device: it has no configuration space")
    return session.pread(HEADER, found.offset).data


@pytest.mark.clause("state-machine.stop.config-space")
@pytest.mark.parametrize("state", STOPPED, ids=operator.attrgetter("name"))
def test_its_configuration_space_can_be_read(session: Session, state: State) -> None:
    running = config_space(session)
    assert len(running) == HEADER
    arrive(session, state)
    assert config_space(session) == running


@pytest.mark.clause("state-machine.resuming.config-space")
def test_its_configuration_space_can_be_read_in_resuming(session: Session) -> None:
    """A VMM restores it there. What it reads as is not said: RESUMING may reset the device."""
    config_space(session)
    arrive(session, State.RESUMING)
    assert len(config_space(session)) == HEADER


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
