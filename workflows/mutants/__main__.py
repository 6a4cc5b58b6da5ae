# SPDX-License-Identifier: GPL-2.0-only
"""Break a driver in many ways, and count what the suites see of it.

    python -m workflows.mutants --drivers=mtty --number=40 --seed=1

Exit status: 0 if all mutants were judged, 2 if not. The same command resumes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

from fixtures.device import chosen
from fixtures.durable import write_whole
from fixtures.errors import RunError, SpecError
from fixtures.record import compare
from workflows.command import run_main, run_pytest, words
from workflows.mutants import asked, loop
from workflows.mutants.asked import Asked
from workflows.mutants.store import Job
from workflows.stop import Terminated, on_sigterm

# pytest registers the plugins of the suites after the loop, which imports them.
_QUIET = ("-q", "-W", "ignore::pytest.PytestAssertRewriteWarning")


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="mutants", description="Measure what the suites see.")
    parser.add_argument("--drivers", default="", help="one driver")
    asked.add_options(parser)
    options = parser.parse_args(argv)
    asked.check(options)
    names = words(options.drivers)
    if len(names) != 1:
        raise SpecError("mutants are of one driver: DRIVER=mtty, for instance")
    job = Asked.of(options, chosen(names)[0])
    if options.mutants:
        for one in job.rounds:
            one.store.forget(mutant.key for mutant in job.wanted)
    on_sigterm()
    try:
        for number in range(len(job.rounds)):
            _judge(options.kernel, job, number)
    except Terminated as stopped:
        raise RunError(f"{stopped}; the same command resumes here") from stopped
    finally:
        report, folder = job.report, job.rounds[0].store.folder
        print(report.text(), flush=True)
        write_whole(folder / "report.txt", report.text())
        write_whole(folder / "report.md", report.markdown())
        write_whole(folder / "report.html", report.page())
        print(f"report: {folder}/report.txt, report.md, report.html", flush=True)
    return 0


def _judge(kernel: str, job: Asked, number: int) -> None:
    """Judge the mutants that the round of this ``number`` has no verdict on yet.

    Raises RunError if one of them cannot be.
    """
    name, folder = job.driver.name, job.rounds[number].store.folder
    passed = set().union(*(one.passed for one in job.rounds[:number]))
    words = [
        *("-p", loop.__name__, f"{loop.OPTION}={folder}", *_QUIET, "suites"),
        *(f"--kernel={kernel}", f"--driver={name}", f"--flavour={job.rounds[number].flavour}"),
        *("--retries=0", f"--model-seed={compare.SEED}", "--run-limit=inf"),
        f"--results={folder / 'runs'}",
    ]
    while todo := job.open(number):
        shutil.rmtree(folder / "runs", ignore_errors=True)
        Job(name, tuple(todo), tuple(sorted(passed))).write(folder)
        run_pytest(words)
        if len(job.open(number)) == len(todo):
            raise RunError(f"no mutant was judged; {len(todo)} are left, the first {todo[0].key}")


if __name__ == "__main__":
    sys.exit(run_main(main))
