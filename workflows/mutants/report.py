# SPDX-License-Identifier: GPL-2.0-only
"""The report on a driver's mutants, as text, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fixtures.record.table import Column, aligned
from reports import mutants_page
from workflows.mutants.mutant import Mutant
from workflows.mutants.operators import OPERATORS
from workflows.mutants.score import Score, share
from workflows.mutants.store import SURVIVED


@dataclass(frozen=True)
class About:
    """What a report is about. ``sample`` says which mutants it has, ``command`` makes it again.

    ``driver_command`` is for all mutants of the driver.
    """

    driver: str
    kernel: str
    sample: str
    command: str
    driver_command: str


@dataclass(frozen=True)
class Report:
    """The report on the mutants of ``score``.

    ``sources`` are the driver's files, ``clauses`` which clauses ought to have seen survivors.
    """

    about: About
    score: Score
    sources: Mapping[str, bytes]
    clauses: Mapping[str, str]

    def text(self) -> str:
        """Return the report for a terminal."""
        lines = [*self._title(), "", *aligned(self._columns()), ""]
        for mutant in self.score.with_outcome(SURVIVED):
            lines += [f"survived: {self._named(mutant)}", *self._notes(mutant)]
            lines += [f"    {line}" for line in self._diff(mutant)] + [""]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the report in Markdown."""
        title, *more = self._title()
        heading, *rows = self._rows()
        lines = [f"# {title}", "", *(f"{line}  " for line in more), ""]
        lines += [row(heading), "|---" * len(heading) + "|", *map(row, rows), ""]
        for mutant in self.score.with_outcome(SURVIVED):
            lines += [f"## {self._named(mutant)}", ""]
            lines += [f"{line}  " for line in self._notes(mutant)]
            lines += ["", "```diff", *self._diff(mutant), "```", ""]
        return "\n".join(lines)

    def page(self) -> str:
        """Return the report as a page."""
        title, *facts = self._title()
        survivors = [
            mutants_page.Survivor(one.key, self._named(one), self._notes(one), self._diff(one))
            for one in self.score.with_outcome(SURVIVED)
        ]
        return mutants_page.render(title, facts, self._rows(), survivors)

    def survivors(self) -> list[str]:
        """Return a section in Markdown with a row for each survivor, without its diff."""
        found = self.score.with_outcome(SURVIVED)
        if not found:
            return []
        heading = ["mutant", "operator", "function", "line", "ought to be seen by"]
        rows = [
            [one.key, one.operator, one.function, str(one.line), self.clauses.get(one.key, "")]
            for one in found
        ]
        lines = [row(heading), "|---" * len(heading) + "|", *map(row, rows)]
        return [f"## Survivors of {self.about.driver}", "", *lines, ""]

    def _title(self) -> list[str]:
        about, median = self.about, self.score.median
        took = "" if median is None else f"; median {median:.1f} s from module to verdict"
        waiting = self.score.waiting
        return [
            f"Mutants of {about.driver} on {about.kernel}",
            f"{about.sample}{took}",
            f"killed of those that are not equivalent: {share(self.score.counts)}",
            *([f"survivors that a later flavour has not tried yet: {waiting}"] if waiting else []),
            f"again: {about.command}",
        ]

    def _columns(self) -> list[Column]:
        operators = {name: self.score.of_operator(name) for name in OPERATORS}
        rows = {**{name: one for name, one in operators.items() if one}, "all": self.score.counts}
        shown = [one for one in self.score.names if self.score.counts[one]]
        scores = zip(*(self.score.shares(counts) for counts in rows.values()), strict=True)
        names: Column = ("", "operator", list(rows))
        return [
            names,
            *(("", one, [str(counts[one]) for counts in rows.values()]) for one in shown),
            *(("", *one) for one in zip(self.score.headings, map(list, scores), strict=True)),
        ]

    def _rows(self) -> list[list[str]]:
        """Return the table by rows; the first is its heading."""
        columns = self._columns()
        heading = [" ".join(filter(None, one[:2])) for one in columns]
        return [heading, *map(list, zip(*(cells for _, _, cells in columns), strict=True))]

    def _named(self, mutant: Mutant) -> str:
        return f"{mutant.key}: {mutant.place}"

    def _notes(self, mutant: Mutant) -> list[str]:
        """Return the clause that ought to have seen ``mutant``, and how to run it alone."""
        ought = self.clauses.get(mutant.key)
        return [
            *([f"ought to be seen by {ought}"] if ought else []),
            f"alone: {self.about.driver_command} MUTANT={mutant.key}",
        ]

    def _diff(self, mutant: Mutant) -> list[str]:
        return mutant.diff(self.sources[mutant.path]).splitlines()


def row(cells: Iterable[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"
