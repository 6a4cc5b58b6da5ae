# SPDX-License-Identifier: GPL-2.0-only
"""Print the catalogue: every clause with its tests, and the number of clauses of each level.

Exit status: 1 if a clause has no test or is not written yet, or a test in the suites has no clause.
"""

from __future__ import annotations

import contextlib
import io
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from fixtures.errors import RunError
from fixtures.paths import SUITES
from fixtures.record import catalogue
from fixtures.record.catalogue import Citation, Clause
from fixtures.record.level import LEVELS, with_level

WIDTH = 100  # columns
UNWRITTEN = "WRITE: "


class _Collector:
    """Collects the clauses of each test in the suites."""

    def __init__(self) -> None:
        self.clauses: dict[str, set[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            of_this = self.clauses.setdefault(item.nodeid.partition("[")[0], set())
            of_this.update(name for mark in item.iter_markers("clause") for name in mark.args)


def collected() -> dict[str, set[str]]:
    """Return the clauses of every test in the suites, by the test's name.

    Raises RunError if the tests cannot be collected.
    """
    collector = _Collector()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        # One driver suffices: every driver has the same tests.
        argv = [str(SUITES), "--collect-only", "-q", "--driver=mtty"]
        status = pytest.main(argv, plugins=[collector])
    if status != pytest.ExitCode.OK:
        raise RunError(f"the tests cannot be collected:\n{said.getvalue()}")
    return collector.clauses


def gaps(tests: dict[str, set[str]], clauses: Mapping[str, Clause]) -> list[str]:
    """Return a line for each clause without a test, text or source, and each test without a clause.

    ``./new clause`` leaves the word WRITE where text belongs.
    """
    covered: set[str] = set().union(*tests.values())
    unwritten = (
        f"{name}: its {key} is not written yet"
        for name, clause in clauses.items()
        for key in ("text", "source")
        if getattr(clause, key).startswith(UNWRITTEN)
    )
    return [
        *(f"{name}: this clause has no test" for name in clauses if name not in covered),
        *unwritten,
        *(f"{test}: this test has no clause" for test, of_this in tests.items() if not of_this),
    ]


def _entry(name: str, clause: Clause, tests: Iterable[str]) -> str:
    """Return a clause's entry, in lines of at most WIDTH columns."""
    applies = clause.applies
    needs = [*applies.capabilities, *applies.features, *(f"no {one}" for one in applies.lacks)]
    lines = [
        with_level(name, clause.level),
        *textwrap.wrap(clause.text, WIDTH - 4),
        *textwrap.wrap(f"source: {clause.source}", WIDTH - 4),
        f"applies: {', '.join(needs) if needs else 'always'}",
        *(f"test: {test}" for test in sorted(tests)),
    ]
    return "\n    ".join(lines)


def _table(sources: Iterable[Citation]) -> list[str]:
    """Return the lines with each source and its address."""
    return ["sources", *(f"    {one.cited}\n        {one.found}" for one in sources)]


def _totals(clauses: dict[str, Clause]) -> list[str]:
    """Return the table's lines: one row per part of the protocol, one column per level."""
    counts: Counter[tuple[str, str]] = Counter(
        (name.partition(".")[0], one.level) for name, one in clauses.items()
    )
    parts = list(dict.fromkeys(name.partition(".")[0] for name in clauses))
    rows = [[part, *(counts[part, level] for level in LEVELS)] for part in parts]
    rows.append(["all", *(sum(counts[part, level] for part in parts) for level in LEVELS)])
    width = max(len(part) for part in parts)
    heading = f"{'':{width}}" + "".join(f"{level:>8}" for level in LEVELS)
    return [heading, *(f"{row[0]:{width}}" + "".join(f"{n:>8}" for n in row[1:]) for row in rows)]


def main() -> int:
    """Print the catalogue, and return the exit status."""
    try:
        clauses, tests = catalogue.clauses(), collected()
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, clause in clauses.items():
        print(_entry(name, clause, [test for test, of_this in tests.items() if name in of_this]))
        print()
    print("\n".join([*_table(catalogue.sources().values()), "", *_totals(clauses)]))
    found = gaps(tests, clauses)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # `make clauses | head`
        sys.stderr.close()
