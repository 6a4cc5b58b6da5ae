# SPDX-License-Identifier: GPL-2.0-only
"""flags of struct vfio_precopy_info: echoed in v1, an output in v2."""

from __future__ import annotations

import pytest

from fixtures.plugin.recorder import Recorder
from fixtures.session import DataFd

VALUES = (0, 1, 0x80000000, 0xDEADBEEF, 0xFFFFFFFF)


def became(given: int, returned: int) -> str:
    """Return the behaviour's word for flags that were ``given`` and came back as ``returned``."""
    if returned == given:
        return "echoed"
    return "zeroed" if returned == 0 else "other"


@pytest.mark.clause("precopy-info.flags.v1-echo")
@pytest.mark.parametrize("flags", VALUES, ids=hex)
def test_without_the_opt_in_flags_come_back_as_given(
    pre_copy: DataFd, flags: int, record: Recorder
) -> None:
    asked = pre_copy.precopy_info(flags=flags)
    assert not asked.error
    if flags:
        record.behaviour("precopy_info.flags.v1", became(flags, asked.info.flags))
    assert asked.info.flags == flags


@pytest.mark.clause("precopy-info.flags.v2-zero")
@pytest.mark.parametrize("flags", VALUES, ids=hex)
def test_after_the_opt_in_flags_come_back_as_zero(
    pre_copy_v2: DataFd, flags: int, record: Recorder
) -> None:
    asked = pre_copy_v2.precopy_info(flags=flags)
    assert not asked.error
    if flags:
        record.behaviour("precopy_info.flags.v2", became(flags, asked.info.flags))
    assert asked.info.flags == 0
