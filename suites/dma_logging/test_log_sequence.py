# SPDX-License-Identifier: GPL-2.0-only
"""Random sequences of writes, reports, starts and stops; the oracle judges each report.

Hypothesis draws them as it does those of suites/state_machine/test_sequence.py.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Protocol

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fixtures.device import Driver
from fixtures.device.firmware import need
from fixtures.errors import Deviation, HarnessError, RuleBroken
from fixtures.guest import Answer
from fixtures.oracle.dma_log import DmaLog
from fixtures.plugin.recorder import Recorder
from fixtures.plugin.run import Run
from fixtures.session import Session, logged, logged_page_size
from suites.dma_logging.calls import BASE, GIB, PAGE, WORD
from suites.sequences import take

pytestmark = pytest.mark.any_api

MOST_RANGES = 3
LARGEST = 4 * WORD  # units of a range
GAP = GIB  # between the beginnings of ranges
SIZES = st.sampled_from([PAGE, PAGE, 4 * PAGE, 64 << 10, 256 << 10])
AT = st.integers(0, LARGEST - 1)
# How many steps these sequences have, for one of those of states, if ranges are whole words or not.
STEPS = {True: 0.5, False: 4.0}


class Device(Protocol):
    """What a sequence needs of a device; a test of the framework has another one."""

    def start(self, *ranges: tuple[int, int], page_size: int) -> Answer: ...

    def stop(self) -> Answer: ...

    def report(self, iova: int, length: int, page_size: int) -> Answer: ...

    def reopen(self) -> None: ...

    def write(self, iova: int, length: int) -> None: ...


class Real:
    """The session's device."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.start = session.start_logging
        self.stop = session.stop_logging
        self.report = session.report_logging
        self.reopen = session.reopen

    def write(self, iova: int, length: int) -> None:
        """Let the device write.

        Raises HarnessError if its firmware refuses.
        """
        firmware = self._session.device.firmware
        if firmware is None:
            raise HarnessError("the device has no firmware")
        firmware.write((iova, length))


class Log(RuleBasedStateMachine):
    """The calls of a sequence; all sequences use the same device."""

    def __init__(
        self, device: Device, recorder: Recorder | None, aligned: bool, counts: Counter[str]
    ) -> None:
        """With ``aligned``, ranges begin and end where 64 bits of the device's log do.

        Without, the end of START's ranges is left out, which another test tries.
        """
        super().__init__()
        self.device = device
        self.recorder = recorder
        self.multiple = WORD if aligned else 1
        self.counts = counts
        self.log = DmaLog()

    @initialize()
    def begin(self) -> None:
        self.device.stop()
        if self.recorder is not None:
            self.recorder.transcript.restart("a sequence begins")

    @rule(sizes=st.lists(AT, min_size=1, max_size=MOST_RANGES), page_size=SIZES)
    def start(self, sizes: list[int], page_size: int) -> None:
        ranges = tuple(
            (BASE + number * GAP, self._up(size + 1) * page_size)
            for number, size in enumerate(sizes)
        )
        rest = 0 if self.multiple == WORD else 2 * WORD * page_size
        given = ((iova, length + rest) for iova, length in ranges)
        answer = self.device.start(*given, page_size=page_size)
        self.log.started(ranges, 0 if answer.error else logged_page_size(answer), answer)

    @precondition(lambda self: self.log.is_on)
    @rule(closes=st.integers(0, 3))
    def stop(self, closes: int) -> None:
        if closes == 0:
            self.device.reopen()
            self.log.off()
        else:
            self.log.stopped(self.device.stop())

    @precondition(lambda self: self.log.is_on)
    @rule(number=st.integers(0, MOST_RANGES - 1), at=AT, count=st.sampled_from([1, 1, 2, 7, 65]))
    def write(self, number: int, at: int, count: int) -> None:
        first, size = self.log.ranges[number % len(self.log.ranges)]
        iova = first + at * self.log.unit % size
        length = min(count * self.log.unit, first + size - iova)
        self.device.write(iova, length)
        self.log.wrote(iova, length)

    @rule(
        number=st.integers(0, MOST_RANGES - 1), at=AT, count=AT, page_size=SIZES, all_=st.booleans()
    )
    def report(self, number: int, at: int, count: int, page_size: int, all_: bool) -> None:
        """Report a part of a range, or all of it."""
        iova, length = BASE, WORD * PAGE
        if self.log.is_on:
            first, size = self.log.ranges[number % len(self.log.ranges)]
            units = size // self.log.unit
            begin = at % units // self.multiple * self.multiple
            end = min(begin + self._up(count + 1), units)
            iova = first + (0 if all_ else begin * self.log.unit)
            length = size if all_ else (end - begin) * self.log.unit
        answer = self.device.report(iova, length, page_size)
        found = set() if answer.error else logged(answer)
        self.counts["pages"] += len(found)
        self.log.reported(iova, length, page_size, answer, found)

    @invariant()
    def count(self) -> None:
        self.counts["steps"] += 1

    def _up(self, units: int) -> int:
        return -(-units // self.multiple) * self.multiple


@pytest.mark.parametrize(
    "aligned",
    [
        pytest.param(True, marks=pytest.mark.clause("dma-logging.sequence"), id="whole-words"),
        pytest.param(False, marks=pytest.mark.clause("dma-logging.sequence.any"), id="any-pages"),
    ],
)
def test_no_page_is_lost_in_a_random_sequence(
    session: Session, driver: Driver, record: Recorder, run: Run, aligned: bool
) -> None:
    need(driver, "write")
    counts: Counter[str] = Counter()
    sequences = partial(Log, Real(session), record, aligned, counts)
    used = run.asked.model_seed
    while counts["steps"] < run.asked.model_steps * STEPS[aligned]:
        try:
            take(sequences, used, shrinks=False)  # a known deviation would take minutes
        except Exception as failure:
            found = failure
            if isinstance(failure, RuleBroken) and not aligned:
                found = Deviation(str(failure))  # the other clauses are about whole words
            found.add_note(f"repeat these sequences: --model-seed={used} --driver={driver.name}")
            raise found from None
        used += 1
    record.transcript.note(f"{counts['steps']} steps, {counts['pages']} pages were reported")
