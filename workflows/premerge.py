# SPDX-License-Identifier: GPL-2.0-only
"""The gate before a merge: build and test a base and every patch, and report the changes.

    python -m workflows.premerge --tree=~/linux --base=v7.1 --series=series.mbx
    python -m workflows.premerge --tree=~/linux --series=20260714151505.1-1-me@example.com

Exit status: 0 if nothing changed for the worse unexpectedly; 1 if something did, a patch does not
build or boot, or an expected change is missing; 2 if the series could not be judged. With
--fail-on=must a new deviation from a SHOULD is reported but does not fail. Finished steps are kept:
the same command resumes after a stop.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fixtures import cache, untrusted
from fixtures.paths import named
from fixtures.progress import Progress
from fixtures.record import compare
from fixtures.record.compare import NOTHING, Change, Effect
from fixtures.record.model import BROKEN, Results, nothing, plain
from reports import premerge as report
from reports import premerge_page, reply
from workflows import cluster, expect, memory, series, step, unfinished
from workflows.command import (
    CANNOT,
    add_cluster,
    add_selection,
    make_folder,
    run_main,
    selection_of,
    write_report,
)
from workflows.expect import Expected
from workflows.mail import source
from workflows.mail.thread import Posting
from workflows.runner import Here, Runner, submitted
from workflows.series import Commit, Series
from workflows.step import Selection, Stage, StepResult
from workflows.stop import on_sigterm

NOTHING_WORSE, WORSE = 0, 1
FOR_THE_WORSE = "changed for the worse"
TOLERATED = "new deviations from a SHOULD are tolerated"


@dataclass(frozen=True)
class PatchStep:
    """A commit, its result, and the changes since ``since``, the last judged commit before it."""

    commit: Commit
    outcome: StepResult
    since: Commit | None
    changes: Sequence[Change]

    @functools.cached_property
    def flaky(self) -> list[tuple[str, str, str]]:
        """Driver and clause of each flaky result, and why: earlier runs are looked at once."""
        return memory.flaky(self.outcome)


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="premerge", description="Judge a series of patches.")
    parser.add_argument("--tree", required=True, help="a git repository of the kernel")
    parser.add_argument("--base", default="", help="the commit that the patches apply to")
    parser.add_argument(
        "--series", required=True, help="a mailbox, maildir, message-id, URL, or range BASE..TIP"
    )
    parser.add_argument("--version", default="", help="of a series that was posted several times")
    parser.add_argument("--expect", default="", help="a file with the expected changes")
    add_selection(parser)
    add_cluster(parser)
    asked = parser.parse_args(argv)
    selection, progress = selection_of(asked), Progress()
    expected = expectations(asked.expect, selection, progress)
    tree = series.repository(asked.tree)
    patches = series.load(tree, asked.base, asked.series, progress, asked.version)
    key = cache.digest(str(tree), *(one.id for one in patches.commits), *selection.argv())
    with unfinished.job("premerge", key, argv) as job:
        with cluster.runner(asked.cluster, progress) as runner:
            data = carry_out(patches, selection, expected, progress, runner)
        job.finished = data["steps"][-1]["stage"] != Stage.NOT_MADE.value
    return int(data["status"])


def expectations(file: str, selection: Selection, progress: Progress) -> list[Expected]:
    """Return the expected changes in ``file``, none if it is "".

    Raises RunError.
    """
    return expect.load(named(file), selection.names, progress) if file else []


def carry_out(
    patches: Series,
    selection: Selection,
    expected: Sequence[Expected],
    progress: Progress,
    runner: Runner | None = None,
) -> dict[str, Any]:
    """Judge ``patches``, write and print the report, and return its data.

    Raises RunError.
    """
    on_sigterm()
    folder = make_folder("premerge")
    unfinished.needs(folder)

    def write(steps: Sequence[PatchStep]) -> dict[str, Any]:
        data = judgement(patches, selection, steps, expected)
        texts = {
            "report.txt": report.text(data),
            "report.md": report.markdown(data),
            "report.html": premerge_page.render(data, folder),
        }
        if data["posting"]:
            texts["reply.eml"] = reply.mail(data)
        write_report(folder, data, texts)
        return data

    # Written after each step, so that a report exists however this job ends.
    steps = judge_all(patches, selection, progress, on_step=write, runner=runner)
    data = write(steps)
    print(report.text(data))
    answer = ", reply.eml" if data["posting"] else ""
    print(f"report: {folder}/report.txt, report.md, report.html{answer}; data: premerge.yaml")
    if steps[-1].outcome.stage is Stage.NOT_MADE:
        print(f"{steps[-1].outcome.problem}; the same command resumes here", file=sys.stderr)
    return data


def judge_all(
    patches: Series,
    selection: Selection,
    progress: Progress,
    on_step: Callable[[Sequence[PatchStep]], object] = lambda _: None,
    runner: Runner | None = None,
) -> list[PatchStep]:
    """Build and test every commit of ``patches``, the base first.

    ``on_step`` is called after each step with all steps so far. Stops if the base cannot be judged,
    as there is nothing to compare with then, and at a step that cannot be run. ``runner`` carries
    the steps out, by default this process.
    """
    steps: list[PatchStep] = []
    last: PatchStep | None = None  # the last judged step
    named = [_called(patches, commit) for commit in patches.commits]
    specs = [patches.spec(commit) for commit in patches.commits]
    with submitted(runner or Here(progress), [*zip(specs, named, strict=True)], selection) as those:
        for commit, name, pending in zip(patches.commits, named, those, strict=True):
            progress.note(f"{name}: {commit.short} {commit.subject}")
            outcome = pending.result()
            changed = changes(last.outcome, outcome) if last else []
            steps.append(PatchStep(commit, outcome, last.commit if last else None, changed))
            if outcome.problem:
                progress.note(f"{name}: {outcome.stage.value}: {outcome.problem}")
            on_step(steps)
            if outcome.stage is Stage.JUDGED:
                last = steps[-1]
            elif not commit.number or outcome.stage is Stage.NOT_MADE:
                break
    return steps


def _called(patches: Series, commit: Commit) -> str:
    """Return what messages call the step of ``commit``."""
    if not commit.number:
        return f"base {patches.base}"
    return f"patch {commit.number} of {len(patches.commits) - 1}"


def changes(before: StepResult, after: StepResult) -> list[Change]:
    """Return the changes; if ``after`` is incomplete, only those for the worse that it saw."""
    if not before.results or not after.results:
        return []
    found = compare.changes(before.results, after.results)
    if after.stage is Stage.JUDGED:
        return found
    worse = (Effect.WORSE, Effect.TOLERATED)
    return [one for one in found if one.effect in worse and one.after != NOTHING]


def _judged(one: PatchStep) -> Results | None:
    return one.outcome.results if one.outcome.stage is Stage.JUDGED else None


def judgement(
    patches: Series, selection: Selection, steps: Sequence[PatchStep], expected: Sequence[Expected]
) -> dict[str, Any]:
    """Return the report's contents as plain data, as in ``premerge.yaml``."""
    first, last = _judged(steps[0]), _judged(steps[-1])
    # If the last patch was not judged, it is unknown which expected changes are there.
    missed = [
        one for one in _lasting(expected) if first and last and not one.came_true(first, last)
    ]
    ended, verdict = _gate(steps, expected, missed)
    return {
        "schema": 2,
        "status": ended,
        "verdict": verdict,
        "base": {
            "name": patches.base,
            "commit": patches.commits[0].short,
            "from": patches.base_from,
            "lacks": list(patches.lacks),
        },
        "posting": _posting_data(patches.posting) if patches.posting else {},
        "patches": len(patches.commits) - 1,
        "tip": patches.commits[-1].short,
        "judged": sum(one.outcome.stage is Stage.JUDGED for one in steps),
        "kernel": plain(first.kernel) | {"spec": patches.base} if first else {},
        "machine": plain(first.machine) if first else {},
        "drivers": selection.names,
        "suites": list(selection.suites),
        "fail_on": first.fail_on if first else selection.fail_on,
        "steps": [_step_data(one, patches, expected) for one in steps],
        "whole": [_change_data(change, _lasting(expected)) for change in _whole(steps)],
        "broken": _unjudged(last) if last else [],
        "flaky": [
            f"{_name(one)}: {driver}: {clause}: {why}"
            for one in steps
            for driver, clause, why in one.flaky
        ],
        "missed": [
            {
                "driver": one.driver,
                "name": one.name,
                "after": one.after,
                "seen": one.seen(last or nothing()),
            }
            for one in missed
        ],
    }


