# SPDX-License-Identifier: GPL-2.0-only
"""Parts of jobs that need no kernel: changes, expectations, reports."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import DescriptionError, NoSpace, RunError, SpecError
from fixtures.kernel import source
from fixtures.kernel.spec import RefSpec
from fixtures.plugin import selection
from fixtures.progress import Progress
from fixtures.record import catalogue, compare, model
from fixtures.record.compare import Change, ChangeKind, Effect
from fixtures.record.model import Failure, Judgement, Results
from fixtures.record.results import merged, write
from reports import bisect as bisect_report
from reports import matrix as matrix_report
from reports import premerge as premerge_report
from reports.hosts import shares
from workflows import bisect_step, expect, history, matrix, premerge, step, subject
from workflows.premerge import PatchStep
from workflows.series import Commit, Series
from workflows.step import Selection, Stage, StepResult
from workflows.stop import Terminated

V2 = "feature.precopy_info_v2"
ECHO, ZERO = "precopy-info.flags.v1-echo", "precopy-info.flags.v2-zero"
LACKS = "feature.no-migration"  # applies to devices that cannot migrate


def results(
    clauses: dict[str, Any] | None = None, behaviours: dict[str, str] | None = None, **more: str
) -> Results:
    """Return results for mtty only; a clause's value is a verdict, or an entry as in results."""
    entries = {
        name: {"verdict": one} if isinstance(one, str) else one
        for name, one in (clauses or {}).items()
    }
    mtty = {"clauses": entries, "behaviours": behaviours or {}, "counts": {}} | more
    kernel = {"spec": "x", "release": "7.3.4"}
    machine = {"qemu": "7.2", "accelerator": "tcg"}
    data = {"schema": 1, "complete": True, "kernel": kernel, "machine": machine}
    return model.parse(data | {"drivers": {"mtty": mtty}})


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ("conforms", "deviates", Effect.WORSE),
        ("not_applicable", "deviates", Effect.WORSE),
        ("deviates", "conforms", Effect.BETTER),
        ("not_applicable", "conforms", Effect.CHANGED),
        ("conforms", "not_applicable", Effect.WORSE),
        ("conforms", "flaky", Effect.FLAKY),
        ("conforms", "broken", Effect.UNJUDGED),
    ],
)
def test_a_verdict_that_changes_has_an_effect(before: str, after: str, effect: Effect) -> None:
    (change,) = compare.changes(results({ECHO: before}), results({ECHO: after}))
    assert (change.kind, change.name, change.effect) == (ChangeKind.CLAUSE, ECHO, effect)


def test_a_known_deviation_of_a_rule_that_begins_to_apply_is_no_news() -> None:
    known = {"verdict": "deviates", "expected": True}
    begins = compare.changes(results({ECHO: "not_applicable"}), results({ECHO: known}))
    assert [change.effect for change in begins] == [Effect.CHANGED]
    breaks = compare.changes(results({ECHO: "conforms"}), results({ECHO: known}))
    assert [change.effect for change in breaks] == [Effect.WORSE]


def test_a_known_deviation_that_becomes_another_one_is_a_change_for_the_worse() -> None:
    known = {"verdict": "deviates", "expected": True}
    (change,) = compare.changes(results({ECHO: known}), results({ECHO: "deviates"}))
    assert change.effect is Effect.WORSE
    assert compare.changes(results({ECHO: "deviates"}), results({ECHO: known})) == []


def test_a_new_fault_of_the_kernel_is_a_change_for_the_worse() -> None:
    deviates = {"verdict": "deviates", "fingerprints": ["oops-1"]}
    assert compare.changes(results({ECHO: deviates}), results({ECHO: deviates})) == []
    other = {"verdict": "deviates", "fingerprints": ["oops-1", "oops-2"]}
    (change,) = compare.changes(results({ECHO: deviates}), results({ECHO: other}))
    assert (change.effect, change.fingerprints) == (Effect.WORSE, ("oops-2",))


@pytest.mark.parametrize(
    ("name", "before", "after", "effect"),
    [
        (V2, "absent", "supported", Effect.BETTER),
        (V2, "supported", "absent", Effect.WORSE),
        (V2, "supported", "refused", Effect.WORSE),
        ("precopy_info.flags.v2", "zeroed", "echoed", Effect.CHANGED),
        ("feature.migration_region", "absent", "supported", Effect.CHANGED),
    ],
)
def test_a_behaviour_is_judged_where_it_is_support(
    name: str, before: str, after: str, effect: Effect
) -> None:
    (change,) = compare.changes(
        results(behaviours={name: before}), results(behaviours={name: after})
    )
    assert (change.name, change.effect) == (name, effect)


