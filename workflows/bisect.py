# SPDX-License-Identifier: GPL-2.0-only
"""Find the commit that changed a driver's behaviour, with ``git bisect``.

    python -m workflows.bisect --tree=~/linux --good=v7.0 --bad=v7.1 --drivers=mtty \\
        --behaviour=precopy_info.flags.v2

git works in a separate worktree without files: the user's checkout, index, branches and own bisect
stay untouched. Measurements and git's state are kept: the same command resumes after a stop.
Exit status: 0 if the commit was found, 2 if not.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fixtures import cache, paths
from fixtures.durable import write_whole
from fixtures.errors import RunError, SpecError
from fixtures.git import GitFailed, git, is_ancestor
from fixtures.kernel.spec import RefSpec, kernel_commit
from fixtures.progress import Progress
from reports import bisect as report
from workflows import cluster, unfinished
from workflows import subject as subjects
from workflows.ahead import Ahead, following
from workflows.command import (
    CANNOT,
    add_cluster,
    add_selection,
    make_folder,
    run_main,
    selection_of,
    words,
    write_report,
)
from workflows.measure import Measured, measure
from workflows.runner import Pending
from workflows.series import repository
from workflows.step import Selection, StepResult, fingerprint, for_a_mail
from workflows.subject import Subject

FOUND = 0
GOOD, BAD, SKIP = "good", "bad", "skip"  # words of git bisect
STEPS = "steps.yaml"  # the measured commits, in the order of measurement


@dataclass(frozen=True)
class Bisect:
    """A bisect: its subject, its two end commits, and the folder for git's work and the results."""

    tree: Path
    good: str
    bad: str
    subject: Subject
    selection: Selection
    folder: Path

    @property
    def work(self) -> Path:
        """git's worktree, without files."""
        return self.folder / "worktree"

    def spec(self, commit: str) -> RefSpec:
        """Return the kernel spec of ``commit``."""
        return RefSpec.of_commit(self.tree, commit)

    def measure(
        self, commit: str, progress: Progress, make: Callable[[bool], StepResult]
    ) -> Measured:
        """Measure ``commit``, whose step ``make`` makes, and record its value.

        Raises RunError.
        """
        subject = git(self.tree, "log", "-1", "--format=%s", commit).strip()
        progress.note(f"{commit[:12]} {subject}")
        measured = measure(make, self.subject)
        progress.note(f"{commit[:12]}: {measured.value or 'skipped: ' + measured.reason}")
        seen = self.steps()
        reason = for_a_mail(measured.reason, self.spec(commit))
        entry = {"subject": subject, "value": measured.value, "reason": reason}
        entry["host"] = measured.host
        seen[commit] = entry
        write_whole(self.folder / STEPS, yaml.safe_dump(seen, sort_keys=False, width=100))
        return measured

    def steps(self) -> dict[str, dict[str, str]]:
        """Return the measurements so far, by commit."""
        path = self.folder / STEPS
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.exists() else {}


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="bisect", description="Find a change of behaviour.")
    parser.add_argument("--tree", required=True, help="a git repository of the kernel")
    parser.add_argument("--good", required=True, help="a commit before the change")
    parser.add_argument("--bad", required=True, help="a commit after the change")
    subjects.add_options(parser)
    add_selection(parser)
    add_cluster(parser)
    asked = parser.parse_args(argv)
    bisect, progress = _of(asked), Progress()
    key = bisect.folder.name
    with (
        cache.locked(f"bisect-{key}", progress),
        cluster.runner(asked.cluster, progress) as runner,
        unfinished.job("bisect", key, argv) as job,
    ):
        unfinished.needs(bisect.folder)
        bisect.folder.mkdir(parents=True, exist_ok=True)

        def submit(commit: str, again: bool) -> Pending:
            name = commit[:12]
            return runner.submit(bisect.spec(commit), bisect.selection, name, again=again)

        ahead = Ahead(submit, runner.workers)

        def measured(
            commit: str, guesses: Callable[[], Sequence[str]] = list, again: bool = False
        ) -> Measured:
            def make(once_more: bool) -> StepResult:
                return ahead.wait_for(commit, guesses, again=again or once_more)

            return bisect.measure(commit, progress, make)

        good = _end("GOOD", bisect.good, measured(bisect.good, lambda: [bisect.bad]))
        bad = _end("BAD", bisect.bad, measured(bisect.bad))
        if good == bad:
            raise SpecError(
                f"{bisect.subject} is {good!r} at GOOD={asked.good} and at BAD={asked.bad}:"
                " there is no change between them"
            )

        def judge(commit: str) -> str:
            value = measured(commit, lambda: following(bisect.work, commit)).value
            return {good: GOOD, bad: BAD}.get(value, SKIP)  # a third value is neither

        candidates = _run(bisect, judge)
        data = _found(bisect, candidates, good, bad, lambda one: measured(one, again=True))
        folder = _write(bisect, data)
        job.finished = True
    print(report.text(data))
    print(f"report: {folder}/report.txt; data: bisect.yaml")
    return FOUND if data["found"] else CANNOT


