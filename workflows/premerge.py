# SPDX-License-Identifier: GPL-2.0-only
"""The gate before a merge: build and test a base and every patch, and report the changes.

    python -m workflows.premerge --tree=~/linux --base=v7.1 --series=series.mbx

Exit status: 0 if nothing changed for the worse unexpectedly; 1 if something did, a patch does not
build or boot, or an expected change is missing; 2 if the series could not be judged. With
--fail-on=must a new deviation from a SHOULD is reported but does not fail. Finished steps are kept:
the same command resumes after a stop.
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
    """A commit, its result, and the changes since ``since``, the last judged commit before it."""

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
    parser.add_argument("--base", default="", help="the commit that the patches apply to")
    parser.add_argument("--series", required=True, help="a mailbox, or a range BASE..TIP")
    parser.add_argument("--expect", default="", help="a file with the expected changes")
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

    # Written after each step, so that a report exists however this job ends.
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
    """Build and test every commit of ``patches``, the base first.

    ``on_step`` is called after each step with all steps so far. Stops if the base cannot be judged,
    as there is nothing to compare with then, and at a step that cannot be run.
    """
    steps: list[PatchStep] = []
    last: PatchStep | None = None  # the last judged step
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
