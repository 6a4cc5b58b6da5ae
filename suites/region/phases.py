# SPDX-License-Identifier: GPL-2.0-only
"""The phases of a migration, as values of device_state."""

from __future__ import annotations

import pytest

from fixtures.uapi import RegionState

PRE_COPY = RegionState.SAVING | RegionState.RUNNING
STOP_AND_COPY = RegionState.SAVING

in_both_phases = pytest.mark.parametrize(
    "phase", [PRE_COPY, STOP_AND_COPY], ids=["pre-copy", "stop-and-copy"]
)
in_each_state = pytest.mark.parametrize(
    "state",
    [PRE_COPY, STOP_AND_COPY, RegionState.RESUMING],
    ids=["pre-copy", "stop-and-copy", "resuming"],
)
