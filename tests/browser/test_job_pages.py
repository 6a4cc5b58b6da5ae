# SPDX-License-Identifier: GPL-2.0-only
"""The pages of jobs in a real browser, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports import compat_page, history_page, matrix_page, mutants_page, premerge_page
from tests.browser.chromium import brightness, opening, show
from tests.unit.test_compat import CROSSED
from tests.unit.test_jobs import NOT_BUILT
from tests.unit.test_pages import bad, good, pre_merge, seen, table  # noqa: F401
from workflows.step import StepResult

pytestmark = pytest.mark.xdist_group("browser")  # one after the other

PAGES = ("premerge", "matrix", "history", "compat", "mutants")
LONG = "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2_is_a_word_that_fits_into_no_phone_at_all"


@pytest.fixture
def pages(good: StepResult, bad: StepResult, tmp_path: Path) -> dict[str, str]:  # noqa: F811
    """The URLs of the pages."""
    folder = tmp_path / "job" / "x"
    folder.mkdir(parents=True)
    premerge = pre_merge(good, NOT_BUILT, bad, good)
    for step in premerge["steps"]:
        step["subject"] = LONG
    runs = [seen(n % 28, "absent" if n % 5 else "supported") for n in range(60)]
    texts = {
        "premerge": premerge_page.render(premerge, folder),
        "matrix": matrix_page.render(table(*[good, bad] * 6), folder),
        "history": history_page.render(LONG, LONG, runs),
        "compat": compat_page.render(CROSSED),
        "mutants": mutants_page.render(
            f"Mutants of {LONG}",
            [f"again: make mutants DRIVER={LONG}"],
            [["operator", "killed", "survived", "score"], [LONG, "12", "1", "92.3 %"]],
            [
                mutants_page.Survivor(
                    "key",
                    f"key: errno in {LONG}()",
                    [LONG],
                    ["@@ -1 +1 @@", f"-{LONG}", f"+{LONG}"],
                )
            ],
        ),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in texts}


@pytest.fixture(params=PAGES)
def opened(request: pytest.FixtureRequest, browser: Any, pages: dict[str, str]) -> Iterator[Any]:
    """The browser with each page in turn."""
    with opening(browser, pages[request.param]):
        browser.execute_script("document.querySelectorAll('details').forEach(e => e.open = true)")
        yield browser


def test_nothing_is_wider_than_the_window(opened: Any) -> None:
    for width in (1280, 820, 390, 320):
        show(opened, width, 800)
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
        beyond = opened.execute_script(
            "return [...document.querySelectorAll('body *')].filter((one) =>"
            " one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.box'))"
            ".map((one) => one.outerHTML.slice(0, 80))"
        )
        assert beyond == []


def test_both_schemes_can_be_read(opened: Any) -> None:
    """All text differs from its ground by at least a third of the scale."""
    for scheme in ("light", "dark"):
        show(opened, 1280, 900, scheme)
        ground = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (brightness(ground) > 200) == (scheme == "light")
        faint = opened.execute_script(
            """
            const number = (colour) => colour.match(/[\\d.]+/g).map(Number);
            const light = (colour) => {
              const [r, g, b] = number(colour);
              return .3 * r + .59 * g + .11 * b;
            };
            const ground = (one) => {
              for (; one; one = one.parentElement) {
                const colour = getComputedStyle(one).backgroundColor;
                if (colour.startsWith("rgb") && (number(colour)[3] ?? 1) > .9) return colour;
              }
            };
            return [...document.querySelectorAll("h1,h2,td,th,p,li,span.sign,code,summary,a")]
              .filter((one) => one.textContent.trim() && one.checkVisibility())
              .filter((one) =>
                Math.abs(light(getComputedStyle(one).color) - light(ground(one))) < 85)
              .map((one) => one.outerHTML.slice(0, 90));
            """
        )
        assert faint == []


def test_evidence_stands_side_by_side_or_below_each_other(
    browser: Any, pages: dict[str, str]
) -> None:
    places = (
        "document.querySelectorAll('details').forEach(e => e.open = true);"
        "const [a, b] = document.querySelectorAll('.both .differs td');"
        "const of = (e) => e.getBoundingClientRect();"
        "return [of(a).left < of(b).left, of(a).top < of(b).top,"
        " getComputedStyle(a, '::before').content, getComputedStyle(b, '::before').content]"
    )
    with opening(browser, pages["premerge"]):
        assert browser.execute_script(places) == [True, False, "none", "none"]
        show(browser, 390, 844)
        assert browser.execute_script(places) == [False, True, '"- "', '"+ "']


def test_only_what_changes(browser: Any, pages: dict[str, str]) -> None:
    rows = (
        "return [...document.querySelectorAll('.kernels tbody tr')]"
        ".filter((one) => one.checkVisibility()).length"
    )
    with opening(browser, pages["matrix"]):
        browser.execute_script("document.querySelector('.kernels tr.differs').className = 'same';")
        whole = browser.execute_script(rows)
        assert whole >= 2
        browser.find_element("id", "only-changes").click()
        assert browser.execute_script(rows) == 0
