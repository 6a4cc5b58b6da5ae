# SPDX-License-Identifier: GPL-2.0-only
"""The dirty tracking of the device's IOMMU, which a VMM can use instead of DMA logging."""

from __future__ import annotations

import pytest

from fixtures.errors import NotThere
from fixtures.plugin.recorder import Recorder
from fixtures.session import Session
from fixtures.uapi import HwptFlag

pytestmark = pytest.mark.any_api

BEHAVIOUR = "feature.iommu_dirty_tracking"


@pytest.mark.clause("dma-logging.iommu")
def test_a_page_table_that_tracks_dirty_pages(session: Session, record: Recorder) -> None:
    answer, plain = session.allocate_page_table()
    if answer.error == "ENOENT":
        record.behaviour(BEHAVIOUR, "absent")
        raise NotThere("no IOMMU serves this device")
    assert not answer.error
    assert not session.attach(plain).error
    answer, table = session.allocate_page_table(HwptFlag.DIRTY_TRACKING)
    record.behaviour(BEHAVIOUR, "absent" if answer.error else "supported")
    if answer.error:
        assert answer.error == "EOPNOTSUPP"
    else:
        assert not session.attach(table).error
    assert not session.detach().error
