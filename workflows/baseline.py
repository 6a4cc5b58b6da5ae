# SPDX-License-Identifier: GPL-2.0-only
"""Record a kernel's results, to compare later runs with (``make check BASELINE=FILE``).

    python -m workflows.baseline v7.1.yaml --kernel=~/linux@v7.1 --drivers=mtty

Exit status: the run's. An incomplete run is not recorded.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fixtures.durable import write_whole
from fixtures.errors import RunError, SpecError
from fixtures.paths import CHECKOUT, named
from fixtures.record import compare, model
from workflows.command import CANNOT, add_run, arguments, pytest_words, run_main, run_pytest

RUNS = CHECKOUT / "results" / "baselines"


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    about = "Record a kernel's results."
    asked = arguments(argv, "baseline", about, add_run, file="the file to write")
    if not asked.file:
        raise SpecError("BASELINE= is missing: the file to write")
    target = named(asked.file).absolute()
    place = target if target.exists() else target.parent
    if target.is_dir() or not target.parent.is_dir() or not os.access(place, os.W_OK):
        raise SpecError(f"BASELINE={asked.file}: no file can be written there")
    options = pytest_words(asked)
    try:
        RUNS.mkdir(parents=True, exist_ok=True)
        runs = tempfile.mkdtemp(dir=RUNS)  # another baseline may be recorded at the same time
    except OSError as error:
        raise RunError(f"{RUNS}: cannot be written: {error.strerror}") from error
    more = (f"--results={runs}", f"--model-seed={compare.SEED}")
    try:
        status = run_pytest([*more, *options])
    finally:
        with contextlib.suppress(OSError):  # empty only if the run never began
            os.rmdir(runs)
            RUNS.rmdir()
    results = Path(runs) / "latest" / "results.yaml"
    if status == CANNOT or not results.exists() or not model.load(results).complete:
        raise RunError("the run is incomplete: nothing is recorded")
    try:
        write_whole(target, results.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{target}: {error.strerror}") from error
    print(f"recorded: {target}")
    return status


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="nothing is recorded"))
