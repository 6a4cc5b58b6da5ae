# SPDX-License-Identifier: GPL-2.0-only
"""A run's HTML report in a real browser, from a file and without a network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from reports import html
from reports.run import load
from tests.browser.chromium import brightness, opening, show
from tests.unit.test_reports import CONSOLE, ECHO, MARKUP, NOTHING, ZERO, make_run

pytestmark = pytest.mark.xdist_group("browser")  # one after the other


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of the report for a run with much hostile text."""
    folder = make_run(tmp_path_factory.mktemp("results"))
    path = folder / "report.html"
    path.write_text(html.render(load(folder)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser: Any, page: str) -> Iterator[Any]:
    """The browser with the page freshly loaded; checks for errors after the test."""
    with opening(browser, page):
        yield browser


def find(browser: Any, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def shown(browser: Any) -> list[str]:
    """Return the verdicts that the filters do not hide."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#matrix a.sign:not(.dim)')]"
        ".filter((one) => one.checkVisibility()).map((one) => one.getAttribute('href').slice(1))"
    )
    return found


def comes(browser: Any, look: Callable[[], Any], wanted: Any) -> None:
    """Check that ``look`` returns ``wanted``, if not at once: a page hears of changes later."""
    with contextlib.suppress(TimeoutException):
        WebDriverWait(browser, 10).until(lambda _: look() == wanted)
    assert look() == wanted


def opens(browser: Any, title: str) -> None:
    """Check that what a verdict stands on is shown."""
    comes(browser, lambda: find(browser, "#detail").get_property("open"), True)
    comes(browser, lambda: find(browser, "#detail-title").text, title)


def closes(browser: Any) -> None:
    """Check that it is not shown."""
    comes(browser, lambda: find(browser, "#detail").get_property("open"), False)


def press(browser: Any, *keys: str) -> None:
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def focused(browser: Any) -> str:
    return str(browser.switch_to.active_element.get_attribute("href")).partition("#")[2]


def test_filters(opened: Any) -> None:
    assert len(shown(opened)) == 7
    find(opened, "#only-wanting").click()
    assert {one.partition("/")[0] for one in shown(opened)} == {"mtty"}
    assert f"mtty/{ECHO}" not in shown(opened)
    assert find(opened, "#shown").text == "4 of 5 clauses, 4 verdicts"
    find(opened, "#show-all").click()
    assert len(shown(opened)) == 7
    find(opened, "#by-driver option:nth-child(3)").click()
    assert shown(opened) == [f"qat/{ECHO}", f"qat/{ZERO}"]
    find(opened, "#by-kind [value='conforms']").click()
    assert shown(opened) == [f"qat/{ZERO}"]
    find(opened, "#show-all").click()
    find(opened, "#by-part option:nth-child(2)").click()
    assert len({one.partition("/")[2].partition(".")[0] for one in shown(opened)}) == 1
    find(opened, "#show-all").click()
    find(opened, "#by-level option:nth-child(3)").click()
    assert set(shown(opened)) == {f"mtty/{ECHO}", f"qat/{ECHO}"}  # a SHOULD
    find(opened, "#show-all").click()
    find(opened, "#search").send_keys("A KNOWN one")
    assert shown(opened) == [f"mtty/{NOTHING}"]
    find(opened, "#search").send_keys(" and what nobody wrote")
    assert shown(opened) == []
    assert find(opened, "#none").is_displayed()


def test_a_click_shows_what_a_verdict_stands_on(opened: Any, downloads: Path) -> None:
    find(opened, f"#matrix a[href='#mtty/{ZERO}']").click()
    opens(opened, f"mtty / {ZERO}")
    assert opened.current_url.endswith(f"#mtty/{ZERO}")
    body = find(opened, "#detail-body").text
    for said in (
        "new deviation",
        "oops-1",
        "MUST",
        "source",
        MARKUP,
        "test_precopy_info_flags_v2_zero",
    ):
        assert said in body
    assert "found the deviation" in body
    assert CONSOLE in find(opened, ".transcript .said.fault").text
    assert find(opened, ".transcript .note").text == "# a note"
    assert find(opened, ".transcript .errno").text == "-1 EINVAL"
    find(opened, ".program summary").click()
    assert "int main(void)" in find(opened, ".program pre").text
    find(opened, ".program .download").click()
    WebDriverWait(opened, 10).until(lambda _: list(downloads.glob("*.c")))
    (saved,) = downloads.glob("*.c")
    assert saved.read_text(encoding="utf-8").startswith("int main(void)")


def test_copying_a_reproducer(opened: Any) -> None:
    opened.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    find(opened, f"#matrix a[href='#mtty/{ZERO}']").click()
    find(opened, ".program summary").click()
    find(opened, ".program .copy").click()
    WebDriverWait(opened, 10).until(lambda _: find(opened, ".program .copy").text == "Copied")
    copied = opened.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied.startswith("int main(void)")


def test_the_way_to_the_console(opened: Any) -> None:
    find(opened, f"#matrix a[href='#mtty/{ZERO}']").click()
    find(opened, "a[href='#consoles']").click()
    closes(opened)
    assert find(opened, "#console-gw0-1 pre .fault").text == CONSOLE


def test_a_deep_link(opened: Any, page: str) -> None:
    opened.get("about:blank")
    opened.get(f"{page}#mtty/{NOTHING}")
    opens(opened, f"mtty / {NOTHING}")
    assert "a known one" in find(opened, "#detail-body").text
    find(opened, "#close").click()
    closes(opened)
    comes(opened, lambda: opened.current_url, page)
    opened.get(f"{page}#nobody/nothing")
    closes(opened)


def test_back_leads_out_again(opened: Any) -> None:
    find(opened, f"#matrix a[href='#mtty/{ZERO}']").click()
    opens(opened, f"mtty / {ZERO}")
    find(opened, "#next").click()
    opens(opened, f"qat / {ZERO}")
    find(opened, "#previous").click()
    opens(opened, f"mtty / {ZERO}")
    opened.back()
    closes(opened)


def test_the_keyboard_alone(opened: Any) -> None:
    opened.execute_script("document.querySelector('#matrix a[tabindex=\"0\"]').focus()")
    start = focused(opened)
    press(opened, Keys.ARROW_DOWN)
    assert focused(opened) != start
    press(opened, Keys.ARROW_UP)
    assert focused(opened) == start
    press(opened, Keys.ENTER)
    comes(opened, lambda: find(opened, "#detail").get_property("open"), True)
    for _ in range(12):  # the focus stays in the dialog
        press(opened, Keys.TAB)
        inside = "return document.activeElement === document.body || "
        inside += "document.getElementById('detail').contains(document.activeElement)"
        assert opened.execute_script(inside)
    press(opened, Keys.ESCAPE)
    closes(opened)
    comes(opened, lambda: focused(opened), start)
    # The whole matrix is one tab stop.
    stops = opened.find_elements(By.CSS_SELECTOR, "#matrix a[tabindex='0']")
    assert len(stops) == 1


@pytest.mark.parametrize("at", ["", f"#mtty/{ZERO}"])
def test_a_phone_needs_no_scrolling_sideways(opened: Any, page: str, at: str) -> None:
    show(opened, 360, 740)
    opened.get("about:blank")
    opened.get(page + at)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 360
    assert opened.execute_script("return document.getElementById('detail-body').scrollWidth") <= 360
    opened.execute_script("document.querySelector('.matrix-box').scrollLeft = 1000")
    first = opened.execute_script(
        "return document.querySelector('#matrix th[scope=row]').getBoundingClientRect().left"
    )
    assert 0 <= first < 40


def test_the_dark_scheme(opened: Any) -> None:
    colours = "const of = getComputedStyle(document.body); return [of.backgroundColor, of.color]"
    light = opened.execute_script(colours)
    show(opened, 1280, 900, "dark")
    dark = opened.execute_script(colours)
    assert brightness(light[0]) > 200 > 100 > brightness(light[1])
    assert brightness(dark[0]) < 60 < 180 < brightness(dark[1])


def test_verdicts_can_be_told_without_colours(opened: Any) -> None:
    signs = opened.find_elements(By.CSS_SELECTOR, "#matrix a.sign")
    by_kind = {one.get_attribute("class").split()[1]: one.text for one in signs}
    assert len(set(by_kind.values())) == len(by_kind) == 6