def _posting_data(posting: Posting) -> dict[str, Any]:
    """Return what an answer to the series needs."""
    top = posting.top
    return {
        "version": posting.version,
        "message_id": top.id,
        "link": source.link(top.id),
        "subject": untrusted.clean_line(top.subject),
        "date": untrusted.clean_line(top.date),
        "from": [vars(one) for one in top.sender],
        "cc": [vars(one) for one in top.others],
    }


def _gate(
    steps: Sequence[PatchStep], expected: Sequence[Expected], missed: Sequence[Expected]
) -> tuple[int, str]:
    """Return the exit status, and the verdict in words."""
    unsure = "could not be judged"
    if steps[0].outcome.stage is not Stage.JUDGED:
        return CANNOT, unsure
    effects = _effects(steps, expected)
    complaints = [FOR_THE_WORSE] if Effect.WORSE in effects else []
    complaints += [
        f"patch {one.commit.number} {one.outcome.stage.value}"
        for one in steps
        if one.outcome.stage not in (Stage.JUDGED, Stage.OUT_OF_TIME, Stage.NOT_MADE)
    ]
    if missed:
        complaints.append("an expected change is missing")
    if complaints:
        return WORSE, "; ".join(complaints)
    last = _judged(steps[-1])
    if last is None or _unjudged(last) or Effect.UNJUDGED in effects:
        return CANNOT, unsure
    if any(one.outcome.stage is not Stage.JUDGED for one in steps):
        return CANNOT, unsure
    tolerated = f"; {TOLERATED}" if Effect.TOLERATED in effects else ""
    return NOTHING_WORSE, f"nothing changed for the worse{tolerated}"


