# SPDX-License-Identifier: GPL-2.0-only
"""Mutants: what the operators change, which are chosen, what is kept of them, and the reports."""

from __future__ import annotations

import builtins
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fixtures.errors import SpecError
from fixtures.paths import SUITES
from workflows.mutants import asked
from workflows.mutants import mutant as mutants
from workflows.mutants.bench import NotMade
from workflows.mutants.judge import Fault
from workflows.mutants.marks import Beside, Equivalent, Marks, Missing, marks
from workflows.mutants.mutant import Mutant
from workflows.mutants.operators import OPERATORS
from workflows.mutants.order import REACH, Order, suites_for
from workflows.mutants.report import About, Report
from workflows.mutants.score import EQUIVALENT, OPEN, Score, share
from workflows.mutants.store import KILLED, SURVIVED, Job, Known, Store, Verdict

pytest.importorskip("tree_sitter_c", reason="requirements-mutants.txt is not installed")

PATH = "drivers/vfio/pci/x/main.c"
SOURCE = """\
static ssize_t x_read(struct file *filp, char __user *buf, size_t len, loff_t *pos)
{
	struct x *x = filp->private_data;
	bool ended = false;
	int ret;

	guard(mutex)(&x->guarded);
	mutex_lock(&x->lock);
	if (*pos > x->size) {
		ret = -EINVAL;
		goto out;
	}
	ret = x_copy(buf, len);
	x->state = STATE_RUNNING;
	x->flags |= X_DIRTY;
	*pos += len;
	x->error = 0;
	INIT_LIST_HEAD(&x->list);
	fput(x->filp);
	x->filp = NULL;
	wake_up_interruptible(&x->wait);
out:
	mutex_unlock(&x->lock);
	return ret;
}
"""


def made_by(operator: str, source: str = SOURCE) -> list[tuple[str, str]]:
    """Return the lines that the mutants of an operator take out and put in."""
    data = source.encode()
    found = []
    for one in mutants.mutants_of(PATH, data):
        if one.operator == operator:
            diff = one.diff(data).splitlines()[3:]
            lines = {sign: [line[1:].strip() for line in diff if line[0] == sign] for sign in "-+"}
            found.append((" / ".join(lines["-"]), " / ".join(filter(None, lines["+"]))))
    return found


@pytest.mark.parametrize(
    ("operator", "changes"),
    [
        ("check-dropped", [("if (*pos > x->size) {", "if ((*pos > x->size) && 0) {")]),
        ("condition-negated", [("if (*pos > x->size) {", "if (!(*pos > x->size)) {")]),
        ("boundary", [("if (*pos > x->size) {", "if (*pos >= x->size) {")]),
        ("errno", [("ret = -EINVAL;", "ret = -EIO;")]),
        (
            "lock-left-out",
            [
                ("guard(mutex)(&x->guarded);", ";"),
                ("mutex_lock(&x->lock);", ";"),
                ("mutex_unlock(&x->lock);", ";"),
            ],
        ),
        ("reference-left-out", [("fput(x->filp);", ";")]),
        ("wake-up-left-out", [("wake_up_interruptible(&x->wait);", ";")]),
        ("state-left-out", [("x->state = STATE_RUNNING;", ";")]),
        ("length-wrong", [("*pos += len;", "*pos += (len) + 1;")]),
        ("return-ignored", [("ret = x_copy(buf, len);", "x_copy(buf, len);")]),
        ("flag-wrong", [("x->flags |= X_DIRTY;", "x->flags |= (X_DIRTY << 1);")]),
        (
            "initialisation-left-out",
            [
                ("bool ended = false;", "bool ended;"),
                ("x->error = 0;", ";"),
                ("INIT_LIST_HEAD(&x->list);", ";"),
                ("x->filp = NULL;", ";"),
            ],
        ),
    ],
)
def test_an_operator_makes_its_mistake_and_no_other(
    operator: str, changes: list[tuple[str, str]]
) -> None:
    assert made_by(operator) == changes


