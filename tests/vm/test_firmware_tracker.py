# SPDX-License-Identifier: GPL-2.0-only
"""What only mlx5's page tracker does: objects, ranges, a full queue, events of others."""

from __future__ import annotations

import pytest

from fixtures.device import Driver
from fixtures.device.firmware import Firmware
from fixtures.session import Session, logged

PAGE = 4096
RANGE = (1 << 32, 64 << 20)
OBJECTS = 5  # a UAR, a CQ, two QPs, a PAGE_TRACK


@pytest.fixture(autouse=True)
def _is_mlx5(driver: Driver) -> None:
    if driver.name != "mlx5":
        pytest.skip("this is about mlx5's firmware")


def info(firmware: Firmware, key: str) -> int:
    lines = firmware.info()
    return int(lines[key])


def created(firmware: Firmware) -> str:
    (line,) = [one for one in firmware.journal() if one.startswith("CREATE_GENERAL_OBJECT")]
    return line


def test_stop_gives_all_objects_back(session: Session, firmware: Firmware) -> None:
    assert not session.start_logging(RANGE).error
    assert info(firmware, "tracker_objects") == OBJECTS
    assert not session.stop_logging().error
    assert info(firmware, "tracker_objects") == 0
    assert firmware.violations() == []


def test_more_ranges_than_the_adapter_has_are_combined(
    session: Session, firmware: Firmware
) -> None:
    given = [(RANGE[0] + number * (1 << 20), 1 << 18) for number in range(40)]
    assert not session.start_logging(*given).error
    assert "ranges=16" in created(firmware)


def test_the_queue_of_buffers_is_full_at_times(session: Session, firmware: Firmware) -> None:
    whole = (RANGE[0], 4 << 30)
    assert not session.start_logging(whole).error
    firmware.write(whole)
    answer = session.report_logging(*whole)
    assert len(logged(answer)) == whole[1] // PAGE
    assert info(firmware, "no_buffer") > 0


def test_events_of_others_leave_a_tracker_alone(session: Session, firmware: Firmware) -> None:
    assert not session.start_logging(RANGE).error
    firmware.write((RANGE[0], 1))
    firmware.obey("tracker others")
    assert logged(session.report_logging(*RANGE)) == {RANGE[0]}


def test_a_fault_needs_a_tracker(session: Session, firmware: Firmware) -> None:
    assert firmware.command("tracker cq_error").error == "ENOENT"
    assert not session.start_logging(RANGE).error
    assert firmware.command("tracker unknown").error == "EINVAL"
