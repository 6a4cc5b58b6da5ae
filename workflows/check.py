# SPDX-License-Identifier: GPL-2.0-only
"""Run the suites on one kernel: turn the variables of ``make check`` into a command of pytest.

    python -m workflows.check --kernel=~/linux --drivers=mtty,qat --suites=precopy_info

Ends as pytest does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from workflows.command import add_run, pytest_words, run_main


def main(argv: Sequence[str]) -> int:
    """Carry out the command line; return only where that cannot be.

    Raises SpecError.
    """
    parser = argparse.ArgumentParser(prog="check", description="Run the suites on one kernel.")
    add_run(parser)
    parser.add_argument("--baseline", default="", help="the results of an earlier run")
    asked = parser.parse_args(argv)
    words = pytest_words(asked)
    if asked.baseline:
        words.insert(0, f"--baseline={asked.baseline}")
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *words])


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted=""))
