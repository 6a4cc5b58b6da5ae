# SPDX-License-Identifier: GPL-2.0-only
"""Reports of a run's folder: the page, JUnit XML, KTAP and KCIDB's JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.paths import CHECKOUT, cache
from fixtures.record import model
from fixtures.record.model import (
    BROKEN,
    CONFORMS,
    DEVIATES,
    FLAKY,
    NOT_APPLICABLE,
    DriverResults,
    Failure,
    Judgement,
    Verdict,
)
from fixtures.record.results import Collector, Learnt, file_name
from fixtures.untrusted import clean, cut
from reports import html, junit, kcidb, ktap
from reports.__main__ import FILES, FORMATS, main
from reports.run import CUT_SHORT, ReportedRun, load

ECHO, ZERO = "precopy-info.flags.v1-echo", "precopy-info.flags.v2-zero"
NOTHING, ARCS, REOPEN = "data-transfer.nothing", "state-machine.arcs", "state-machine.reopen"
MARKUP = "</script><img src=x onerror=alert(1)><!--<script>"
# Unsafe in XML and terminals: NUL, an escape, a bell, a direction override, U+FFFF.
STRANGE = "\x00\x1b[31mred\x1b[0m\x07\u202e\uffff\x9b"
# A KTAP parser would read this as a directive, results, and the end.
DECEIT = "x # SKIP y\nnot ok 1 fake\nKTAP version 1\n# Subtest: fake\nreboot: System halted"
HOSTILE = f"{MARKUP} {STRANGE} {DECEIT}"
CONSOLE = "[   12.000001] BUG: kernel NULL pointer dereference, address: 0"


def learnt(
    driver: str, clause: str, verdict: Verdict, parameters: str = "any", **more: Any
) -> Learnt:
    name = clause.replace(".", "_").replace("-", "_")
    test = f"suites/x/test_x.py::test_{name}[{driver}-{parameters}]"
    if verdict in (DEVIATES, BROKEN, FLAKY):
        about = {key: more.pop(key) for key in ("known", "fingerprint") if key in more}
        more["failures"] = (Failure(more.pop("reason", "it"), test, verdict, **about),)
    return Learnt(
        test=test,
        driver=driver,
        realization="software" if driver == "mtty" else "double",
        clauses=(clause,),
        verdict=verdict,
        capabilities=("STOP_COPY", "PRE_COPY"),
        kernel={"spec": "debian:7.3", "release": "7.3.4"},
        machine={"accelerator": "tcg", "qemu": "7.2.22"},
        transcript=more.pop("transcript", f"open('/dev/vfio/1', 2) = 5\nread(5, 8) = {verdict}"),
        **more,
    )


def make_run(root: Path, *, complete: bool = True) -> Path:
    """Make the folder of a run with every verdict, and with hostile text."""
    results = Collector.begin(root, "debian:7.3")
    programs = {"c": "int main(void) { return 1; } /* </script> */\n", "py": "import os\n"}
    for one in (
        learnt("mtty", ECHO, CONFORMS, behaviours={"precopy_info.flags.v1": "echoed"}),
        learnt("mtty", ZERO, DEVIATES, reason=HOSTILE, reproducers=programs, fingerprint="oops-1"),
        learnt("mtty", ZERO, CONFORMS, "other"),
        learnt("mtty", NOTHING, DEVIATES, known="a known one", reproducers=programs),
        learnt("mtty", ARCS, BROKEN, reason=f"the guest was lost: {HOSTILE}"),
        learnt("mtty", REOPEN, FLAKY, reason="not on a fresh machine"),
        learnt("qat", ECHO, NOT_APPLICABLE, reason="has no PRE_COPY # SKIP"),
        learnt("qat", ZERO, CONFORMS, behaviours={"precopy_info.flags.v1": "varies"}),
    ):
        results.add(one)
    folder = results.folder
    hostile = f"# a note\n    kernel: {CONSOLE}\n    kernel: {HOSTILE}\nioctl(5) = -1 EINVAL\n"
    path = results.transcript_path(learnt("mtty", ZERO, DEVIATES).test)
    path.write_bytes(hostile.encode("utf-8", "surrogatepass") + b"\xff\xfe not UTF-8\n")
    console = folder / "machines" / "gw0-1" / "console.log"
    console.parent.mkdir(parents=True)
    console.write_bytes(f"[    0.1] Linux\r\n{CONSOLE}\r\n{HOSTILE}\r\n".encode() + b"\xff\n")
    results.write(complete=complete)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture
def run(folder: Path) -> ReportedRun:
    return load(folder)


class Page(HTMLParser):
    """A page as a browser parses it: its elements, and the scripts' text by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id") or "" if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._script = None


