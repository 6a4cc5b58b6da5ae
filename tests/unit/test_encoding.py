# SPDX-License-Identifier: GPL-2.0-only
"""Text is UTF-8 in any locale: in every file, and in every program's output."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fixtures.paths import CHECKOUT

FOLDERS = ("fixtures", "reports", "suites", "tests", "workflows")
MODE = re.compile(r"[rwxat+]+")
TEXT = {"read_text": 0, "write_text": 1, "open": 2}  # the position of the encoding argument


def unsaid(source: str) -> Iterator[int]:
    """Yield the lines of ``source`` that use the locale's encoding."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        options = {option.arg: option.value for option in call.keywords}
        if "encoding" in options:
            continue
        text = options.get("text")
        of_a_program = isinstance(text, ast.Constant) and text.value is True
        if of_a_program or (_opens_text(call, options) and len(call.args) <= TEXT[_name(call)]):
            yield call.lineno


def _opens_text(call: ast.Call, options: dict[str | None, ast.expr]) -> bool:
    """Return whether ``call`` reads or writes a file as text; open() may be another method."""
    name = _name(call)
    if name != "open":
        return name in TEXT
    place = 1 if isinstance(call.func, ast.Name) else 0
    mode = call.args[place] if len(call.args) > place else options.get("mode", ast.Constant("r"))
    return isinstance(mode, ast.Constant) and bool(MODE.fullmatch(str(mode.value)))


def _name(call: ast.Call) -> str:
    called = call.func
    return called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")


def test_what_leaves_the_encoding_to_the_locale_is_found() -> None:
    for bad in (
        *("path.read_text()", 'path.write_text("x")', 'open("x")', 'path.open("w")'),
        *("subprocess.run(x, text=True)", 'path.read_text(errors="replace")', 'open(x, mode="a")'),
    ):
        assert list(unsaid(bad)) == [1], bad
    for good in (
        *('path.read_text("utf-8")', 'path.write_text("x", "utf-8")', 'open(x, "rb")'),
        *('path.open("wb")', "os.open(path, os.O_RDWR)", 'run(x, text=True, encoding="utf-8")'),
        *('device.open("/dev/vfio/vfio", 3)', 'Clause(text="a rule")', 'open(x, "ab")'),
        *('path.open("w", encoding="utf-8")', 'path.open(mode="rb")', "run(x, text=False)"),
    ):
        assert not list(unsaid(good)), good


def test_nothing_leaves_the_encoding_to_the_locale() -> None:
    found = {
        str(path.relative_to(CHECKOUT))
        for folder in FOLDERS
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
        for _ in unsaid(path.read_text(encoding="utf-8"))
    }
    assert found == set()
