# SPDX-License-Identifier: GPL-2.0-only
"""Kernels against drivers: run the suites on each, and show what changed from one to the next.

    python -m workflows.matrix "debian:6.12 debian:7.3 ~/linux@v7.1" --drivers=mtty

Ends with 0, with 1 where something deviates on one of them that is not expected, and with 2 where
one could not be judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from fixtures import kernel as kernels
from fixtures.device import all_needs
from fixtures.errors import BuildError, ConfigError, SpecError
from fixtures.kernel import parse
from fixtures.progress import Progress
from fixtures.record import compare
from fixtures.record.results import DEVIATES
from reports import matrix as report
from workflows import step
from workflows.command import CANNOT, add_selection, run_main, selection_of, write_report
from workflows.step import Outcome

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
    for spec in specs:  # that each is there is to be known before hours are spent on the first
        with suppress(ConfigError, BuildError):
            kernels.identity(spec, all_needs(), progress, selection.flavour)
    outcomes = []
    for spec in specs:
        outcomes.append(step.run_for_certain(spec, selection, spec.text, progress))
        if problem := outcomes[-1].problem:
            progress.note(f"{spec.text}: {outcomes[-1].stage.value}: {problem}")
    data = {
        "schema": 1,
        "drivers": selection.names,
        "kernels": [
            _kernel(spec.text, outcome) for spec, outcome in zip(specs, outcomes, strict=True)
        ],
        "changes": _changes(outcomes),
    }
    folder = write_report("matrix", data, {"report.txt": report.text(data)})
    print(report.text(data))
    print(f"report: {folder}/report.txt; data: matrix.yaml")
    return _status(outcomes)


def _kernel(name: str, outcome: Outcome) -> dict[str, Any]:
    """Return a column: what each driver does on that kernel."""
    data: dict[str, Any] = {
        "name": name,
        "stage": outcome.stage.value,
        "problem": outcome.problem,
        "release": "",
        "drivers": {},
    }
    if outcome.results:
        data["release"] = outcome.results["kernel"]["release"]
        data["drivers"] = {
            driver: {
                "absent": about.get("absent", ""),
                "behaviours": about["behaviours"],
                "counts": about["counts"],
                "known": sum(bool(one.get("expected")) for one in about["clauses"].values()),
            }
            for driver, about in outcome.results["drivers"].items()
        }
    return data


def _changes(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return what changed from each kernel that was judged to the next one."""
    judged = [number for number, outcome in enumerate(outcomes) if outcome.results]
    found = []
    for before, after in pairwise(judged):
        old, new = outcomes[before].results, outcomes[after].results
        assert old is not None
        assert new is not None
        changes = [change.as_data() for change in compare.changes(old, new)]
        found.append({"from": before, "to": after, "changes": changes})
    return found


def _status(outcomes: Sequence[Outcome]) -> int:
    results = [outcome.results for outcome in outcomes if outcome.results]
    clauses = [clause for one in results for *_, clause in compare.clauses(one)]
    if any(one["verdict"] == DEVIATES and not one.get("expected") for one in clauses):
        return DEVIATED
    unsure = len(results) < len(outcomes) or any(map(compare.broken, results))
    return CANNOT if unsure else 0


if __name__ == "__main__":
    sys.exit(run_main(main))
