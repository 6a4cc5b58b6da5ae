# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE and MIG_DATA_SIZE as features: PROBE, GET and SET."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.oracle import SAVING, StateMachine
from fixtures.session import Feature, Session, State, stop_copy_length
from fixtures.session.transfer import Arrived
from fixtures.uapi import FEATURE_HEADER, MIG_STATE, Op
from suites.calls import SOON
from suites.state_machine.checks import check_stream_stays

pytestmark = pytest.mark.any_api

LONGEST = 1 << 62  # bytes; a length that no device has, and far below the errnos
PARTS = 4  # in which a stream is read

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


@pytest.mark.clause("feature.data-size.failed")
def test_a_failure_is_not_a_length(session: Session, firmware: Firmware) -> None:
    firmware.clear_journal()
    assert not session.data_size().error
    commands = set(firmware.commands())
    if not any(map(firmware.failures, commands)):
        raise NotThere("the driver asks no firmware for the size")
    for command in sorted(commands):
        for failure in firmware.failures(command):
            firmware.fail(command, failure.status, late=failure.late)
            told = session.data_size()
            assert told.error or stop_copy_length(told) <= LONGEST, f"{command} failed"


@pytest.mark.clause("feature.undisturbed")
@pytest.mark.parametrize("arrived", sorted(SAVING), indirect=True, ids=lambda state: state.name)
def test_questions_do_not_change_the_stream(session: Session, arrived: Arrived) -> None:
    check_stream_stays(session, arrived, PARTS, ask_everything)


@pytest.mark.clause("feature.undisturbed")
def test_questions_do_not_disturb_a_save_in_flight(
    session: Session, firmware: Firmware, fsm: StateMachine
) -> None:
    fsm.need(State.PRE_COPY)
    plain, _ = session.start(State.PRE_COPY).read_on()
    session.reset()
    firmware.hold_save()
    data_fd = session.start(State.PRE_COPY)
    asking = session.begin_data_size()
    firmware.release_save()
    assert not asking.end(SOON).error
    ask_everything(session)
    stream = b""
    while len(stream) < len(plain):
        more = data_fd.begin_read(len(plain)).end(SOON)
        assert more.ret > 0
        stream += more.data
    assert stream == plain


def ask_everything(session: Session) -> None:
    """Make the calls that ask only: the data size, the state, the capabilities, and PROBE."""
    assert not session.data_size().error
    session.state()
    session.capabilities()
    for feature in Feature:
        session.feature(Op.PROBE, feature)
