# SPDX-License-Identifier: GPL-2.0-only
"""DMA logging: from START to STOP, or the last close, whatever the device's state is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.guest import Guest, memory
from fixtures.oracle import SAVING, StateMachine
from fixtures.plugin.recorder import Recorder
from fixtures.session import Feature, Session, State
from fixtures.session.transfer import Arrived, arrive, save
from fixtures.uapi import Op
from suites import must
from suites.dma_logging.calls import BASE, RANGE, check_starts, ranges
from suites.state_machine.checks import check_stream_stays

pytestmark = pytest.mark.any_api

PARTS = 3  # of a stream
PART = 8192  # bytes of a stream
ROUNDS = 3


@pytest.mark.clause("dma-logging.start.again")
def test_a_second_start_is_refused_and_the_first_goes_on(logging: Session) -> None:
    assert logging.start_logging(RANGE).error
    assert logging.start_logging((BASE + RANGE[1], RANGE[1])).error
    assert not logging.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.stop")
def test_after_stop_it_can_be_started_again(logging: Session) -> None:
    for given in (*([one] for one in ranges(3)), ranges(4)):
        assert not logging.stop_logging().error
        assert not logging.start_logging(*given).error
        assert not logging.report_logging(*given[0]).error


@pytest.mark.clause("dma-logging.stop")
@pytest.mark.parametrize("data", [b"", b"\xff" * 24], ids=["no-data", "data"])
def test_stop_succeeds_whatever_data_comes_with_it(logging: Session, data: bytes) -> None:
    assert not logging.feature(Op.SET, Feature.DMA_LOGGING_STOP, data).error


@pytest.mark.clause("dma-logging.stop.unmatched")
def test_a_stop_without_a_start_disturbs_nothing(session: Session, record: Recorder) -> None:
    answer = session.stop_logging()
    record.errno("dma_logging.unmatched_stop", answer)
    assert answer.error in ("", "EINVAL")
    check_starts(session)
    assert session.state() is State.RUNNING


@pytest.mark.clause("dma-logging.report.not-enabled")
def test_a_report_before_start_is_refused(session: Session) -> None:
    assert session.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.report.not-enabled")
def test_a_report_after_stop_is_refused(logging: Session) -> None:
    logging.stop_logging()
    assert logging.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.report.not-enabled")
def test_a_report_after_a_refused_start_is_refused(session: Session) -> None:
    session.start_logging(RANGE, RANGE)
    assert session.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.report.not-enabled")
def test_a_report_after_the_last_close_is_refused(logging: Session) -> None:
    logging.reopen()
    assert logging.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.close")
def test_it_ends_with_the_last_close(logging: Session) -> None:
    logging.reopen()
    check_starts(logging)


@pytest.mark.clause("dma-logging.close", "leaks.references")
def test_a_close_without_stop_leaves_nothing(logging: Session) -> None:
    """Leftovers are checked after every test, when the device is gone."""
    logging.close()


@pytest.mark.clause("dma-logging.close.memory")
def test_kmemleak_finds_nothing_after_closes_without_stop(guest: Guest, session: Session) -> None:
    began = memory.forget(guest)
    for _ in range(ROUNDS):
        session.reopen()
        assert not session.start_logging(*ranges(3)).error
        assert not session.report_logging(*ranges(3)[0]).error
    session.reopen()
    memory.check(guest, began)


@pytest.mark.clause("dma-logging.one-device")
def test_another_device_is_left_alone(
    logging: Session, open_session: Callable[[], Session]
) -> None:
    other = open_session()
    check_starts(other)
    assert not logging.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.reset")
def test_after_a_reset_it_can_be_started_after_a_stop(logging: Session, record: Recorder) -> None:
    assert not logging.reset().error
    goes_on = not logging.report_logging(*RANGE).error
    record.behaviour("dma_logging.reset", "goes_on" if goes_on else "ends")
    logging.stop_logging()
    check_starts(logging)


@pytest.mark.clause("dma-logging.address-space")
def test_it_survives_a_change_of_the_address_space(session: Session) -> None:
    """It logs IOVAs, and a VMM maps and unmaps memory all the time."""
    assert not session.start_logging(RANGE).error
    assert not session.detach().error
    assert not session.report_logging(*RANGE).error
    assert not session.attach().error
    assert not session.report_logging(*RANGE).error
    assert not session.stop_logging().error


@pytest.mark.clause("dma-logging.states")
def test_it_works_in_every_state(session: Session, arrived: Arrived) -> None:
    check_starts(session)
    assert session.state() is arrived.state


@pytest.mark.clause("dma-logging.states")
def test_it_goes_on_over_each_arc(session: Session, arc: tuple[State, State]) -> None:
    begin, end = arc
    arrive(session, begin)
    assert not session.start_logging(RANGE).error
    must.move(session, end)
    assert not session.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.states")
def test_it_goes_on_over_a_migration(logging: Session, fsm: StateMachine) -> None:
    before = [State.PRE_COPY] if fsm.has(State.PRE_COPY) else []
    must.load(logging, must.save(logging, *before))
    must.move(logging, State.RUNNING)
    assert not logging.report_logging(*RANGE).error


@pytest.mark.clause("dma-logging.session")
@pytest.mark.parametrize("arrived", sorted(SAVING), indirect=True, ids=lambda state: state.name)
def test_it_does_not_change_the_stream(session: Session, arrived: Arrived) -> None:
    check_stream_stays(session, arrived, PARTS, check_starts)


@pytest.mark.clause("dma-logging.session")
def test_it_does_not_disturb_a_load(session: Session) -> None:
    stream = save(session)
    data_fd = session.start(State.RESUMING)
    for at in range(0, len(stream), PART):
        check_starts(session)
        assert data_fd.write_on(stream[at : at + PART]).ret >= 0
    must.move(session, State.RUNNING)
