# SPDX-License-Identifier: GPL-2.0-only
"""The order of the tests that were chosen."""

from __future__ import annotations

import pytest

from fixtures.paths import CHECKOUT

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def test_one():
    pass

@pytest.mark.processors(2)
def test_two():
    pass

@pytest.mark.processors(4)
def test_four():
    pass
"""


def test_those_that_need_more_processors_come_first(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    pytester.makeconftest((CHECKOUT / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(TESTS)
    done = pytester.runpytest_subprocess("--collect-only", "-q")
    names = [line.partition("::")[2] for line in done.outlines if "::" in line]
    assert names == ["test_four", "test_two", "test_one"]
