# SPDX-License-Identifier: GPL-2.0-only
"""The selection of tests, and their order."""

from __future__ import annotations

import pytest

from fixtures.errors import SpecError
from fixtures.paths import CHECKOUT
from fixtures.plugin import selection

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


@pytest.mark.parametrize("given", ["precopy_info.flags.v1-echo", "precopy_info.flags.*"])
def test_a_clause_in_the_spelling_of_behaviours_is_taken(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    meant = given.replace("_", "-")
    assert selection.clause(given) == meant
    assert capsys.readouterr().err == f"note: --clause={given} is taken for {meant}\n"


def test_a_behaviour_in_the_spelling_of_clauses_is_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert selection.behaviour("precopy-info.flags.v1") == "precopy_info.flags.v1"
    assert "is taken for precopy_info.flags.v1" in capsys.readouterr().err


def test_the_right_spelling_needs_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    assert selection.clause("reinit.once") == "reinit.once"
    assert selection.behaviour("precopy_info.flags.v1") == "precopy_info.flags.v1"
    assert not capsys.readouterr().err


def test_a_suite_may_have_either_spelling() -> None:
    assert selection.suite("precopy-info") == "precopy_info"
    assert selection.suite("suites/end_of_stream/") == "end_of_stream"


def test_a_name_of_the_other_kind_is_told_to_be_that() -> None:
    with pytest.raises(SpecError, match=r"is a behaviour: use --behaviour=precopy_info\.flags"):
        selection.clause("precopy_info.flags.v1")
    with pytest.raises(SpecError, match=r"is a clause: use --clause=reinit\.once"):
        selection.behaviour("reinit.once")