# Loading


def test_a_run_and_its_evidence(run: ReportedRun, folder: Path) -> None:
    assert run.name == folder.name
    assert run.results.kernel.title == "debian:7.3 (7.3.4)"
    assert str(run.results.machine) == "QEMU 7.2.22 tcg"
    kinds = {(driver, clause): held.kind for driver, clause, held in run.results.held()}
    assert kinds["mtty", ZERO] == "deviates"
    assert kinds["mtty", NOTHING] == "known"
    kinds_of = run.results.drivers["mtty"].kinds
    assert kinds_of == Counter(conforms=1, deviates=1, known=1, broken=1, flaky=1)
    first, second = run.evidence("mtty", ZERO)
    assert first.parameters == "mtty-any"
    assert set(first.reproducers) == {"c", "py"}
    assert (second.parameters, second.reproducers) == ("mtty-other", {})
    assert [one.parameters for one in run.evidence("qat", ZERO)] == ["qat-any"]


def test_a_transcript_is_clean_and_tells_its_machine(run: ReportedRun) -> None:
    said = run.evidence("mtty", ZERO)[0].transcript.text()
    assert MARKUP in said
    assert "\\x00red\\x07\\u202e\\uffff\\x9b" in said
    assert "\ufffd\ufffd not UTF-8" in said
    assert run.machine_of(said) == "gw0-1"
    assert run.machine_of("    kernel: nobody said this") == ""


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\tb\n", "a\tb\n"),
        ("\x1b]0;title\x07x\x1b[1;31mred\x1b[0m\x1bMy", "xredy"),
        ("a\r\nb\rc", "a\nb\\x0dc"),
        ("\u2028\ud800\ufeff", "\\u2028\\ud800\\ufeff"),
        ("größer ✓", "größer ✓"),
    ],
)
def test_what_is_not_to_be_shown(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_long_text_is_cut_in_the_middle() -> None:
    text = "".join(f"line {number}\n" for number in range(1000))
    short = cut(text, 600, "transcripts/x.txt")
    assert len(short) < 800
    assert short.startswith("line 0\n")
    assert short.endswith("line 999\n")
    said = re.search(r"^\[\.\.\. (\d+) lines, \d+ characters, .* transcripts/x.txt\]$", short, re.M)
    assert said
    assert short.count("\n") - 1 + int(said[1]) == 1000
    assert cut(text, len(text), "x") == text
    assert len(cut("x" * 10_000, 600, "x")) < 800


# All renderers


def test_the_command_writes_all_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.split() == [str(folder / name) for name, _ in FILES.values()]
    assert not list(folder.glob(".[!r]*"))
    assert main([str(folder), "table", "ktap"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("debian:7.3 (7.3.4), QEMU 7.2.22 tcg\n")
    assert said.endswith("report.ktap\n")


@pytest.mark.parametrize("argv", [["--help"], ["results/latest", "help"]])
def test_the_help_and_the_documentation_name_every_format(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^  (\w+) ", said, re.M) == list(FORMATS)
    documented = (CHECKOUT / "docs" / "results.md").read_text(encoding="utf-8")
    assert all(file in said and f"| `{file}` |" in documented for file, _ in FILES.values())


@pytest.mark.parametrize(
    ("contents", "argv", "says"),
    [
        (None, [], "which run? python -m reports results/latest"),
        (None, ["{}/nowhere"], "is no folder; name that of a run"),
        (None, ["{}"], "No such file or directory; name the results.yaml of a run, or its folder"),
        (None, ["{}", "pdf"], f"pdf is no format; choose from {', '.join(FORMATS)}"),
        ("schema: 3\n", ["{}"], "holds no results of schema 2 or 1; name the results.yaml"),
        ("- a list\n", ["{}"], "holds no results of schema 2 or 1; name the results.yaml"),
        ("a: [b\n", ["{}"], "results.yaml:2: is not YAML: "),
        ("\x01", ["{}"], "is not YAML: "),
        ("schema: 1\ncomplete: true\n", ["{}"], "kernel: Field required; docs/results.md"),
        (
            "{schema: 1, complete: true, kernel: {}, machine: {qemu: '7'}, drivers: {}}",
            ["{}"],
            "machine: Value error, qemu and accelerator go together; docs/results.md",
        ),
    ],
)
def test_a_mistake_ends_with_a_line_that_says_what_to_do(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    contents: str | None,
    argv: list[str],
    says: str,
) -> None:
    if contents is not None:
        (tmp_path / "results.yaml").write_text(contents, encoding="utf-8")
    assert main([one.format(tmp_path) for one in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "report.ktap").mkdir()
    assert main([str(folder), "ktap"]) == 2
    assert "cannot be written: " in capsys.readouterr().err
    assert not list(folder.glob(".report*"))


def test_a_wrong_verdict_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "results.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("verdict: broken", "verdict: whatever"),
        encoding="utf-8",
    )
    assert main([str(folder)]) == 2
    assert f"drivers.mtty.clauses.{ARCS}.verdict: " in capsys.readouterr().err


def test_a_run_that_was_cut_short_says_so_in_every_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path, complete=False)
    assert main([str(folder), *FORMATS]) == 0
    assert CUT_SHORT in capsys.readouterr().out  # the table
    for name, _ in FILES.values():
        assert CUT_SHORT in (folder / name).read_text(encoding="utf-8"), name


def test_a_run_of_nothing(tmp_path: Path) -> None:
    results = Collector.begin(tmp_path, "x")
    results.write(complete=False)
    assert main([str(results.folder), *FORMATS]) == 0


def test_keys_of_a_later_file_are_passed_over(folder: Path) -> None:
    path = folder / "results.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["kernel"]["commit"] = data["drivers"]["mtty"]["firmware"] = "new"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert load(folder).results.drivers["mtty"].realization == "software"


# The page


def test_nothing_of_a_guest_becomes_markup(run: ReportedRun) -> None:
    page = Page(html.render(run))
    assert [tag for tag, _ in page.elements if tag in ("img", "iframe", "object", "embed")] == []
    assert [tag for tag, _ in page.elements].count("script") == 3
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert MARKUP in json.loads(page.scripts["data"])["held"]["mtty"][ZERO]["reason"]


def test_the_page_needs_no_network(run: ReportedRun) -> None:
    page = Page(html.render(run))
    targets = [
        value or ""
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "srcset")
    ]
    assert targets
    assert all(re.match(r"#|data:,$|machines/", target) for target in targets)
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_the_page_holds_a_cell_for_every_verdict_and_the_evidence(run: ReportedRun) -> None:
    page = Page(html.render(run))
    cells = {
        attributes["href"]: attributes
        for tag, attributes in page.elements
        if tag == "a" and (attributes.get("class") or "").startswith("sign")
    }
    assert set(cells) == {f"#{driver}/{clause}" for driver, clause, _ in run.results.held()}
    assert cells[f"#mtty/{NOTHING}"]["class"] == "sign known"
    assert cells[f"#mtty/{ZERO}"]["class"] == "sign deviates"
    held = json.loads(page.scripts["data"])["held"]
    evidence = json.loads(page.scripts["evidence"])
    first, second = (evidence[number] for number in held["mtty"][ZERO]["evidence"])
    assert first["failed"]
    assert not second["failed"]
    assert first["machine"] == "gw0-1"
    assert first["sources"]["c"].startswith("int main")
    assert held["qat"][ECHO]["evidence"] == []
    assert len(held["qat"][ZERO]["evidence"]) == 1


def test_evidence_stays_within_its_budget(
    run: ReportedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "_CALM_BUDGET", 0)
    monkeypatch.setattr(html, "_LIMIT", 100)
    page = Page(html.render(run))
    held = json.loads(page.scripts["data"])["held"]
    evidence = json.loads(page.scripts["evidence"])
    conforms = evidence[held["mtty"][ECHO]["evidence"][0]]
    assert "transcript" not in conforms
    assert conforms["file"].startswith("transcripts/")
    assert "are left out here" in evidence[held["mtty"][ZERO]["evidence"][0]]["transcript"]


# JUnit


def test_junit_has_a_suite_a_driver_and_a_case_a_clause(run: ReportedRun) -> None:
    root = ET.fromstring(junit.render(run))
    assert (root.tag, root.get("tests")) == ("testsuites", "7")
    mtty, qat = root.findall("testsuite")
    counts = {name: mtty.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    assert qat.get("skipped") == "1"
    cases = {case.get("name"): case for case in mtty.findall("testcase")}
    assert cases[ZERO].get("classname") == "mtty.precopy-info"
    assert [child.tag for child in cases[ECHO]] == []
    assert [child.tag for child in cases[ZERO]] == ["failure"]
    assert [child.tag for child in cases[ARCS]] == ["error"]
    assert [child.tag for child in cases[REOPEN]] == ["system-out"]
    known = cases[NOTHING].find("skipped")
    assert known is not None
    assert known.get("message") == "known deviation (MUST): a known one"
    failure = cases[ZERO].find("failure")
    assert failure is not None
    assert MARKUP in (failure.get("message") or "")
    assert "fingerprint: oops-1" in (failure.text or "")
    assert f"reproducer: reproducers/{file_name(run.evidence('mtty', ZERO)[0].name)}.c" in (
        failure.text or ""
    )


def test_junit_holds_what_its_schema_allows(run: ReportedRun) -> None:
    """Elements and attributes are among those of Jenkins' junit-10.xsd."""
    allowed = {
        "testsuites": ({"name", "tests", "failures", "errors"}, {"testsuite"}),
        "testsuite": (
            {"name", "tests", "failures", "errors", "skipped"},
            {"properties", "testcase"},
        ),
        "properties": (set[str](), {"property"}),
        "property": ({"name", "value"}, set[str]()),
        "testcase": ({"name", "classname"}, {"skipped", "error", "failure", "system-out"}),
        "failure": ({"message", "type"}, set[str]()),
        "error": ({"message", "type"}, set[str]()),
        "skipped": ({"message"}, set[str]()),
        "system-out": (set[str](), set[str]()),
    }
    for element in ET.fromstring(junit.render(run)).iter():
        attributes, children = allowed[element.tag]
        assert set(element.attrib) <= attributes, element.tag
        assert {child.tag for child in element} <= children, element.tag


# KTAP


def test_ktap_nests_clauses_in_drivers(run: ReportedRun) -> None:
    lines = ktap.render(run).splitlines()
    assert lines[:2] == ["KTAP version 1", "1..2"]
    assert lines[3:6] == ["  KTAP version 1", "  # Subtest: mtty", "  1..5"]
    assert f"  ok 1 {NOTHING} # XFAIL known deviation (MUST): a known one" in lines
    assert [line for line in lines if not line.startswith(" ")][-2:] == [
        "not ok 1 mtty",
        "ok 2 qat",
    ]
    results = [line for line in lines if re.match(r"\s*(not )?ok ", line)]
    assert len(results) == 9


def test_a_driver_without_clauses_is_skipped(tmp_path: Path) -> None:
    results = Collector.begin(tmp_path, "x")
    one = learnt("mtty", ECHO, NOT_APPLICABLE, absent="CONFIG_X is not set")
    one.clauses = ()
    results.add(one)
    results.write(complete=True)
    assert "ok 1 mtty # SKIP CONFIG_X is not set\n" in ktap.render(load(results.folder))


def test_the_kernel_s_own_parser_counts_the_same(folder: Path) -> None:
    parsers = sorted(cache().glob("sources/*/tree/tools/testing/kunit/kunit.py"))
    if not parsers:
        pytest.skip("no kernel tree is in the cache; `make check` fetches one")
    main([str(folder), "ktap"])
    for parser in parsers:
        # -B: do not write to the tree.
        argv = [sys.executable, "-B", str(parser), "parse", str(folder / "report.ktap")]
        parsed = subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=60)
        assert parsed.returncode == 1, parsed.stderr  # the run has a failure
        assert "Ran 7 tests: passed: 4, failed: 2, skipped: 1\n" in parsed.stdout
        assert "[ERROR]" not in parsed.stdout


# KCIDB


def test_kcidb_validates(run: ReportedRun) -> None:
    schema = pytest.importorskip("kcidb_io").schema
    data = json.loads(kcidb.render(run))
    # The library may be newer, but its latest schema must accept the data.
    assert schema.LATEST.is_compatible(data)
    schema.LATEST.upgrade(data)
    schema.LATEST.validate(data)


def test_kcidb_s_tests(run: ReportedRun) -> None:
    data = json.loads(kcidb.render(run))
    tests = {test["path"]: test for test in data["tests"]}
    status = {path: test["status"] for path, test in tests.items()}
    assert status == {
        f"vfio_conformance.mtty.{ECHO}": "PASS",
        f"vfio_conformance.mtty.{ZERO}": "FAIL",
        f"vfio_conformance.mtty.{NOTHING}": "FAIL",
        f"vfio_conformance.mtty.{ARCS}": "ERROR",
        f"vfio_conformance.mtty.{REOPEN}": "DONE",
        f"vfio_conformance.qat.{ECHO}": "SKIP",
        f"vfio_conformance.qat.{ZERO}": "PASS",
    }
    assert CONSOLE in tests[f"vfio_conformance.mtty.{ZERO}"]["log_excerpt"]
    (incident,) = data["incidents"]
    (issue,) = data["issues"]
    assert incident["issue_id"] == issue["id"]
    assert incident["test_id"] == tests[f"vfio_conformance.mtty.{NOTHING}"]["id"]
    assert issue["comment"] == "a known one"


def test_ids_are_made_of_the_contents_and_the_name(tmp_path: Path, run: ReportedRun) -> None:
    def ids(of: ReportedRun) -> tuple[str, str]:
        data = json.loads(kcidb.render(of))
        return data["checkouts"][0]["id"], data["issues"][0]["id"]

    first = ids(run)
    assert ids(load(run.folder)) == first
    cut_short = ids(load(make_run(tmp_path / "other", complete=False)))
    renamed = ids(load(run.folder.rename(tmp_path / "renamed")))
    assert len({first[0], cut_short[0], renamed[0]}) == 3
    assert first[1] == cut_short[1] == renamed[1]


def test_ktap_shows_what_is_known_of_a_driver_that_is_missing() -> None:
    fault = Failure("the kernel complained: BUG: x", "boot", fingerprint="oops-1")
    driver = DriverResults(
        missing="no CONFIG_X", clauses={"device.boot": Judgement("deviates", failures=(fault,))}
    )
    lines, result, rest = ktap._driver("mtty", driver)
    assert (result, rest) == ("not ok", "mtty # ERROR no CONFIG_X")
    assert any("oops-1" in line for line in lines)


def test_kcidb_has_an_issue_for_each_reason(tmp_path: Path) -> None:
    failures = (Failure("a", known="one"), Failure("b", known="two"))
    about = DriverResults(clauses={"a.rule": Judgement("deviates", failures=failures)})
    run = ReportedRun(tmp_path, "x", dataclasses.replace(model.nothing(), drivers={"mtty": about}))
    data = json.loads(kcidb.render(run))
    schema = pytest.importorskip("kcidb_io").schema
    schema.LATEST.upgrade(data)
    schema.LATEST.validate(data)
    assert [one["comment"] for one in data["issues"]] == ["one", "two"]
    assert len({one["id"] for one in data["incidents"]}) == 2


@pytest.mark.parametrize(("word", "shown"), [("supported", True), ("absent", False)])
def test_the_page_shows_which_devices_log_dma(tmp_path: Path, word: str, shown: bool) -> None:
    results = Collector.begin(tmp_path, "debian:7.3")
    results.add(learnt("mtty", ECHO, CONFORMS, behaviours={"feature.dma_logging": word}))
    results.write(complete=True)
    page = html.render(load(results.folder))
    assert ("STOP_COPY, PRE_COPY, DMA logging</td>" in page) is shown
