# SPDX-License-Identifier: GPL-2.0-only
"""From the results of tests to results.yaml and the table."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.record import table
from fixtures.record.model import (
    BROKEN,
    CONFORMS,
    DEVIATES,
    FLAKY,
    NOT_APPLICABLE,
    DriverResults,
    Failure,
    Judgement,
    Results,
    SuiteAbout,
    Verdict,
    load,
)
from fixtures.record.results import DECODED, Collector, Learnt, write

ECHO, ZERO = "precopy-info.flags.v1-echo", "precopy-info.flags.v2-zero"


def learnt(verdict: Verdict, clause: str = ECHO, **more: Any) -> Learnt:
    failed = {key: more.pop(key) for key in ("seen", "known", "fingerprint") if key in more}
    if verdict in (DEVIATES, BROKEN, FLAKY):
        failure = Failure(failed.pop("seen", "it"), f"{len(failed)}", verdict, **failed)
        more["failures"] = (failure,)
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


def collected(folder: Path, *those: Learnt) -> Results:
    collector = Collector.begin(folder, "x")
    for one in those:
        collector.add(one)
    return collector.results()


def clause_of(folder: Path, *those: Learnt) -> Judgement:
    return collected(folder, *those).drivers["mtty"].clauses[ECHO]


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
    tmp_path: Path, verdicts: list[Verdict], together: str
) -> None:
    assert clause_of(tmp_path, *map(learnt, verdicts)).verdict == together


def test_a_deviation_is_expected_only_if_all_of_it_is(tmp_path: Path) -> None:
    known = learnt(DEVIATES, known="because")
    assert clause_of(tmp_path, known).kind == "known"
    assert clause_of(tmp_path, known, learnt(DEVIATES)).kind == DEVIATES


def test_the_reason_is_that_of_what_was_not_expected(tmp_path: Path) -> None:
    known = learnt(DEVIATES, known="because", seen="what it was")
    held = clause_of(tmp_path, known, learnt(DEVIATES, seen="new"))
    assert held.why == "new"
    assert clause_of(tmp_path, known).why == "because"
    assert clause_of(tmp_path, learnt(NOT_APPLICABLE, reason="not here")).why == "not here"


def test_what_decides_the_exit_status(tmp_path: Path) -> None:
    results = collected(tmp_path, learnt(CONFORMS), learnt(DEVIATES, ZERO))
    assert [clause for _, clause, _ in results.of_kind(DEVIATES)] == [ZERO]
    assert results.of_kind(BROKEN) == []
    assert collected(tmp_path, learnt(CONFORMS, missing="why")).missing == {"mtty": "why"}


def test_a_fault_that_two_parts_of_a_test_tell_of_is_one(tmp_path: Path) -> None:
    oops = learnt(DEVIATES, fingerprint="oops-1")
    assert len(clause_of(tmp_path, oops, oops).failures) == 1
    assert len(clause_of(tmp_path, oops, learnt(DEVIATES, fingerprint="oops-2")).failures) == 2


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    failures = (
        Failure("it fails", "x.py::test_it[1]", known="because", fixed_by="abc"),
        Failure("a splat", "x.py::test_it[2]", fingerprint="oops-1", after="x.py::test_that[1]"),
    )
    one = learnt(CONFORMS, behaviours={"precopy_info.flags.v1": "echoed"}, capabilities=("P2P",))
    other = replace(one, clauses=(ZERO,), verdict=DEVIATES, failures=failures)
    results = replace(
        collected(tmp_path, one, other),
        suite=SuiteAbout("c" * 40, True, "d"),
        options={"model-seed": "1"},
        error="RunError: x",
    )
    write(results, tmp_path)
    assert load(tmp_path) == results


def test_what_is_no_text_does_not_lose_the_rest(tmp_path: Path) -> None:
    results = Collector.begin(tmp_path, "x")
    one = learnt(DEVIATES, seen="said \ud800", transcript="a \udcff")
    results.add(one)
    results.write(complete=True)
    assert load(tmp_path / "latest").drivers["mtty"].clauses[ECHO].why == "said \\ud800"
    assert "\\udcff" in results.transcript_path(one.test).read_text(encoding="utf-8")


def test_tests_that_saw_different_things(tmp_path: Path) -> None:
    words = ("echoed", "zeroed")
    those = [learnt(CONFORMS, behaviours={"precopy_info.flags.v1": word}) for word in words]
    about = collected(tmp_path, *those).drivers["mtty"]
    assert about.words == {"precopy_info.flags.v1": "varies"}
    assert about.behaviours == {
        "precopy_info.flags.v1": dict.fromkeys(words, ("suites/x/test_x.py::test_it",))
    }


def test_the_file_is_there_before_the_end_and_says_so(tmp_path: Path) -> None:
    results = Collector.begin(tmp_path, "debian:7.3")
    results.add(learnt(CONFORMS))
    written = yaml.safe_load((tmp_path / "latest" / "results.yaml").read_text(encoding="utf-8"))
    assert written["complete"] is False
    results.write(complete=True)
    written = yaml.safe_load((tmp_path / "latest" / "results.yaml").read_text(encoding="utf-8"))
    assert written["complete"] is True
    assert written["drivers"]["mtty"]["counts"][CONFORMS] == 1


def test_runs_of_the_same_second_do_not_share_a_folder(tmp_path: Path) -> None:
    folders = {Collector.begin(tmp_path, "x").folder for _ in range(5)}
    assert len(folders) == 5


def test_the_table_has_a_row_a_driver_and_names_what_deviates(tmp_path: Path) -> None:
    results = Collector.begin(tmp_path, "x")
    results.add(learnt(DEVIATES, behaviours={"precopy_info.flags.v1": "zeroed"}))
    lines = table.render(results.results(), width=100)
    assert lines[0] == "debian:7.3 (7.3.4), QEMU 7.2.22 tcg"
    assert [re.split(r" {2,}", line.strip()) for line in lines[2:5]] == [
        ["clauses", "deviates", "deviates", "not_", "precopy_info"],
        [
            *("driver", "realization", "conforms", "from MUST", "from SHOULD"),
            *("applicable", "broken", "flags.v1"),
        ],
        ["mtty", "software", "0", "0", "1", "0", "0", "zeroed"],
    ]
    assert lines[-1].startswith(f"mtty: {ECHO} (SHOULD): deviates")


def test_a_table_that_is_too_wide_goes_on_below(tmp_path: Path) -> None:
    results = Collector.begin(tmp_path, "x")
    results.add(learnt(CONFORMS, behaviours={f"group.behaviour_{n}": "seen" for n in range(9)}))
    lines = table.render(results.results(), width=72)
    assert max(map(len, lines)) <= 72
    assert sum(line.startswith("mtty") for line in lines) > 1


def test_the_verdicts_of_seven_drivers_fit_beside_each_other(tmp_path: Path) -> None:
    """In 80 columns: the longest names, and more deviations than any driver has."""
    known = (Failure("it", known="a reason"),)
    clauses = {f"a.must-{n}": Judgement(DEVIATES, level="MUST", failures=known) for n in range(99)}
    for n in range(9):
        clauses[f"a.should-{n}"] = Judgement(DEVIATES, level="SHOULD", failures=known)
    about = DriverResults("software", clauses=clauses)
    names = ("hisi_acc", "mlx5", "mtty", "pds", "qat", "virtio", "xe")
    run = Collector.begin(tmp_path, "x").results()
    table_of_seven = table.render(replace(run, drivers=dict.fromkeys(names, about)))[:11]
    rows = [line for line in table_of_seven if line.startswith(names)]
    words = ["software", "0", "99 (99 known)", "9 (9 known)", "0", "0"]
    assert [re.split(r" {2,}", row)[1:] for row in rows] == [words] * 7
    assert max(map(len, table_of_seven)) <= 80


def test_another_try_of_a_test_does_not_take_the_place_of_the_first_ones_transcript(
    tmp_path: Path,
) -> None:
    first = learnt("deviates", transcript="open(3) = 0")
    decoded = replace(first, transcript=f"open(3) = 0{DECODED}\nvfio.c:1")
    ended = replace(first, transcript="open(3) = 0\nclose(3) = 0")
    again = replace(first, transcript="# a machine\nopen(3) = 0")
    collected(tmp_path, first, decoded, ended, again)
    (path,) = tmp_path.glob("latest/transcripts/*")
    assert path.read_text(encoding="utf-8") == (
        "open(3) = 0\nclose(3) = 0\n# the test was run again\n# a machine\nopen(3) = 0\n"
    )


def test_each_reason_of_a_known_deviation_is_told() -> None:
    held = Judgement("deviates", failures=(Failure("a", known="one"), Failure("b", known="two")))
    assert held.why == "one; two"
