# SPDX-License-Identifier: GPL-2.0-only
"""Run the suites on one kernel: turn the variables of ``make check`` into a pytest command.

    python -m workflows.check --kernel=~/linux --drivers=mtty,qat --suites=precopy_info

Exit status: pytest's.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from workflows.command import add_run, is_set, pytest_words, run_main


def main(argv: Sequence[str]) -> int:
    """Carry out the command line; replace this process by pytest.

    Raises SpecError.
    """
    parser = argparse.ArgumentParser(prog="check", description="Run the suites on one kernel.")
    add_run(parser)
    parser.add_argument("--baseline", default="", help="the results of an earlier run")
    parser.add_argument("--shell-on-failure", default="", help="1: a shell where a test fails")
    parser.add_argument("--dump", default="", help="1: keep the memory of guests that die")
    asked = parser.parse_args(argv)
    words = pytest_words(asked)
    if is_set("SHELL_ON_FAILURE", asked.shell_on_failure):
        # The last -n counts: the process that runs the tests must have the terminal.
        words += ["-n", "0", "--shell-on-failure"]
    if is_set("DUMP", asked.dump):
        words.append("--dump")
    if asked.baseline:
        words.insert(0, f"--baseline={asked.baseline}")
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *words])


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted=""))
