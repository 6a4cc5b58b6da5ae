# SPDX-License-Identifier: GPL-2.0-only
"""The expected changes of a series: ``EXPECT=expect.yaml``.

changes:
  - behaviour: feature.precopy_info_v2
    drivers: [mtty, mlx5]   # if left out: all tested drivers
    before: absent          # if left out: any value
    after: supported
  - clause: precopy-info.flags.v2-zero
    after: conforms
  - clause: precopy-info.flags.v2-zero
    after: deviates
    passing: true           # may come between two patches; need not come, nor last
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures import description
from fixtures.description import Description
from fixtures.device import known_drivers
from fixtures.errors import DescriptionError
from fixtures.progress import Progress
from fixtures.record import catalogue, compare
from fixtures.record.compare import NOTHING, Change, ChangeKind
from fixtures.record.model import VERDICTS, Results


class _Entry(Description):
    after: str
    before: str = ""
    behaviour: str = ""
    clause: str = ""
    drivers: tuple[str, ...] = ()
    passing: bool = False


class _Expectations(Description):
    changes: tuple[_Entry, ...]


@dataclass(frozen=True)
class Expected:
    """One expected change of one driver; ``before`` is "" if any value matches.

    A ``passing`` change may come between two patches; it need not come, nor last.
    """

    driver: str
    kind: ChangeKind
    name: str
    before: str
    after: str
    passing: bool = False

    def covers(self, change: Change) -> bool:
        """Return whether ``change`` is the expected one, or a step towards it."""
        ours = (self.driver, self.kind, self.name, self.after)
        theirs = (change.driver, change.kind, change.name, change.after)
        # A `passing` entry matches only this exact change; a lasting one also a step towards it.
        if self.passing and self.before not in ("", change.before):
            return False
        return ours == theirs and not change.fingerprints  # a splat is never expected

    def came_true(self, before: Results, after: Results) -> bool:
        """Return whether two runs show the change."""
        was, now = self.seen(before), self.seen(after)
        return now == self.after != was and self.before in ("", was)

    def seen(self, results: Results) -> str:
        """Return the value in ``results`` for the driver and the name."""
        return compare.value(results, self.driver, self.kind, self.name)


def load(path: Path, drivers: Sequence[str], progress: Progress) -> list[Expected]:
    """Return the changes that the file ``path`` expects of ``drivers``.

    Raises DescriptionError if it cannot be read, or has an unknown name or word.
    """
    entries = description.read(path, _Expectations).changes
    named = {driver for entry in entries for driver in entry.drivers}
    if others := named - set(drivers) & set(known_drivers()):
        progress.note(f"{path}: ignored, as they are not tested: {', '.join(sorted(others))}")
    return [
        Expected(driver, kind, name, entry.before, entry.after, entry.passing)
        for entry in entries
        for kind, name in [_subject(entry, path)]
        for driver in entry.drivers or drivers
        if driver in drivers
    ]


def _subject(entry: _Entry, path: Path) -> tuple[ChangeKind, str]:
    """Return the kind and name of ``entry``.

    Raises DescriptionError if the entry is not valid.
    """
    if bool(entry.behaviour) == bool(entry.clause):
        raise DescriptionError(f"{path}: each change must have either a behaviour or a clause")
    if unknown := set(entry.drivers) - known_drivers().keys():
        raise DescriptionError(f"{path}: unknown driver: {', '.join(sorted(unknown))}")
    words: tuple[str, ...] = VERDICTS
    if entry.clause:
        kind, name = ChangeKind.CLAUSE, entry.clause
        if name not in catalogue.clauses():
            raise DescriptionError(f"{path}: suites/clauses.yaml has no clause {name}")
    else:
        kind, name = ChangeKind.BEHAVIOUR, entry.behaviour
        if name not in catalogue.behaviours():
            raise DescriptionError(f"{path}: suites/behaviours.yaml has no behaviour {name}")
        words = catalogue.behaviours()[name].words
    if entry.before == entry.after:
        raise DescriptionError(f"{path}: {name}: before and after are both {entry.before!r}")
    for word in filter(None, (entry.before, entry.after)):
        if word not in (*words, NOTHING):
            raise DescriptionError(
                f"{path}: {name} cannot be {word!r}; it is one of {', '.join(words)}"
            )
    return kind, name
