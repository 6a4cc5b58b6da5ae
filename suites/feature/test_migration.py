# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_DEVICE_FEATURE_MIGRATION: the capabilities that a device reports."""

from __future__ import annotations

import pytest

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.kernel import Kernel
from fixtures.plugin.run import Abilities
from fixtures.session import Feature, Migration, Session
from fixtures.session.transfer import Arrived
from fixtures.uapi import Op

DEFINED = (
    Migration.STOP_COPY,
    Migration.STOP_COPY | Migration.P2P,
    Migration.STOP_COPY | Migration.PRE_COPY,
    Migration.STOP_COPY | Migration.P2P | Migration.PRE_COPY,
)


@pytest.mark.clause("feature.migration.flags")
def test_the_capabilities_are_a_defined_combination(session: Session) -> None:
    assert session.capabilities() in DEFINED


@pytest.mark.clause("feature.migration.every-state")
def test_the_capabilities_are_the_same_in_every_state(
    session: Session, abilities: Abilities, arrived: Arrived
) -> None:
    assert session.capabilities() == abilities.capabilities


@pytest.mark.clause("feature.migration.probe")
@pytest.mark.parametrize("op", [Op.PROBE, Op.PROBE | Op.GET], ids=["PROBE", "PROBE-GET"])
def test_probe_succeeds_without_data(session: Session, op: Op) -> None:
    assert not session.feature(op, Feature.MIGRATION).error


@pytest.mark.clause("feature.migration.probe")
def test_probe_of_set_fails(session: Session) -> None:
    assert session.feature(Op.PROBE | Op.SET, Feature.MIGRATION).error


@pytest.mark.clause("feature.migration.set")
@pytest.mark.parametrize("data", [b"", bytes(8)], ids=["no-data", "data"])
def test_set_fails(session: Session, data: bytes) -> None:
    assert session.feature(Op.SET, Feature.MIGRATION, data).error == "EINVAL"


@pytest.mark.every_variant
@pytest.mark.clause("feature.migration.expected")
def test_the_capabilities_are_those_the_driver_is_known_for(
    session: Session, driver: Driver, kernel: Kernel, variant: str
) -> None:
    expected = driver.expected_capabilities(kernel.release, variant)
    if expected is None:
        raise NotThere(f"fixtures/drivers/{driver.name}.yaml has no entry for {kernel.release}")
    reported = session.capabilities() or Migration(0)
    assert [flag.name for flag in reported] == list(expected)
