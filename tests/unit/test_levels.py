# SPDX-License-Identifier: GPL-2.0-only
"""Deviations from SHOULD and from MUST differ, and --fail-on decides which of them fail a run."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from fixtures.device import known_drivers
from fixtures.errors import SpecError
from fixtures.paths import CHECKOUT
from fixtures.record import catalogue, compare, level, model, table
from fixtures.record.compare import Effect
from fixtures.record.level import AnyLevel, FailOn
from fixtures.record.model import (
    BROKEN,
    DEVIATES,
    FLAKY,
    DriverResults,
    Failure,
    Judgement,
    KernelAbout,
    MachineAbout,
    Results,
    Verdict,
)
from fixtures.record.results import merged, write
from reports import html, junit, kcidb, ktap
from reports import matrix as matrix_report
from reports import premerge as premerge_report
from reports.run import ReportedRun
from tests.unit.test_jobs import judged, steps
from tests.unit.test_reports import Page
from tests.unit.test_verdicts import ARCS, Suites
from workflows import bisect_step, history, matrix, premerge, soak, subject
from workflows.series import Series
from workflows.step import Selection, StepResult

pytest_plugins = ["pytester"]

# mtty's file has no expectations for these clauses.
MUST, SHOULD = ARCS, "precopy-info.flags.v1-echo"
LENIENT = "--fail-on=must"
FAILS = """
    @pytest.mark.clause("{}")
    def test_it(record, driver_name):
        assert "zeroed" == "echoed"
