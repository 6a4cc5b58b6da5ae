# SPDX-License-Identifier: GPL-2.0-only
"""Disagreements between runs of the same kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest

from fixtures.errors import SpecError
from fixtures.record.model import DriverResults, Failure, Judgement, Results, Verdict, nothing
from fixtures.record.results import write
from workflows import soak


def results(verdict: Verdict, word: str = "echoed") -> Results:
    clauses = {"a.rule": Judgement(verdict), "another.rule": Judgement("conforms")}
    about = DriverResults(clauses=clauses, behaviours={"flags": {word: ()}})
    return replace(nothing(), complete=True, drivers={"mtty": about})


def test_runs_that_agree() -> None:
    found = soak.disagreements([results("conforms")] * 3)
    assert found == {}
    assert soak.table(found, 3) == ["3 runs, no disagreement"]


def test_a_verdict_and_a_behaviour_that_differ() -> None:
    found = soak.disagreements([results("conforms"), results("deviates", "zeroed")])
    assert found == {
        ("mtty", "a.rule"): ["conforms", "deviates"],
        ("mtty", "flags"): ["echoed", "zeroed"],
    }
    assert "  mtty: a.rule: conforms 1, deviates 1" in soak.table(found, 2)


def test_what_is_flaky_each_time_is_a_disagreement_too() -> None:
    assert soak.disagreements([results("flaky")] * 2)


def test_a_run_that_was_not_carried_through_ends_it_with_what_was_learnt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    complete = [results("conforms"), results("broken"), nothing()]
    monkeypatch.setattr(soak, "SOAKS", tmp_path)

    def run(_: object, output: IO[str]) -> int:
        print("collected 1 item\nError: the archive\x1b[2J has no linux-source-9.9", file=output)
        return 2

    monkeypatch.setattr(soak, "run_pytest", run)
    monkeypatch.setattr(soak, "_latest", lambda folder: complete.pop(0))
    assert soak.main(["20"]) == soak.NOT_MADE
    said = capsys.readouterr()
    why = "error: run 3 could not be made: the archive has no linux-source-9.9; its output: "
    assert said.err.startswith(why)
    assert "mtty: a.rule: broken 1, conforms 1" in said.out


def test_a_kernel_that_is_not_there_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(soak, "SOAKS", tmp_path / "soak")
    with pytest.raises(SpecError, match="/nosuch: no such folder"):
        soak.main(["2", "--kernel=/nosuch"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("runs", ["", "many", "0", "-1", "\u00b2"])
def test_a_wrong_number_of_runs(runs: str) -> None:
    with pytest.raises(SpecError, match="RUNS=20"):
        soak.main(["--", runs])


def test_two_at_once_do_not_read_each_others_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A pytest that writes the results for its soak, and lets another soak run before it ends.
    def pytest_that(verdict: Verdict, meanwhile: Callable[[], None]) -> Callable[..., Any]:
        def run(options: Sequence[str], _: object) -> int:
            folder = next(word for word in options if word.startswith("--results="))[10:]
            (Path(folder) / "latest").mkdir(exist_ok=True)
            write(results(verdict), Path(folder) / "latest")
            meanwhile()
            return 0

        return run

    def other() -> None:
        monkeypatch.setattr(soak, "run_pytest", pytest_that("deviates", lambda: None))
        soak.main(["1"])

    monkeypatch.setattr(soak, "SOAKS", tmp_path)
    monkeypatch.setattr(soak, "run_pytest", pytest_that("flaky", other))
    assert soak.main(["1"]) == 1
    assert "mtty: a.rule: flaky 1" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "other",
    [
        Failure("the kernel complained: BUG: KASAN", "test_a", fingerprint="kasan-1"),
        Failure("another", "test_b"),
        Failure("HostFailed: x", "test_b", "broken"),
    ],
)
def test_what_differs_inside_a_clause_that_deviates_is_a_disagreement(other: Failure) -> None:
    known = Failure("a", "test_a", known="why")
    of_these = [holding(known), holding(known, other)]
    assert list(soak.disagreements(of_these)) == [("mtty", "a.clause")]
    assert soak.disagreements([holding(known), holding(known)]) == {}


def holding(*failures: Failure) -> Results:
    held = Judgement("deviates", failures=failures)
    return replace(results("conforms"), drivers={"mtty": DriverResults(clauses={"a.clause": held})})
