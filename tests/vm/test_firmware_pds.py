# SPDX-License-Identifier: GPL-2.0-only
"""What only pds's firmware does: suspensions that take time, dirty page tracking, checks."""

from __future__ import annotations

import struct

import pytest

from fixtures.device import Driver
from fixtures.device.firmware import Firmware
from fixtures.guest import Answer
from fixtures.session import Session, State, transfer
from fixtures.uapi import Op

# VFIO_DEVICE_FEATURE_DMA_LOGGING_*
LOGGING_START, LOGGING_STOP, LOGGING_REPORT = 6, 7, 8
PAGE = 4096
RANGE = (1 << 20, 1 << 20)  # an IOVA and a length
AGAIN = "= 9"  # PDS_RC_EAGAIN


@pytest.fixture(autouse=True)
def _is_pds(driver: Driver) -> None:
    if driver.name != "pds":
        pytest.skip("this is about pds's firmware")


def commands(firmware: Firmware, name: str) -> list[str]:
    return [line for line in firmware.journal() if line.split()[0] == name]


def start_logging(session: Session) -> Answer:
    ranges = session.memory(struct.pack("<QQ", *RANGE))
    return session.feature(Op.SET, LOGGING_START, struct.pack("<QIIQ", PAGE, 1, 0, ranges))


def test_a_suspension_ends_after_as_many_answers(session: Session, firmware: Firmware) -> None:
    firmware.obey("suspending 3")
    session.move(State.RUNNING_P2P)
    asked = commands(firmware, "SUSPEND_STATUS")
    assert [line.endswith(AGAIN) for line in asked] == [True, True, True, False]


def test_a_suspension_that_does_not_end_times_out(session: Session, firmware: Firmware) -> None:
    firmware.obey("suspending 1000000")
    answer, _ = session.set_state(State.STOP)
    assert answer.error == "ETIMEDOUT"
    firmware.obey("suspending 0")
    session.move(State.STOP)


@pytest.mark.parametrize("checks", [True, False], ids=["checks", "does-not-check"])
def test_half_an_image_is_refused_by_a_firmware_that_checks(
    session: Session, firmware: Firmware, checks: bool
) -> None:
    stream = transfer.save(session)
    session.reset()
    if not checks:
        firmware.obey("withhold integrity")
    data_fd = session.start(State.RESUMING)
    data_fd.write_on(stream[: len(stream) // 2])
    assert session.set_state(State.STOP)[0].error == ("EINVAL" if checks else "")


def test_dirty_pages_are_tracked_from_start_to_stop(session: Session, firmware: Firmware) -> None:
    assert not start_logging(session).error
    bitmap = session.memory(bytes(PAGE))
    asked = struct.pack("<QQQQ", *RANGE, PAGE, bitmap)
    assert not session.feature(Op.GET, LOGGING_REPORT, asked).error
    assert not session.feature(Op.SET, LOGGING_STOP).error
    for name in ("DIRTY_ENABLE", "DIRTY_READ_SEQ", "DIRTY_WRITE_ACK", "DIRTY_DISABLE"):
        (line,) = commands(firmware, name)
        assert line.endswith("= 0"), line
    assert firmware.violations() == []


def test_there_is_no_tracking_without_the_capability(session: Session, firmware: Firmware) -> None:
    firmware.obey("withhold dirty_tracking")
    assert start_logging(session).error == "EOPNOTSUPP"
    assert commands(firmware, "DIRTY_ENABLE") == []


def test_a_restart_ends_tracking(session: Session, firmware: Firmware) -> None:
    """It takes a running device to ERROR, which a restart alone does not do."""
    firmware.restart()
    assert session.state() is State.RUNNING
    assert not start_logging(session).error
    firmware.restart()
    assert session.state() is State.ERROR
    assert not session.reset().error
    assert not start_logging(session).error
    assert firmware.violations() == []
