# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue: every clause has a test, and every test of the suites a clause."""

from __future__ import annotations

import subprocess
import sys

from fixtures.paths import CHECKOUT
from fixtures.record import catalogue

COLLECT = """
import sys, pytest

class Collect:
    def pytest_collection_finish(self, session):
        for item in session.items:
            clauses = [name for mark in item.iter_markers("clause") for name in mark.args]
            print("COLLECTED", item.nodeid.partition("[")[0], *clauses)

sys.exit(pytest.main(["suites", "--collect-only", "-q"], plugins=[Collect()]))
"""


def collected() -> dict[str, set[str]]:
    """Return the clauses of every test of the suites."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("COLLECTED")]
    return {test: set(clauses) for test, *clauses in rows}


def test_catalogue_and_suites_match() -> None:
    tests = collected()
    assert [test for test, clauses in tests.items() if not clauses] == []
    covered = set().union(*tests.values())
    assert covered == set(catalogue.clauses())
