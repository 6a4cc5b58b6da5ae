# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: the opt-in, its calls and its lifetime."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest

from fixtures.plugin.run import Abilities
from fixtures.session import Feature, Session, State
from fixtures.session.transfer import arrive
from fixtures.uapi import Op

V2 = Feature.MIG_PRECOPY_INFOv2
FLAGS = 0xDEADBEEF
PROBES = [Op.PROBE, Op.PROBE | Op.SET]
NAMES = ["PROBE", "PROBE-SET"]
NAME = operator.attrgetter("name")


def flags(session: Session) -> str:
    """Return how a new PRE_COPY session treats flags: "echoed", or "an output" after the opt-in."""
    data_fd = session.start(State.PRE_COPY)
    asked = data_fd.precopy_info(flags=FLAGS)
    session.move(State.RUNNING)
    assert not asked.error
    return "echoed" if asked.info.flags == FLAGS else "an output"


@pytest.mark.clause("feature.precopy-info-v2.probe")
@pytest.mark.parametrize("op", PROBES, ids=NAMES)
def test_probe_succeeds_and_does_not_opt_in(session: Session, op: Op) -> None:
    assert not session.feature(op, V2).error
    assert flags(session) == "echoed"


@pytest.mark.clause("feature.precopy-info-v2.probe-get")
def test_probe_of_get_fails(session: Session) -> None:
    assert session.feature(Op.PROBE | Op.GET, V2).error


@pytest.mark.clause("feature.precopy-info-v2.get")
@pytest.mark.parametrize("data", [b"", bytes(8)], ids=["no-data", "data"])
def test_get_fails(session: Session, data: bytes) -> None:
    assert session.feature(Op.GET, V2, data).error == "EINVAL"


@pytest.mark.clause("feature.precopy-info-v2.set")
@pytest.mark.parametrize("data", [b"", b"\xff" * 8], ids=["no-data", "data"])
def test_set_opts_in_whatever_data_comes_with_it(session: Session, data: bytes) -> None:
    answer = session.feature(Op.SET, V2, data)
    assert not answer.error
    assert flags(session) == "an output"


@pytest.mark.clause("feature.precopy-info-v2.set")
def test_set_can_be_repeated(session: Session) -> None:
    assert [session.opt_in().error for _ in range(3)] == ["", "", ""]
    assert flags(session) == "an output"


@pytest.mark.clause("feature.precopy-info-v2.unknown")
@pytest.mark.parametrize("op", [*PROBES, Op.GET, Op.SET], ids=[*NAMES, "GET", "SET"])
def test_a_kernel_of_before_the_series_does_not_know_it(session: Session, op: Op) -> None:
    assert session.feature(op, V2).error == "ENOTTY"


@pytest.mark.every_variant
@pytest.mark.clause("feature.precopy-info-v2.no-pre-copy")
@pytest.mark.parametrize("op", [*PROBES, Op.SET], ids=[*NAMES, "SET"])
def test_a_device_without_pre_copy_refuses_it(
    session: Session, op: Op, abilities: Abilities
) -> None:
    allowed = ["EINVAL"] if "migration" in abilities.features else ["EINVAL", "ENOTTY"]
    assert session.feature(op, V2).error in allowed


@pytest.mark.clause("feature.precopy-info-v2.last-close")
def test_the_opt_in_ends_with_the_last_close(opted_in: Session) -> None:
    assert flags(opted_in) == "an output"
    opted_in.reopen()
    assert flags(opted_in) == "echoed"


@pytest.mark.clause("feature.precopy-info-v2.one-device")
def test_the_opt_in_does_not_reach_another_device(
    opted_in: Session, open_session: Callable[[], Session]
) -> None:
    other = open_session()
    assert flags(opted_in) == "an output"
    assert flags(other) == "echoed"


@pytest.mark.clause("feature.precopy-info-v2.states")
@pytest.mark.parametrize(
    "state", [State.STOP, State.STOP_COPY, State.PRE_COPY, State.RESUMING], ids=NAME
)
def test_the_opt_in_outlives_changes_of_state(opted_in: Session, state: State) -> None:
    arrive(opted_in, state)
    opted_in.move(State.RUNNING)
    assert flags(opted_in) == "an output"
