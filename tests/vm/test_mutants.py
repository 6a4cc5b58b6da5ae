# SPDX-License-Identifier: GPL-2.0-only
"""Each clause of ``mutants.yaml`` catches a mistake in a driver, or in VFIO itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.plugin.run import Run
from tests.vm import changed
from tests.vm.conftest import Suites

MUTANTS = Path(__file__).with_name("mutants.yaml")


def modules() -> Iterator[Any]:
    """Yield each module with all of its mutants, which share a build and a machine."""
    for entry in yaml.safe_load(MUTANTS.read_text(encoding="utf-8")):
        yield pytest.param(
            getattr(changed, entry["module"]), entry["mutants"], id=entry["module"].lower()
        )


@pytest.mark.parametrize(("module", "mutants"), list(modules()))
def test_each_clause_catches_its_mistake(
    run: Run,
    suites: Suites,
    tmp_path: Path,
    module: changed.Module,
    mutants: list[dict[str, Any]],
) -> None:
    """As a deviation that is not a known one."""
    changes = [(one["old"], one["new"]) for mutant in mutants for one in mutant["changes"]]
    kernel = changed.with_changes(run.prepare().kernel, module, changes, tmp_path)
    clauses = [clause for mutant in mutants for clause in mutant["clauses"]]
    options = [f"--driver={module.driver}", "--retries=0"]
    done = suites.run(f"--kernel={kernel}", *options, *(f"--clause={one}" for one in clauses))
    assert done.status == 1, done.output
    assert done.results.complete
    missed = [
        clause
        for clause in clauses
        if not any(
            one.verdict == "deviates" and not one.known
            for one in done.held(module.driver, clause).failures
        )
    ]
    assert not missed, done.output
