# SPDX-License-Identifier: GPL-2.0-only
"""What earlier runs say of a flaky clause, and that no evidence is ever explained away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.record import kept, memory
from fixtures.record.model import Results
from fixtures.record.results import write
from reports import premerge as report
from tests.unit.test_jobs import ECHO, GOOD, ZERO, judged, results, steps
from workflows import matrix, premerge
from workflows import memory as remembering
from workflows.series import Series
from workflows.step import Selection, StepResult

FLAKY = results({ECHO: {"verdict": "flaky", "reason": "once"}, ZERO: "conforms"})
CRASHED = results({ECHO: {"verdict": "deviates", "fingerprints": ["oops-1"]}, ZERO: "conforms"})
SKIPPED = results({ECHO: "not_applicable"})


def run(root: Path, number: int, found: Results) -> Path:
    """Write the results of a run below ``root``."""
    folder = root / f"20260101-{number:06}-x"
    folder.mkdir(parents=True)
    write(found, folder)
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six runs: two were flaky, and in one the clause did not apply."""
    run(tmp_path, 1, FLAKY)
    run(tmp_path / "steps" / "key", 2, GOOD)
    run(tmp_path / "steps" / "other", 3, FLAKY)
    run(tmp_path, 4, SKIPPED)
    run(tmp_path, 5, CRASHED)
    run(tmp_path / "tests", 6, FLAKY)  # the project's own
    (tmp_path / "20260101-000007-x").mkdir()
    (tmp_path / "20260101-000007-x" / "results.yaml").write_text("schema: 0\n", encoding="utf-8")
    monkeypatch.setattr(remembering, "RESULTS", tmp_path)
    return tmp_path


def test_runs_are_found_oldest_first(root: Path) -> None:
    assert [path.name[9:15] for path in kept.runs(root)] == [
        f"00000{n}" for n in (1, 2, 3, 4, 5, 7)
    ]
    assert kept.began("20261127-183338-debian-7.3") is not None
    assert kept.began("20261399-183338-x") is None
    assert kept.began("latest") is None


def test_a_flake_is_remembered(root: Path) -> None:
    assert memory.remembered(FLAKY, root) == {("mtty", ECHO): "flaky in 2 of 4 earlier runs"}
    but_for = [root / "20260101-000001-x"]
    assert memory.remembered(FLAKY, root, but_for) == {
        ("mtty", ECHO): "flaky in 1 of 3 earlier runs"
    }


def test_a_new_flake_is_told_as_one(root: Path) -> None:
    new = results({ZERO: "flaky"})
    assert memory.remembered(new, root) == {("mtty", ZERO): "flaky in 0 of 3 earlier runs"}


def test_without_earlier_runs_there_is_no_word(tmp_path: Path) -> None:
    assert memory.remembered(FLAKY, tmp_path) == {}
    assert memory.remembered(FLAKY, tmp_path / "none") == {}


def test_without_a_flake_no_run_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("fixtures.record.kept.runs")
    assert memory.remembered(CRASHED, root) == {}


def test_only_the_newest_runs_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST", 4)
    assert memory.remembered(FLAKY, root) == {("mtty", ECHO): "flaky in 1 of 2 earlier runs"}


def gate(*outcomes: StepResult) -> Any:
    of_these = steps(*outcomes)
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    return premerge.judgement(patches, Selection(("mtty",)), of_these, [])


def test_pre_merge_tells_it(root: Path) -> None:
    data = gate(judged(GOOD), judged(FLAKY))
    assert data["flaky"] == [f"patch 1: mtty: {ECHO}: once (flaky in 2 of 4 earlier runs)"]
    assert "(flaky in 2 of 4 earlier" in " ".join(report.text(data).split())
    folder = root / "20260101-000001-x"
    data = gate(judged(GOOD), StepResult(judged(GOOD).stage, {folder: FLAKY}))
    assert "1 of 3 earlier runs" in data["flaky"][0]


def test_a_matrix_tells_it(root: Path) -> None:
    told = matrix._attention(judged(FLAKY))
    assert told == [f"mtty: {ECHO}: flaky: once (flaky in 2 of 4 earlier runs)"]


def test_a_crash_is_reported_however_flaky_its_clause_was(root: Path) -> None:
    data = gate(judged(GOOD), judged(CRASHED))
    assert (data["status"], data["flaky"]) == (1, [])
    assert "oops-1" in report.text(data)
    # Also beside a flake of the same clause.
    both = results({ECHO: {"verdict": "deviates", "fingerprints": ["oops-1"]}, ZERO: "flaky"})
    data = gate(judged(FLAKY), judged(both))
    assert data["status"] == 1
    assert "oops-1" in report.text(data)
