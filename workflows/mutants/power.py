# SPDX-License-Identifier: GPL-2.0-only
"""Write docs/power.md: the scores of all drivers whose mutants were judged, and their coverage.

    python -m workflows.mutants.power --kernel=debian:7.3 --number=40 --seed=1 --coverage=FOLDER

It judges nothing: it takes what `make mutants` has kept, and the folder of a `make coverage`. Ends
with 2 if there is nothing.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from fixtures.device import chosen
from fixtures.durable import write_whole
from fixtures.errors import RunError, SpecError
from fixtures.paths import CHECKOUT
from workflows.command import run_main
from workflows.coverage import KINDS, Share
from workflows.mutants import asked
from workflows.mutants.asked import Asked
from workflows.mutants.report import Report, row
from workflows.mutants.score import OPEN

PAGE = CHECKOUT / "docs" / "power.md"
_HEAD = """\
# What the suites see

Mutants are copies of a driver with one mistake in them; a suite that is worth its time kills them.
This page is made by a program, from what `make mutants` has kept ([jobs.md](jobs.md), "Mutants"):

    {command}

"""


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="power", description="Write docs/power.md.")
    asked.add_options(parser)
    parser.add_argument("--coverage", default="", help="the folder of a make coverage")
    options = parser.parse_args(argv)
    asked.check(options)
    found = [Asked.of(options, driver).report for driver in chosen([])]
    reports = [one for one in found if set(one.score.outcomes.values()) != {OPEN}]
    if not reports:
        raise SpecError("no mutant of this sample was judged; make mutants does it")
    words = shlex.join(word for word in argv if not word.startswith("--coverage"))
    text = page(f"python -m workflows.mutants.power {words}", reports)
    write_whole(PAGE, "\n".join([text, *coverage(options.coverage)]))
    print(f"written: {PAGE}")
    return 0


def coverage(folder: str) -> list[str]:
    """Return the lines of the page about the coverage in ``folder``; none if that is "".

    Raises RunError if it cannot be read.
    """
    if not folder:
        return []
    try:
        text = (Path(folder) / "coverage.yaml").read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}; make coverage writes it") from error
    drivers = yaml.safe_load(text)["drivers"]
    lines = [
        "## What the suites run",
        'By `make coverage` ([jobs.md](jobs.md), "Coverage"); the row `vfio` is what they share.',
        "",
        row(["driver", *KINDS]),
        "|---" * (len(KINDS) + 1) + "|",
    ]
    for name, about in drivers.items():
        lines.append(row([name, *(str(Share(**about[kind])) for kind in KINDS)]))
    return [*lines, ""]


def page(command: str, reports: Sequence[Report]) -> str:
    """Return the page about ``reports``, which ``command`` makes."""
    first = reports[0].score
    shown = [one for one in first.names if any(report.score.counts[one] for report in reports)]
    heading = ["driver", "mutants", *shown, *first.headings, "median"]
    lines = [row(heading), "|---" * len(heading) + "|"]
    for report in reports:
        counts, median = report.score.counts, report.score.median
        took = "-" if median is None else f"{median:.1f} s"
        cells = [str(counts[one]) for one in shown]
        name = report.about.driver
        scores = report.score.shares(counts)
        lines.append(row([name, report.about.sample, *cells, *scores, took]))
    lines += [
        "",
        "The score is the share of those killed among those that were tested and are not"
        " equivalent, rounded down. The median is the time from a compiled module to its verdict.",
        "",
        f"The kernel is {reports[0].about.kernel}. Each driver's report, with the diffs of its"
        " survivors:",
        "",
        *(f"    {report.about.command}" for report in reports),
        "",
    ]
    for report in reports:
        lines += report.survivors()
    return _HEAD.format(command=command) + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_main(main))
