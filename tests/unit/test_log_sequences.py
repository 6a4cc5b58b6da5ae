# SPDX-License-Identifier: GPL-2.0-only
"""Random sequences of DMA logging on a device in this process: only a correct device passes."""

from __future__ import annotations

import errno
from collections import Counter

import pytest

from fixtures.errors import RuleBroken
from fixtures.guest import Answer
from fixtures.oracle.dma_log import DmaLog
from fixtures.uapi import DmaLoggingControl, DmaLoggingReport, FeatureHeader
from suites.dma_logging.calls import BASE, PAGE, WORD
from suites.dma_logging.test_log_sequence import Log
from suites.sequences import take

SEEDS = range(4)  # at least one must catch a wrong device
HEADER = bytes(FeatureHeader.layout.size)
SUCCESS = Answer(0)
REFUSED = Answer(-1, errno.EINVAL)


class Device:
    """A correct device, which logs pages of the size that START hints at."""

    def __init__(self) -> None:
        self.dirty: set[int] | None = None  # numbers of units; None: logging is off
        self.ranges: tuple[tuple[int, int], ...] = ()
        self.unit = PAGE

    def start(self, *ranges: tuple[int, int], page_size: int) -> Answer:
        if self.dirty is not None:
            return REFUSED
        self.dirty, self.ranges, self.unit = set(), ranges, page_size
        return Answer(0, data=HEADER + DmaLoggingControl.pack(page_size=page_size))

    def stop(self) -> Answer:
        self.dirty = None
        return SUCCESS

    def reopen(self) -> None:
        self.dirty = None

    def write(self, iova: int, length: int) -> None:
        if self.dirty is not None:
            self.dirty |= set(range(iova // self.unit, (iova + length - 1) // self.unit + 1))

    def report(self, iova: int, length: int, page_size: int) -> Answer:
        if self.dirty is None:
            return REFUSED
        inside = self.inside(iova, length)
        bits = 0
        for unit in inside:
            for at in range(unit * self.unit, (unit + 1) * self.unit, min(page_size, self.unit)):
                bits |= self.bit(iova, at, page_size)
        self.clear(inside)
        data = HEADER + DmaLoggingReport.pack(iova=iova, length=length, page_size=page_size)
        words = -(-length // page_size // 64) + 1
        return Answer(0, data=data, more={"memory": bits.to_bytes(words * 8, "little")})

    def inside(self, iova: int, length: int) -> set[int]:
        assert self.dirty is not None
        return {one for one in self.dirty if iova <= one * self.unit < iova + length}

    def bit(self, iova: int, at: int, page_size: int) -> int:
        return 1 << (at - iova) // page_size

    def clear(self, inside: set[int]) -> None:
        assert self.dirty is not None
        self.dirty -= inside


class NeverClears(Device):
    def clear(self, inside: set[int]) -> None:
        """A page is reported again and again."""


class ClearsAll(Device):
    def clear(self, inside: set[int]) -> None:
        """Pages beside the reported range are lost."""
        self.dirty = set()


class ClearsWholeWords(Device):
    def clear(self, inside: set[int]) -> None:
        """As pds does: what is in the same words as the end of the range is lost."""
        assert self.dirty is not None
        words = {one // WORD for one in inside}
        self.dirty = {one for one in self.dirty if one // WORD not in words}


class StartsTwice(Device):
    def start(self, *ranges: tuple[int, int], page_size: int) -> Answer:
        self.dirty = None
        return super().start(*ranges, page_size=page_size)


class LosesTheLastPage(Device):
    def inside(self, iova: int, length: int) -> set[int]:
        return super().inside(iova, length - self.unit)


class MovesABit(Device):
    def bit(self, iova: int, at: int, page_size: int) -> int:
        return super().bit(iova, at, page_size) << 1


class KeepsPagesOverStop(Device):
    def stop(self) -> Answer:
        self.kept = self.dirty
        return super().stop()

    def start(self, *ranges: tuple[int, int], page_size: int) -> Answer:
        answer = super().start(*ranges, page_size=page_size)
        if not answer.error:
            self.dirty = getattr(self, "kept", None) or set()
        return answer


class OutlivesTheClose(Device):
    def reopen(self) -> None:
        """Logging goes on."""


def sequences(kind: type[Device], seed: int, aligned: bool) -> None:
    take(lambda: Log(kind(), None, aligned, Counter()), seed, shrinks=False)


def broken_clause(kind: type[Device], seed: int, aligned: bool) -> str | None:
    try:
        sequences(kind, seed, aligned)
    except RuleBroken as broken:
        return broken.clause
    return None


@pytest.mark.parametrize("aligned", [True, False])
def test_a_correct_device_passes(aligned: bool) -> None:
    for seed in SEEDS:
        sequences(Device, seed, aligned)


@pytest.mark.parametrize(
    ("kind", "clause", "aligned"),
    [
        (NeverClears, "dma-logging.report.clears", True),
        (ClearsAll, "dma-logging.report.written", True),
        (ClearsWholeWords, "dma-logging.report.written", False),
        (StartsTwice, "dma-logging.start.again", True),
        (LosesTheLastPage, "dma-logging.report.written", True),
        (MovesABit, "dma-logging.report.written", True),
        (KeepsPagesOverStop, "dma-logging.report.clears", True),
        (OutlivesTheClose, "dma-logging.start.ranges", True),
    ],
)
def test_a_wrong_device_is_caught(kind: type[Device], clause: str, aligned: bool) -> None:
    assert any(clause == broken_clause(kind, seed, aligned) for seed in SEEDS)


def test_ranges_of_whole_words_pass_a_device_that_clears_whole_words() -> None:
    for seed in SEEDS:
        sequences(ClearsWholeWords, seed, aligned=True)


def log() -> DmaLog:
    log = DmaLog()
    log.started(((BASE, 64 * PAGE),), 4 * PAGE, SUCCESS)
    log.wrote(BASE + 5 * PAGE, 1)
    return log


def test_a_page_that_is_not_reported_stays_due() -> None:
    one = log()
    one.reported(BASE, 4 * PAGE, PAGE, SUCCESS, set())
    with pytest.raises(RuleBroken, match=r"pages are lost: 0x100005000$"):
        one.reported(BASE + 4 * PAGE, 4 * PAGE, PAGE, SUCCESS, set())


def test_the_pages_around_it_that_the_device_logs_with_it_may_be_reported() -> None:
    unit = {BASE + number * PAGE for number in range(4, 8)}
    log().reported(BASE, 64 * PAGE, PAGE, SUCCESS, {BASE + 5 * PAGE})
    log().reported(BASE, 64 * PAGE, PAGE, SUCCESS, unit)
    with pytest.raises(RuleBroken, match=r"not written since: 0x100008000$"):
        log().reported(BASE, 64 * PAGE, PAGE, SUCCESS, {*unit, BASE + 8 * PAGE})


def test_a_larger_page_is_due_if_a_part_of_it_was_written() -> None:
    log().reported(BASE, 64 * PAGE, 16 * PAGE, SUCCESS, {BASE})
    with pytest.raises(RuleBroken, match=r"report\.written: REPORT failed with EINVAL$"):
        log().reported(BASE, 64 * PAGE, 16 * PAGE, REFUSED, set())


def test_writes_beside_the_ranges_are_not_due() -> None:
    one = log()
    one.wrote(BASE + 64 * PAGE, PAGE)
    one.reported(BASE, 64 * PAGE, 64 * PAGE, SUCCESS, {BASE})