def _of(asked: argparse.Namespace) -> Bisect:
    for name, when in (("good", "before"), ("bad", "after")):
        if not getattr(asked, name):
            raise SpecError(f"{name.upper()}= is missing: a commit {when} the change")
    subject = subjects.of(asked, words(asked.drivers))
    selection = selection_of(asked, *subject.words)
    tree = repository(asked.tree)
    good, bad = kernel_commit(tree, asked.good), kernel_commit(tree, asked.bad)
    if not is_ancestor(tree, good, bad):
        raise SpecError(
            f"GOOD={asked.good} is not an ancestor of BAD={asked.bad}: GOOD must be the older"
            " commit, also to find a fix; a shallow clone may lack the history between them"
        )
    # The key includes the suite: after an edit, kept values may no longer be valid.
    key = cache.digest(str(tree), good, bad, str(subject), *selection.argv(), fingerprint())
    return Bisect(tree, good, bad, subject, selection, paths.cache() / "bisects" / key)


def _end(name: str, commit: str, measured: Measured) -> str:
    if not measured.value:
        raise RunError(f"{name}={commit[:12]} cannot be judged: {measured.reason}")
    return measured.value


def _run(bisect: Bisect, judge: Callable[[str], str]) -> list[str]:
    """Run git bisect to its end, and return the candidates for the first bad commit.

    ``judge`` says of a commit if it is GOOD, BAD or to SKIP.

    Raises RunError, also if git stops before the end.
    """
    work, started = bisect.work, bisect.folder / "started"
    if not (started.exists() and (work / ".git").exists() and _is_bisecting(work)):
        started.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        add = ("worktree", "add", "--force", "--force", "--no-checkout", "--detach")
        git(bisect.tree, *add, str(work), bisect.good)
        git(work, "bisect", "start", "--no-checkout", bisect.bad, bisect.good)
        started.touch()
    while not (found := _candidates(work)):
        with _or_from_scratch(work, started):
            commit = git(work, "rev-parse", "BISECT_HEAD").strip()
        word = judge(commit)
        with _or_from_scratch(work, started):
            git(work, "bisect", word)
    (bisect.folder / "bisect.log").write_text(git(work, "bisect", "log"), encoding="utf-8")
    return found


@contextmanager
def _or_from_scratch(work: Path, started: Path) -> Iterator[None]:
    """Have git start from scratch the next time, if it fails: the measurements are kept separately.

    Raises RunError then.
    """
    try:
        yield
    except GitFailed as failed:
        if _candidates(work):  # those left were skipped: git fails, and names them in its log
            return
        started.unlink()
        raise RunError(
            f"git bisect stopped early: {failed}. The same command starts it again and keeps the"
            " measurements"
        ) from failed