def _unjudged(results: Results) -> list[str]:
    """Return a line for each broken clause and for each missing driver."""
    broken = [f"{driver}: {clause}" for driver, clause, _ in results.of_kind(BROKEN)]
    return broken + [f"{name}: missing: {why}" for name, why in results.missing.items()]


def _name(one: PatchStep) -> str:
    return f"patch {one.commit.number}" if one.commit.number else "base"


def _effects(steps: Sequence[PatchStep], expected: Sequence[Expected]) -> set[Effect]:
    """Return the effects of all unexpected changes."""
    changes = [change for one in steps for change in one.changes]
    left = [change for change in changes if not _foreseen(change, expected)]
    left += [change for change in _whole(steps) if not _foreseen(change, _lasting(expected))]
    return {change.effect for change in left}


def _whole(steps: Sequence[PatchStep]) -> list[Change]:
    """Return the net changes from the base to the last patch."""
    first, last = _judged(steps[0]), _judged(steps[-1])
    return compare.changes(first, last) if first and last else []


def _lasting(expected: Sequence[Expected]) -> list[Expected]:
    """Return the expected changes that must last: those that are not ``passing``."""
    return [one for one in expected if not one.passing]


def _foreseen(change: Change, expected: Sequence[Expected]) -> bool:
    return any(one.covers(change) for one in expected)


def _step_data(one: PatchStep, patches: Series, expected: Sequence[Expected]) -> dict[str, Any]:
    return {
        "number": one.commit.number,
        "commit": one.commit.id,
        "subject": one.commit.subject,
        "author": one.commit.author,
        "message_id": one.commit.message_id,
        "link": source.link(one.commit.message_id),
        "stage": one.outcome.stage.value,
        "problem": step.for_a_mail(one.outcome.problem, patches.spec(one.commit)),
        "since": one.since.number if one.since else None,
        "results": str(one.outcome.folder) if one.outcome.folder else "",
        "host": one.outcome.host,
        "changes": [_change_data(change, expected) for change in one.changes],
    }


def _change_data(change: Change, expected: Sequence[Expected]) -> dict[str, Any]:
    return change.as_data() | {"expected": _foreseen(change, expected)}


if __name__ == "__main__":
    sys.exit(run_main(main))
