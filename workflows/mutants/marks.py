# SPDX-License-Identifier: GPL-2.0-only
"""What a person said of mutants: ``marks.yaml``."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from fixtures import description
from fixtures.description import Description
from fixtures.errors import SpecError
from workflows.mutants.mutant import Mutant

MARKS = Path(__file__).with_name("marks.yaml")


class Beside(Description):
    """Functions of ``driver`` that get no mutants, by patterns."""

    driver: str
    functions: tuple[str, ...]
    reason: str


class Mark(Description):
    """What a person said of a mutant, by its key; ``place`` is its operator and function."""

    driver: str
    mutant: str
    place: str
    reason: str


class Equivalent(Mark):
    """A mutant that does what the unchanged driver does."""


class Missing(Mark):
    """A survivor that ``clause`` ought to see; "" if no clause is about it."""

    clause: str = ""


class Marks(Description):
    """All marks."""

    beside: tuple[Beside, ...] = ()
    equivalent: tuple[Equivalent, ...] = ()
    missing: tuple[Missing, ...] = ()

    def in_scope(self, driver: str, mutants: Iterable[Mutant]) -> list[Mutant]:
        """Return those of ``mutants`` whose function is part of the protocol."""
        patterns = [
            pattern for one in self.beside if one.driver == driver for pattern in one.functions
        ]
        return [
            mutant
            for mutant in mutants
            if not any(fnmatchcase(mutant.function, pattern) for pattern in patterns)
        ]

    def check(self, driver: str, mutants: Iterable[Mutant]) -> None:
        """Check that the marks of ``driver`` are of the mutants that they say they are of.

        A mark whose mutant another kernel does not have is passed over. Raises SpecError.
        """
        places = {one.key: one.place for one in mutants}
        for mark in (*self.equivalent, *self.missing):
            found = places.get(mark.mutant, mark.place)
            if mark.driver == driver and found != mark.place:
                raise SpecError(f"{MARKS.name}: {mark.mutant} is {found}, not {mark.place}")

    def equivalents(self, driver: str) -> dict[str, str]:
        """Return the reasons why mutants of ``driver`` are equivalent, by key."""
        return {one.mutant: one.reason for one in self.equivalent if one.driver == driver}

    def clauses(self, driver: str) -> dict[str, str]:
        """Return which clauses ought to see survivors of ``driver``, and why not, by key."""
        return {
            one.mutant: f"{one.clause or 'no clause'}: {one.reason}"
            for one in self.missing
            if one.driver == driver
        }


@functools.cache
def marks() -> Marks:
    """Return the marks.

    Raises DescriptionError with file and line.
    """
    return description.read(MARKS, Marks)
