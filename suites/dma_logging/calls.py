# SPDX-License-Identifier: GPL-2.0-only
"""Calls that the tests of DMA logging share."""

from __future__ import annotations

from fixtures.errors import Deviation
from fixtures.session import Session, logged
from fixtures.uapi import DmaLoggingRange

PAGE = 4096  # bytes
WORD = 64  # pages of a word of the bitmap
MIB, GIB = 1 << 20, 1 << 30
BASE = 1 << 32  # where the first range begins, aligned for large pages, too
RANGE = (BASE, 64 * MIB)
PAGE_OF_RANGES = PAGE // DmaLoggingRange.layout.size


def ranges(count: int, length: int = WORD * PAGE) -> list[tuple[int, int]]:
    """Return ``count`` ranges of ``length`` bytes, with gaps of the same length."""
    return [(BASE + 2 * number * length, length) for number in range(count)]


def report(session: Session, iova: int, length: int, page_size: int = PAGE) -> set[int]:
    """Return the IOVAs of the pages that REPORT has as written.

    Raises Deviation if it fails.
    """
    answer = session.report_logging(iova, length, page_size)
    if answer.error:
        raise Deviation(f"REPORT failed with {answer.error}")
    return logged(answer)


def check_starts(session: Session) -> None:
    """Check that logging can be started and ended: it was off.

    Raises Deviation.
    """
    calls = {
        "START": lambda: session.start_logging(RANGE),
        "REPORT": lambda: session.report_logging(*RANGE),
        "STOP": session.stop_logging,
    }
    for name, call in calls.items():
        if error := call().error:
            raise Deviation(f"{name} failed with {error}")
