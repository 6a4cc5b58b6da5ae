# SPDX-License-Identifier: GPL-2.0-only
"""What a bisect is about: one behaviour, one clause, or the tests that ``pytest -k`` chooses."""

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
    """The run does not say, for the reason given."""


@dataclass(frozen=True)
class Subject:
    """What is looked at: ``name`` is a behaviour's or a clause's, or an expression for ``-k``.

    ``kind`` is None for an expression.
    """

    kind: ChangeKind | None
    name: str
    driver: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The options that have pytest run what is needed, and little else."""
        option = {ChangeKind.BEHAVIOUR: "--behaviour", ChangeKind.CLAUSE: "--clause", None: "-k"}[
            self.kind
        ]
        return (option, self.name) if self.kind is None else (f"{option}={self.name}",)

    @property
    def words_for_it(self) -> tuple[str, ...]:
        """What its value can be."""
        if self.kind is ChangeKind.BEHAVIOUR:
            return catalogue.behaviours()[self.name].words
        return (CONFORMS, DEVIATES, NOT_APPLICABLE) if self.kind else (CONFORMS, KNOWN, DEVIATES)

    @property
    def title(self) -> str:
        """This for a heading: a clause with its level."""
        level = catalogue.level(self.name) if self.kind is ChangeKind.CLAUSE else ""
        return with_level(str(self), level)

    def __str__(self) -> str:
        what = f"{self.kind.value} {self.name}" if self.kind else f"tests -k {self.name!r}"
        return f"{self.driver}: {what}" if self.driver else what

    def value(self, results: Results, *, settled: bool = False) -> str:
        """Return what ``results`` say of it, in one word.

        Where that is ``settled``, further runs were made: what failed in one of them alone, and
        without evidence, conforms.

        Raises NoValue if they do not say, or not for certain.
        """
        unsure = {BROKEN} if settled else {BROKEN, FLAKY}
        if self.kind is None:
            return self._worst(results, unsure)
        about = results.drivers.get(self.driver)
        if about is None:
            raise NoValue(f"nothing was run for {self.driver}")
        word = compare.value(results, self.driver, self.kind, self.name)
        if self.kind is ChangeKind.CLAUSE and word == DEVIATES:
            return word  # whatever else is not known
        for name, held in about.clauses.items():
            if held.verdict in unsure:
                raise NoValue(f"{name}: {held.verdict}: {held.why}")
        return CONFORMS if word == FLAKY else word

    def _worst(self, results: Results, unsure: Collection[str]) -> str:
        """Return the worst verdict of all that was run, where a known deviation is not as bad.

        One that is tolerated does not count.
        """
        kinds = {held.kind for *_, held in results.held()}
        if DEVIATES in kinds:
            return DEVIATES
        if found := kinds & set(unsure):
            raise NoValue(f"some of it is {' and '.join(sorted(found))}")
        if not kinds:
            raise NoValue("no test was run")
        if KNOWN in kinds:
            return KNOWN
        return CONFORMS if kinds & {CONFORMS, FLAKY, TOLERATED} else NOTHING


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is looked at."""
    parser.add_argument("--behaviour", default="", help="the name of a behaviour")
    parser.add_argument("--clause", default="", help="the id of a clause")
    parser.add_argument("--tests", default="", help="an expression for pytest -k")


def of(asked: argparse.Namespace, drivers: tuple[str, ...], *, tests: bool = True) -> Subject:
    """Return what the options chose; ``tests`` tells whether that may be an expression for ``-k``.

    Raises SpecError if that is not one thing, or there is no such.
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
        raise SpecError(f"name one thing to look at: BEHAVIOUR= or CLAUSE={or_tests}")
    kind, name = named[0]
    chosen(drivers)
    if kind is None:
        selection.check_expression("TESTS", name)
        return Subject(kind, name, drivers[0] if len(drivers) == 1 else "")
    name = selection.behaviour(name) if kind is ChangeKind.BEHAVIOUR else selection.clause(name)
    if kind is ChangeKind.CLAUSE and name not in catalogue.clauses():
        raise SpecError(f"{name}: name one clause, not a pattern")
    if len(drivers) != 1:
        raise SpecError(f"whose {kind.value} is it? DRIVER= names one driver")
    return Subject(kind, name, drivers[0])
