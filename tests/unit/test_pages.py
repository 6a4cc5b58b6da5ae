# SPDX-License-Identifier: GPL-2.0-only
"""The pages of pre-merge, matrix and history: their tables, evidence, picture, and hostile text."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from fixtures.record.compare import ChangeKind
from fixtures.record.model import CONFORMS, DEVIATES
from fixtures.record.results import Collector, write
from fixtures.untrusted import clean
from reports import evidence, history_page, matrix_page, premerge_page
from reports.history_page import Seen
from reports.side_by_side import AROUND, Row, rows
from tests.unit.test_jobs import BAD, ECHO, GOOD, NOT_BUILT, V2, ZERO, judged, results, steps
from tests.unit.test_reports import HOSTILE, MARKUP, Page, learnt
from workflows import expect, history, matrix, premerge
from workflows.series import Series
from workflows.step import Selection, Stage, StepResult


def run(root: Path, release: str, *found: Any) -> StepResult:
    """Make the folder of a run, and return it as a step's result."""
    collector = Collector.begin(root, "linux")
    for one in found:
        collector.add(dataclasses.replace(one, kernel={"spec": "linux", "release": release}))
    collector.write(complete=True)
    return StepResult(Stage.JUDGED, {collector.folder: collector.results()})


@pytest.fixture
def good(tmp_path: Path) -> StepResult:
    return run(
        tmp_path,
        "7.2",
        learnt("mtty", ECHO, CONFORMS, transcript="open = 5\nioctl(5) = 0 {flags=1}\nclose(5) = 0"),
        learnt("qat", ECHO, CONFORMS, behaviours={"precopy_info.flags.v1": "echoed"}),
    )


@pytest.fixture
def bad(tmp_path: Path) -> StepResult:
    return run(
        tmp_path,
        "7.3",
        learnt(
            "mtty",
            ECHO,
            DEVIATES,
            reason=HOSTILE,
            fingerprint="oops-1",
            transcript=f"open = 6\nioctl(6) = -1 EINVAL {MARKUP}\nclose(6) = 0",
        ),
        learnt("qat", ECHO, CONFORMS, behaviours={"precopy_info.flags.v1": "zeroed"}),
    )


def pre_merge(*outcomes: StepResult, expected: list[expect.Expected] | None = None) -> Any:
    """Return the data of a pre-merge run with these outcomes."""
    made = steps(*outcomes)
    commits = tuple(one.commit for one in made)
    patches = Series(Path("linux"), f"v7.1 {HOSTILE}", commits)
    return premerge.judgement(patches, Selection(("mtty", "qat")), made, expected or [])


