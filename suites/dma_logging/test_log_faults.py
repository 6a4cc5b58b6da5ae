# SPDX-License-Identifier: GPL-2.0-only
"""DMA logging with a device that fails, or is late."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import Deviation
from fixtures.guest import Answer, Guest
from fixtures.session import ArrangementFailed, Session, State
from fixtures.session.transfer import Arrived
from suites.calls import SOON
from suites.dma_logging.calls import BASE, GIB, PAGE, RANGE, WORD, check_starts, report
from suites.state_machine.checks import check_works

pytestmark = pytest.mark.any_api

A_WHILE = 100  # milliseconds; a call that has not returned by then waits for the device
LONG = 25000  # milliseconds; more than twice the guest's limit for a task that hangs
WRITTEN = (BASE + 3 * PAGE, 1)


def commands(session: Session, firmware: Firmware) -> list[str]:
    """Return the firmware's commands of START.

    Raises ArrangementFailed if it fails by itself.
    """
    firmware.clear_journal()
    if error := session.start_logging(RANGE).error:
        raise ArrangementFailed(f"logging does not start: {error}")
    names = firmware.commands()
    session.stop_logging()
    return names


@pytest.mark.clause("dma-logging.failed-start")
def test_a_start_during_which_a_command_fails(session: Session, firmware: Firmware) -> None:
    for fault in firmware.faults(commands(session, firmware)):
        firmware.cause(fault)
        started = session.start_logging(RANGE)
        why = f"after {fault}"
        if started.error:
            assert session.report_logging(*RANGE).error, f"REPORT succeeds {why}"
        else:
            firmware.write(WRITTEN)
            assert report(session, *RANGE) == {WRITTEN[0]}, why
            session.stop_logging()
        check_starts(session)


@pytest.mark.clause("dma-logging.failed-report")
def test_a_log_that_the_device_cannot_give_is_an_error(
    session: Session, firmware: Firmware
) -> None:
    for fault in firmware.log_faults:
        assert not session.start_logging(RANGE).error
        firmware.write(WRITTEN)
        firmware.obey(fault)
        assert session.report_logging(*RANGE).error, f"REPORT succeeds after {fault!r}"
        session.stop_logging()


@pytest.mark.clause("dma-logging.failed-report.restart")
def test_logging_can_be_started_again_after_an_error(session: Session, firmware: Firmware) -> None:
    for fault in firmware.log_faults:
        assert not session.start_logging(RANGE).error
        firmware.obey(fault)
        for _ in range(3):
            session.report_logging(*RANGE)
        assert not session.stop_logging().error, f"STOP fails after {fault!r}"
        assert not session.start_logging(RANGE).error, f"START fails after {fault!r}"
        firmware.write(WRITTEN)
        assert report(session, *RANGE) == {WRITTEN[0]}, f"after {fault!r}"
        session.stop_logging()
    check_works(session)


@pytest.mark.clause("dma-logging.failed-stop")
def test_logging_can_be_started_after_a_stop_that_failed(
    session: Session, firmware: Firmware
) -> None:
    assert not session.start_logging(RANGE).error
    firmware.clear_journal()
    session.stop_logging()
    for fault in firmware.faults(firmware.commands()):
        assert not session.start_logging(RANGE).error
        firmware.cause(fault)
        session.stop_logging()
        check_starts(session)


class HeldReport:
    """A REPORT that the device does not answer; ``early`` is what came of it in ``wait`` ms."""

    def __init__(self, logging: Session, firmware: Firmware, wait: int = A_WHILE) -> None:
        self._firmware = firmware
        self._bitmap = logging.memory(bytes(8))
        firmware.hold(firmware.word("report"))
        self._begun = logging.begin_report(BASE, WORD * PAGE, self._bitmap)
        self.early = self.end(wait)

    def end(self, wait: int = SOON) -> Answer:
        """Return what came of it after up to ``wait`` ms more."""
        return self._begun.end(wait)

    def release(self) -> None:
        """Let the device answer."""
        self._firmware.release(self._firmware.word("report"))

    def check_ends(self, guest: Guest) -> None:
        """Let the device answer, and check that ``WRITTEN`` is reported."""
        self.release()
        assert not self.end().error
        assert guest.call("copy", address=self._bitmap, count=8).data == b"\x08" + bytes(7)


@pytest.mark.clause("dma-logging.report.late")
def test_a_report_waits_for_a_device_that_is_late(
    logging: Session, firmware: Firmware, guest: Guest
) -> None:
    firmware.write(WRITTEN)
    held = HeldReport(logging, firmware)
    assert held.early.error == "EINPROGRESS", "the device had not given its log"
    held.check_ends(guest)
    firmware.write(WRITTEN)
    assert report(logging, *RANGE) == {WRITTEN[0]}


@pytest.mark.clause("dma-logging.report.late")
def test_a_log_is_read_whichever_event_comes_first(
    logging: Session, firmware: Firmware, guest: Guest
) -> None:
    """In the next reports, too."""
    firmware.write(WRITTEN)
    held = HeldReport(logging, firmware)
    firmware.complete_log_late()
    held.check_ends(guest)
    assert report(logging, *RANGE) == set()


@pytest.mark.clause("dma-logging.report.restart")
def test_a_report_ends_when_the_adapter_restarts(logging: Session, firmware: Firmware) -> None:
    held = HeldReport(logging, firmware)
    firmware.restart()
    ended = held.end()
    held.release()
    assert ended.error != "EINPROGRESS"
    assert ended.error, "the log was lost"
    logging.stop_logging()
    logging.reset()
    check_starts(logging)


@pytest.mark.clause("dma-logging.report.ends")
def test_a_report_does_not_wait_for_ever(logging: Session, firmware: Firmware) -> None:
    held = HeldReport(logging, firmware, LONG)
    held.release()
    if held.early.error == "EINPROGRESS":
        held.end()
        raise Deviation("it waits as long as the device does not answer")


@pytest.mark.clause("dma-logging.report.written")
def test_more_pages_than_the_device_can_send_at_once(session: Session, firmware: Firmware) -> None:
    """The device has sent what it could before the driver takes the first of it."""
    assert not session.start_logging((BASE, 4 * GIB)).error
    firmware.write((BASE, 4 * GIB))
    found = report(session, BASE, 4 * GIB)
    assert len(found) == 4 * GIB // PAGE
    assert report(session, BASE, 4 * GIB) == set()


@pytest.mark.clause("dma-logging.error")
def test_in_error_nothing_is_taken_for_an_empty_log(
    session: Session, firmware: Firmware, arrived: Arrived
) -> None:
    runs = arrived.state in (State.RUNNING, State.PRE_COPY)
    assert not session.start_logging(RANGE).error
    if runs:
        firmware.write(WRITTEN)
    firmware.restart()
    answer = session.report_logging(*RANGE)
    if runs and not answer.error:
        assert any(answer.more["memory"]), "the page is lost"
    assert not session.stop_logging().error
    assert not session.reset().error
    check_starts(session)