def test_a_driver_that_goes_is_a_change_for_the_worse() -> None:
    (change,) = compare.changes(results(), results(absent="no CONFIG_SAMPLES"))
    assert (change.kind, change.after, change.effect) == (ChangeKind.DRIVER, "absent", Effect.WORSE)
    assert str(change) == "worse: mtty: present -> absent: no CONFIG_SAMPLES"


def test_a_part_of_a_run_is_held_against_that_part() -> None:
    whole, part = results({ECHO: "conforms", ZERO: "conforms"}), results({ECHO: "conforms"})
    assert compare.since_baseline(whole, part) == []
    (change,) = compare.changes(whole, part)
    assert (change.after, change.effect) == (compare.NOTHING, Effect.UNJUDGED)


def test_what_the_baseline_lacks_is_new() -> None:
    (change,) = compare.since_baseline(
        results({ECHO: "conforms"}), results({ECHO: "conforms", ZERO: "deviates"})
    )
    assert (change.name, change.before, change.effect) == (ZERO, compare.NOTHING, Effect.WORSE)
    nobody, known = model.nothing(), {"verdict": "deviates", "expected": True}
    assert [
        one.name
        for one in compare.since_baseline(nobody, results({ECHO: "conforms", ZERO: "deviates"}))
    ] == [ZERO]
    assert compare.since_baseline(nobody, results({ECHO: "conforms"}, {V2: "absent"})) == []
    assert compare.since_baseline(nobody, results({ECHO: known})) == []
    (broken,) = compare.since_baseline(nobody, results({ECHO: "broken"}))
    assert broken.effect is Effect.UNJUDGED
    assert compare.since_baseline(nobody, results({ECHO: "not_applicable"}, absent="why")) == []


def test_a_rule_for_those_that_lack_something_may_cease_to_apply() -> None:
    (change,) = compare.changes(results({LACKS: "conforms"}), results({LACKS: "not_applicable"}))
    assert change.effect is Effect.CHANGED


def failing(*failures: Failure) -> Results:
    """Return results for mtty, in which one clause deviates with ``failures``."""
    held = Judgement("deviates", failures=failures)
    return dataclasses.replace(
        results(), drivers={"mtty": model.DriverResults("software", clauses={ECHO: held})}
    )


HALF = Failure("a part is accepted", "x.py::test_it[half]", known="why")
NEW = Failure("4096 bytes of the kernel's heap at 0x12", "x.py::test_it[a_byte]")


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ((HALF,), (HALF,), None),
        ((HALF,), (HALF, NEW), Effect.WORSE),
        ((HALF,), (dataclasses.replace(HALF, known=""),), Effect.WORSE),
        ((NEW,), (dataclasses.replace(NEW, seen="another answer"),), Effect.WORSE),
        ((NEW,), (dataclasses.replace(NEW, test="x.py::test_it[half]"),), Effect.WORSE),
        ((NEW,), (dataclasses.replace(NEW, fingerprint="oops-1"),), Effect.WORSE),
        ((NEW,), (dataclasses.replace(NEW, known="why"),), None),
        # Addresses and counts differ from run to run.
        ((NEW,), (dataclasses.replace(NEW, seen=NEW.seen.replace("0x12", "0x34")),), None),
        # A known deviation may appear in any of the tests that it names.
        ((HALF,), (HALF, dataclasses.replace(NEW, known="why")), None),
        ((HALF, NEW), (HALF,), Effect.BETTER),
    ],
)
def test_a_change_inside_a_clause_that_deviates_is_seen(
    before: tuple[Failure, ...], after: tuple[Failure, ...], effect: Effect | None
) -> None:
    found = compare.changes(failing(*before), failing(*after))
    assert [change.effect for change in found] == ([] if effect is None else [effect])
    assert all(change.tests for change in found)


def test_what_else_than_the_kernel_differs_is_told() -> None:
    one = results()
    other = dataclasses.replace(
        one,
        suite=model.SuiteAbout("b" * 40, digest="2"),
        kernel=dataclasses.replace(one.kernel, flavour="debug", compiler="clang 14"),
        machine=model.MachineAbout("kvm", "8.0"),
        options={"model-seed": "2"},
    )
    assert compare.differences(one, one) == []
    assert [line.partition(":")[0] for line in compare.differences(one, other)] == [
        *("suite", "flavour", "machine", "compiler", "model-seed"),
    ]


def test_a_machine_that_was_changed_is_told() -> None:
    one = results()
    other = dataclasses.replace(one, options={"memory": "1024", "kernel-option": "nosmp"})
    assert compare.differences(one, other) == [
        "kernel-option: the default, now nosmp",
        "memory: the default, now 1024",
    ]
    assert model.parse(model.as_data(other)).options == other.options
    with pytest.raises(ValueError, match="options: memory is a number"):
        model.parse(model.as_data(one) | {"options": {"memory": "much"}})


@pytest.mark.parametrize("text", ["{", "[]", "schema: 3\ndrivers: {}", "schema: 1", "schema: 2"])
def test_what_holds_no_results_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"results\.yaml"):
        model.load(tmp_path)


