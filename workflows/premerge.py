# SPDX-License-Identifier: GPL-2.0-only
"""The gate before a merge: build and test a base and every patch of a series, and say what changed.

    python -m workflows.premerge --tree=~/linux --base=v7.1 --series=series.mbx

Ends with 0 where nothing changed for the worse that was not expected, with 1 where something did, a
patch does not build or boot, or an expected change did not come, and with 2 where that could not be
judged. What was judged is kept: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.progress import Progress
from fixtures.record import compare
from fixtures.record.compare import Change, Effect
from reports import premerge as report
from workflows import expect, series, step
from workflows.command import CANNOT, add_selection, run_main, selection_of, write_report
from workflows.expect import Expected
from workflows.series import Commit, Series
from workflows.step import Outcome, Selection, Stage

NOTHING_WORSE, WORSE = 0, 1
FOR_THE_WORSE = "changed for the worse"


@dataclass(frozen=True)
class Step:
    """A commit, what became of it, and what changed since the last one that was judged."""

    commit: Commit
    outcome: Outcome
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
        expected = expect.load(Path(asked.expect).expanduser(), selection.names, progress)
    tree = series.repository(asked.tree)
    patches = series.load(tree, asked.base, asked.series, progress)
    steps = judge_all(patches, selection, progress)
    data = judgement(patches, selection, steps, expected)
    texts = {"report.txt": report.text(data), "report.md": report.markdown(data)}
    folder = write_report("premerge", data, texts)
    print(texts["report.txt"])
    print(f"report: {folder}/report.txt, report.md; data: premerge.yaml")
    return int(data["status"])


def judge_all(patches: Series, selection: Selection, progress: Progress) -> list[Step]:
    """Build and test every commit of ``patches``, the base first.

    Without a base that could be judged there is nothing to compare with: that is the end.

    Raises RunError.
    """
    steps: list[Step] = []
    last: Step | None = None  # that was judged
    count = len(patches.commits) - 1
    for commit in patches.commits:
        name = f"patch {commit.number} of {count}" if commit.number else f"base {patches.base}"
        progress.note(f"{name}: {commit.short} {commit.subject}")
        outcome = step.run_for_certain(patches.spec(commit), selection, name, progress)
        changed: list[Change] = []
        if outcome.results and last and last.outcome.results:
            changed = compare.changes(last.outcome.results, outcome.results)
        steps.append(Step(commit, outcome, last.commit if last else None, changed))
        if outcome.problem:
            progress.note(f"{name}: {outcome.stage.value}: {outcome.problem}")
        if outcome.stage is Stage.JUDGED:
            last = steps[-1]
        elif not commit.number:
            break
    return steps


def judgement(
    patches: Series, selection: Selection, steps: Sequence[Step], expected: Sequence[Expected]
) -> dict[str, Any]:
    """Return all that a report says, as plain data: the contents of ``premerge.yaml``."""
    first, last = steps[0].outcome.results, steps[-1].outcome.results
    # Of a last patch that was not judged nobody knows what came.
    missed = [
        one for one in _lasting(expected) if first and last and not one.came_true(first, last)
    ]
    ended, verdict = _gate(steps, expected, missed)
    return {
        "schema": 1,
        "status": ended,
        "verdict": verdict,
        "base": {"name": patches.base, "commit": patches.commits[0].short},
        "patches": len(patches.commits) - 1,
        "tip": patches.commits[-1].short,
        "kernel": first["kernel"] | {"spec": patches.base} if first else {},
        "machine": first["machine"] if first else {},
        "drivers": selection.names,
        "suites": list(selection.suites),
        "steps": [_step_data(one, patches, expected) for one in steps],
        "whole": [_change_data(change, _lasting(expected)) for change in _whole(steps)],
        "broken": [f"{driver}: {name}" for driver, name in (compare.broken(last) if last else ())],
        "missed": [
            {
                "driver": one.driver,
                "name": one.name,
                "after": one.after,
                "seen": one.seen(last or {"drivers": {}}),
            }
            for one in missed
        ],
    }


def _gate(
    steps: Sequence[Step], expected: Sequence[Expected], missed: Sequence[Expected]
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
        if one.outcome.stage not in (Stage.JUDGED, Stage.OUT_OF_TIME)
    ]
    if missed:
        complaints.append("what was expected did not come")
    if complaints:
        return WORSE, "; ".join(complaints)
    if (
        compare.broken(steps[-1].outcome.results or {"drivers": {}})
        or Effect.UNJUDGED in effects
        or any(one.outcome.stage is Stage.OUT_OF_TIME for one in steps)
    ):
        return CANNOT, unsure
    return NOTHING_WORSE, "nothing changed for the worse"


def _effects(steps: Sequence[Step], expected: Sequence[Expected]) -> set[Effect]:
    """Return the effects of all changes that were not expected."""
    changes = [change for one in steps for change in one.changes]
    left = [change for change in changes if not _foreseen(change, expected)]
    left += [change for change in _whole(steps) if not _foreseen(change, _lasting(expected))]
    return {change.effect for change in left}


def _whole(steps: Sequence[Step]) -> list[Change]:
    """Return what changed from the base to the last patch: a detour between them hides nothing."""
    first, last = steps[0].outcome.results, steps[-1].outcome.results
    return compare.changes(first, last) if first and last else []


def _lasting(expected: Sequence[Expected]) -> list[Expected]:
    """Return what may be there in the end, too."""
    return [one for one in expected if not one.passing]


def _foreseen(change: Change, expected: Sequence[Expected]) -> bool:
    return any(one.covers(change) for one in expected)


def _step_data(one: Step, patches: Series, expected: Sequence[Expected]) -> dict[str, Any]:
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