def shown(page: str) -> str:
    """Return the text of a page, without markup."""
    plain = re.sub(r"<(style|script)\b.*?</\1>|<wbr>", "", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", plain).split())


def rows_of(page: str, name: str) -> list[list[str]]:
    """Return the cells of the rows of the table of class ``name``."""
    table = re.search(rf'<table class="[^"]*\b{name}\b.*?</table>', page, re.S)
    assert table
    return [
        [shown(cell) for cell in re.findall(r"<t[hd]\b.*?</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr\b.*?</tr>", table[0], re.S)
    ]


def is_safe(page: str) -> None:
    """Check that hostile text is text, that all is in the one file, and that it is well-formed."""
    assert clean(page) == page
    parsed = Page(page)
    names = [name for name, _ in parsed.elements]
    assert not {"img", "iframe", "object", "link[rel=stylesheet]"} & {*names}
    (policy,) = [
        one["content"] or "" for name, one in parsed.elements if one.get("http-equiv") is not None
    ]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in names
    assert not any("style" in about for _, about in parsed.elements)  # the policy forbids it
    identifiers = [one["id"] for _, one in parsed.elements if "id" in one]
    assert len(set(identifiers)) == len(identifiers)
    for name, about in parsed.elements:
        target = about.get("href") or ""
        assert target.startswith(("#", "data:,", "https://", "../")) or not target, (name, target)
        if target.startswith("#"):
            assert target[1:] in identifiers


# Side by side


def test_equal_lines_are_left_out_but_around_a_difference() -> None:
    before = [f"line {'x' * number}" for number in range(30)]
    after = [*before]
    after[15] = "another line"
    found = rows("\n".join(before), "\n".join(after))
    assert [one.left_out for one in found if one.left_out] == [15 - AROUND, 14 - AROUND]
    (differs,) = [one for one in found if not one.same and not one.left_out]
    assert (differs.before, differs.after) == (before[15], "another line")
    assert len(found) == 2 + 2 * AROUND + 1


def test_what_differs_in_every_run_is_no_difference() -> None:
    found = rows("open = 5\n[ 1.25] at 0xffff8880", "open = 6\n[ 2.75] at 0xffff9990")
    assert [one.left_out for one in found] == [2]
    assert rows("", "") == []
    assert rows("", "a\nb") == [Row(None, "a"), Row(None, "b")]
    assert rows("x\na", "y\nz\na")[-1] == Row("a", "a", same=True)


# Pre-merge


def test_a_pre_merge_page(good: StepResult, bad: StepResult, tmp_path: Path) -> None:
    data = pre_merge(good, NOT_BUILT, bad, good)
    folder = tmp_path / "premerge" / "x"
    page = premerge_page.render(data, folder)
    is_safe(page)
    text = shown(page)
    assert "Changed for the worse; patch 1 does not build" in text
    assert "3 of 4 steps were judged" in text
    assert rows_of(page, "grid") == [
        ["patch", "mtty", "qat"],
        ["base vfio: a patch, and what it is for, 0", "", ""],
        ["1 vfio: a patch, and what it is for, 1", "! does not build"],
        ["2 vfio: a patch, and what it is for, 2", "W1", "~1"],
        ["3 vfio: a patch, and what it is for, 3", "+1", "~1"],
    ]
    assert "Compared with the base, the last judged step before it." in text
    assert f"{ECHO} (SHOULD) : conforms → deviates mtty oops-1" in text


def test_evidence_is_side_by_side(good: StepResult, bad: StepResult, tmp_path: Path) -> None:
    folder = tmp_path / "premerge" / "x"
    page = premerge_page.render(pre_merge(good, bad), folder)
    # The worst comes first; that of mtty is a clause, of qat a behaviour.
    assert rows_of(page, "both") == [
        ["before", "after"],
        ["open = 5", "open = 6"],
        [
            "ioctl(5) = 0 {flags=1}",
            f"ioctl(6) = -1 EINVAL {escape(MARKUP)}",
        ],
        ["close(5) = 0", "close(6) = 0"],
    ]
    assert page.count('<tr class="differs">') == 1
    links = re.findall(r'<a href="(\.\./\.\./[^"]*)">(before|after)</a>', page)
    assert [words for _, words in links] == ["before", "after"] * 2
    assert all((folder / unquote(path)).resolve().exists() for path, _ in links)


def test_results_that_are_gone_leave_the_changes(bad: StepResult, tmp_path: Path) -> None:
    page = premerge_page.render(pre_merge(judged(GOOD), judged(BAD)), tmp_path)
    assert "conforms → deviates" in shown(page)
    assert "before and after" not in shown(page)


def test_a_page_has_room_for_so_much(
    good: StepResult, bad: StepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "_BUDGET", 100)
    page = premerge_page.render(pre_merge(good, bad), tmp_path / "x" / "y")
    assert page.count('class="both"') == 1
    assert shown(page).count("Left out to keep this page small.") == 1


def test_expected_changes_and_missing_ones(tmp_path: Path) -> None:
    wanted = [
        expect.Expected("mtty", ChangeKind.CLAUSE, ECHO, "", "deviates"),
        expect.Expected("mtty", ChangeKind.BEHAVIOUR, V2, "absent", "supported"),
    ]
    data = pre_merge(judged(GOOD), judged(BAD), expected=wanted)
    page = premerge_page.render(data, tmp_path)
    assert rows_of(page, "grid")[2][1] == "E1"
    assert f"mtty: {V2} : supported; it is -" in shown(page)


def test_premerge_writes_its_page(judge: Any, premerges: Path) -> None:
    judge(judged(GOOD), judged(GOOD), judged(BAD), NOT_BUILT)
    (folder,) = premerges.iterdir()
    page = (folder / "report.html").read_text(encoding="utf-8")
    is_safe(page)
    assert "https://lore.kernel.org/" in page


# Matrix


def table(*outcomes: StepResult) -> Any:
    """Return the data of a matrix with these outcomes."""
    return {
        "schema": 2,
        "drivers": ["mtty", "qat"],
        "fail_on": "should",
        "kernels": [matrix._kernel(f"k{n} {HOSTILE}", one) for n, one in enumerate(outcomes, 1)],
        "changes": matrix._changes(outcomes),
    }


def test_a_matrix_page(good: StepResult, bad: StepResult, tmp_path: Path) -> None:
    page = matrix_page.render(table(good, NOT_BUILT, bad, good), tmp_path / "matrix" / "x")
    is_safe(page)
    grid = rows_of(page, "grid")
    assert [row[1:] for row in grid[1:]] == [
        ["✓1", "✓1"],
        ["! does not build"],
        ["D1", "✓1"],
        ["✓1", "✓1"],
    ]
    (clause,) = [row for row in rows_of(page, "kernels") if row[0].replace(" ", "") == ECHO]
    assert clause[1:] == ["✓", "", "D", "✓", "✓", "", "✓", "✓"]
    # A kernel without a result is no change; the two that follow are.
    assert page.count('class="sign deviates new"') == 1
    assert page.count('class="sign conforms new"') == 2  # one is the legend's
    assert 'class="differs"><th scope="row"' in page
    (behaviour,) = rows_of(page, "behaviours")[1:]
    assert behaviour[1:] == ["-", "echoed → zeroed → echoed"]
    assert "From k1" in shown(page)
    assert page.count('class="both"') == 4  # both drivers, from 1 to 3 and from 3 to 4


def test_the_matrix_of_a_level_that_never_differs(good: StepResult, tmp_path: Path) -> None:
    page = matrix_page.render(table(good, good), tmp_path / "x" / "y")
    assert 'class="same"><th scope="row"' in page
    assert "No change." in shown(page)


# History


def seen(number: int, value: str, lane: str = "~/linux", was: str = "") -> Seen:
    when = datetime(2026, 1, 1 + number, 12)
    return Seen(when, lane, f"{lane}@{number} {MARKUP}", value, value, was)


def picture(page: str) -> ET.Element:
    found = re.search(r'<svg class="history".*?</svg>', page, re.S)
    assert found
    return ET.fromstring(found[0])


def test_a_picture_has_a_lane_for_each_tree() -> None:
    found = [
        seen(0, "absent"),
        seen(1, "supported", "debian:7.3"),
        seen(2, "supported", was="absent"),
        seen(3, "supported"),
    ]
    page = history_page.render(f"mtty: {HOSTILE}", HOSTILE, found)
    is_safe(page)
    svg = picture(page)
    lanes = svg.findall("./g")
    assert [lane.findtext("text") for lane in lanes] == ["~/linux", "debian:7.3"]
    marks = [[one.findtext("text") for one in lane.findall("g")] for lane in lanes]
    assert marks == [["A", "B", "B"], ["B"]]
    looks = [one.get("class") for one in lanes[0].findall("g")]
    assert looks == ["mark w0", "mark w1 changes", "mark w1"]
    joints = [one.get("class") for one in lanes[0].findall("line[@x1]")][1:]
    assert joints == ["joint changes", "joint"]
    titles = [one.text or "" for one in svg.iter("title")]
    assert titles[1].startswith("2026-01-03 12:00:00, ~/linux@2")
    assert titles[1].endswith(": supported, was absent")
    places = [one.get("transform") for one in lanes[0].findall("g")]
    assert places == [f"translate({14 + 28 * number} 30.0)" for number in (0, 2, 3)]
    newest = rows_of(page, "plain")[1]
    assert newest[:2] == ["2026-01-04 12:00:00", "supported"]


def test_verdicts_have_their_own_colours_and_dates_do_not_collide() -> None:
    page = history_page.render("x", "", [seen(n, "conforms") for n in range(9)])
    svg = picture(page)
    assert {one.get("class") for one in svg.findall("./g/g")} == {"mark conforms"}
    dates = [int(one.get("x", "")) for one in svg.findall("text")]
    assert dates == [14 + 28 * number for number in (0, 2, 4, 6, 8)]
    width = int(svg.get("width", ""))
    assert width == 320
    many = picture(history_page.render("x", "", [seen(n % 28, "conforms") for n in range(99)]))
    assert int(many.get("width", "")) >= 14 + 28 * 99


def test_more_words_than_colours_have_a_letter_each() -> None:
    page = history_page.render("x", "", [seen(n, f"word{n}") for n in range(28)])
    letters = [one.findtext("text") for one in picture(page).findall("./g/g")]
    assert len(set(letters)) == 28


def test_history_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, value in enumerate(("absent", "supported")):
        folder = tmp_path / f"20260102-03040{number}-x"
        folder.mkdir()
        write(results({ZERO: "conforms"}, {V2: value}), folder)
    asked = ["--drivers=mtty", f"--results={tmp_path}"]
    assert history.main([*asked, f"--behaviour={V2}"]) == 0
    path = tmp_path / "history" / f"mtty-{V2}.html"
    assert f"page: {path}" in capsys.readouterr().err.splitlines()
    page = path.read_text(encoding="utf-8")
    assert "was absent" in shown(page)
    assert "whether PROBE of VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2" in shown(page)
    assert history.main([*asked, f"--clause={ZERO}"]) == 0
    assert (tmp_path / "history" / f"mtty-{ZERO}.html").exists()
