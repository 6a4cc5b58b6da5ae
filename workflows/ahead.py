# SPDX-License-Identifier: GPL-2.0-only
"""Commits that a bisect may come to next: their steps are made while workers are idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fixtures.errors import RunError
from fixtures.git import git
from workflows.runner import Pending
from workflows.step import Stage, StepResult


class Ahead:
    """Steps of commits that ``submit``, with "again" or not, hands to so many ``workers``.

    There are never more guesses than workers beside the one that makes the step that is waited for.
    """

    def __init__(self, submit: Callable[[str, bool], Pending], workers: int) -> None:
        self._submit = submit
        self._guesses = workers - 1
        self._pending: dict[str, Pending] = {}

    def wait_for(
        self, commit: str, guesses: Callable[[], Sequence[str]], again: bool = False
    ) -> StepResult:
        """Return the result of ``commit``; meanwhile some of the ``guesses`` are begun.

        ``again``: earlier runs are not enough. Raises RunError if the step could not be made.
        """
        wanted = [commit, *(guesses()[: self._guesses] if self._guesses else ())]
        for other in self._pending.keys() - set(wanted):
            self._pending.pop(other).cancel()
        if again:
            self._pending[commit] = self._submit(commit, True)
        for one in wanted:
            if one not in self._pending:
                self._pending[one] = self._submit(one, False)
        done = self._pending[commit].result()
        if done.stage is Stage.NOT_MADE:
            raise RunError(f"{commit[:12]}: {done.problem}; the same command resumes here")
        return done


def following(work: Path, commit: str) -> list[str]:
    """Return what git bisect in ``work`` comes to after ``commit``: if that is bad, if it is good.

    There is nothing where the bisect then ends. It may come to others where commits were skipped.
    """
    bad = git(work, "rev-parse", "refs/bisect/bad").strip()
    good = "--glob=refs/bisect/good-*"
    found = [_middle(work, commit, "--not", good), _middle(work, bad, "--not", commit, good)]
    return [one for one in found if one not in ("", commit, bad)]


def _middle(work: Path, *commits: str) -> str:
    """Return the commit that halves ``commits``, as git bisect does."""
    first = git(work, "rev-list", "--bisect-vars", *commits).partition("\n")[0]
    return first.removeprefix("bisect_rev=").strip("'")