def _is_bisecting(work: Path) -> bool:
    try:
        git(work, "bisect", "log")
    except GitFailed:
        return False
    return True


def _candidates(work: Path) -> list[str]:
    """Return the first bad commit, or the possible ones, from git's log."""
    names = ("# first bad commit: [", "# possible first bad commit: [")
    lines = git(work, "bisect", "log").split("\n")
    found = [line.split("[")[1].partition("]")[0] for line in lines if line.startswith(names)]
    return list(dict.fromkeys(found))


def _found(
    bisect: Bisect,
    candidates: Sequence[str],
    good: str,
    bad: str,
    again: Callable[[str], Measured],
) -> dict[str, Any]:
    """Measure the found commit and its parents ``again``, and return the report's data."""
    found, doubt, parents = "", "", {}
    if begins := _where_it_begins(bisect, candidates, bad):
        candidates = [begins]
        parents = {parent: again(parent) for parent in _parents(bisect.tree, begins)}
        now = again(begins).value
        if now != bad:
            doubt = f"{begins[:12]}: expected {bad}, got {now or 'no verdict'}"
        if not parents:
            doubt = f"{begins[:12]}: the commit before it is unknown, as in a shallow clone"
        for parent, measured in parents.items():
            if measured.value in (bad, ""):
                seen = measured.value or f"not judged: {measured.reason}"
                doubt = f"{parent[:12]}, the commit before it, is {seen}"
        found = "" if doubt else begins
    return {
        "schema": 1,
        "subject": bisect.subject.title,
        "flavour": bisect.selection.flavour,
        "found": found,
        "doubt": doubt,
        "candidates": [_about(bisect.tree, commit) for commit in candidates],
        "before": good,
        "after": bad,
        # A merged branch may start before GOOD: its commits may have other values than GOOD.
        "parents": [
            {"commit": parent, "value": measured.value} for parent, measured in parents.items()
        ],
        "good": bisect.good,
        "bad": bisect.bad,
        "steps": [{"commit": commit} | about for commit, about in bisect.steps().items()],
    }


def _where_it_begins(bisect: Bisect, candidates: Sequence[str], bad: str) -> str:
    """Return the first commit of ``candidates`` with BAD's value, or "".

    Commits with a third value are skipped, so git may end with several candidates. Their measured
    values still show at which candidate BAD's value begins.
    """
    if len(candidates) == 1:
        return candidates[0]
    seen = {commit: about["value"] for commit, about in bisect.steps().items()}
    begins = [
        commit
        for commit in candidates
        if seen.get(commit) == bad
        and all(seen.get(parent) not in (bad, "") for parent in _parents(bisect.tree, commit))
    ]
    return begins[0] if len(begins) == 1 else ""


def _parents(tree: Path, commit: str) -> list[str]:
    """Return the ids of the parents of ``commit``; a merge has several."""
    return git(tree, "rev-parse", f"{commit}^@").split()


def _about(tree: Path, commit: str) -> dict[str, str]:
    form = "--format=%H%x00%an <%ae>%x00%ad%x00%s"
    shown = git(tree, "log", "-1", form, "--date=short", commit).rstrip("\n")
    return dict(zip(("commit", "author", "date", "subject"), shown.split("\0"), strict=True))


def _write(bisect: Bisect, data: dict[str, Any]) -> Path:
    """Write the report, remove git's worktree and state, and return the report's folder."""
    log = (bisect.folder / "bisect.log").read_text(encoding="utf-8")
    folder = make_folder("bisect")
    write_report(folder, data, {"report.txt": report.text(data), "bisect.log": log})
    with contextlib.suppress(GitFailed):
        git(bisect.tree, "worktree", "remove", "--force", str(bisect.work))
    shutil.rmtree(bisect.folder, ignore_errors=True)
    return folder


if __name__ == "__main__":
    sys.exit(run_main(main))
