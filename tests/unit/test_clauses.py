# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue: every clause has a test, and every test of the suites a clause."""

from __future__ import annotations

import subprocess
import sys

from fixtures.paths import CHECKOUT
from fixtures.record import catalogue
from workflows.clauses import gaps


def test_make_clauses_shows_no_gap() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workflows.clauses"],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for name, clause in catalogue.clauses().items():
        assert f"\n{name} ({clause.level})\n" in f"\n{done.stdout}"


def test_a_gap_is_told() -> None:
    tests = {"suites/a.py::test_a": {"a.rule"}, "suites/b.py::test_b": set[str]()}
    assert gaps(tests, ["a.rule", "b.rule"]) == [
        "b.rule: no test is of this clause",
        "suites/b.py::test_b: is of no clause",
    ]