# The expected changes of a series


def test_an_expected_change_is_covered_and_comes_true(tmp_path: Path) -> None:
    path = tmp_path / "expect.yaml"
    path.write_text(
        f"changes:\n  - behaviour: {V2}\n    before: absent\n    after: supported\n",
        encoding="utf-8",
    )
    (expected,) = expect.load(path, ["mtty"], Progress())
    before, after = results(behaviours={V2: "absent"}), results(behaviours={V2: "supported"})
    (change,) = compare.changes(before, after)
    assert expected.covers(change)
    assert expected.came_true(before, after)
    assert not expected.came_true(after, after)
    assert not expected.came_true(before, before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("changes: [{after: supported}]", "must have either a behaviour or a clause"),
        (
            f"changes: [{{behaviour: {V2}, clause: {ECHO}, after: x}}]",
            "must have either a behaviour or a clause",
        ),
        ("changes: [{behaviour: no.such, after: x}]", "has no behaviour no.such"),
        ("changes: [{clause: no.such, after: conforms}]", "has no clause no.such"),
        (f"changes: [{{behaviour: {V2}, after: zeroed}}]", "cannot be 'zeroed'; it is one of"),
        (f"changes: [{{clause: {ECHO}, after: conforms, drivers: [nic]}}]", "unknown driver: nic"),
        (f"changes: [{{clause: {ECHO}, to: conforms}}]", ":1:"),
        (
            f"changes: [{{behaviour: {V2}, before: absent, after: absent}}]",
            "before and after are both 'absent'",
        ),
        ("changes: \0", "no text that YAML can be"),
    ],
)
def test_an_expectation_that_makes_no_sense_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "expect.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DescriptionError, match=said):
        expect.load(path, ["mtty"], Progress())


def test_what_is_expected_of_others_is_said_to_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "expect.yaml"
    path.write_text(
        f"changes: [{{behaviour: {V2}, after: supported, drivers: [mlx5, mtty]}}]", encoding="utf-8"
    )
    assert [one.driver for one in expect.load(path, ["mtty"], Progress())] == ["mtty"]
    assert "ignored, as they are not tested: mlx5" in capsys.readouterr().err


# The gate, and its reports


FOLDERS = itertools.count()


def judged(found: Results) -> StepResult:
    return StepResult(Stage.JUDGED, {Path(f"somewhere-{next(FOLDERS)}"): found})


def steps(*outcomes: StepResult) -> list[PatchStep]:
    """Return steps with these outcomes, each compared with the last judged one."""
    made: list[PatchStep] = []
    last: PatchStep | None = None
    for number, outcome in enumerate(outcomes):
        changes: list[Change] = []
        if outcome.results and last and last.outcome.results:
            changes = compare.changes(last.outcome.results, outcome.results)
        commit = Commit(number, f"{number:040}", f"vfio: a patch, and what it is for, {number}")
        made.append(PatchStep(commit, outcome, last.commit if last else None, changes))
        last = made[-1] if outcome.results else last
    return made


GOOD, BAD = results({ECHO: "conforms"}), results({ECHO: "deviates"})
KNOWN = results({ECHO: {"verdict": "deviates", "expected": True}})
NOT_BUILT = StepResult(Stage.DOES_NOT_BUILD, problem="tree@1: does not compile: a.c:1: error: x")
V2_COMES = expect.Expected("mtty", ChangeKind.BEHAVIOUR, V2, "absent", "supported")
ECHO_GOES = expect.Expected("mtty", ChangeKind.CLAUSE, ECHO, "", "deviates")
ECHO_DIPS = expect.Expected("mtty", ChangeKind.CLAUSE, ECHO, "", "deviates", passing=True)
ECHO_BEGINS = expect.Expected(
    "mtty", ChangeKind.CLAUSE, ECHO, "not_applicable", "deviates", passing=True
)


