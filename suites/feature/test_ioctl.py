# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_DEVICE_FEATURE itself, with the features of migration."""

from __future__ import annotations

import operator

import pytest

from fixtures.plugin.run import Abilities
from fixtures.session import Feature, Session, State
from fixtures.session.session import UNMAPPED
from fixtures.uapi import FEATURE_HEADER, LOGGING, MIG_STATE, Ioctl, Op

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")
HEADER = FEATURE_HEADER.size
NO_SUCH_FEATURE = 0xFFFF
# The features of migration with a GET, each with the length of its data in bytes.
GOT = {
    one: one.data.layout.size
    for one in Feature
    if one.data and Op.GET in one.methods and one not in LOGGING
}
SHORT = (0, 4, HEADER - 1, HEADER, HEADER + 7)  # for a feature with 8 bytes of data
LONGER = (1, 8, 4000)  # bytes by which argsz is too large
NEW_STATE = MIG_STATE.pack(State.STOP, -1)


@pytest.mark.clause("feature.argsz.short")
@pytest.mark.parametrize("feature", GOT, ids=NAME)
def test_a_get_with_a_short_argsz_is_refused(session: Session, feature: Feature) -> None:
    for argsz in SHORT:
        answer = session.feature(Op.GET, feature, b"\xa5" * GOT[feature], argsz=argsz)
        assert answer.error == "EINVAL"
        assert answer.data[HEADER:] == b"\xa5" * GOT[feature]


@pytest.mark.clause("feature.argsz.short")
def test_a_set_of_the_state_with_a_short_argsz_is_refused(session: Session) -> None:
    for argsz in SHORT:
        answer = session.feature(Op.SET, Feature.MIG_DEVICE_STATE, NEW_STATE, argsz=argsz)
        assert answer.error == "EINVAL"
        assert answer.data[HEADER:] == NEW_STATE
        assert session.state() is State.RUNNING


@pytest.mark.clause("feature.argsz.long")
@pytest.mark.parametrize("feature", GOT, ids=NAME)
def test_a_get_with_a_long_argsz_is_accepted(session: Session, feature: Feature) -> None:
    for more in LONGER:
        answer = session.feature(Op.GET, feature, bytes(GOT[feature]) + b"\xa5" * more)
        assert not answer.error
        assert answer.data[HEADER + GOT[feature] :] == b"\xa5" * more


@pytest.mark.clause("feature.argsz.long")
@pytest.mark.parametrize("more", LONGER)
def test_a_set_of_the_state_with_a_long_argsz_is_accepted(session: Session, more: int) -> None:
    answer = session.feature(Op.SET, Feature.MIG_DEVICE_STATE, NEW_STATE + b"\xa5" * more)
    assert not answer.error
    assert answer.data[HEADER + len(NEW_STATE) :] == b"\xa5" * more
    assert session.state() is State.STOP


@pytest.mark.clause("feature.flags.unknown")
@pytest.mark.parametrize("feature", Feature, ids=NAME)
def test_an_unknown_bit_of_flags_is_refused(session: Session, feature: Feature) -> None:
    for bit in range(19, 32):
        for op in (Op.GET, Op.SET, Op.PROBE):
            answer = session.feature(int(op) | 1 << bit, feature, NEW_STATE)
            assert answer.error == "EINVAL"


@pytest.mark.clause("feature.get-and-set")
@pytest.mark.parametrize("feature", Feature, ids=NAME)
def test_get_and_set_together_are_refused(session: Session, feature: Feature) -> None:
    assert session.feature(Op.GET | Op.SET, feature, NEW_STATE).error == "EINVAL"


@pytest.mark.clause("feature.get-and-set")
def test_get_and_set_together_can_be_probed(session: Session, abilities: Abilities) -> None:
    answer = session.feature(Op.PROBE | Op.GET | Op.SET, Feature.MIG_DEVICE_STATE)
    assert answer.error == ("" if "migration" in abilities.features else "ENOTTY")


@pytest.mark.clause("feature.no-method")
@pytest.mark.parametrize("feature", GOT, ids=NAME)
def test_no_method_at_all_is_refused(session: Session, feature: Feature) -> None:
    assert session.feature(0, feature, NEW_STATE).error == "EINVAL"
    assert session.state() is State.RUNNING


@pytest.mark.clause("feature.no-method")
def test_no_method_at_all_does_not_opt_in(session: Session, abilities: Abilities) -> None:
    answer = session.feature(0, Feature.MIG_PRECOPY_INFOv2)
    assert answer.error == ("EINVAL" if "precopy_info_v2" in abilities.features else "ENOTTY")


@pytest.mark.clause("feature.unknown")
@pytest.mark.parametrize("op", [Op.GET, Op.SET, Op.PROBE], ids=NAME)
def test_an_unknown_feature_is_refused(session: Session, op: Op) -> None:
    assert session.feature(op, NO_SUCH_FEATURE, bytes(8)).error == "ENOTTY"


@pytest.mark.clause("feature.bad-pointer")
@pytest.mark.parametrize("address", [0, UNMAPPED])
def test_a_bad_pointer_is_refused(session: Session, address: int) -> None:
    assert session.ioctl(Ioctl.VFIO_DEVICE_FEATURE, address).error == "EFAULT"


@pytest.mark.clause("feature.bad-pointer")
@pytest.mark.parametrize("feature", GOT, ids=NAME)
def test_an_answer_that_cannot_be_given_is_an_error(session: Session, feature: Feature) -> None:
    asked = FEATURE_HEADER.pack(HEADER + GOT[feature], Op.GET | feature) + bytes(GOT[feature])
    address = session.memory(asked, writable=False)
    known = session.feature(Op.PROBE | Op.GET, feature).error != "ENOTTY"
    error = session.ioctl(Ioctl.VFIO_DEVICE_FEATURE, address).error
    assert error == ("EFAULT" if known else "ENOTTY")


@pytest.mark.clause("feature.bad-pointer.state")
@pytest.mark.parametrize("state", [State.STOP, State.STOP_COPY, State.RESUMING], ids=NAME)
def test_a_new_state_that_cannot_be_answered_is_an_error(session: Session, state: State) -> None:
    """A data_fd opened for it must not stay open; a check after the test finds one that does."""
    asked = FEATURE_HEADER.pack(HEADER + 8, Op.SET | Feature.MIG_DEVICE_STATE)
    address = session.memory(asked + MIG_STATE.pack(state, -1), writable=False)
    assert session.ioctl(Ioctl.VFIO_DEVICE_FEATURE, address).error == "EFAULT"
    assert session.state() in (State.RUNNING, State.RUNNING_P2P, State.STOP, state)


@pytest.mark.clause("feature.bad-pointer.state")
@pytest.mark.parametrize("there", [0, 4])
def test_a_new_state_that_is_not_there_is_refused(session: Session, there: int) -> None:
    asked = FEATURE_HEADER.pack(HEADER + 8, Op.SET | Feature.MIG_DEVICE_STATE)
    address = session.memory(asked + NEW_STATE[:there])
    assert session.ioctl(Ioctl.VFIO_DEVICE_FEATURE, address).error == "EFAULT"
    assert session.state() is State.RUNNING


@pytest.mark.every_variant
@pytest.mark.clause("feature.no-migration")
@pytest.mark.parametrize("feature", GOT, ids=NAME)
def test_a_device_that_cannot_migrate_has_none_of_the_features(
    session: Session, feature: Feature
) -> None:
    for op in (Op.PROBE, Op.GET, Op.PROBE | Op.GET):
        assert session.feature(op, feature, bytes(GOT[feature])).error == "ENOTTY"