"""


@pytest.fixture
def suites(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suites:
    return Suites(pytester, monkeypatch)


# A run


def test_the_clauses_of_these_tests_are_of_the_levels_that_they_are_for() -> None:
    assert (catalogue.level(MUST), catalogue.level(SHOULD)) == ("MUST", "SHOULD")


@pytest.mark.parametrize(
    ("clause", "options", "status", "kind"),
    [
        (MUST, [], 1, "deviates"),
        (SHOULD, [], 1, "deviates"),
        (SHOULD, ["--fail-on=should"], 1, "deviates"),
        (MUST, [LENIENT], 1, "deviates"),
        (SHOULD, [LENIENT], 0, "tolerated"),
        (SHOULD, ["--fail-on=MUST"], 0, "tolerated"),
    ],
)
def test_a_run_ends_with(
    suites: Suites, clause: str, options: list[str], status: int, kind: str
) -> None:
    done = suites.run(FAILS.format(clause), *options)
    held = done.held(clause)
    assert (done.status, held.verdict, held.kind) == (status, "deviates", kind)
    assert held.level == catalogue.level(clause)
    assert done.results.fail_on == ("must" if "must" in " ".join(options).lower() else "should")


def test_what_is_tolerated_is_shown_and_fails_nothing(suites: Suites) -> None:
    done = suites.run(FAILS.format(SHOULD), LENIENT, "-x")
    lines = done.printed.splitlines()
    seen = "assert 'zeroed' == 'echoed'"
    assert any(
        line.startswith(f"mtty: {SHOULD} (SHOULD): deviates, tolerated: {seen}") for line in lines
    )
    assert "1 deviation from a SHOULD is tolerated: --fail-on=must" in lines
    assert re.fullmatch(r"1 xfailed in .*", lines[-1])
    row = next(line for line in lines if line.startswith("mtty  "))
    assert re.split(r" {2,}", row)[2:5] == ["0", "0", "1 (1 tolerated)"]


def test_a_deviation_says_its_level(suites: Suites) -> None:
    done = suites.run(FAILS.format(SHOULD))
    assert f"mtty: {SHOULD} (SHOULD): deviates: " in done.printed
    assert "tolerated" not in done.printed
    done = suites.run(FAILS.format(MUST))
    assert f"mtty: {MUST} (MUST): deviates: " in done.printed


@pytest.mark.parametrize(
    "raised",
    [
        'raise FirmwareViolation("SUSPEND while suspended")',
        'raise Leak("open files: 7 after the device is gone, 5 before")',
        'raise KernelDied("the kernel died: panic", Splat("panic", "panic"))',
        'raise GuestLost("no answer after 30 s")',
        "said(record, *KASAN)",
        'said(record, *KASAN); assert "zeroed" == "echoed"',
    ],
)
def test_a_fault_fails_whatever_the_level(suites: Suites, raised: str) -> None:
    done = suites.run(
        f"""
        @pytest.mark.clause("{SHOULD}")
        def test_it(record, driver_name):
            {raised}
        """,
        LENIENT,
    )
    assert done.status == 1
    assert "1 failed" in done.printed
    assert any(held.kind == "deviates" for *_, held in done.results.held())


def test_what_is_broken_is_not_tolerated(suites: Suites) -> None:
    done = suites.run(
        f"""
        @pytest.mark.clause("{SHOULD}")
        def test_it(record, driver_name):
            raise HostFailed("no disk")
        """,
        LENIENT,
    )
    assert (done.status, done.held(SHOULD).kind) == (2, "broken")


def test_what_is_flaky_is_so_whatever_the_level(suites: Suites) -> None:
    done = suites.run(
        f"""
        TRIES = iter([True, False])

        @pytest.mark.clause("{SHOULD}")
        def test_it(record, driver_name):
            assert not next(TRIES)
        """,
        LENIENT,
    )
    assert (done.status, done.held(SHOULD).kind) == (0, "flaky")


def test_a_test_of_both_levels_fails_for_the_must(suites: Suites) -> None:
    done = suites.run(
        f"""
        @pytest.mark.clause("{MUST}", "{SHOULD}")
        def test_it(record, driver_name):
            assert "zeroed" == "echoed"
        """,
        LENIENT,
    )
    assert done.status == 1
    assert (done.held(MUST).kind, done.held(SHOULD).kind) == ("deviates", "tolerated")
    assert f"\n{MUST} (MUST): " in done.printed  # the failure shows the rule
    assert f"\n{SHOULD} (SHOULD): " not in done.printed


def test_a_known_deviation_stays_known(suites: Suites) -> None:
    known = "end-of-stream.pre-copy.enomsg"
    expected = known_drivers()["mtty"].expected("7.3.4", ["precopy_info_v2"])
    (expectation,) = (one for one in expected if one.clause == known)
    suites.patch.setattr(type(expectation), "names_test", lambda self, test: self.clause == known)
    suites.patch.setattr(type(expectation), "must_be_seen", lambda self, tests: False)
    done = suites.run(
        f"""
        @pytest.mark.clause("{known}")
        def test_it(record, driver_name):
            pytest.fail({expectation.seen!r})
        """,
        LENIENT,
    )
    assert (done.status, done.held(known).kind) == (0, "known")


def test_another_word_is_refused_in_one_line() -> None:
    argv = [sys.executable, "-m", "pytest", "--fail-on=may", "suites/precopy_info"]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r".*--fail-on=may: it is should .*\n", done.stderr)


@pytest.mark.parametrize("wrong", ["may", "", "musts"])
def test_a_word_that_is_no_choice(wrong: str) -> None:
    with pytest.raises(SpecError, match=f"^FAIL_ON={wrong}: it is should") as caught:
        level.fail_on("FAIL_ON", wrong)
    assert "\n" not in str(caught.value)


def test_a_baseline(suites: Suites) -> None:
    conforms = FAILS.format(SHOULD).replace("zeroed", "echoed")
    suites.run(conforms)
    path = suites._pytester.path / "baseline.yaml"
    latest = suites._pytester.path / "results/latest/results.yaml"
    path.write_text(latest.read_text(encoding="utf-8"), encoding="utf-8")
    against = f"--baseline={path}"
    done = suites.run(FAILS.format(SHOULD), against)
    assert done.status == 1
    assert f"worse: mtty: {SHOULD} (SHOULD): conforms -> deviates" in done.printed
    done = suites.run(FAILS.format(SHOULD), against, LENIENT)
    assert done.status == 0
    assert f"tolerated: mtty: {SHOULD} (SHOULD): conforms -> deviates" in done.printed
    assert "other conditions: fail-on: should, now must" in done.printed
    # An older file has no fail-on: its run had no such option.
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("  fail-on: should\n", ""), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    assert "fail-on" not in suites.run(conforms, against).printed


# results.yaml


def found(
    *failures: Failure,
    verdict: Verdict = DEVIATES,
    fail_on: FailOn = "should",
    clause: str = SHOULD,
    of_level: AnyLevel = "SHOULD",
) -> Results:
    """Return results for mtty with one tested clause."""
    held = Judgement(verdict, level=of_level, failures=failures)
    return dataclasses.replace(
        model.nothing(),
        complete=True,
        kernel=KernelAbout("x", "7.3.4"),
        machine=MachineAbout("tcg", "7.2.22"),
        drivers={"mtty": DriverResults(clauses={clause: held})},
        options={"fail-on": fail_on},
    )


NEW = Failure("it is zeroed", "x.py::test_it[mtty]")
PASSED = dataclasses.replace(NEW, tolerated=True)
CONFORMS = found(verdict="conforms")
STRICT, TOLERATED = found(NEW), found(PASSED, fail_on="must")


def test_a_file_keeps_the_levels_of_its_time(tmp_path: Path) -> None:
    write(found(NEW, of_level="MUST"), tmp_path)
    data = yaml.safe_load((tmp_path / "results.yaml").read_text(encoding="utf-8"))
    entry = data["drivers"]["mtty"]["clauses"][SHOULD]
    assert entry["level"] == "MUST"
    assert model.load(tmp_path).drivers["mtty"].clauses[SHOULD].level == "MUST"
    # Without a level in the file, today's catalogue decides.
    del entry["level"]
    (tmp_path / "results.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert model.load(tmp_path).drivers["mtty"].clauses[SHOULD].level == "SHOULD"
    data["drivers"]["mtty"]["clauses"] = {"a.rule": entry}
    (tmp_path / "results.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    results = model.load(tmp_path)
    assert results.drivers["mtty"].clauses["a.rule"].level == ""
    assert "from others" in "\n".join(table.render(results))


def test_a_level_that_there_is_not_is_refused() -> None:
    data = model.as_data(STRICT)
    data["drivers"]["mtty"]["clauses"][SHOULD]["level"] = "WILL"
    with pytest.raises(ValueError, match="level"):
        model.parse(data)


@pytest.mark.parametrize(
    ("failures", "kind", "why"),
    [
        ([PASSED], "tolerated", "it is zeroed"),
        ([dataclasses.replace(PASSED, known="why")], "known", "why"),
        ([dataclasses.replace(PASSED, known="why"), PASSED], "tolerated", "it is zeroed"),
        ([PASSED, Failure("a splat", fingerprint="oops-1")], "deviates", "a splat"),
        ([PASSED, Failure("no disk", verdict=BROKEN)], "broken", "no disk"),
        ([PASSED, Failure("once", verdict=FLAKY)], "flaky", "once"),
    ],
)
def test_the_kind_of_a_clause(failures: list[Failure], kind: str, why: str) -> None:
    held = Judgement(DEVIATES, level="SHOULD", failures=tuple(failures))
    assert (held.kind, held.why) == (kind, why)


def test_what_is_flaky_in_two_runs_is_tolerated_too() -> None:
    flaky = dataclasses.replace(PASSED, verdict=FLAKY)
    runs = [found(flaky, verdict=FLAKY, fail_on="must") for _ in range(2)]
    assert merged(runs).drivers["mtty"].clauses[SHOULD].kind == "tolerated"


# Two runs


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (CONFORMS, STRICT, Effect.WORSE),
        (CONFORMS, TOLERATED, Effect.TOLERATED),
        (found(verdict="not_applicable"), TOLERATED, Effect.TOLERATED),
        (TOLERATED, CONFORMS, Effect.BETTER),
        (TOLERATED, found(PASSED, dataclasses.replace(PASSED, seen="b")), Effect.TOLERATED),
        (TOLERATED, found(PASSED, Failure("x", fingerprint="oops-1")), Effect.WORSE),
        (CONFORMS, found(PASSED, Failure("x", fingerprint="oops-1")), Effect.WORSE),
        (CONFORMS, found(PASSED, Failure("x", verdict=BROKEN)), Effect.UNJUDGED),
        (TOLERATED, STRICT, None),
        (STRICT, TOLERATED, None),
    ],
)
def test_a_change(before: Results, after: Results, effect: Effect | None) -> None:
    changes = compare.changes(before, after)
    assert [(one.effect, one.level) for one in changes] == ([(effect, "SHOULD")] if effect else [])


@pytest.mark.parametrize(
    ("last", "status", "verdict", "state"),
    [
        (STRICT, 1, "changed for the worse", "1 worse"),
        (TOLERATED, 0, "nothing changed for the worse; new deviations from a", "1 tolerated"),
    ],
)
def test_the_gate_of_a_series(last: Results, status: int, verdict: str, state: str) -> None:
    before = dataclasses.replace(CONFORMS, options=last.options)
    of_these = steps(judged(before), judged(last))
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    selection = Selection(("mtty",), fail_on=last.fail_on)
    data = premerge.judgement(patches, selection, of_these, [])
    assert data["status"] == status
    assert data["verdict"].startswith(verdict)
    text, markdown = premerge_report.text(data), premerge_report.markdown(data)
    assert max(map(len, text.splitlines())) <= 72
    assert f"    {SHOULD} (SHOULD): conforms -> deviates\n" in text
    assert f"- `{SHOULD} (SHOULD)`: conforms → deviates" in markdown
    assert f"  1  {state}" in text
    assert ("fail on  must" in text) == ("| fail on | must |" in markdown) == (status == 0)


def test_a_step_is_known_by_what_fails_it() -> None:
    strict, lenient = Selection(), Selection(fail_on="must")
    assert "--fail-on=should" in strict.argv()
    assert "--fail-on=must" in lenient.argv()


@pytest.mark.parametrize(("last", "status"), [(STRICT, 1), (TOLERATED, 0)])
def test_a_matrix(
    runs: list[StepResult],
    tree: Path,
    capsys: pytest.CaptureFixture[str],
    last: Results,
    status: int,
) -> None:
    runs += [judged(dataclasses.replace(CONFORMS, options=last.options)), judged(last)]
    asked = [f"{tree}@base {tree}@topic", "--drivers=mtty", f"--fail-on={last.fail_on}"]
    assert matrix.main(asked) == status
    said = capsys.readouterr().out
    kind = "tolerated" if status == 0 else "deviates"
    assert f"  mtty: {SHOULD} (SHOULD): {kind}: it is zeroed\n" in said
    counts = "1 (1 tolerated)" if status == 0 else "1"
    assert re.search(rf"^  clauses deviate from SHOULD +0 +{re.escape(counts)}$", said, re.M)
    assert re.search(r"^  clauses deviate from MUST +0 +0$", said, re.M)
    assert ("\nfail on: must\n" in said) == (status == 0)


def test_a_matrix_of_drivers_that_are_not_there() -> None:
    data = {"drivers": ["mtty"], "fail_on": "should", "kernels": [], "changes": []}
    assert "mtty" in matrix_report.text(data)


@pytest.mark.parametrize(
    ("last", "status"), [(STRICT, bisect_step.BAD), (TOLERATED, bisect_step.GOOD)]
)
def test_a_step_of_a_bisect_of_tests(
    runs: list[StepResult], tree: Path, last: Results, status: int
) -> None:
    runs.append(judged(last))
    asked = [f"--tree={tree}@topic", "--drivers=mtty", "--tests=flags", "--good=conforms"]
    assert bisect_step.main([*asked, f"--fail-on={last.fail_on}"]) == status


def test_a_bisect_of_a_clause_looks_at_the_clause(
    runs: list[StepResult], tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.append(judged(TOLERATED))
    asked = [f"--tree={tree}@topic", "--drivers=mtty", f"--clause={SHOULD}", "--good=conforms"]
    assert bisect_step.main([*asked, LENIENT]) == bisect_step.BAD
    assert f"bad: mtty: clause {SHOULD} (SHOULD): deviates\n" in capsys.readouterr().out


def test_a_subject_is_known_by_its_name_and_shown_with_its_level() -> None:
    clause = subject.Subject(compare.ChangeKind.CLAUSE, MUST, "mtty")
    assert (str(clause), clause.title) == (f"mtty: clause {MUST}", f"mtty: clause {MUST} (MUST)")
    tests = subject.Subject(None, "flags")
    assert tests.title == str(tests)


def test_history_says_the_level_of_the_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, one in enumerate([CONFORMS, found(NEW, of_level="MUST"), STRICT]):
        folder = tmp_path / f"2026010{number + 1}-030400-x"
        folder.mkdir()
        write(one, folder)
    assert history.main(["--drivers=mtty", f"--clause={SHOULD}", f"--results={tmp_path}"]) == 0
    rows = [line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == ["conforms", " was conforms", "deviates (SHOULD)"]


def test_a_soak_says_the_level() -> None:
    lines = soak.disagreements([CONFORMS, STRICT])
    assert lines["mtty", SHOULD] == ["conforms", "deviates (SHOULD) in test_it[mtty]"]


# Reports


@pytest.fixture(params=["should", "must"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> ReportedRun:
    """A run in which mtty deviates from a MUST and a SHOULD, and qat has a known deviation."""
    lenient = request.param == "must"
    should = Judgement(DEVIATES, level="SHOULD", failures=(PASSED if lenient else NEW,))
    known = dataclasses.replace(NEW, known="as it always did")
    clauses = {MUST: Judgement(DEVIATES, level="MUST", failures=(NEW,)), SHOULD: should}
    drivers: Mapping[str, DriverResults] = {
        "mtty": DriverResults(clauses=clauses),
        "qat": DriverResults(clauses={SHOULD: dataclasses.replace(should, failures=(known,))}),
    }
    results = dataclasses.replace(
        model.nothing(), complete=True, drivers=drivers, options={"fail-on": request.param}
    )
    return ReportedRun(tmp_path, "x", results)


def is_lenient(run: ReportedRun) -> bool:
    return run.results.fail_on == "must"


def test_junit(run: ReportedRun) -> None:
    mtty, qat = ET.fromstring(junit.render(run)).findall("testsuite")
    cases = {case.get("name"): case for case in mtty.findall("testcase")}
    failure = cases[MUST].find("failure")
    assert failure is not None
    assert failure.get("message") == "deviates (MUST): it is zeroed"
    tag, message = ("failure", "deviates (SHOULD): it is zeroed")
    if is_lenient(run):
        tag, message = ("skipped", "tolerated deviation (SHOULD): it is zeroed")
    (said, *_) = cases[SHOULD]
    assert (said.tag, said.get("message")) == (tag, message)
    assert (mtty.get("failures"), mtty.get("errors")) == ("1" if is_lenient(run) else "2", "0")
    known = qat.find("testcase/skipped")
    assert known is not None
    assert known.get("message") == "known deviation (SHOULD): as it always did"


def test_ktap(run: ReportedRun) -> None:
    lines = [line.strip() for line in ktap.render(run).splitlines()]
    assert f"not ok 1 {MUST} # deviates (MUST): it is zeroed" in lines
    line = f"not ok 2 {SHOULD} # deviates (SHOULD): it is zeroed"
    if is_lenient(run):
        line = f"ok 2 {SHOULD} # XFAIL tolerated deviation (SHOULD): it is zeroed"
    assert line in lines
    assert f"ok 1 {SHOULD} # XFAIL known deviation (SHOULD): as it always did" in lines
    assert {"not ok 1 mtty", "ok 2 qat"} <= set(lines)
    assert ("# fail on: must" in lines) == is_lenient(run)


def test_ktap_of_a_driver_that_deviates_from_a_should_alone(run: ReportedRun) -> None:
    clauses = {SHOULD: run.results.drivers["mtty"].clauses[SHOULD]}
    results = dataclasses.replace(run.results, drivers={"mtty": DriverResults(clauses=clauses)})
    last = ktap.render(dataclasses.replace(run, results=results)).splitlines()[-1]
    assert last == ("ok 1 mtty" if is_lenient(run) else "not ok 1 mtty")


def test_kcidb(run: ReportedRun) -> None:
    data = json.loads(kcidb.render(run))
    tests = {test["id"].partition("/")[2]: test for test in data["tests"]}
    must, should = tests[f"mtty/{MUST}"], tests[f"mtty/{SHOULD}"]
    assert (must["status"], should["status"]) == ("FAIL", "FAIL")
    assert (must["misc"]["level"], must["misc"]["tolerated"]) == ("MUST", False)
    assert (should["misc"]["level"], should["misc"]["tolerated"]) == ("SHOULD", is_lenient(run))
    assert should["comment"] == "deviates (SHOULD): it is zeroed"
    assert len(data["issues"]) == 1
    schema = pytest.importorskip("kcidb_io").schema
    schema.LATEST.upgrade(data)
    schema.LATEST.validate(data)


def test_the_page(run: ReportedRun) -> None:
    text = html.render(run)
    page = Page(text)
    cells = {
        attributes["href"]: attributes
        for tag, attributes in page.elements
        if tag == "a" and (attributes.get("class") or "").startswith("sign")
    }
    kind, name = ("deviates", "new deviation")
    if is_lenient(run):
        kind, name = ("tolerated", "tolerated deviation")
    must, should = cells[f"#mtty/{MUST}"], cells[f"#mtty/{SHOULD}"]
    assert (must["class"], must["title"]) == ("sign deviates", "mtty: new deviation (MUST)")
    assert (should["class"], should["title"]) == (f"sign {kind} should", f"mtty: {name} (SHOULD)")
    data = json.loads(page.scripts["data"])
    assert data["held"]["mtty"][SHOULD]["name"] == f"{name} (SHOULD)"
    assert data["rules"][SHOULD]["level"] == data["held"]["mtty"][SHOULD]["level"] == "SHOULD"
    assert set(data["signs"]) >= {kind for _, _, held in run.results.held() for kind in [held.kind]}
    assert f"</span> {SHOULD} (SHOULD)</a>" in text
    counts = re.findall(r'<td class="count[^"]*">(\d) <span class="muted">\(([^<]*)\)</span>', text)
    assert counts == (
        [("1", "1 MUST"), ("1", "1 SHOULD"), ("1", "1 SHOULD")]
        if is_lenient(run)
        else [("2", "1 MUST, 1 SHOULD"), ("1", "1 SHOULD")]
    )
    assert ("tolerated deviation" in text) == is_lenient(run)


def test_the_page_names_a_must_first(run: ReportedRun) -> None:
    text = html.render(run).partition('id="matrix-title"')[0]
    assert text.index(f"{MUST} (MUST)") < text.index(f"{SHOULD} (SHOULD)")


def test_the_page_is_calm_where_all_is_tolerated(run: ReportedRun) -> None:
    clauses = {SHOULD: run.results.drivers["mtty"].clauses[SHOULD]}
    results = dataclasses.replace(run.results, drivers={"mtty": DriverResults(clauses=clauses)})
    text = html.render(dataclasses.replace(run, results=results))
    calm = "Nothing deviates that is not expected or tolerated, and nothing broke."
    assert (calm in text) == is_lenient(run)


def test_what_is_broken_beside_a_deviation_is_shown_as_broken(tmp_path: Path) -> None:
    known = dataclasses.replace(PASSED, known="why")
    results = found(known, Failure("no disk", "x.py::test_it[mtty]", BROKEN), fail_on="must")
    run = ReportedRun(tmp_path, "x", results)
    (test,) = json.loads(kcidb.render(run))["tests"]
    assert (test["status"], test["comment"]) == ("ERROR", "no disk")
    assert '<a class="sign broken" ' in html.render(run)
    assert f"not ok 1 {SHOULD} # ERROR no disk" in ktap.render(run)


def test_the_table_of_a_run(run: ReportedRun) -> None:
    lines = table.render(run.results)
    rows = {line.split()[0]: re.split(r" {2,}", line) for line in lines[4:6]}
    assert rows["mtty"][3:5] == ["1", "1 (1 tolerated)" if is_lenient(run) else "1"]
    assert rows["qat"][3:5] == ["0", "1 (1 known)"]
    assert f"qat: {SHOULD} (SHOULD): deviates as expected: as it always did" in lines
