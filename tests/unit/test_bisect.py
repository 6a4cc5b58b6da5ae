# SPDX-License-Identifier: GPL-2.0-only
"""A bisect with git, with a judge that reads a file: it ends correctly, or begins again."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from fixtures.errors import RunError
from fixtures.git import GitFailed, git
from fixtures.progress import Progress
from fixtures.record.compare import ChangeKind
from reports import bisect as report
from tests.unit.repository import NOBODY
from workflows.ahead import Ahead, following
from workflows.bisect import BAD, GOOD, SKIP, Bisect, _found, _run
from workflows.measure import Measured
from workflows.step import Selection, Stage, StepResult
from workflows.subject import Subject

# The verdict on each commit: the third does not build, the fourth is the culprit.
COMMITS = [GOOD, GOOD, SKIP, BAD, BAD, BAD]
SUBJECT = Subject(ChangeKind.BEHAVIOUR, "precopy_info.flags.v2", "mtty")


@pytest.fixture
def bisect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bisect:
    """A bisect in a repository with six commits, all of them without a verdict."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree, folder = tmp_path / "a tree", tmp_path / "a bisect"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(tree))
    folder.mkdir()
    for number, status in enumerate(COMMITS):
        (tree / "status").write_text(status, encoding="utf-8")
        (tree / "number").write_text(str(number), encoding="utf-8")
        git(tree, "add", "-A")
        git(tree, "commit", "--quiet", "-m", f"commit {number}", **NOBODY)
    good, bad = (git(tree, "rev-parse", name).strip() for name in ("HEAD~5", "HEAD"))
    return Bisect(tree, good, bad, SUBJECT, Selection(), folder)


def run(bisect: Bisect, judge: Callable[[str], str]) -> list[str]:
    """Return the numbers of the commits that the bisect finds."""
    found = _run(bisect, judge)
    return sorted(git(bisect.tree, "show", f"{commit}:number") for commit in found)


def judge(bisect: Bisect) -> Callable[[str], str]:
    """Return a judge whose word is in the commit."""
    return lambda commit: git(bisect.tree, "show", f"{commit}:status")


def nobody(_commit: str) -> str:
    """Judge no commit: something is wrong with the host."""
    raise RunError("the disk is full")


def test_the_commit_is_found_beside_what_cannot_be_judged(bisect: Bisect) -> None:
    before = git(bisect.tree, "for-each-ref"), git(bisect.tree, "status", "--branch")
    assert run(bisect, judge(bisect)) == ["2", "3"]
    assert (git(bisect.tree, "for-each-ref"), git(bisect.tree, "status", "--branch")) == before
    assert run(bisect, nobody) == ["2", "3"]  # the verdicts are known: nothing is judged


def test_a_bisect_that_ended_early_goes_on(bisect: Bisect) -> None:
    judged: list[str] = []

    def once(commit: str) -> str:
        if judged:
            raise RunError("the disk is full")
        judged.append(commit)
        return judge(bisect)(commit)

    with pytest.raises(RunError, match="the disk is full"):
        run(bisect, once)
    first = judged.pop()

    def others(commit: str) -> str:
        judged.append(commit)
        return judge(bisect)(commit)

    assert run(bisect, others) == ["2", "3"]
    assert first not in judged


def test_a_word_that_git_does_not_know_blames_nobody(bisect: Bisect) -> None:
    with pytest.raises(RunError, match="The same command starts it again"):
        run(bisect, lambda _commit: "perhaps")
    assert run(bisect, judge(bisect)) == ["2", "3"]


def test_whatever_state_git_was_left_in_the_next_run_ends(bisect: Bisect) -> None:
    with pytest.raises(RunError):
        run(bisect, nobody)
    registered = next((bisect.tree / ".git/worktrees").iterdir())
    (registered / "BISECT_HEAD.lock").touch()
    (bisect.folder / "started").touch()
    with pytest.raises(RunError, match="The same command starts it again"):
        run(bisect, judge(bisect))
    assert run(bisect, judge(bisect)) == ["2", "3"]


