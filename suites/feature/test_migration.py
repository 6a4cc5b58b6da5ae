# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_DEVICE_FEATURE_MIGRATION: what a device says it can do."""

from __future__ import annotations

import pytest

from fixtures.session import Feature, Migration, Session
from fixtures.session.uapi import Op

DEFINED = (
    Migration.STOP_COPY,
    Migration.STOP_COPY | Migration.P2P,
    Migration.STOP_COPY | Migration.PRE_COPY,
    Migration.STOP_COPY | Migration.P2P | Migration.PRE_COPY,
)


@pytest.mark.clause("feature.migration.flags")
def test_the_capabilities_are_a_defined_combination(session: Session) -> None:
    assert session.capabilities() in DEFINED


@pytest.mark.clause("feature.migration.probe")
@pytest.mark.parametrize("op", [Op.PROBE, Op.PROBE | Op.GET], ids=["PROBE", "PROBE-GET"])
def test_probe_succeeds_without_data(session: Session, op: Op) -> None:
    assert not session.feature(op, Feature.MIGRATION).error


@pytest.mark.clause("feature.migration.probe")
def test_probe_of_set_fails(session: Session) -> None:
    assert session.feature(Op.PROBE | Op.SET, Feature.MIGRATION).error == "EINVAL"
