# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE and MIG_DATA_SIZE as features: PROBE, GET and SET."""

from __future__ import annotations

import pytest

from fixtures.session import Feature, Session, State
from fixtures.session.transfer import Arrived
from fixtures.uapi import FEATURE_HEADER, MIG_STATE, Op

pytestmark = pytest.mark.any_api

PROBES = (
    Op.PROBE,
    Op.PROBE | Op.GET,
    Op.PROBE | Op.SET,
    Op.PROBE | Op.GET | Op.SET,
)


@pytest.mark.clause("feature.device-state.probe")
def test_the_state_can_be_probed(session: Session) -> None:
    for op in PROBES:
        assert not session.feature(op, Feature.MIG_DEVICE_STATE).error
        asks_for_stop = MIG_STATE.pack(State.STOP, -1)
        assert not session.feature(op, Feature.MIG_DEVICE_STATE, asks_for_stop).error
        assert session.state() is State.RUNNING


@pytest.mark.clause("feature.device-state.get")
def test_get_gives_the_state_and_no_data_fd(session: Session, arrived: Arrived) -> None:
    for given in ((0, 0), (State.RESUMING, 3), (0xFFFFFFFF, -1)):
        answer = session.feature(Op.GET, Feature.MIG_DEVICE_STATE, MIG_STATE.pack(*given))
        assert not answer.error
        assert MIG_STATE.unpack_from(answer.data, FEATURE_HEADER.size) == (arrived.state, -1)


@pytest.mark.clause("feature.data-size.probe")
def test_the_data_size_can_be_probed(session: Session) -> None:
    for op in (Op.PROBE, Op.PROBE | Op.GET):
        assert not session.feature(op, Feature.MIG_DATA_SIZE).error


@pytest.mark.clause("feature.data-size.probe")
def test_probe_of_setting_the_data_size_fails(session: Session) -> None:
    for op in (Op.PROBE | Op.SET, Op.PROBE | Op.GET | Op.SET):
        assert session.feature(op, Feature.MIG_DATA_SIZE).error


@pytest.mark.clause("feature.data-size.set")
@pytest.mark.parametrize("data", [b"", bytes(8)], ids=["no-data", "data"])
def test_the_data_size_cannot_be_set(session: Session, data: bytes) -> None:
    assert session.feature(Op.SET, Feature.MIG_DATA_SIZE, data).error == "EINVAL"


@pytest.mark.clause("feature.data-size.every-state")
def test_the_data_size_is_told_in_every_state(session: Session, arrived: Arrived) -> None:
    assert not session.data_size().error
    assert session.state() is arrived.state
