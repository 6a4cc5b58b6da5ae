# SPDX-License-Identifier: GPL-2.0-only
"""A device whose DMA is logged."""

from __future__ import annotations

import pytest

from fixtures.session import ArrangementFailed, Session
from suites.dma_logging.calls import RANGE


@pytest.fixture
def logging(session: Session) -> Session:
    """A session whose device logs its writes to RANGE."""
    answer = session.start_logging(RANGE)
    if answer.error:
        raise ArrangementFailed(f"logging does not start: {answer.error}")
    return session