@pytest.mark.parametrize(
    ("outcomes", "expected", "status"),
    [
        ([judged(GOOD), judged(GOOD)], [], 0),
        ([judged(GOOD), judged(BAD)], [], 1),
        ([judged(BAD), judged(GOOD)], [], 0),
        ([judged(GOOD), judged(BAD), judged(GOOD)], [], 1),
        ([judged(GOOD), NOT_BUILT, judged(GOOD)], [], 1),
        ([judged(GOOD), judged(BAD)], [ECHO_GOES], 0),
        ([judged(GOOD), judged(GOOD)], [ECHO_GOES], 1),
        ([judged(GOOD), judged(GOOD)], [V2_COMES], 1),
        ([judged(GOOD), judged(BAD), judged(GOOD)], [ECHO_DIPS], 0),
        ([judged(GOOD), judged(GOOD)], [ECHO_DIPS], 0),
        ([judged(GOOD), judged(BAD), judged(BAD)], [ECHO_DIPS], 1),
        ([judged(GOOD), judged(BAD), judged(GOOD)], [ECHO_BEGINS], 1),
        ([judged(GOOD), StepResult(Stage.OUT_OF_TIME, problem="--run-limit"), judged(GOOD)], [], 2),
        ([judged(GOOD), NOT_BUILT], [ECHO_GOES], 1),
        ([judged(GOOD), judged(results({ECHO: "broken"}))], [], 2),
        ([judged(results({ECHO: "broken"}))] * 2, [], 2),
        ([judged(GOOD), judged(results({ECHO: "not_applicable"})), judged(KNOWN)], [], 1),
        ([NOT_BUILT], [], 2),
    ],
)
def test_the_gate(outcomes: list[StepResult], expected: list[expect.Expected], status: int) -> None:
    of_these = steps(*outcomes)
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    data = premerge.judgement(patches, Selection(("mtty",)), of_these, expected)
    assert data["status"] == status
    text = premerge_report.text(data)
    assert max(map(len, text.splitlines())) <= 72
    assert all(one.commit.subject[:40] in text for one in of_these)
    assert data["verdict"].upper() in text
    assert data["verdict"].capitalize() in premerge_report.markdown(data)


def test_what_may_pass_and_stays_is_told_of_a_single_patch_too() -> None:
    of_these = steps(judged(GOOD), judged(BAD))
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    data = premerge.judgement(patches, Selection(("mtty",)), of_these, [ECHO_DIPS])
    assert data["status"] == premerge.WORSE
    text = premerge_report.text(data)
    assert f"    {ECHO} (SHOULD): conforms -> deviates (expected)\n" in text
    assert f"    {ECHO} (SHOULD): conforms -> deviates\n" in text.partition("the whole series")[2]


def test_a_patch_is_compared_with_the_last_one_that_could_be_judged() -> None:
    of_these = steps(judged(GOOD), NOT_BUILT, judged(BAD))
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    data = premerge.judgement(patches, Selection(("mtty",)), of_these, [])
    text = premerge_report.text(data)
    assert "compared with the base, the last judged step" in text
    assert "CHANGED FOR THE WORSE; PATCH 1 DOES NOT BUILD" in text
    assert f"    {ECHO} (SHOULD): conforms -> deviates\n        mtty\n" in text
    whole = text.partition("the whole series: from the base to patch 2\n")[2]
    assert (
        f"    {ECHO} (SHOULD): conforms -> deviates\n        mtty\n"
        in whole.partition("patch 1:")[0]
    )
    assert "## The whole series: from the base to patch 2\n" in premerge_report.markdown(data)


def test_the_report_of_a_bisect_fits_into_a_mail() -> None:
    about = {"commit": "a" * 40, "author": "A <a@b.c>", "date": "2026-01-02", "subject": "s " * 60}
    data = {
        "subject": "mtty: behaviour precopy_info.flags.v2",
        "flavour": "default",
        "found": "a" * 40,
        "doubt": "",
        "candidates": [about],
        "before": "zeroed",
        "after": "echoed",
        "good": "b" * 40,
        "bad": "c" * 40,
        "parents": [{"commit": "d" * 40, "value": "absent"}],
        "steps": [{"commit": "a" * 40, "subject": "s " * 60, "value": "", "reason": "does " * 30}],
    }
    text = bisect_report.text(data)
    assert max(map(len, text.splitlines())) <= 72
    assert "First commit with the change:" in text
    assert "The commit before it, dddddddddddd, shows neither: absent" in text
    assert "hosts" not in text
    far = [{"commit": "a" * 40, "subject": "s", "value": "", "reason": "", "host": "far"}]
    assert "\nhosts    far: aaaaaaaaaaaa\n" in bisect_report.text(data | {"steps": far})
    assert "does not confirm the" in bisect_report.text(
        data | {"found": "", "doubt": "a: x, and then y"}
    )


