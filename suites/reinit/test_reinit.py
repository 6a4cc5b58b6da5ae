# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_PRECOPY_INFO_REINIT: new initial data, for a caller that has opted in."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.plugin.recording import Recorder
from fixtures.session import DataFd, Session
from fixtures.session.uapi import PRECOPY_INFO_REINIT

CHUNK = 4096  # bytes


@pytest.fixture
def new_initial_data(firmware: Firmware) -> int:
    """The size of a chunk of new initial data that the firmware has by now."""
    firmware.reinit(CHUNK)
    return CHUNK


@pytest.mark.clause("reinit.flag")
def test_new_initial_data_is_reported_once(
    pre_copy_v2: DataFd, new_initial_data: int, record: Recorder
) -> None:
    asked = pre_copy_v2.precopy_info()
    assert not asked.error
    reported = bool(asked.info.flags & PRECOPY_INFO_REINIT)
    record.behaviour("precopy_info.reinit", "reported" if reported else "never")
    assert reported
    assert asked.info.initial_bytes >= new_initial_data
    assert asked.info.dirty_bytes == 0
    assert pre_copy_v2.precopy_info().info.flags == 0


@pytest.mark.clause("reinit.opt-in")
def test_it_is_not_reported_without_the_opt_in(pre_copy: DataFd, new_initial_data: int) -> None:
    asked = pre_copy.precopy_info()
    assert not asked.error
    assert asked.info.flags & PRECOPY_INFO_REINIT == 0


@pytest.mark.clause("reinit.unasked")
def test_it_is_not_reported_while_there_is_no_new_initial_data(
    session: Session, pre_copy_v2: DataFd, record: Recorder
) -> None:
    before = pre_copy_v2.precopy_info()
    pre_copy_v2.read_on()
    after = pre_copy_v2.precopy_info()
    assert not before.error
    assert not after.error
    assert (before.info.flags | after.info.flags) & PRECOPY_INFO_REINIT == 0
    if not can_have_new_initial_data(session.device.firmware):
        record.behaviour("precopy_info.reinit", "never")


def can_have_new_initial_data(firmware: Firmware | None) -> bool:
    """Tell whether the device is one that has new initial data at times; it then has some."""
    return firmware is not None and not firmware.command(f"reinit {CHUNK}").error
