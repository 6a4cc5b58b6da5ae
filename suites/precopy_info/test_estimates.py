# SPDX-License-Identifier: GPL-2.0-only
"""initial_bytes and dirty_bytes, as the data stream is read."""

from __future__ import annotations

import pytest

from fixtures.session import DataFd


@pytest.mark.clause("precopy-info.initial-bytes.start")
def test_initial_bytes_start_above_zero(pre_copy: DataFd) -> None:
    asked = pre_copy.precopy_info()
    assert not asked.error
    assert asked.info.initial_bytes > 0


@pytest.mark.clause("precopy-info.initial-bytes.falls")
@pytest.mark.parametrize("count", [1, 7, 1 << 20])
def test_initial_bytes_fall_by_what_is_read(pre_copy: DataFd, count: int) -> None:
    before = pre_copy.precopy_info().info.initial_bytes
    taken = pre_copy.read(min(count, before))
    assert taken.ret > 0
    assert pre_copy.precopy_info().info.initial_bytes == before - taken.ret


@pytest.mark.clause("precopy-info.dirty-bytes.start")
def test_dirty_bytes_start_at_zero(pre_copy: DataFd) -> None:
    asked = pre_copy.precopy_info()
    assert not asked.error
    assert asked.info.dirty_bytes == 0
