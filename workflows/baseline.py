# SPDX-License-Identifier: GPL-2.0-only
"""Record what a kernel does, to hold later runs against (``make check BASELINE=FILE``).

    python -m workflows.baseline FILE suites --kernel=~/linux [options of pytest ...]

Ends as the run does; a run that could not be made, or was cut short, records nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fixtures.durable import write_whole
from fixtures.errors import RunError, SpecError
from fixtures.paths import CHECKOUT
from fixtures.record import compare, model
from workflows.command import CANNOT, run_main

RUNS = CHECKOUT / "results" / "baselines"


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    if not argv or not argv[0] or argv[0].startswith("-"):
        raise SpecError("BASELINE= is missing: the file to write")
    target, options = Path(argv[0]).expanduser().absolute(), argv[1:]
    if target.is_dir() or not target.parent.is_dir():
        raise SpecError(f"BASELINE={argv[0]}: no file can be written there")
    RUNS.mkdir(parents=True, exist_ok=True)
    runs = Path(tempfile.mkdtemp(dir=RUNS))  # another one may be made at the same time
    seed = f"--model-seed={compare.SEED}"
    argv = [sys.executable, "-m", "pytest", f"--results={runs}", seed, *options]
    status = subprocess.run(argv, cwd=CHECKOUT).returncode
    results = runs / "latest" / "results.yaml"
    if status == CANNOT or not results.exists() or not model.load(results).complete:
        raise RunError("the run was not carried through: nothing is recorded")
    try:
        write_whole(target, results.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{target}: {error.strerror}") from error
    print(f"recorded: {target}")
    return status


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="nothing is recorded"))
