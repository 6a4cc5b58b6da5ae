# SPDX-License-Identifier: GPL-2.0-only
"""Run the suites on several kernels, and show the changes from each kernel to the next.

    python -m workflows.matrix "debian:6.12 debian:7.3 ~/linux@v7.1" --drivers=mtty

Exit status: 0; 1 if a kernel has an unexpected deviation (with --fail-on=must, a deviation from a
SHOULD does not count); 2 if a kernel could not be judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from fixtures import kernel as kernels
from fixtures.device import all_needs
from fixtures.errors import BuildError, ConfigError, SpecError
from fixtures.kernel import parse
from fixtures.progress import Progress
from fixtures.record import compare
from fixtures.record.model import BROKEN, DEVIATES, FLAKY, KNOWN, TOLERATED, Results
from reports import matrix as report
from workflows import step
from workflows.command import (
    CANNOT,
    add_selection,
    make_folder,
    run_main,
    selection_of,
    write_report,
)
from workflows.step import Stage, StepResult
from workflows.stop import on_sigterm

DEVIATED = 1  # exit status


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="matrix", description="Compare kernels.")
    parser.add_argument("kernels", help="kernel specs, separated by blanks")
    add_selection(parser)
    asked = parser.parse_args(argv)
    selection, progress = selection_of(asked), Progress()
    specs = [parse(text) for text in asked.kernels.split()]
    if not specs:
        raise SpecError('KERNELS= is missing: kernel specs, such as "debian:6.12 ~/linux@v7.1"')
    for spec in specs:  # report a missing kernel before hours are spent on the first one
        with suppress(ConfigError, BuildError):
            kernels.identity(spec, all_needs(), progress, selection.flavour)
    on_sigterm()
    outcomes: list[StepResult] = []
    for spec in specs:
        outcome = step.run_or_tell(spec, selection, spec.text, progress)
        outcomes.append(outcome)
        if problem := outcome.problem:
            progress.note(f"{spec.text}: {outcome.stage.value}: {problem}")
        if outcome.stage is Stage.NOT_MADE:
            break
    data = {
        "schema": 2,
        "drivers": selection.names,
        "fail_on": next(
            (outcome.results.fail_on for outcome in outcomes if outcome.results), selection.fail_on
        ),
        "kernels": [
            _kernel(spec.text, outcome) for spec, outcome in zip(specs, outcomes, strict=False)
        ],
        "changes": _changes(outcomes),
    }
    folder = make_folder("matrix")
    write_report(folder, data, {"report.txt": report.text(data)})
    print(report.text(data))
    print(f"report: {folder}/report.txt; data: matrix.yaml")
    return _status(outcomes)


def _kernel(name: str, outcome: StepResult) -> dict[str, Any]:
    """Return a column of the table: each driver's results on one kernel."""
    data: dict[str, Any] = {
        "name": name,
        "stage": outcome.stage.value,
        "problem": outcome.problem,
        "release": "",
        "attention": [],
        "drivers": {},
    }
    if results := outcome.results:
        data["release"] = results.kernel.release
        data["attention"] = _attention(results)
        data["drivers"] = {
            driver: {
                "absent": about.lacking,
                "behaviours": about.words,
                "counts": dict(about.counts),
                "known": about.kinds[KNOWN],
                "deviations": {level: asdict(one) for level, one in about.deviations.items()},
            }
            for driver, about in results.drivers.items()
        }
    return data


def _attention(results: Results) -> list[str]:
    """Return a line for each missing driver and each unexpected or flaky result."""
    missing = [f"{driver}: missing: {reason}" for driver, reason in results.missing.items()]
    return missing + [
        f"{driver}: {held.labelled(clause)}: {kind}: {held.why}"
        for kind in (DEVIATES, BROKEN, FLAKY, TOLERATED)
        for driver, clause, held in results.of_kind(kind)
    ]


def _changes(outcomes: Sequence[StepResult]) -> list[dict[str, Any]]:
    """Return the changes from each kernel with results to the next one with results."""
    judged = [number for number, outcome in enumerate(outcomes) if outcome.results]
    found = []
    for before, after in pairwise(judged):
        old, new = outcomes[before].results, outcomes[after].results
        assert old is not None
        assert new is not None
        changes = [change.as_data() for change in compare.changes(old, new)]
        found.append({"from": before, "to": after, "changes": changes})
    return found


def _status(outcomes: Sequence[StepResult]) -> int:
    results = [outcome.results for outcome in outcomes if outcome.results]
    if any(one.of_kind(DEVIATES) for one in results):
        return DEVIATED
    unsure = any(outcome.stage is not Stage.JUDGED for outcome in outcomes)
    return CANNOT if unsure or any(one.of_kind(BROKEN) or one.missing for one in results) else 0


if __name__ == "__main__":
    sys.exit(run_main(main))
