# SPDX-License-Identifier: GPL-2.0-only
"""The gate before a merge: build and test a base and every patch of a series, and say what changed.

    python -m workflows.premerge --tree=~/linux --base=v7.1 --series=series.mbx

Ends with 0 if nothing changed for the worse that was not expected, with 1 where something did, a
patch does not build or boot, or an expected change did not come, and with 2 where that could not be
judged. With --fail-on=must a new deviation from a SHOULD is reported, and fails nothing. What was
judged is kept: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fixtures.paths import named
from fixtures.progress import Progress
from fixtures.record import compare
from fixtures.record.compare import NOTHING, Change, Effect
from fixtures.record.model import BROKEN, FLAKY, Results, nothing, plain
from reports import premerge as report
from workflows import expect, series, step
from workflows.command import (
    CANNOT,
    add_selection,
    make_folder,
    run_main,
    selection_of,
    write_report,
)
from workflows.expect import Expected
from workflows.series import Commit, Series
from workflows.step import Selection, Stage, StepResult
from workflows.stop import on_sigterm

NOTHING_WORSE, WORSE = 0, 1
FOR_THE_WORSE = "changed for the worse"
TOLERATED = "new deviations from a SHOULD are tolerated"


@dataclass(frozen=True)
class PatchStep:
    """A commit, what became of it, and what changed since the last one that was judged."""

    commit: Commit
    outcome: StepResult
    since: Commit | None
    changes: Sequence[Change]


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="premerge", description="Judge a series of patches.")
    parser.add_argument("--tree", required=True, help="a git repository of the kernel")
    parser.add_argument("--base", default="", help="the commit that the series is for")
    parser.add_argument("--series", required=True, help="a mailbox, or a range BASE..TIP")
    parser.add_argument("--expect", default="", help="what the series is meant to change")
    add_selection(parser)
    asked = parser.parse_args(argv)
    selection, progress = selection_of(asked), Progress()
    expected: list[Expected] = []
    if asked.expect:
        expected = expect.load(named(asked.expect), selection.names, progress)
    tree = series.repository(asked.tree)
    patches = series.load(tree, asked.base, asked.series, progress)
    on_sigterm()
    folder = make_folder("premerge")

    def write(steps: Sequence[PatchStep]) -> dict[str, Any]:
        data = judgement(patches, selection, steps, expected)
        texts = {"report.txt": report.text(data), "report.md": report.markdown(data)}
        write_report(folder, data, texts)
        return data

    # Written after each step: whatever ends this, what was judged is there.
    steps = judge_all(patches, selection, progress, on_step=write)
    data = write(steps)
    print(report.text(data))
    print(f"report: {folder}/report.txt, report.md; data: premerge.yaml")
    if steps[-1].outcome.stage is Stage.NOT_MADE:
        print(f"{steps[-1].outcome.problem}; the same command resumes here", file=sys.stderr)
    return int(data["status"])


def judge_all(
    patches: Series,
    selection: Selection,
    progress: Progress,
    on_step: Callable[[Sequence[PatchStep]], object] = lambda _: None,
) -> list[PatchStep]:
    """Build and test every commit of ``patches``, the base first; ``on_step`` is given all so far.

    Without a base that could be judged there is nothing to compare with: that is the end. So is a
    step that cannot be made.
    """
    steps: list[PatchStep] = []
    last: PatchStep | None = None  # that was judged
    count = len(patches.commits) - 1
    for commit in patches.commits:
        name = f"patch {commit.number} of {count}" if commit.number else f"base {patches.base}"
        progress.note(f"{name}: {commit.short} {commit.subject}")
        outcome = step.run_or_tell(patches.spec(commit), selection, name, progress)
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


def changes(before: StepResult, after: StepResult) -> list[Change]:
    """Return what changed; of a step that was not carried through, what it saw for the worse."""
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
    """Return all that a report says, as plain data: the contents of ``premerge.yaml``."""
    first, last = _judged(steps[0]), _judged(steps[-1])
    # Of a last patch that was not judged nobody knows what came.
    missed = [
        one for one in _lasting(expected) if first and last and not one.came_true(first, last)
    ]
    ended, verdict = _gate(steps, expected, missed)
    return {
        "schema": 2,
        "status": ended,
        "verdict": verdict,
        "base": {"name": patches.base, "commit": patches.commits[0].short},
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
            f"{_name(one)}: {driver}: {clause}: {held.why}"
            for one in steps
            if one.outcome.results
            for driver, clause, held in one.outcome.results.of_kind(FLAKY)
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


def _gate(
    steps: Sequence[PatchStep], expected: Sequence[Expected], missed: Sequence[Expected]
) -> tuple[int, str]:
    """Return what the gate ends with, and the same in words."""
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
    """Return what the last patch does not tell: broken clauses, and drivers that are missing."""
    broken = [f"{driver}: {clause}" for driver, clause, _ in results.of_kind(BROKEN)]
    return broken + [f"{name}: missing: {why}" for name, why in results.missing.items()]


def _name(one: PatchStep) -> str:
    return f"patch {one.commit.number}" if one.commit.number else "base"


def _effects(steps: Sequence[PatchStep], expected: Sequence[Expected]) -> set[Effect]:
    """Return the effects of all changes that were not expected."""
    changes = [change for one in steps for change in one.changes]
    left = [change for change in changes if not _foreseen(change, expected)]
    left += [change for change in _whole(steps) if not _foreseen(change, _lasting(expected))]
    return {change.effect for change in left}


def _whole(steps: Sequence[PatchStep]) -> list[Change]:
    """Return what changed from the base to the last patch: a detour between them hides nothing."""
    first, last = _judged(steps[0]), _judged(steps[-1])
    return compare.changes(first, last) if first and last else []


def _lasting(expected: Sequence[Expected]) -> list[Expected]:
    """Return what may be there in the end, too."""
    return [one for one in expected if not one.passing]


def _foreseen(change: Change, expected: Sequence[Expected]) -> bool:
    return any(one.covers(change) for one in expected)


def _step_data(one: PatchStep, patches: Series, expected: Sequence[Expected]) -> dict[str, Any]:
    return {
        "number": one.commit.number,
        "commit": one.commit.id,
        "subject": one.commit.subject,
        "stage": one.outcome.stage.value,
        "problem": step.for_a_mail(one.outcome.problem, patches.spec(one.commit)),
        "since": one.since.number if one.since else None,
        "results": str(one.outcome.folder) if one.outcome.folder else "",
        "changes": [_change_data(change, expected) for change in one.changes],
    }


def _change_data(change: Change, expected: Sequence[Expected]) -> dict[str, Any]:
    return change.as_data() | {"expected": _foreseen(change, expected)}


if __name__ == "__main__":
    sys.exit(run_main(main))
