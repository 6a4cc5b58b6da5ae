# SPDX-License-Identifier: GPL-2.0-only
"""Run the suites many times on one kernel, and print where the runs disagree.

    python -m workflows.soak RUNS --kernel=~/linux --drivers=mtty

Exit status: 0 if all runs agree and nothing was flaky or broken; 1 if not; 2 if a run could not be
made. Each soak has its own folder below results/soak/.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fixtures import holding, untrusted
from fixtures.errors import SpecError
from fixtures.paths import CHECKOUT
from fixtures.record import model
from fixtures.record.model import BROKEN, FLAKY, Judgement, Results
from workflows.command import add_run, arguments, pytest_words, run_main, run_pytest

SOAKS = CHECKOUT / "results" / "soak"
OUTPUT = "last-output.txt"  # what pytest printed in the last run
NOT_MADE = 2  # the status of a run that could not be made

UNSURE = {BROKEN, FLAKY}

# The word of each run, by driver and name of the clause or behaviour.
Seen = dict[tuple[str, str], list[str]]


def main(argv: Sequence[str]) -> int:
    """Make the runs that the command line asks for, and return the exit status.

    Raises SpecError.
    """
    asked = arguments(argv, "soak", "Print where runs disagree.", add_run, runs="how many runs")
    if not re.fullmatch(r"0*[1-9][0-9]*", asked.runs):
        raise SpecError(f"RUNS={asked.runs}: RUNS= is the number of runs, for instance RUNS=20")
    runs, options = int(asked.runs), pytest_words(asked)
    all_results, failed = [], False
    try:
        folder = _folder()
    except OSError as error:
        print(f"error: {SOAKS} cannot be written: {error.strerror}", file=sys.stderr)
        return NOT_MADE
    print(f"results: {folder}", flush=True)
    try:
        for number in range(1, runs + 1):
            began = time.monotonic()
            status = _run(options, folder)
            results = _latest(folder)
            took = time.monotonic() - began
            print(f"run {number} of {runs}: status {status}, {took:.0f} s", flush=True)
            if results is None or not results.complete:
                print(f"error: run {number} could not be made: {_why_not(folder)}", file=sys.stderr)
                failed = True
                break
            all_results.append(results)
    except KeyboardInterrupt:
        print(f"\ninterrupted after {len(all_results)} of {runs} runs")
        if not all_results:
            return NOT_MADE
    lines = disagreements(all_results)
    if all_results:
        print(*table(lines, len(all_results)), sep="\n")
    return NOT_MADE if failed else 1 if lines else 0


def _folder() -> Path:
    """Make a folder for this soak alone: another one may run at the same time."""
    SOAKS.mkdir(parents=True, exist_ok=True)
    folder = holding.make_folder(SOAKS, time.strftime("%Y%m%d-%H%M%S-"))
    folder.chmod(0o755)
    return folder


def _run(options: list[str], folder: Path) -> int:
    (folder / "latest").unlink(missing_ok=True)  # left by the previous run
    with (folder / OUTPUT).open("w", encoding="utf-8") as log:
        return run_pytest(["-q", f"--results={folder}", *options], log)


def _why_not(folder: Path) -> str:
    """Return pytest's error for a run that could not be made, and the path of its output."""
    output = folder / OUTPUT
    lines = untrusted.clean(output.read_text(errors="replace", encoding="utf-8")).splitlines()
    said = [line for line in lines if line.lower().startswith("error: ")]
    return f"{said[-1].partition(' ')[2]}; its output: {output}" if said else f"see {output}"


def _latest(folder: Path) -> Results | None:
    path = folder / "latest" / "results.yaml"
    return model.load(path) if path.exists() else None


def disagreements(all_results: list[Results]) -> Seen:
    """Return a row, one word a run, for each item that differs or is flaky or broken in a run."""
    seen: Seen = {}
    for number, results in enumerate(all_results):
        for driver, about in results.drivers.items():
            words = {name: _word(held) for name, held in about.clauses.items()}
            for name, word in (words | about.words).items():
                row = seen.setdefault((driver, name), ["-"] * len(all_results))
                row[number] = word
    return {key: row for key, row in seen.items() if len(set(row)) > 1 or _unsure(row)}


def _word(held: Judgement) -> str:
    """Return a run's verdict on a clause, with the tests that fail and the splats."""
    where = dict.fromkeys(one.test.rpartition("::")[2] for one in held.failures if one.test)
    failing = f" in {', '.join(where)}" if where else ""
    faults = f" [{', '.join(held.fingerprints)}]" if held.fingerprints else ""
    return f"{held.labelled(held.kind)}{failing}{faults}"


def _unsure(row: list[str]) -> bool:
    return any(word.partition(" ")[0] in UNSURE for word in row)


def table(lines: Seen, runs: int) -> list[str]:
    """Return the table of disagreements, as lines for people."""
    if not lines:
        return [f"{runs} runs, no disagreement"]
    shown = [f"{runs} runs, {len(lines)} disagreements:"]
    for (driver, name), row in sorted(lines.items()):
        counts = ", ".join(f"{word} {row.count(word)}" for word in sorted(set(row)))
        shown.append(f"  {driver}: {name}: {counts}")
    return shown


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="nothing was changed"))