def test_two_statements_change_places_where_one_calls_a_function() -> None:
    source = "void f(void)\n{\n\tx->a = 1;\n\tx->b = 2;\n\tg();\n\tif (x)\n\t\th();\n}\n"
    (only,) = [
        one for one in mutants.mutants_of(PATH, source.encode()) if one.operator == "exchanged"
    ]
    assert only.apply(source.encode()).decode().split()[3:] == (
        ["x->a", "=", "1;", "g();", "x->b", "=", "2;", "if", "(x)", "h();", "}"]
    )


def test_each_operator_finds_something_in_the_example() -> None:
    found = Counter(one.operator for one in mutants.mutants_of(PATH, SOURCE.encode()))
    assert set(found) == set(OPERATORS)


def test_a_mutant_keeps_the_numbers_of_the_lines() -> None:
    """They are in the object code of WARN_ON() and others."""
    for one in mutants.mutants_of(PATH, SOURCE.encode()):
        changed = one.apply(SOURCE.encode())
        assert changed != SOURCE.encode()
        assert changed.count(b"\n") == SOURCE.count("\n")


def test_a_mutant_keeps_its_key_where_the_file_grows_before_it() -> None:
    grown = f"int more;\n\nstatic int other(void)\n{{\n\treturn -EINVAL;\n}}\n\n{SOURCE}"
    before = {one.key for one in mutants.mutants_of(PATH, SOURCE.encode())}
    after = mutants.mutants_of(PATH, grown.encode())
    assert len(before) == len(mutants.mutants_of(PATH, SOURCE.encode()))
    assert before < {one.key for one in after}
    assert {one.function for one in after if one.key not in before} == {"other"}


def test_a_sample_is_the_same_again_and_grows() -> None:
    there = mutants.of_sources({PATH: SOURCE.encode()})
    few, more = mutants.sample(there, 5, 3), mutants.sample(there, 9, 3)
    assert more[:5] == few == mutants.sample(there[::-1], 5, 3)
    assert mutants.sample(there, 5, 4) != few
    assert len(mutants.sample(there, None, 3)) == len(there) == len(mutants.sample(there, 999, 3))


def test_mutants_are_found_by_key() -> None:
    there = mutants.of_sources({PATH: SOURCE.encode()})
    assert mutants.named(there, [there[2].key, "0", there[0].key]) == ([there[2], there[0]], ["0"])


def test_without_tree_sitter_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = builtins.__import__

    def refuse(name: str, *more: Any) -> Any:
        if name.startswith("tree_sitter"):
            raise ImportError(name)
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SpecError) as info:
        mutants.mutants_of(PATH, SOURCE.encode())
    assert str(info.value) == (
        "this needs tree-sitter: .venv/bin/pip install -r requirements-mutants.txt"
    )


def verdicts_on(there: list[Mutant]) -> list[Verdict]:
    """Return a verdict of each kind, on the first four of the mutants."""
    fault = Fault("suites/a/test_a.py::test_a[x]", "data-transfer.stop-copy", "assert 1 == 2")
    return [
        Verdict(there[0], KILLED, "s1", 4.0, (fault,)),
        Verdict(there[1], SURVIVED, "s1", 30.0),
        Verdict(there[2], SURVIVED, "s1", 31.0),
        Verdict(there[3], NotMade.SAME_CODE.value, "s1"),
    ]


