# SPDX-License-Identifier: GPL-2.0-only
"""A step that is none, for workers of a cluster: they load this file, and none of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from fixtures import process
from fixtures.kernel.spec import RefSpec, Spec
from workflows.step import Selection, Stage, StepResult

SELECTION = Selection(("mtty",))


def spec(name: str, folder: Path) -> Spec:
    return RefSpec(name, folder, "abc")


def note(spec: Spec, what: str) -> None:
    assert isinstance(spec, RefSpec)
    with (spec.tree / "log").open("a", encoding="utf-8") as log:
        log.write(f"{what} {spec.text} {os.getppid()}\n")


def work(spec: Spec, selection: Selection, name: str, jobs: Sequence[Path]) -> StepResult:
    """Take a moment; die, alone or with the worker, or sleep, if the kernel is called so."""
    note(spec, "begins")
    if "dies" in spec.text and not (Path(jobs[0]) / "died").exists():
        if "once" in spec.text:
            (Path(jobs[0]) / "died").touch()
        os.kill(os.getppid() if "with-its-worker" in spec.text else os.getpid(), signal.SIGKILL)
        time.sleep(60)
    if "sleeps" in spec.text:
        child = subprocess.Popen(process.until_we_die(["sleep", "300"]))
        note(RefSpec(str(child.pid), Path(jobs[0]), "abc"), "child")
        child.wait()
    time.sleep(0.5)
    note(spec, "ends")
    return StepResult(Stage.CUT_SHORT, problem=f"{name} of {selection.names}")