def test_a_bisect_that_somebody_has_ended_begins_anew(bisect: Bisect) -> None:
    with pytest.raises(RunError):
        run(bisect, nobody)
    (bisect.folder / "started").touch()
    git(bisect.folder / "worktree", "bisect", "reset")
    assert run(bisect, judge(bisect)) == ["2", "3"]


def test_a_repository_that_was_cloned_again(bisect: Bisect) -> None:
    run(bisect, judge(bisect))
    shutil.rmtree(bisect.tree / ".git/worktrees")
    assert run(bisect, judge(bisect)) == ["2", "3"]


# Commits whose steps are made ahead


@dataclass
class Step:
    """A step of a commit, as a runner has it."""

    stage: Stage
    cancelled: bool = False

    @functools.cached_property
    def done(self) -> StepResult:
        return StepResult(self.stage, problem="the disk is full")

    def result(self) -> StepResult:
        return self.done

    def cancel(self) -> None:
        self.cancelled = True


def test_the_two_commits_that_may_come_next_are_begun(bisect: Bisect) -> None:
    made: dict[str, Step] = {}
    ahead = Ahead(lambda commit, _: made.setdefault(commit, Step(Stage.JUDGED)), workers=3)
    came, guessed = [], []

    def number(commit: str) -> int:
        return int(git(bisect.tree, "show", f"{commit}:number"))

    def word(commit: str) -> str:
        after = following(bisect.work, commit)
        came.append(number(commit))
        guessed.append([number(one) for one in after])
        assert ahead.wait_for(commit, lambda: after) is made[commit].done
        return BAD if number(commit) >= 4 else GOOD

    assert run(bisect, word) == ["4"]
    assert came == [2, 4, 3]
    assert guessed == [[1, 4], [3], []]
    assert [number(commit) for commit, step in made.items() if not step.cancelled] == [3]


def test_no_guess_takes_a_worker_from_a_commit_that_is_wanted() -> None:
    begun: list[str] = []

    def submit(commit: str, again: bool) -> Step:
        begun.append(f"{commit} again" if again else commit)
        return Step(Stage.JUDGED)

    for workers, steps in ((1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])):
        begun.clear()
        ahead = Ahead(submit, workers)
        ahead.wait_for("a", lambda: ["b", "c"])
        assert begun == steps
        ahead.wait_for("a", list, again=True)
        assert begun == [*steps, "a again"]


def test_one_worker_needs_no_guesses() -> None:
    def guesses() -> list[str]:
        raise AssertionError

    Ahead(lambda *_: Step(Stage.JUDGED), workers=1).wait_for("a", guesses)


def test_the_host_is_to_blame_if_git_fails_while_a_commit_is_judged(bisect: Bisect) -> None:
    def fail(_commit: str) -> str:
        return git(bisect.tree, "show", "nothing")

    with pytest.raises(GitFailed):
        run(bisect, fail)
    assert (bisect.folder / "started").exists()
    assert run(bisect, judge(bisect)) == ["2", "3"]


def test_a_step_that_could_not_be_made_ends_the_bisect(bisect: Bisect) -> None:
    ahead = Ahead(lambda *_: Step(Stage.NOT_MADE), workers=2)
    with pytest.raises(RunError, match=f"{bisect.good[:12]}: the disk is full; the same command"):
        ahead.wait_for(bisect.good, list)


# The change that is reported for the commit that git finds


@pytest.fixture
def forked(bisect: Bisect, monkeypatch: pytest.MonkeyPatch) -> Bisect:
    """A bisect of commits whose subject is their measured value; "broken" does not build."""

    def measured(make: Callable[[bool], str], _: object) -> Measured:
        value = git(bisect.tree, "log", "-1", "--format=%s", make(False)).strip()
        return Measured("", "does not build: x") if value == "broken" else Measured(value)

    monkeypatch.setattr("workflows.bisect.measure", measured)
    return bisect


