# SPDX-License-Identifier: GPL-2.0-only
"""The protocol of 2019 is gone: whoever speaks today's does not offer it beside."""

from __future__ import annotations

import pytest

from fixtures.session import Session
from fixtures.session.region import regions


@pytest.mark.clause("region.absent")
def test_a_device_with_the_ioctl_protocol_has_no_migration_region(session: Session) -> None:
    assert [region for region in regions(session) if region.is_migration] == []
