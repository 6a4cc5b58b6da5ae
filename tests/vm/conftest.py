# SPDX-License-Identifier: GPL-2.0-only
"""Kernels, machines and whole runs of the suites, for tests with a VM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.paths import CHECKOUT
from fixtures.plugin.run import Run
from fixtures.record import compare
from fixtures.record.model import Judgement, Results, load, nothing
from tests.vm.changed import Module, with_change

NEW, OLD = "debian:newest", "debian:6.12"
RUN_DEADLINE = 2400.0  # seconds; includes a cold build of the old kernel, next to other tests


@dataclass(frozen=True)
class Finished:
    """A finished run of the suites."""

    status: int
    output: str
    results: Results

    def held(self, driver: str, clause: str) -> Judgement:
        """Return the judgement on a clause of a driver."""
        return self.results.drivers[driver].clauses[clause]


class Suites:
    """Runs ``pytest suites`` as a user does, with its own results folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(
        self,
        *options: str,
        environment: dict[str, str] | None = None,
        checkout: Path = CHECKOUT,
    ) -> Any:
        """Start a run; its output goes to a pipe.

        Its random choices are those of every such run: new ones are for soaks.
        """
        chosen = [f"--results={self.folder}", f"--model-seed={compare.SEED}", *options]
        argv = [sys.executable, "-m", "pytest", "suites", *chosen]
        return subprocess.Popen(
            argv,
            cwd=checkout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env=os.environ | (environment or {}),
            start_new_session=True,
        )

    def finish(self, process: Any) -> Finished:
        """Wait until a run ends."""
        try:
            output, _ = process.communicate(timeout=RUN_DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        latest = self.folder / "latest"
        results = load(latest) if (latest / "results.yaml").exists() else nothing()
        return Finished(process.returncode, output, results)

    def run(self, *options: str, **more: Any) -> Finished:
        """Run to the end; ``more`` as for ``start``."""
        return self.finish(self.start(*options, **more))

    def catch(self, kernel: Path, driver: str, clause: str, *options: str) -> Finished:
        """Run the tests of ``clause``; check that it deviates, and not as a known deviation."""
        chosen = (f"--driver={driver}", f"--clause={clause}", "--retries=0")
        done = self.run(f"--kernel={kernel}", *chosen, *options)
        assert done.status == 1, done.output
        failures = done.held(driver, clause).failures
        assert [one for one in failures if one.verdict == "deviates" and not one.known]
        return done


# With the module, the lines to change, the new ones and the clause.
Caught = Callable[[Module, str, str, str], Finished]


@pytest.fixture
def suites(tmp_path: Path) -> Suites:
    """A runner for the suites."""
    return Suites(tmp_path / "results")


@pytest.fixture
def caught(run: Run, suites: Suites, tmp_path: Path) -> Caught:
    """Put a mistake into a module, and check that its driver deviates from a clause, as unknown."""

    def check(module: Module, old: str, new: str, clause: str) -> Finished:
        kernel = with_change(run.prepare().kernel, module, old, new, tmp_path)
        return suites.catch(kernel, module.driver, clause)

    return check