def test_a_matrix_has_a_column_for_each_kernel() -> None:
    about = {"absent": "", "behaviours": {V2: "absent"}, "counts": {"conforms": 3}}
    about |= {"deviations": {"MUST": {}, "SHOULD": {"total": 3, "known": 1}}}
    kernel = {"name": "k1", "stage": "judged", "problem": "", "release": "1", "drivers": {}}
    kernel |= {"attention": []}
    data = {
        "drivers": ["mtty"],
        "fail_on": "must",
        "kernels": [
            kernel | {"drivers": {"mtty": about}, "attention": ["mtty: a.rule: flaky: once"]},
            kernel | {"name": "k2", "stage": "does not build", "problem": "x", "release": ""},
            kernel | {"name": "k3", "drivers": {"mtty": about | {"behaviours": {V2: "supported"}}}},
        ],
        "changes": [
            {
                "from": 0,
                "to": 2,
                "changes": [
                    change.as_data()
                    for change in compare.changes(
                        results(behaviours={V2: "absent"}), results(behaviours={V2: "supported"})
                    )
                ],
            }
        ],
    }
    text = matrix_report.text(data)
    lines = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    assert [V2, "absent", "-", "supported"] in lines
    assert ["clauses deviate from MUST", "0", "-", "0"] in lines
    assert ["clauses deviate from SHOULD", "3 (1 known)", "-", "3 (1 known)"] in lines
    assert "\nfail on: must\n" in text
    kernels = data["kernels"]
    assert isinstance(kernels, list)
    many = data | {"kernels": kernels * 4}
    assert max(map(len, matrix_report.text(many).splitlines())) <= 72
    assert "does not build: x" in text
    assert "needs attention on k1\n  mtty: a.rule: flaky: once\n" in text
    assert "from k1 to k3" in text
    assert "hosts" not in text
    far = [kernel | {"host": "far"} for kernel in kernels]
    assert "\nhosts: far: 1, 2, 3\n" in matrix_report.text(data | {"kernels": far})


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([("base", ""), ("1", "")], ""),
        ([("base", "b"), ("1", "a"), ("2", "b")], "a: 1; b: base, 2"),
        ([("base", ""), ("1", "a")], "here: base; a: 1"),
        ([], ""),
    ],
)
def test_a_report_says_which_host_judged_what(steps: list[tuple[str, str]], text: str) -> None:
    assert shares(steps) == text


def test_history_tells_what_changed_in_each_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (spec, value) in enumerate(
        [("t@1", "absent"), ("debian:7.3", "supported"), ("t@2", "absent"), ("t@3", "supported")]
    ):
        one = results({ECHO: "broken"}, {V2: value})
        folder = tmp_path / "steps" / str(number) / f"20260102-03040{number}-x"
        folder.mkdir(parents=True)
        write(dataclasses.replace(one, kernel=dataclasses.replace(one.kernel, spec=spec)), folder)
    asked = ["--drivers=mtty", f"--results={tmp_path}"]
    assert history.main([*asked, f"--behaviour={V2}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"mtty: behaviour {V2}",
        "  2026-01-02 03:04:00  t@1 (7.3.4)         absent",
        "  2026-01-02 03:04:01  debian:7.3 (7.3.4)  supported",
        "  2026-01-02 03:04:02  t@2 (7.3.4)         absent",
        "  2026-01-02 03:04:03  t@3 (7.3.4)         supported   was absent",
    ]
    with pytest.raises(RunError, match=r"no run below .* has a value for mtty: clause"):
        history.main([*asked, f"--clause={ZERO}"])


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([judged(GOOD), judged(GOOD)], 0),
        ([judged(GOOD), judged(KNOWN)], 0),
        ([judged(GOOD), judged(BAD)], 1),
        ([judged(GOOD), judged(results(missing="why"))], 2),
        ([judged(GOOD), StepResult(Stage.DOES_NOT_BUILD, problem="x")], 2),
    ],
)
def test_a_matrix_ends_with(
    runs: list[StepResult], tree: Path, found: list[StepResult], status: int
) -> None:
    runs += found
    assert matrix.main([f"{tree}@base {tree}@topic", "--drivers=mtty"]) == status
    assert runs == []


def test_a_matrix_of_no_kernels_is_refused() -> None:
    with pytest.raises(SpecError, match="KERNELS= is missing"):
        matrix.main([" "])


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (judged(GOOD), bisect_step.GOOD),
        (judged(BAD), bisect_step.BAD),
        (StepResult(Stage.DOES_NOT_BUILD, problem="x"), bisect_step.SKIP),
        (judged(results()), bisect_step.SKIP),
    ],
)
def test_a_step_of_ones_own_bisect_ends_with(
    runs: list[StepResult], tree: Path, found: StepResult, status: int
) -> None:
    runs.append(found)
    asked = [f"--tree={tree}@topic", "--drivers=mtty", f"--clause={ECHO}", "--good=conforms"]
    assert bisect_step.main(asked) == status


def test_a_good_word_that_there_is_not_is_refused(tree: Path) -> None:
    asked = [f"--tree={tree}@topic", "--drivers=mtty", f"--clause={ECHO}", "--good=zeroed"]
    with pytest.raises(SpecError, match=r"GOOD=zeroed: .* is one of conforms, deviates"):
        bisect_step.main(asked)


# The subject of a bisect


def test_every_behaviour_chooses_tests() -> None:
    for name in catalogue.behaviours():
        assert selection.files_of(name), name


