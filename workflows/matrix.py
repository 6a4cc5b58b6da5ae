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

from fixtures import cache
from fixtures import kernel as kernels
from fixtures.device import all_needs
from fixtures.errors import BuildError, ConfigError, SpecError
from fixtures.kernel import parse
from fixtures.kernel.spec import Spec
from fixtures.progress import Progress
from fixtures.record import compare
from fixtures.record.model import BROKEN, DEVIATES, FLAKY, KNOWN, TOLERATED
from reports import matrix as report
from reports import matrix_page
from workflows import cluster, memory, unfinished
from workflows.command import (
    CANNOT,
    add_cluster,
    add_selection,
    arguments,
    make_folder,
    run_main,
    selection_of,
    write_report,
)
from workflows.runner import submitted
from workflows.step import Selection, Stage, StepResult
from workflows.stop import on_sigterm

DEVIATED = 1  # exit status


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    specs_are = "kernel specs, separated by blanks"
    asked = arguments(argv, "matrix", "Compare kernels.", _options, kernels=specs_are)
    selection, progress = selection_of(asked), Progress()
    specs = [parse(text) for text in asked.kernels.split()]
    if not specs:
        raise SpecError('KERNELS= is missing: kernel specs, such as "debian:6.12 ~/linux@v7.1"')
    for spec in specs:  # report a missing kernel before hours are spent on the first one
        with suppress(ConfigError, BuildError):
            kernels.identity(spec, all_needs(), progress, selection.flavour)
    on_sigterm()
    outcomes: list[StepResult] = []
    key = cache.digest(*(spec.text for spec in specs), *selection.argv())
    steps = [(spec, spec.text) for spec in specs]
    with (
        unfinished.job("matrix", key, argv) as job,
        cluster.runner(asked.cluster, progress) as runner,
        submitted(runner, steps, selection) as those,
    ):
        for spec, pending in zip(specs, those, strict=True):
            outcome = pending.result()
            outcomes.append(outcome)
            if problem := outcome.problem:
                progress.note(f"{spec.text}: {outcome.stage.value}: {problem}")
            if outcome.stage is Stage.NOT_MADE:
                break
        job.finished = outcomes[-1].stage is not Stage.NOT_MADE
        # Before the workers end, which takes a while, and perhaps another Ctrl-C.
        data = _data(specs, selection, outcomes)
        folder = make_folder("matrix")
        html = matrix_page.render(data, folder)
        write_report(folder, data, {"report.txt": report.text(data), "report.html": html})
    print(report.text(data))
    print(f"report: {folder}/report.txt, report.html; data: matrix.yaml")
    return _status(outcomes)


def _data(
    specs: Sequence[Spec], selection: Selection, outcomes: Sequence[StepResult]
) -> dict[str, Any]:
    """Return the contents of ``matrix.yaml``."""
    fail_on = (outcome.results.fail_on for outcome in outcomes if outcome.results)
    columns = zip(specs, outcomes, strict=False)
    return {
        "schema": 2,
        "drivers": selection.names,
        "fail_on": next(fail_on, selection.fail_on),
        "kernels": [_kernel(spec.text, outcome) for spec, outcome in columns],
        "changes": _changes(outcomes),
    }


def _options(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_cluster(parser)


def _kernel(name: str, outcome: StepResult) -> dict[str, Any]:
    """Return a column of the table: each driver's results on one kernel."""
    data: dict[str, Any] = {
        "name": name,
        "stage": outcome.stage.value,
        "problem": outcome.problem,
        "release": "",
        "results": str(outcome.folder or ""),
        "host": outcome.host,
        "attention": [],
        "drivers": {},
    }
    if results := outcome.results:
        data["release"] = results.kernel.release
        data["attention"] = _attention(outcome)
        data["drivers"] = {
            driver: {
                "absent": about.lacking,
                "behaviours": about.words,
                "counts": dict(about.counts),
                "known": about.kinds[KNOWN],
                "clauses": {clause: held.kind for clause, held in about.clauses.items()},
                "deviations": {level: asdict(one) for level, one in about.deviations.items()},
            }
            for driver, about in results.drivers.items()
        }
    return data


def _attention(outcome: StepResult) -> list[str]:
    """Return a line for each missing driver and each unexpected or flaky result."""
    results = outcome.results
    assert results is not None
    lines = {
        kind: [
            f"{driver}: {held.labelled(clause)}: {kind}: {held.why}"
            for driver, clause, held in results.of_kind(kind)
        ]
        for kind in (DEVIATES, BROKEN, TOLERATED)
    }
    missing = [f"{driver}: missing: {reason}" for driver, reason in results.missing.items()]
    flaky = [f"{driver}: {clause}: {FLAKY}: {why}" for driver, clause, why in memory.flaky(outcome)]
    return [*missing, *lines[DEVIATES], *lines[BROKEN], *flaky, *lines[TOLERATED]]


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
