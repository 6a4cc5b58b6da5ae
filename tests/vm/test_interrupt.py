# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C and kills at several points of a run: nothing is left behind, no result is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import NEW, Suites


def wait_for(process: Any, words: str) -> None:
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the run never said {words!r}")


def machines_below(pid: int) -> list[str]:
    """Return the QEMU processes of the session of ``pid``, and of its child sessions."""
    shown = subprocess.run(["pgrep", "-f", "vfio-conf-"], capture_output=True, encoding="utf-8")
    return [line for line in shown.stdout.split() if _is_of(int(line), pid)]


def _is_of(child: int, pid: int) -> bool:
    while child > 1:
        if child == pid:
            return True
        try:
            child = int(
                Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1]
            )
        except FileNotFoundError:
            return False
    return False


def all_dead(pids: list[str], within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("words", ["booting debian", "test_without_the_opt_in"])
def test_ctrl_c_ends_all_and_keeps_what_was_learnt(suites: Suites, words: str) -> None:
    process = suites.start(f"--kernel={NEW}", "--driver=mtty", "-v")
    wait_for(process, words)
    time.sleep(0.5)
    machines = machines_below(process.pid)
    assert machines
    os.kill(process.pid, signal.SIGINT)
    run = suites.finish(process)
    assert run.status == 2, run.output
    assert all_dead(machines)
    assert run.results.complete is False
    if words.startswith("test_"):
        assert run.results.drivers["mtty"].counts["conforms"] > 0


def test_a_run_that_is_killed_takes_its_machine_along(suites: Suites) -> None:
    process = suites.start(f"--kernel={NEW}", "--driver=mtty", "-v")
    wait_for(process, "test_without_the_opt_in")
    machines = machines_below(process.pid)
    assert machines
    process.kill()
    process.wait()
    assert all_dead(machines)
    assert suites.run(f"--kernel={NEW}", "--driver=mtty", "-k", "argsz").status == 0