def commit(bisect: Bisect, value: str, *parents: str) -> str:
    """Make a commit with the subject ``value`` on ``parents``, and return its id."""
    content = git(bisect.tree, "rev-parse", "HEAD^{tree}").strip()
    names = [word for parent in parents for word in ("-p", parent)]
    return git(bisect.tree, "commit-tree", "-m", value, *names, content, **NOBODY).strip()


def find(forked: Bisect, good: str, bad: str) -> dict[str, Any]:
    """Bisect from "zeroed" to "echoed", and return the report's data."""
    asked = replace(forked, good=good, bad=bad)

    def measured(one: str) -> Measured:
        return asked.measure(one, Progress(), cast("Any", lambda _: one))

    for one in git(asked.tree, "rev-list", f"{good}..{bad}").split():
        measured(one)
    words = {"zeroed": GOOD, "echoed": BAD}

    def judge(commit: str) -> str:
        return words.get(git(asked.tree, "log", "-1", "--format=%s", commit).strip(), SKIP)

    return _found(asked, _run(asked, judge), "zeroed", "echoed", measured)


def test_a_branch_that_is_older_than_good_may_do_a_third_thing_before(forked: Bisect) -> None:
    root = commit(forked, "other")
    good = commit(forked, "zeroed", root)
    culprit = commit(forked, "echoed", root)
    bad = commit(forked, "echoed", good, culprit)
    data = find(forked, good, bad)
    assert (data["found"], data["doubt"]) == (culprit, "")
    assert data["parents"] == [{"commit": root, "value": "other"}]
    assert f"The commit before it, {root[:12]}, shows neither: other" in report.text(data)


@pytest.mark.parametrize(
    ("before", "said"), [("echoed", "is echoed"), ("broken", "is not judged: does not build: x")]
)
def test_a_branch_that_began_with_what_bad_does_is_not_blamed(
    forked: Bisect, before: str, said: str
) -> None:
    root = commit(forked, before)
    good = commit(forked, "zeroed", root)
    suspect = commit(forked, "echoed", root)
    data = find(forked, good, commit(forked, "echoed", good, suspect))
    assert data["found"] == ""
    assert data["doubt"] == f"{root[:12]}, the commit before it, {said}"
    assert "No commit is blamed" in report.text(data)


def test_a_third_thing_between_good_and_bad_hides_no_commit(forked: Bisect) -> None:
    good = commit(forked, "zeroed")
    broken = commit(forked, "broken", good)
    third = commit(forked, "other", broken)
    culprit = commit(forked, "echoed", third)
    data = find(forked, good, commit(forked, "echoed", culprit))
    assert data["found"] == culprit
    assert data["parents"] == [{"commit": third, "value": "other"}]


def test_what_could_not_be_judged_right_before_is_not_passed_over(forked: Bisect) -> None:
    good = commit(forked, "zeroed")
    broken = commit(forked, "broken", good)
    suspect = commit(forked, "echoed", broken)
    data = find(forked, good, commit(forked, "echoed", suspect))
    assert (data["found"], data["doubt"]) == ("", "")
    assert {one["commit"] for one in data["candidates"]} == {broken, suspect}


def test_a_merge_is_held_against_all_that_it_joins(forked: Bisect) -> None:
    good = commit(forked, "zeroed")
    one, other = commit(forked, "zeroed", good), commit(forked, "other", good)
    merge = commit(forked, "echoed", one, other)
    data = find(forked, good, merge)
    assert data["found"] == merge
    assert [parent["value"] for parent in data["parents"]] == ["zeroed", "other"]


def test_a_commit_without_one_before_it_is_not_blamed(forked: Bisect) -> None:
    good, root = commit(forked, "zeroed"), commit(forked, "echoed")
    data = find(forked, good, commit(forked, "echoed", good, root))
    assert data["found"] == ""
    assert "the commit before it is unknown" in data["doubt"]
