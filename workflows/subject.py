# SPDX-License-Identifier: GPL-2.0-only
"""The subject of a bisect: one behaviour, one clause, or the tests of ``pytest -k``."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass

from fixtures.device import chosen
from fixtures.errors import SpecError
from fixtures.plugin import selection
from fixtures.record import catalogue, compare
from fixtures.record.compare import NOTHING, ChangeKind
from fixtures.record.level import with_level
from fixtures.record.model import (
    BROKEN,
    CONFORMS,
    DEVIATES,
    FLAKY,
    KNOWN,
    NOT_APPLICABLE,
    TOLERATED,
    Results,
)


class NoValue(Exception):
    """The run gives no certain value, for the reason given."""


@dataclass(frozen=True)
class Subject:
    """A behaviour, a clause, or an expression for ``-k``, by ``name``, of one driver.

    ``kind`` is None for an expression, and ``driver`` may be "" then.
    """

    kind: ChangeKind | None
    name: str
    driver: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The options with which pytest runs the tests for the subject, and few others."""
        option = {ChangeKind.BEHAVIOUR: "--behaviour", ChangeKind.CLAUSE: "--clause", None: "-k"}[
            self.kind
        ]
        return (option, self.name) if self.kind is None else (f"{option}={self.name}",)

    @property
    def words_for_it(self) -> tuple[str, ...]:
        """The possible values."""
        if self.kind is ChangeKind.BEHAVIOUR:
            return catalogue.behaviours()[self.name].words
        return (CONFORMS, DEVIATES, NOT_APPLICABLE) if self.kind else (CONFORMS, KNOWN, DEVIATES)

    @property
    def title(self) -> str:
        """The text for a heading: a clause with its level."""
        level = catalogue.level(self.name) if self.kind is ChangeKind.CLAUSE else ""
        return with_level(str(self), level)

    def __str__(self) -> str:
        what = f"{self.kind.value} {self.name}" if self.kind else f"tests -k {self.name!r}"
        return f"{self.driver}: {what}" if self.driver else what

    def value(self, results: Results, *, settled: bool = False) -> str:
        """Return the value in ``results``, in one word.

        ``settled`` means that further runs were made: a clause that failed in only one of them, and
        without evidence, conforms.

        Raises NoValue if there is no value, or no certain one.
        """
        unsure = {BROKEN} if settled else {BROKEN, FLAKY}
        if self.kind is None:
            return self._worst(results, unsure)
        about = results.drivers.get(self.driver)
        if about is None:
            raise NoValue(f"no test ran for {self.driver}")
        word = compare.value(results, self.driver, self.kind, self.name)
        if self.kind is ChangeKind.CLAUSE and word == DEVIATES:
            return word  # certain, even if other clauses are in doubt
        for name, held in about.clauses.items():
            if held.verdict in unsure:
                raise NoValue(f"{name}: {held.verdict}: {held.why}")
        return CONFORMS if word == FLAKY else word

    def _worst(self, results: Results, unsure: Collection[str]) -> str:
        """Return the worst verdict of all tests; a known deviation ranks below a new one.

        A tolerated deviation does not count.
        """
        kinds = {held.kind for *_, held in results.held()}
        if DEVIATES in kinds:
            return DEVIATES
        if found := kinds & set(unsure):
            raise NoValue(f"some clauses are {' and '.join(sorted(found))}")
        if not kinds:
            raise NoValue("no test ran")
        if KNOWN in kinds:
            return KNOWN
        return CONFORMS if kinds & {CONFORMS, FLAKY, TOLERATED} else NOTHING


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the subject."""
    parser.add_argument("--behaviour", default="", help="the name of a behaviour")
    parser.add_argument("--clause", default="", help="the id of a clause")
    parser.add_argument("--tests", default="", help="an expression for pytest -k")


def of(asked: argparse.Namespace, drivers: tuple[str, ...], *, tests: bool = True) -> Subject:
    """Return the chosen subject; it may be an expression for ``-k`` only if ``tests``.

    Raises SpecError if the options choose none or several, or an unknown one.
    """
    named = [
        (kind, name)
        for kind, name in (
            (ChangeKind.BEHAVIOUR, asked.behaviour),
            (ChangeKind.CLAUSE, asked.clause),
            (None, asked.tests),
        )
        if name
    ]
    if len(named) != 1 or (asked.tests and not tests):
        or_tests = ", or TESTS= (for pytest -k)" if tests else ""
        raise SpecError(f"name one subject: BEHAVIOUR= or CLAUSE={or_tests}")
    kind, name = named[0]
    chosen(drivers)
    if kind is None:
        selection.check_expression("TESTS", name)
        return Subject(kind, name, drivers[0] if len(drivers) == 1 else "")
    name = selection.behaviour(name) if kind is ChangeKind.BEHAVIOUR else selection.clause(name)
    if kind is ChangeKind.CLAUSE and name not in catalogue.clauses():
        raise SpecError(f"{name}: name one clause, not a pattern")
    if len(drivers) != 1:
        raise SpecError(f"a {kind.value} needs one driver: DRIVER=mtty, for instance")
    return Subject(kind, name, drivers[0])
