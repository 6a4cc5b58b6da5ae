# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel's selftests are expected to skip, and known to fail: ``selftests.yaml``."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fixtures import description
from fixtures.description import Description
from fixtures.device.expectation import KernelRange, in_range
from workflows.tap import Report

PATH = Path(__file__).with_name("selftests.yaml")


class ExpectedSkip(Description):
    """Skips with one reason. "*" in ``test`` and ``says`` matches anything.

    ``test`` is the sub-test, "" if the whole program skips; ``says`` is a part of what it prints.
    ``number`` is how many such skips there are on each kind of device, but not on those named.
    """

    program: str
    test: str = ""
    but_not_on: tuple[str, ...] = Field(default=(), alias="but-not-on")
    says: str
    number: Annotated[int, Field(ge=1)]
    reason: str


class KnownFailure(Description):
    """A failure that does not fail the job. "*" in ``program``, ``test``, ``says``: anything.

    ``device`` is the kind of device, "*" all. ``program`` is "" if the device cannot be had,
    or fails beside the programs; ``test`` is "" if the program fails as a whole. ``says`` is a part
    of what is printed. ``kernels`` are ranges of versions, one of which must hold.
    """

    device: str
    program: str = ""
    test: str = ""
    says: str
    kernels: tuple[KernelRange, ...] = (">=0.0",)
    reason: str


class NotRun(Description):
    """A program that is not run on some kernels: ``kernels`` as for a known failure."""

    program: str
    kernels: tuple[KernelRange, ...]
    reason: str


class Expected(Description):
    """The whole file."""

    not_run: tuple[NotRun, ...] = Field(default=(), alias="not-run")
    skips: tuple[ExpectedSkip, ...]
    known: tuple[KnownFailure, ...]

    def not_for(self, release: str) -> dict[str, str]:
        """Return the programs that are not run on kernel ``release``, and why."""
        return {
            rule.program: rule.reason for rule in self.not_run if _is_for(release, rule.kernels)
        }


@functools.cache
def expected(path: Path = PATH) -> Expected:
    """Return what the file says.

    Raises DescriptionError.
    """
    return description.read(path, Expected)


@dataclass(frozen=True)
class Problem:
    """A failure, or a skip that differs: ``program`` is "" if it is not a program's."""

    program: str
    test: str
    lines: tuple[str, ...]

    @property
    def where(self) -> str:
        """The program and the sub-test, as far as there are any."""
        return ": ".join(filter(None, (self.program, self.test)))


@dataclass
class Judgement:
    """What became of one kind of device."""

    passed: int = 0
    skips: list[tuple[ExpectedSkip, int]] = field(default_factory=list)
    known: list[tuple[KnownFailure, Problem]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """How many skips were expected; the others are problems."""
        return sum(number for _, number in self.skips)


def judge(
    kind: str,
    release: str,
    reports: Mapping[str, Report],
    others: Iterable[Problem],
    rules: Expected,
) -> Judgement:
    """Return the judgement on the ``reports`` of the programs that ran, and on ``others``.

    ``kind`` is the kind of device, ``release`` that of the kernel under test.
    """
    found = list(others)
    for program, report in reports.items():
        found += [Problem(program, one.test, one.lines) for one in report.failures()]
    judged = Judgement(passed=sum(report.passed for report in reports.values()))
    wanted = [
        one
        for one in rules.known
        if fnmatchcase(kind, one.device) and _is_for(release, one.kernels)
    ]
    for problem in found:
        rule = next((one for one in wanted if _names(one, problem)), None)
        if rule is None:
            judged.problems.append(problem)
        else:
            judged.known.append((rule, problem))
    came = [rule for rule, _ in judged.known]
    for rule in wanted:
        tried = not rule.program or any(fnmatchcase(one, rule.program) for one in reports)
        if tried and rule not in came:
            gone = f"it is known to fail ({rule.says}) and does not: remove that from {PATH.name}"
            judged.problems.append(Problem(rule.program, rule.test, (gone,)))
    # What a program skips is not known if it failed as a whole.
    failed = {problem.program for problem in found if not problem.test}
    for program, report in reports.items():
        rules_of = [one for one in rules.skips if one.program == program]
        rules_of = [one for one in rules_of if kind not in one.but_not_on]
        judged.skips += _counted(report.skips, rules_of)
        judged.problems += _other_skips(program, report.skips, rules_of, program in failed)
    return judged


def _is_for(release: str, kernels: Iterable[KernelRange]) -> bool:
    return any(in_range(release, one) for one in kernels)


def _counted(
    skips: Sequence[tuple[str, str]], rules: Sequence[ExpectedSkip]
) -> Iterator[tuple[ExpectedSkip, int]]:
    for rule in rules:
        if number := sum(_expects(rule, *skip) for skip in skips):
            yield rule, number


def _other_skips(
    program: str, skips: Sequence[tuple[str, str]], rules: Sequence[ExpectedSkip], failed: bool
) -> Iterator[Problem]:
    """Yield the skips that no rule names, and the rules with another number of skips.

    A program that ``failed`` may not have come to all of them.
    """
    for test, why in skips:
        if not any(_expects(rule, test, why) for rule in rules):
            yield Problem(program, test, (f"it skips, which is not expected: {why}",))
    for rule in rules:
        number = sum(_expects(rule, *skip) for skip in skips)
        if number != rule.number and not failed:
            told = f"{number} skips, {rule.number} expected: {rule.reason}"
            yield Problem(program, rule.test, (told,))


def _expects(rule: ExpectedSkip, test: str, why: str) -> bool:
    return fnmatchcase(test, rule.test) and fnmatchcase(why, f"*{rule.says}*")


def _names(rule: KnownFailure, problem: Problem) -> bool:
    return (
        fnmatchcase(problem.program, rule.program)
        and fnmatchcase(problem.test, rule.test)
        and fnmatchcase("\n".join(problem.lines), f"*{rule.says}*")
    )