def test_what_is_known_outlives_the_job(tmp_path: Path) -> None:
    there = mutants.of_sources({PATH: SOURCE.encode()})
    kept = verdicts_on(there)
    for one in kept:
        Store(tmp_path).add(one)
    with (tmp_path / "verdicts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"mutant": {"key": "cut sh')
    store = Store(tmp_path)
    assert store.verdicts("s1") == {one.mutant.key: one for one in kept}
    assert store.verdicts("s2") == {}
    later = replace(kept[1], outcome=KILLED, suite="s2")
    (tmp_path / "verdicts.jsonl").write_text("", encoding="utf-8")
    store.add(kept[1])
    store.add(later)
    assert store.verdicts() == {later.mutant.key: later}
    store.forget([later.mutant.key])
    assert store.verdicts() == {}


def test_a_baseline_is_of_one_suite(tmp_path: Path) -> None:
    known = {"test_a": Known(("device.bind",), 0.5, applies=True)}
    Store(tmp_path).keep_baseline("s1", known)
    assert Store(tmp_path).baseline("s1") == known
    assert Store(tmp_path).baseline("s2") == {}


def test_a_job_is_handed_over(tmp_path: Path) -> None:
    job = Job("x", tuple(mutants.of_sources({PATH: SOURCE.encode()})[:3]))
    job.write(tmp_path)
    assert Job.read(tmp_path) == job


def test_functions_beside_the_protocol_get_no_mutants() -> None:
    there = mutants.of_sources({PATH: SOURCE.encode()})
    beside = Marks(beside=(Beside(driver="x", functions=("x_re*",), reason="no VFIO"),))
    assert beside.in_scope("x", there) == []
    assert beside.in_scope("y", there) == there


def test_a_mark_of_another_mutant_than_it_says_is_told() -> None:
    there = mutants.of_sources({PATH: SOURCE.encode()})
    right = Equivalent(driver="x", mutant=there[0].key, place=there[0].place, reason="x")
    gone = Equivalent(driver="x", mutant="0", place="errno in gone()", reason="x")
    Marks(equivalent=(right, gone)).check("x", there)
    wrong = Missing(driver="x", mutant=there[0].key, place="errno in x_write()", reason="x")
    Marks(missing=(wrong,)).check("y", there)
    with pytest.raises(SpecError) as info:
        Marks(missing=(wrong,)).check("x", there)
    assert str(info.value) == (
        f"marks.yaml: {there[0].key} is {there[0].place}, not errno in x_write()"
    )
    assert Marks(missing=(wrong,)).clauses("x") == {there[0].key: "no clause: x"}


def test_the_marks_can_be_read() -> None:
    assert marks().in_scope("mtty", []) == []


def test_a_share_is_never_rounded_up() -> None:
    assert share({KILLED: 999, SURVIVED: 1}) == "99.9 %"
    assert share({KILLED: 1999, SURVIVED: 1}) == "99.9 %"
    assert share({NotMade.SAME_CODE.value: 3, OPEN: 2, EQUIVALENT: 1}) == "-"


def test_the_reports_tell_each_outcome_and_each_survivor() -> None:
    there = mutants.of_sources({PATH: SOURCE.encode()})[:5]
    verdicts = {one.mutant.key: one for one in verdicts_on(there)}
    score = Score(there, {"default": verdicts}, {there[2].key: "nobody can tell"})
    assert score.counts == {
        KILLED: 1,
        SURVIVED: 1,
        EQUIVALENT: 1,
        NotMade.SAME_CODE.value: 1,
        OPEN: 1,
    }
    about = About(
        "x",
        "debian:7.3",
        "5 of 9 mutants at random, seed 3",
        "make mutants DRIVER=x N=5",
        "make mutants DRIVER=x",
    )
    clauses = {there[1].key: "device.bind: it is too late"}
    report = Report(about, score, {PATH: SOURCE.encode()}, clauses)
    for text in (report.text(), report.markdown(), report.page()):
        assert "5 of 9 mutants at random, seed 3; median 17.0 s" in text
        assert "50.0 %" in text
        assert f"{there[1].key}: {there[1].operator} in x_read()" in text
        assert "ought to be seen by device.bind: it is too late" in text
        assert f"alone: make mutants DRIVER=x MUTANT={there[1].key}" in text
        assert f"--- a/{PATH}" in text
        assert there[0].key not in text


def test_a_survivor_of_one_flavour_is_what_the_next_says_of_it() -> None:
    there = mutants.of_sources({PATH: SOURCE.encode()})[:6]
    first = {one.key: Verdict(one, SURVIVED, "s1", 30.0) for one in there}
    first[there[0].key] = Verdict(there[0], KILLED, "s1", 4.0)
    later = {
        there[1].key: Verdict(there[1], KILLED, "s1", 10.0),
        there[2].key: Verdict(there[2], SURVIVED, "s1", 50.0),
        there[3].key: Verdict(there[3], NotMade.DOES_NOT_COMPILE.value, "s1"),
    }
    known = {"default": first, "fault": later}
    score = Score(there, known, {there[4].key: "nobody can tell"})
    assert score.outcomes == {
        there[0].key: KILLED,
        there[1].key: "killed in fault",
        there[2].key: SURVIVED,
        there[3].key: SURVIVED,
        there[4].key: EQUIVALENT,
        there[5].key: SURVIVED,
    }
    assert score.names[:3] == [KILLED, "killed in fault", SURVIVED]
    assert (score.headings, score.waiting) == (["score in default", "score"], 1)
    assert score.shares(score.counts) == ["20.0 %", "40.0 %"]
    assert score.median == 30.0
    about = About("x", "debian:7.3", "all", "make mutants DRIVER=x", "make mutants DRIVER=x")
    text = Report(about, score, {PATH: SOURCE.encode()}, {}).text()
    assert "killed in fault" in text.partition("survived:")[0]
    assert "survivors that a later flavour has not tried yet: 1" in text
    alone = Score(there, {"fault": later}, {})
    other = Score(
        there, {"default": {**first, there[1].key: later[there[1].key]}, "fault": later}, {}
    )
    assert alone.median == 30.0
    assert other.outcomes[there[1].key] == KILLED


@pytest.mark.parametrize(
    ("function", "suite"),
    [("mtty_precopy_ioctl", "precopy_info"), ("x_resume_write", "data_transfer"), ("zzz", "")],
)
def test_the_suites_that_reach_a_function_are_known_by_its_name(function: str, suite: str) -> None:
    assert suites_for(function)[:1] == ((suite,) if suite else ())


@dataclass(frozen=True)
class Item:
    """As much of a test as its order takes."""

    nodeid: str
    cpus: int = 1

    @property
    def path(self) -> Path:
        return SUITES / self.nodeid.partition("::")[0]

    def get_closest_marker(self, _name: str) -> Any:
        return SimpleNamespace(args=(self.cpus,))


def test_the_order_of_the_tests_follows_the_function_and_learns() -> None:
    seconds = {
        "data_transfer/test_a.py::test_a[1]": 3.0,
        "data_transfer/test_a.py::test_a[2]": 0.1,
        "data_transfer/test_b.py::test_b": 0.5,
        "device/test_c.py::test_c": 0.2,
        "race/test_d.py::test_d": 0.1,
        "race/test_e.py::test_e": 0.1,
    }
    items: list[Any] = [Item(name, 2 if "race" in name else 1) for name in seconds]
    known = {name: Known((), took, applies="test_e" not in name) for name, took in seconds.items()}
    a1, a2, b, c, d, _ = items
    one = replace(mutants.mutants_of(PATH, SOURCE.encode())[0], function="x_resume_write")
    order = Order(items, known)
    assert order.of(one, 1) == [a2, b, a1, c, d]
    assert order.of(one, 2) == [d, a2, b, a1, c]
    order.learn([Verdict(replace(one, key="other"), KILLED, "s", 1, (Fault(c.nodeid, "x", "x"),))])
    assert order.of(one, 1) == [c, a2, b, a1, d]
    assert order.of(replace(one, function="y_write"), 1) == [a2, b, a1, c, d]
    order.learn([Verdict(one, KILLED, "s", 1, (Fault(d.nodeid, "x", "x"),))])
    assert order.of(one, 1)[0] == d


def test_what_only_this_flavour_can_run_comes_first() -> None:
    items: list[Any] = [Item(f"faults/test_a.py::test_{name}") for name in "abc"]
    known = {item.nodeid: Known((), number, True) for number, item in enumerate(items)}
    passed = [items[0].nodeid, items[2].nodeid]
    one = replace(mutants.of_sources({PATH: SOURCE.encode()})[0], function="x_read")
    assert Order(items, known, passed).of(one, 1) == [items[1], items[0], items[2]]


@pytest.mark.parametrize(
    ("flavour", "said"),
    [
        ("default falt", "FLAVOUR=falt: there are default, debug, fault, coverage"),
        ("fault,fault", "FLAVOUR=fault,fault: one or more, each once"),
        ("", "FLAVOUR=: one or more, each once"),
    ],
)
def test_a_flavour_that_makes_no_sense_is_told(flavour: str, said: str) -> None:
    with pytest.raises(SpecError) as info:
        asked.check(Namespace(flavour=flavour, number="", seed="1"))
    assert str(info.value) == said


def test_the_map_of_functions_names_folders_of_suites() -> None:
    for entry in yaml.safe_load(REACH.read_text(encoding="utf-8")):
        assert all((SUITES / name).is_dir() for name in entry["suites"])
