# SPDX-License-Identifier: GPL-2.0-only
"""Changes announced by dirty_bytes while earlier announced changes are unread."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.session import DataFd
from fixtures.session.transfer import read_pre_copy
from suites.calls import announced_changes, ask
from suites.contents import CHANGED

pytestmark = pytest.mark.any_api


@pytest.mark.clause("in-flight-save.read.announced")
def test_changes_that_are_announced_beside_unread_ones_can_be_read(
    pre_copy: DataFd, firmware: Firmware
) -> None:
    read_pre_copy(pre_copy)
    before = announced_changes(pre_copy, firmware)
    assert pre_copy.read(before // 2).ret > 0
    firmware.dirty(CHANGED)
    announced = ask(pre_copy).dirty_bytes
    data, _ = pre_copy.read_on()
    assert len(data) >= announced
