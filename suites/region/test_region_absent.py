# SPDX-License-Identifier: GPL-2.0-only
"""A device with today's protocol does not also offer the protocol of 2019."""

from __future__ import annotations

import pytest

from fixtures.session import Session
from fixtures.session.region import regions


@pytest.mark.clause("region.absent")
def test_a_device_with_the_ioctl_protocol_has_no_migration_region(session: Session) -> None:
    assert [region for region in regions(session) if region.is_migration] == []
