# SPDX-License-Identifier: GPL-2.0-only
"""Processes killed at random moments: nothing is left behind, and the next run works."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from fixtures.machine.machine import orphans
from tests.vm.conftest import NEW, Suites
from tests.vm.test_interrupt import all_dead, machines_below

KILLS = 50
SECONDS = 12.0  # for a run of one driver's flags, from boot to end
ONE_SUITE = (f"--kernel={NEW}", "--driver=mtty", "-k", "flags or argsz")


@pytest.mark.long
def test_kills_at_random_moments(suites: Suites) -> None:
    draw = random.Random(20261121)
    for number in range(KILLS):
        process = suites.start(*ONE_SUITE, "-n2" if number % 3 == 0 else "-v")
        time.sleep(draw.uniform(0.0, SECONDS))
        machines = machines_below(process.pid)
        victim = draw.choice(["pytest", "machine"]) if machines else "pytest"
        if victim == "pytest":
            os.kill(process.pid, signal.SIGKILL)
        else:
            os.kill(int(draw.choice(machines)), signal.SIGKILL)
        run = suites.finish(process)
        assert all_dead(machines), f"kill {number} of a {victim} left a machine"
        if victim == "machine" and "the machine did not come up" not in run.output:
            # It was replaced, and its test is flaky; or the run had ended.
            assert run.status == 0, run.output
    assert suites.run(*ONE_SUITE).status == 0
    assert not list(orphans())  # other runs may be active
