# SPDX-License-Identifier: GPL-2.0-only
"""What a change between two runs stands on: the transcript of one test, before and after."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.errors import RunError
from fixtures.record.compare import ChangeKind
from fixtures.record.results import file_name
from fixtures.untrusted import cut
from reports.changes import Group
from reports.run import ReportedRun, TestFiles, load
from reports.side_by_side import Row, rows

Data = Mapping[str, Any]

_LIMIT = 24_000  # characters of one transcript
_BUDGET = 1_500_000  # of all in one page; the rest is named only
_MARKUP = 40  # of a line


@dataclass(frozen=True)
class Pair:
    """The transcripts of ``test`` in two runs: their files below the report's folder, "" for none.

    ``rows`` is empty if the page has no room.
    """

    test: str
    before: str
    after: str
    rows: tuple[Row, ...]


class Evidence:
    """Finds evidence in the folders of runs, for a report in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: dict[str, ReportedRun | None] = {}
        self._size = 0

    def of_groups(
        self, groups: Mapping[str, Sequence[Group]], before: str, after: str
    ) -> dict[str, list[tuple[Group, list[tuple[str, Pair]]]]]:
        """Return each group, by effect, with its drivers' evidence from the runs in two folders."""
        return {
            effect: [
                (
                    group,
                    [
                        (one["driver"], pair)
                        for one in group.changes
                        if (pair := self.of(one, before, after))
                    ],
                )
                for group in of_effect
            ]
            for effect, of_effect in groups.items()
        }

    def of(self, change: Data, before: str, after: str) -> Pair | None:
        """Return the evidence for ``change`` between the runs in two folders; None without any."""
        old, new = (
            self._found(change, where, word)
            for where, word in ((before, change["before"]), (after, change["after"]))
        )
        names = [name for name in new if name in old] or [*new] or [*old]
        if not names:
            return None
        pair = old.get(names[0]), new.get(names[0])
        texts = [_text(one) for one in pair]
        places = [self._place(one) for one in pair]
        shown = rows(*texts) if self._size < _BUDGET else []
        self._size += sum(len(one.before or "") + len(one.after or "") + _MARKUP for one in shown)
        return Pair(names[0], places[0], places[1], tuple(shown))

    def _found(self, change: Data, folder: str, word: str) -> dict[str, TestFiles]:
        """Return the files of the tests that ``change`` is about, the most telling first."""
        run = self._run(folder)
        about = run.results.drivers.get(change["driver"]) if run else None
        if run is None or about is None:
            return {}
        found: Iterable[TestFiles] = ()
        if change["kind"] == ChangeKind.BEHAVIOUR.value:
            tests = about.behaviours.get(change["name"], {})
            # Where tests disagree, the word is "varies", and all of them count.
            of_word = tests.get(word) or [test for seen in tests.values() for test in seen]
            found = [one for test in of_word for one in run.of_test(change["driver"], test)]
        elif change["name"] in about.clauses:
            found = run.evidence(change["driver"], change["name"])
        named = {file_name(test) for test in change["tests"]}
        return {
            one.name: one for one in sorted(found, key=lambda one: file_name(one.name) not in named)
        }

    def _run(self, folder: str) -> ReportedRun | None:
        if folder not in self._runs:
            try:
                self._runs[folder] = load(Path(folder)) if folder else None
            except RunError:  # it was removed since
                self._runs[folder] = None
        return self._runs[folder]

    def _place(self, one: TestFiles | None) -> str:
        return os.path.relpath(one.transcript.path, self._folder) if one else ""


def _text(one: TestFiles | None) -> str:
    if one is None:
        return ""
    try:
        return cut(one.transcript.text(), _LIMIT, one.transcript.name)
    except RunError:
        return ""
