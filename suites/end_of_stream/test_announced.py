# SPDX-License-Identifier: GPL-2.0-only
"""What dirty_bytes announces while some of what it announced before is unread."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.session import DataFd
from fixtures.session.transfer import read_pre_copy
from suites.calls import ask, ask_for_changes

pytestmark = pytest.mark.any_api

CHANGED = 64  # bytes of its state that the device changes


@pytest.mark.clause("in-flight-save.read.announced")
def test_changes_that_are_announced_beside_unread_ones_can_be_read(
    pre_copy: DataFd, firmware: Firmware
) -> None:
    read_pre_copy(pre_copy)
    firmware.dirty(CHANGED)
    before = ask_for_changes(pre_copy).dirty_bytes
    if before == 0:
        raise NotThere("this device has nothing more to send in PRE_COPY when its state changes")
    assert pre_copy.read(before // 2).ret > 0
    firmware.dirty(CHANGED)
    announced = ask(pre_copy).dirty_bytes
    data, _ = pre_copy.read_on()
    assert len(data) >= announced
