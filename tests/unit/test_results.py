# SPDX-License-Identifier: GPL-2.0-only
"""From what tests learnt to results.yaml and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.record import table
from fixtures.record.results import BROKEN, CONFORMS, DEVIATES, NOT_APPLICABLE, Learnt, Results

ECHO, ZERO = "precopy-info.flags.v1-echo", "precopy-info.flags.v2-zero"


def learnt(verdict: str, clause: str = ECHO, **more: Any) -> Learnt:
    return Learnt(
        test=f"suites/x/test_x.py::test_it[mtty-{len(more)}]",
        driver="mtty",
        realization="software",
        clauses=(clause,),
        verdict=verdict,
        kernel={"spec": "debian:7.3", "release": "7.3.4"},
        machine={"accelerator": "tcg", "qemu": "7.2.22"},
        **more,
    )


def clause_of(folder: Path, *those: Learnt) -> dict[str, Any]:
    results = Results.begin(folder, "x")
    for one in those:
        results.add(one)
    entry: dict[str, Any] = results.as_data(True)["drivers"]["mtty"]["clauses"][ECHO]
    return entry


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([CONFORMS, CONFORMS], CONFORMS),
        ([CONFORMS, NOT_APPLICABLE], CONFORMS),
        ([CONFORMS, BROKEN], BROKEN),
        ([CONFORMS, BROKEN, DEVIATES], DEVIATES),
        ([NOT_APPLICABLE], NOT_APPLICABLE),
    ],
)
def test_tests_of_one_clause_become_one_verdict(
    tmp_path: Path, verdicts: list[str], together: str
) -> None:
    assert clause_of(tmp_path, *map(learnt, verdicts))["verdict"] == together


def test_a_deviation_is_expected_only_if_all_of_it_is(tmp_path: Path) -> None:
    known = learnt(DEVIATES, expected="because")
    assert clause_of(tmp_path, known)["expected"] is True
    assert "expected" not in clause_of(tmp_path, known, learnt(DEVIATES))


def test_the_reason_is_that_of_what_was_not_expected(tmp_path: Path) -> None:
    known = learnt(DEVIATES, expected="because", reason="known")
    entry = clause_of(tmp_path, known, learnt(DEVIATES, reason="new"))
    assert entry["reason"] == "new"
    assert clause_of(tmp_path, known)["reason"] == "because"
    away = learnt(NOT_APPLICABLE, expected="because", reason="not here")
    assert clause_of(tmp_path, away)["reason"] == "not here"


def test_what_decides_the_exit_status(tmp_path: Path) -> None:
    results = Results.begin(tmp_path, "x")
    results.add(learnt(CONFORMS, ECHO, expected="because"))
    results.add(learnt(DEVIATES, ZERO))
    assert results.gone == [("mtty", ECHO)]
    assert results.deviations == [("mtty", ZERO)]
    assert results.broken == []


def test_tests_that_saw_different_things(tmp_path: Path) -> None:
    results = Results.begin(tmp_path, "x")
    for word in ("echoed", "zeroed"):
        results.add(learnt(CONFORMS, behaviours={"precopy_info.flags.v1": word}))
    assert results.as_data(True)["drivers"]["mtty"]["behaviours"] == {
        "precopy_info.flags.v1": "varies"
    }


def test_the_file_is_there_before_the_end_and_says_so(tmp_path: Path) -> None:
    results = Results.begin(tmp_path, "debian:7.3")
    results.add(learnt(CONFORMS))
    written = yaml.safe_load((tmp_path / "latest" / "results.yaml").read_text())
    assert written["complete"] is False
    results.write(complete=True)
    written = yaml.safe_load((tmp_path / "latest" / "results.yaml").read_text())
    assert written["complete"] is True
    assert written["drivers"]["mtty"]["counts"][CONFORMS] == 1


def test_runs_of_the_same_second_do_not_share_a_folder(tmp_path: Path) -> None:
    folders = {Results.begin(tmp_path, "x").folder for _ in range(5)}
    assert len(folders) == 5


def test_the_table_has_a_row_a_driver_and_names_what_deviates(tmp_path: Path) -> None:
    results = Results.begin(tmp_path, "x")
    results.add(learnt(DEVIATES, behaviours={"precopy_info.flags.v1": "zeroed"}))
    lines = table.render(results.as_data(True))
    assert lines[0] == "debian:7.3 (7.3.4), QEMU 7.2.22 tcg"
    assert lines[3].split() == [
        "driver",
        "realization",
        "conforms",
        "deviates",
        "not_applicable",
        "broken",
        "flags.v1",
    ]
    assert lines[4].split() == ["mtty", "software", "0", "1", "0", "0", "zeroed"]
    assert lines[-1].startswith(f"mtty: {ECHO}: deviates")


def test_a_table_that_is_too_wide_goes_on_below(tmp_path: Path) -> None:
    results = Results.begin(tmp_path, "x")
    results.add(learnt(CONFORMS, behaviours={f"group.behaviour_{n}": "seen" for n in range(9)}))
    lines = table.render(results.as_data(True), width=72)
    assert max(map(len, lines)) <= 72
    assert sum(line.startswith("mtty") for line in lines) > 1
