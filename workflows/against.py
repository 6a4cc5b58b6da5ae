# SPDX-License-Identifier: GPL-2.0-only
"""Time this checkout and another commit of it in turn: ``make bench AGAINST=COMMIT``.

Only ``make check`` is timed, as users run it and every commit has it, with a filled cache. The two
take turns, so that a phase in which the host is busy slows both; the ratio of the medians counts.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from fixtures import cache, paths
from fixtures.errors import SpecError
from fixtures.git import GitFailed, git
from fixtures.progress import Progress
from workflows.command import must

REPORT = paths.CHECKOUT / "results" / "bench-against.yaml"
COMMANDS = {
    "make check, all drivers": (),
    "make check DRIVERS=mtty": ("DRIVERS=mtty",),
    "make check SUITES=precopy_info, all drivers": ("SUITES=precopy_info",),
}
# Fills the cache for a commit.
WARM_UP = ("DRIVERS=mtty", "SUITES=leaks")

Times = dict[str, dict[str, list[float]]]  # seconds, by command and commit


def compare(kernel: str, commit: str, turns: int, progress: Progress) -> int:
    """Time the commands on ``kernel``, print and write the times, and return the exit status.

    Raises SpecError if there is no such commit, and RunError if a command cannot be run.
    """
    try:
        name = git(
            paths.CHECKOUT, "rev-parse", "--short", "--verify", f"{commit}^{{commit}}"
        ).strip()
    except GitFailed:
        raise SpecError(f"AGAINST={commit}: this checkout has no such commit") from None
    times: Times = {command: {"this checkout": [], name: []} for command in COMMANDS}
    with _checked_out(name, progress) as other:
        places = {name: other, "this checkout": paths.CHECKOUT}
        for who, place in places.items():
            with progress.step(f"filling the cache for {who}"):
                _check(place, kernel, *WARM_UP)
        try:
            for turn in range(1, turns + 1):
                for command, variables in COMMANDS.items():
                    for who, place in places.items():
                        with progress.step(f"turn {turn} of {turns}: {command}, {who}"):
                            times[command][who].append(_check(place, kernel, *variables))
        finally:
            _report(times, kernel, name)
    return 0


@contextmanager
def _checked_out(commit: str, progress: Progress) -> Iterator[Path]:
    """Yield a folder with ``commit`` of this checkout, set up with ``make setup``."""
    with cache.scratch() as scratch:
        folder = scratch / "checkout"
        with progress.step(f"setting up {commit}"):
            git(paths.CHECKOUT, "clone", "--quiet", "--shared", "--no-checkout", ".", str(folder))
            git(folder, "checkout", "--quiet", "--detach", commit)
            must(["make", "setup"], folder)
        yield folder


def _check(place: Path, kernel: str, *variables: str) -> float:
    """Run ``make check`` in ``place``, and return its duration in seconds.

    Raises RunError if it could not be run.
    """
    began = time.monotonic()
    must(["make", "check", f"KERNEL={kernel}", *variables], place)
    return time.monotonic() - began


def _report(times: Times, kernel: str, commit: str) -> None:
    """Print the table, and write all times to REPORT."""
    width = max(map(len, times))
    for command, by_commit in times.items():
        medians = [statistics.median(taken) for taken in by_commit.values() if taken]
        if len(medians) < len(by_commit):
            print(f"{command:<{width}}  not measured")
            continue
        ours, theirs = medians
        print(
            f"{command:<{width}}  {ours:7.1f} s   {commit} {theirs:7.1f} s   {ours / theirs:.2f}",
            flush=True,
        )
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(
        yaml.safe_dump(
            {"kernel": kernel, "cores": os.cpu_count(), "against": commit, "seconds": times},
            sort_keys=False,
        ),
        encoding="utf-8",
    )
    print(f"all times: {REPORT.relative_to(paths.CHECKOUT)}", file=sys.stderr)
