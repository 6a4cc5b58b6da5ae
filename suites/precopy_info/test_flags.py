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


def returned_flags(data_fd: DataFd, flags: int, record: Recorder, name: str) -> int:
    """Return what comes back for ``flags``, and record it as the behaviour ``name``."""
    asked = data_fd.precopy_info(flags=flags)
    assert not asked.error
    if flags:
        record.behaviour(name, became(flags, asked.info.flags))
    return asked.info.flags


@pytest.mark.clause("precopy-info.flags.v1-echo")
@pytest.mark.parametrize("flags", VALUES, ids=hex)
def test_without_the_opt_in_flags_come_back_as_given(
    pre_copy: DataFd, flags: int, record: Recorder
) -> None:
    assert returned_flags(pre_copy, flags, record, "precopy_info.flags.v1") == flags


@pytest.mark.clause("precopy-info.flags.v2-zero")
@pytest.mark.parametrize("flags", VALUES, ids=hex)
def test_after_the_opt_in_flags_come_back_as_zero(
    pre_copy_v2: DataFd, flags: int, record: Recorder
) -> None:
    assert returned_flags(pre_copy_v2, flags, record, "precopy_info.flags.v2") == 0
