# SPDX-License-Identifier: GPL-2.0-only
"""git's part of a bisect, with a judge that looks at a file: it ends right, or it begins anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures import cache
from fixtures.errors import RunError
from fixtures.git import git
from fixtures.progress import Progress
from fixtures.record.compare import Kind
from tests.unit.repository import NOBODY
from workflows.bisect import Bisect, _run
from workflows.bisect_step import BAD, GOOD, SKIP
from workflows.step import Selection
from workflows.subject import Subject

# What each commit is: the third does not build, the fourth is the one that is looked for.
COMMITS = [GOOD, GOOD, SKIP, BAD, BAD, BAD]
SUBJECT = Subject(Kind.BEHAVIOUR, "precopy_info.flags.v2", "mtty")


@pytest.fixture
def bisect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bisect:
    """A bisect of a repository of six commits, none of which is judged yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree, folder = tmp_path / "a tree", tmp_path / "a bisect"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(tree))
    folder.mkdir()
    for number, status in enumerate(COMMITS):
        (tree / "status").write_text(str(status))
        (tree / "number").write_text(str(number))
        git(tree, "add", "-A")
        git(tree, "commit", "--quiet", "-m", f"commit {number}", **NOBODY)
    good, bad = (git(tree, "rev-parse", name).strip() for name in ("HEAD~5", "HEAD"))
    return Bisect(tree, good, bad, SUBJECT, Selection(), folder)


def run(bisect: Bisect, judge: list[str]) -> list[str]:
    """Return the numbers of the commits that the bisect ends with."""
    with cache.locked("bisect-test", Progress()) as lock:
        found = _run(bisect, judge, lock)
    return sorted(git(bisect.tree, "show", f"{commit}:number") for commit in found)


def judge(bisect: Bisect) -> list[str]:
    """Return a command that ends with the status that is in the commit."""
    shows = f"git -C '{bisect.folder}/worktree' show BISECT_HEAD:status"
    return ["sh", "-c", f'exit "$({shows})"']


def test_the_commit_is_found_beside_what_cannot_be_judged(bisect: Bisect) -> None:
    before = git(bisect.tree, "for-each-ref"), git(bisect.tree, "status", "--branch")
    assert run(bisect, judge(bisect)) == ["2", "3"]
    assert (git(bisect.tree, "for-each-ref"), git(bisect.tree, "status", "--branch")) == before
    assert run(bisect, ["false"]) == ["2", "3"]  # it is known, and nobody is asked again


@pytest.mark.parametrize("status", ["1", "2", "127", "255"])
def test_a_judge_that_cannot_be_started_blames_nobody(bisect: Bisect, status: str) -> None:
    with pytest.raises(RunError, match="start again with the same command"):
        run(bisect, ["sh", "-c", f"exit {status}"])
    assert run(bisect, judge(bisect)) == ["2", "3"]


def test_whatever_state_git_was_left_in_the_next_run_ends(bisect: Bisect) -> None:
    with pytest.raises(RunError):
        run(bisect, ["false"])
    registered = next((bisect.tree / ".git/worktrees").iterdir())
    (registered / "BISECT_HEAD.lock").touch()
    (bisect.folder / "started").touch()
    with pytest.raises(RunError, match="start again with the same command"):
        run(bisect, judge(bisect))
    assert run(bisect, judge(bisect)) == ["2", "3"]


def test_a_bisect_that_somebody_has_ended_begins_anew(bisect: Bisect) -> None:
    with pytest.raises(RunError):
        run(bisect, ["false"])
    (bisect.folder / "started").touch()
    git(bisect.folder / "worktree", "bisect", "reset")
    assert run(bisect, judge(bisect)) == ["2", "3"]


def test_a_repository_that_was_cloned_again(bisect: Bisect) -> None:
    run(bisect, judge(bisect))
    shutil.rmtree(bisect.tree / ".git/worktrees")
    assert run(bisect, judge(bisect)) == ["2", "3"]
