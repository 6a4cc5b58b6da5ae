# SPDX-License-Identifier: GPL-2.0-only
"""What a series is meant to change: ``EXPECT=expect.yaml``.

changes:
  - behaviour: feature.precopy_info_v2
    drivers: [mtty, mlx5]   # left out: all that are tested
    before: absent          # left out: whatever it was
    after: supported
  - clause: precopy-info.flags.v2-zero
    after: conforms
  - clause: precopy-info.flags.v2-zero
    after: deviates
    passing: true           # between two patches; it need not come, nor last
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
    """One change that is expected of one driver; ``before`` is "" if any will do.

    One that is ``passing`` may come, between two patches, and need not last.
    """

    driver: str
    kind: ChangeKind
    name: str
    before: str
    after: str
    passing: bool = False

    def covers(self, change: Change) -> bool:
        """Return whether ``change`` is, or leads to, the one that was expected."""
        ours = (self.driver, self.kind, self.name, self.after)
        theirs = (change.driver, change.kind, change.name, change.after)
        # Other than a change on the way to what is meant, one that passes is itself what is meant.
        if self.passing and self.before not in ("", change.before):
            return False
        return ours == theirs and not change.fingerprints  # a fault of the kernel is never meant

    def came_true(self, before: Results, after: Results) -> bool:
        """Return whether two runs show the change."""
        was, now = self.seen(before), self.seen(after)
        return now == self.after != was and self.before in ("", was)

    def seen(self, results: Results) -> str:
        """Return what ``results`` have for that driver under that name."""
        return compare.value(results, self.driver, self.kind, self.name)


def load(path: Path, drivers: Sequence[str], progress: Progress) -> list[Expected]:
    """Return what the file ``path`` expects of ``drivers``.

    Raises DescriptionError if it cannot be read, or names what there is not.
    """
    entries = description.read(path, _Expectations).changes
    named = {driver for entry in entries for driver in entry.drivers}
    if others := named - set(drivers) & set(known_drivers()):
        progress.note(f"{path}: not looked at, as not tested: {', '.join(sorted(others))}")
    return [
        Expected(driver, kind, name, entry.before, entry.after, entry.passing)
        for entry in entries
        for kind, name in [_subject(entry, path)]
        for driver in entry.drivers or drivers
        if driver in drivers
    ]


def _subject(entry: _Entry, path: Path) -> tuple[ChangeKind, str]:
    """Return what ``entry`` is about, once it is known to make sense."""
    if bool(entry.behaviour) == bool(entry.clause):
        raise DescriptionError(f"{path}: every change names one behaviour, or one clause")
    if unknown := set(entry.drivers) - known_drivers().keys():
        raise DescriptionError(f"{path}: no driver is called {', '.join(sorted(unknown))}")
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
        raise DescriptionError(f"{path}: {name}: from {entry.before!r} to the same is no change")
    for word in filter(None, (entry.before, entry.after)):
        if word not in (*words, NOTHING):
            raise DescriptionError(
                f"{path}: {name} is never {word!r}; it is one of {', '.join(words)}"
            )
    return kind, name