def test_a_message_has_no_paths_of_this_machine() -> None:
    spec = RefSpec("/home/me/linux@abc", Path("/home/me/linux"), "abc")
    folder = source.worktree_folder(spec.tree)
    said = f"{spec.text} does not compile: {folder}/a.c:1:1: error: x; the whole log: {folder}/log"
    assert step.for_a_mail(said, spec) == "a.c:1:1: error: x"
    skipped = f"does not build: {said}"  # a bisect's wording
    assert step.for_a_mail(skipped, spec) == "does not build: a.c:1:1: error: x"
    dark = "the machine did not come up: no ssh; its console (/home/me/x/console.log) ends with:"
    assert step.for_a_mail(dark, spec) == "the machine did not come up: no ssh"


def test_a_value_is_what_the_run_says() -> None:
    found = results({ECHO: "conforms"}, {V2: "absent"})
    assert subject.Subject(ChangeKind.BEHAVIOUR, V2, "mtty").value(found) == "absent"
    assert subject.Subject(ChangeKind.CLAUSE, ECHO, "mtty").value(found) == "conforms"
    assert subject.Subject(None, "flags").value(found) == "conforms"
    assert subject.Subject(None, "flags").value(BAD) == "deviates"
    both = {ECHO: "conforms", ZERO: {"verdict": "deviates", "expected": True}}
    assert subject.Subject(None, "flags").value(results(both)) == "known"
    assert subject.Subject(None, "flags").value(results(both | {ECHO: "deviates"})) == "deviates"


@pytest.mark.parametrize(
    ("outcome", "in_doubt"),
    [
        (judged(GOOD), False),
        (judged(BAD), False),
        (judged(results({ECHO: "flaky"})), True),
        (judged(results({ECHO: {"verdict": "broken", "reason": "GuestError: x"}})), True),
        (judged(results({ECHO: {"verdict": "broken", "reason": "BuildError: x"}})), False),
        (StepResult(Stage.CUT_SHORT, problem="the machine did not come up: x"), True),
        (StepResult(Stage.CUT_SHORT, problem="13 machines died in this run"), False),
        (StepResult(Stage.DOES_NOT_BUILD, problem="x"), False),
    ],
)
def test_a_step_in_doubt_is_made_once_more(
    runs: list[StepResult], outcome: StepResult, in_doubt: bool
) -> None:
    runs += [outcome, judged(GOOD)]
    spec = RefSpec("x", Path("/x"), "abc")
    made = step.run_for_certain(spec, Selection(), "a step", Progress())
    assert made.stage is (Stage.JUDGED if in_doubt else outcome.stage)
    assert len(runs) == (0 if in_doubt else 1)


def twice(runs: list[StepResult], first: StepResult, second: StepResult) -> StepResult:
    """Return the outcome of a step that is in doubt after its first run."""
    runs += [first, second]
    return step.run_for_certain(RefSpec("x", Path("/x"), "abc"), Selection(), "a step", Progress())


def test_what_was_judged_is_not_given_up_for_a_busy_host(runs: list[StepResult]) -> None:
    flaky = judged(results({ECHO: "flaky"}))
    made = twice(runs, flaky, StepResult(Stage.DOES_NOT_BOOT, problem="no ssh"))
    assert (made.stage, made.results) == (Stage.JUDGED, flaky.results)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ("flaky", "conforms", "flaky"),
        ("flaky", "flaky", "deviates"),  # it failed again
        ("flaky", "deviates", "deviates"),
        ({"verdict": "flaky", "fingerprints": ["kasan-1"]}, "conforms", "deviates"),
        ("broken", "conforms", "conforms"),
        ("broken", "broken", "broken"),
        ({"verdict": "deviates", "fingerprints": ["kasan-1"]}, "conforms", "deviates"),
        ({"verdict": "deviates", "fingerprints": ["kasan-1"]}, "not_applicable", "deviates"),
    ],
)
def test_a_second_run_erases_nothing_of_the_first(
    runs: list[StepResult], first: Any, second: str, verdict: str
) -> None:
    doubt = {ZERO: "broken"}  # causes a second run
    made = twice(runs, judged(results({ECHO: first} | doubt)), judged(results({ECHO: second})))
    assert made.results
    assert made.results.drivers["mtty"].clauses[ECHO].verdict == verdict


def test_a_clause_that_only_the_first_run_has_a_fault_of_is_kept(runs: list[StepResult]) -> None:
    leak = {"leaks.references": {"verdict": "deviates", "fingerprints": ["leak-1"]}}
    made = twice(runs, judged(results(leak | {ECHO: "flaky"})), judged(GOOD))
    assert made.results
    held = made.results.drivers["mtty"].clauses
    assert (held["leaks.references"].verdict, held[ECHO].verdict) == ("deviates", "flaky")


