# SPDX-License-Identifier: GPL-2.0-only
"""Read what a kernel selftest prints: TAP, as kselftest_harness.h writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PASSED, SKIPPED = 0, 4  # exit statuses of a selftest (KSFT_PASS, KSFT_SKIP)
_PLAN = re.compile(r"1\.\.(\d+)(?:\s+# SKIP\s*(.*))?")
_RESULT = re.compile(r"(not )?ok \d+(?: -)? (.*?)(?:\s+# (SKIP|XFAIL)\b\s*(.*))?")
_BEGINS = re.compile(r"#  RUN\s")
_CHATTER = re.compile(r"# (?:Starting|FAILED|PASSED|Totals)[: ]|TAP version|\s*$")

Outcome = Literal["pass", "fail", "skip"]


@dataclass(frozen=True)
class SubTest:
    """One result. ``why`` is the reason of a skip; ``said`` is what was printed before it."""

    name: str
    outcome: Outcome
    why: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """What is wrong: the sub-test, "" for the program as a whole, and the lines that say why."""

    test: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The output of one program, and its exit status; negative: the signal that ended it."""

    status: int
    planned: int | None  # sub-tests, None if it did not say
    tests: tuple[SubTest, ...]
    why: str  # why it skips all of them, if it does
    last: tuple[str, ...]  # what it printed after the last result

    @property
    def skips(self) -> list[tuple[str, str]]:
        """The name and the reason of each skip; the name is "" if the program skips as a whole."""
        found = [(one.name, one.why) for one in self.tests if one.outcome == "skip"]
        return [("", self.why), *found] if self.status == SKIPPED else found

    @property
    def passed(self) -> int:
        """How many sub-tests passed."""
        return sum(one.outcome == "pass" for one in self.tests)

    def failures(self) -> Iterator[Failure]:
        """Yield what is wrong; nothing if all that was planned passed or was skipped."""
        failed = [one for one in self.tests if one.outcome == "fail"]
        for one in failed:
            yield Failure(one.name, one.said or ("it does not say why",))
        done = f"after {len(self.tests)} of {self.planned or 0} sub-tests"
        if self.status == SKIPPED and not failed:
            return
        if self.status == PASSED:
            if self.planned is None:
                yield Failure("", ("it ended with status 0 and printed no plan", *self.last))
            elif len(self.tests) != self.planned:
                yield Failure("", (f"it ended with status 0 {done}", *self.last))
            elif failed:
                yield Failure("", (f"it ended with status 0 {done}, some of which failed",))
            return
        if not failed or len(self.tests) != self.planned:
            how = f"signal {-self.status}" if self.status < 0 else f"status {self.status}"
            yield Failure("", (f"it ended with {how} {done}", *self.last))


def read(output: str, status: int) -> Report:
    """Return what ``output`` says; lines that are no TAP belong to the result that follows."""
    planned, why = None, ""
    tests: list[SubTest] = []
    said: list[str] = []
    for line in output.splitlines():
        if found := _PLAN.fullmatch(line):
            planned, why = int(found[1]), found[2] or ""
        elif found := _RESULT.fullmatch(line):
            outcome: Outcome = "fail" if found[1] else "skip" if found[3] else "pass"
            reason = found[4] or ""
            reason = f"XFAIL {reason}" if found[3] == "XFAIL" else reason
            tests.append(SubTest(found[2], outcome, reason, tuple(said)))
            said = []
        elif _BEGINS.match(line):
            said = []
        elif not _CHATTER.match(line):
            said.append(line)
    return Report(status, planned, tuple(tests), why or (said[-1] if said else ""), tuple(said))