def test_a_fault_that_one_of_two_runs_of_a_patch_saw_is_for_the_worse(
    runs: list[StepResult],
) -> None:
    kasan = results({ECHO: "flaky", ZERO: {"verdict": "deviates", "fingerprints": ["kasan-1"]}})
    sound = results({ECHO: "conforms", ZERO: "conforms"})
    runs += [judged(sound), judged(kasan), judged(sound)]
    commits = tuple(Commit(number, str(number) * 40, "x") for number in range(2))
    patches = Series(Path("linux"), "v7.1", commits)
    made = premerge.judge_all(patches, Selection(("mtty",)), Progress())
    data = premerge.judgement(patches, Selection(("mtty",)), made, [])
    assert data["status"] == premerge.WORSE
    assert "kasan-1" in premerge_report.text(data)
    assert f"patch 1: mtty: {ECHO}:" in premerge_report.text(data).partition("flaky:")[2]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (NoSpace("no space left"), "no space left"),
        (Terminated("terminated by a signal"), "terminated by a signal"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_what_was_judged_before_a_step_that_cannot_be_made_is_reported(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, said: str
) -> None:
    outcomes = [judged(GOOD), judged(BAD)]

    def run(*_: object, **__: object) -> StepResult:
        if not outcomes:
            raise raised
        return outcomes.pop(0)

    monkeypatch.setattr(step, "run", run)
    commits = tuple(Commit(number, str(number) * 40, "x") for number in range(4))
    patches = Series(Path("linux"), "v7.1", commits)
    written: list[int] = []
    made = premerge.judge_all(
        patches, Selection(("mtty",)), Progress(), lambda steps: written.append(len(steps))
    )
    data = premerge.judgement(patches, Selection(("mtty",)), made, [])
    assert (data["status"], data["judged"], written) == (premerge.WORSE, 2, [1, 2, 3])
    assert said in premerge_report.text(data)
    made[1] = dataclasses.replace(made[1], changes=[])
    assert premerge.judgement(patches, Selection(("mtty",)), made, [])["status"] == 2


def test_what_a_run_that_was_cut_short_saw_is_for_the_worse() -> None:
    partial = dataclasses.replace(BAD, complete=False)
    out_of_time = StepResult(Stage.OUT_OF_TIME, {Path("x"): partial}, "--run-limit")
    of_these = [
        *steps(judged(GOOD)),
        PatchStep(
            Commit(1, "1" * 40, "x"),
            out_of_time,
            Commit(0, "0" * 40, "base"),
            premerge.changes(judged(GOOD), out_of_time),
        ),
    ]
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    assert premerge.judgement(patches, Selection(("mtty",)), of_these, [])["status"] == 1


def test_rules_that_cease_to_apply_are_named() -> None:
    those = (ECHO, ZERO, "state-machine.arcs")
    of_these = steps(
        judged(results(dict.fromkeys(those, "conforms"))),
        judged(results(dict.fromkeys(those, "not_applicable"))),
    )
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    data = premerge.judgement(patches, Selection(("mtty",)), of_these, [])
    text = premerge_report.text(data)
    assert data["status"] == premerge.WORSE
    assert all(name in text for name in those)


def steps_without_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep steps in ``tmp_path``, and build no kernels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(step, "STEPS", tmp_path / "steps")
    monkeypatch.setattr(step, "fingerprint", lambda: "x")
    monkeypatch.setattr("fixtures.kernel.identity", lambda *_: "y")
    monkeypatch.setattr("fixtures.kernel.provide", lambda *_: None)


def test_what_is_in_doubt_is_not_taken_for_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_without_kernels(tmp_path, monkeypatch)
    left = [results({ECHO: "flaky"}), GOOD, BAD]

    def test(_: RefSpec, __: Selection, folder: Path, *___: object) -> StepResult:
        run = folder / str(3 - len(left))
        run.mkdir()
        write(left.pop(0), run)
        found = step.judged(folder)
        assert found
        return found

    monkeypatch.setattr(step, "_test", test)
    spec = RefSpec("x", Path("/x"), "abc")
    for _ in range(3):  # the second run decides, without a third
        made = step.run(spec, Selection(), "a step", Progress())
        assert made.results
        assert made.results.drivers["mtty"].clauses[ECHO].verdict == "flaky"
    assert left == [BAD]


@pytest.mark.parametrize("verdict", ["flaky", "broken"])
def test_a_doubt_is_no_value(verdict: str) -> None:
    for one in (subject.Subject(ChangeKind.CLAUSE, ECHO, "mtty"), subject.Subject(None, "flags")):
        with pytest.raises(subject.NoValue):
            one.value(results({ECHO: verdict}))


def test_what_was_flaky_once_is_settled_by_another_run() -> None:
    for one in (subject.Subject(ChangeKind.CLAUSE, ECHO, "mtty"), subject.Subject(None, "flags")):
        assert one.value(results({ECHO: "flaky"}), settled=True) == "conforms"


KASAN = {"verdict": "deviates", "fingerprints": ["kasan-1"]}


def test_a_driver_that_only_an_earlier_run_came_to_is_kept() -> None:
    first = dataclasses.replace(results({ECHO: KASAN}), complete=False)
    second = dataclasses.replace(GOOD, drivers={}, complete=False)
    assert merged([first, second]).drivers["mtty"].clauses[ECHO].fingerprints == ("kasan-1",)


def test_what_only_an_earlier_run_could_not_judge_does_not_conform() -> None:
    first = dataclasses.replace(results({ECHO: "broken"}), complete=False)
    second = dataclasses.replace(results({ZERO: "conforms"}), complete=False)
    assert merged([first, second]).drivers["mtty"].clauses[ECHO].verdict == "broken"


@pytest.mark.parametrize(
    ("raised", "stage"),
    [
        (NoSpace("no space left"), Stage.JUDGED),
        (Terminated("terminated by a signal"), Stage.NOT_MADE),
        (KeyboardInterrupt(), Stage.NOT_MADE),
    ],
)
def test_a_second_run_that_cannot_be_made_loses_nothing_of_the_first(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, stage: Stage
) -> None:
    outcomes = [judged(results({ECHO: KASAN, ZERO: "flaky"}))]

    def run(*_: object, **__: object) -> StepResult:
        if not outcomes:
            raise raised
        return outcomes.pop(0)

    monkeypatch.setattr(step, "run", run)
    spec = RefSpec("x", Path("/x"), "abc")
    made = step.run_or_tell(spec, Selection(), "a step", Progress())
    assert made.stage is stage
    assert made.results
    assert made.results.drivers["mtty"].clauses[ECHO].fingerprints == ("kasan-1",)


@pytest.mark.parametrize("error", ["", "HarnessError: the double is not there"])
def test_what_a_run_saw_before_it_failed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    steps_without_kernels(tmp_path, monkeypatch)

    def pytest_run(_: object, __: object, folder: Path, *___: object) -> int:
        (folder / "20260101-000000-x").mkdir()
        (folder / "latest").symlink_to("20260101-000000-x")
        partial = dataclasses.replace(results({ECHO: KASAN}), complete=False, error=error)
        write(partial, folder / "latest")
        (folder / step.OUTPUT).write_text("", encoding="utf-8")
        return 2

    monkeypatch.setattr(step, "_pytest", pytest_run)
    spec = RefSpec("x", Path("/x"), "abc")
    made = step.run_or_tell(spec, Selection(), "a step", Progress())
    assert made.stage is Stage.NOT_MADE
    assert premerge.changes(judged(GOOD), made)[0].fingerprints == ("kasan-1",)


def test_a_kernel_that_was_cut_short_is_neither_better_nor_worse_for_it() -> None:
    partial = dataclasses.replace(results({ZERO: "conforms"}), complete=False)
    deviates = results({ECHO: "deviates", ZERO: "conforms"})
    assert compare.changes(deviates, partial) == []
    assert compare.changes(partial, deviates) == []
    assert compare.changes(partial, results({ZERO: "deviates"}))


def test_a_test_that_is_broken_beside_a_known_deviation_is_not_judged() -> None:
    known = Failure("a", "test_a", known="why")
    broken = Failure("HostFailed: x", "test_b", "broken")
    (change,) = compare.changes(failing(known), failing(known, broken))
    assert change.effect is Effect.UNJUDGED
    assert judged(failing(known, broken)).in_doubt
    flaky = Failure("b", "test_b", "flaky")
    (change,) = compare.changes(failing(known), failing(known, flaky))
    assert change.effect is Effect.FLAKY


def test_the_overview_names_a_patch_with_a_flaky_clause() -> None:
    of_these = steps(judged(GOOD), judged(results({ECHO: "flaky"}, {V2: "zeroed"})))
    patches = Series(Path("linux"), "v7.1", tuple(one.commit for one in of_these))
    data = premerge.judgement(patches, Selection(("mtty",)), of_these, [])
    assert "1 flaky" in premerge_report.text(data)


@pytest.mark.parametrize(
    "clauses",
    [
        "{x: {verdict: deviates, fingerprints: null}}",
        "{x: {verdict: deviates, fingerprints: 3}}",
        "{x: {verdict: [], reason: x}}",
        "{x: {verdict: {}, expected: true, fingerprints: [[1]]}}",
    ],
)
@pytest.mark.parametrize("behaviours", ["{}", "{a: [b]}", "{a: {b: c}}", "{a: null}"])
def test_a_file_of_schema_1_that_is_garbled_is_told_in_one_line(
    tmp_path: Path, clauses: str, behaviours: str
) -> None:
    path = tmp_path / "results.yaml"
    path.write_text(
        "{schema: 1, complete: true, kernel: {}, machine: {}, drivers: {mtty: {realization: x,"
        f" capabilities: [], behaviours: {behaviours}, clauses: {clauses}}}}}}}",
        encoding="utf-8",
    )
    with pytest.raises(RunError, match=r"results\.yaml: "):
        model.load(path)
