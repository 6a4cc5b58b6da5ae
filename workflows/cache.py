# SPDX-License-Identifier: GPL-2.0-only
"""Show the size of the cache and the results, and prune the named kinds.

    python -m workflows.cache [--prune="kernels build"] [--keep=4]

The cache and the steps of jobs are pruned automatically: they can be made again. Runs belong to the
user; they are removed only if PRUNE= names them and KEEP= gives the number to keep. Entries in use,
those that an unfinished job needs, and folders that a ``latest`` points at, always stay. Exit
status: 2 if an entry could not be removed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures import cache, holding, paths, process
from fixtures.errors import SpecError
from fixtures.paths import CHECKOUT
from workflows import step, unfinished
from workflows.cluster.history import RECEIVED
from workflows.command import CANNOT, run_main, words

RESULTS = CHECKOUT / "results"
ALL = "all"  # kinds that can be made again
_RUNS = "[0-9]*-[0-9]*"  # the start time, with which the name of a run begins


@dataclass(frozen=True)
class CacheKind:
    """A kind of entries: those in ``folders`` with names that match ``names``.

    ``kept`` is how many entries automatic pruning keeps in each folder; None if it keeps all.
    """

    name: str
    folders: tuple[Path, ...]
    kept: int | None
    names: str = "*"
    is_result: bool = False

    def entries(self) -> list[Path]:
        """Return the entries, the most recently used of each folder first."""
        return [path for folder in self.folders for path in cache.by_use(folder, self.names)]

    def latest(self) -> set[Path]:
        """Return the entries that a ``latest`` points at."""
        links = (folder / "latest" for folder in self.folders)
        return {link.resolve() for link in links if link.is_symlink()}

    def prune(self, keep: int) -> cache.Pruned:
        """Remove all but the ``keep`` most recently used entries of each folder."""
        whole, jobs = cache.Pruned(), unfinished.left()
        spare = self.latest() | {one for one in self.entries() if unfinished.needed(one, jobs)}
        for folder in self.folders:
            pruned = cache.trim(folder, keep, self.names, spare)
            whole.removed += pruned.removed
            whole.in_use += pruned.in_use
            whole.problem = whole.problem or pruned.problem
        return whole


def kinds() -> list[CacheKind]:
    """Return all kinds: the cache first, then the results."""
    results = RESULTS.resolve()
    reports = ("premerge", "matrix", "compat", "bisect", "selftests", "coverage")
    jobs = tuple(results / job for job in reports)
    return [
        *(CacheKind(name, (paths.cache() / name,), kept) for name, kept in cache.KEPT.items()),
        CacheKind(RECEIVED, (paths.cache() / RECEIVED,), None),
        CacheKind("steps", (step.STEPS.resolve(),), step.KEPT, is_result=True),
        CacheKind("runs", (results,), None, f"{_RUNS}-*", is_result=True),
        CacheKind("baselines", (results / "baselines",), None, is_result=True),
        CacheKind("soaks", (results / "soak",), None, f"{_RUNS}-*", is_result=True),
        CacheKind("tests", (results / "tests",), None, f"{_RUNS}-*", is_result=True),
        CacheKind("reports", jobs, None, f"{_RUNS}-*", is_result=True),
    ]


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises SpecError.
    """
    parser = argparse.ArgumentParser(prog="cache", description="Show or prune kept data.")
    parser.add_argument("--prune", default="", help="the kinds to prune, or all")
    parser.add_argument("--keep", default="", help="how many to keep; the most recently used stay")
    asked = parser.parse_args(argv)
    chosen = _chosen(words(asked.prune), asked.keep)
    if not chosen:
        print(*table(kinds()), sep="\n")
        for one in unfinished.left():
            print(f"unfinished: {unfinished_job(one)}")
        return 0
    problems = 0
    for kind in chosen:
        before = size(kind.entries())
        pruned = kind.prune(int(asked.keep or 0))
        freed = max(0, before - size(kind.entries()))
        in_use = f"; {pruned.in_use} in use" if pruned.in_use else ""
        print(f"{kind.name}: {pruned.removed} removed, {in_bytes(freed)}{in_use}", flush=True)
        if pruned.problem:
            print(f"error: {pruned.problem}", file=sys.stderr)
            problems += 1
    return CANNOT if problems else 0


def _chosen(named: Sequence[str], keep: str) -> list[CacheKind]:
    known = {kind.name: kind for kind in kinds()}
    for name in named:
        if name not in known and name != ALL:
            raise SpecError(f"PRUNE={name}: no such kind; the kinds are {', '.join([ALL, *known])}")
    if keep and not (keep.isascii() and keep.isdigit()):
        raise SpecError(f"KEEP={keep}: is not a number of entries")
    if keep and not named:
        raise SpecError(
            f"KEEP={keep}: PRUNE= is missing: the kinds to prune, for instance PRUNE=kernels"
        )
    for name in named:
        if name != ALL and known[name].kept is None and not keep:
            raise SpecError(
                f"PRUNE={name}: these cannot be made again; add the number to keep, for instance"
                " KEEP=20"
            )
    return [
        kind
        for kind in known.values()
        if kind.name in named or (ALL in named and kind.kept is not None)
    ]


def table(rows: Iterable[CacheKind]) -> list[str]:
    """Return the table of all kinds, as lines for people."""
    shown = [("kind", "entries", "size", "in use", "oldest use", "kept")]
    total = 0
    for kind in rows:
        entries = kind.entries()
        takes = size(entries)
        total += takes
        shown.append(
            (
                kind.name,
                str(len(entries)),
                in_bytes(takes),
                str(sum(_is_used(path) for path in entries)),
                _oldest(entries),
                "all" if kind.kept is None else str(kind.kept),
            )
        )
    shown.append(("", "", in_bytes(total), "", "", ""))
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]
    return [f"cache: {paths.cache()}; results: {RESULTS}", *lines]


def size(entries: Iterable[Path]) -> int:
    """Return the disk space of ``entries`` in bytes."""
    return sum(sizes(entries).values())


def sizes(entries: Iterable[Path]) -> dict[Path, int]:
    """Return the disk space of each entry in bytes; one that vanishes meanwhile is left out."""
    done = subprocess.run(
        [process.need("du"), "--summarize", "--null", "--block-size=1", "--files0-from=-"],
        input=b"".join(bytes(path) + b"\0" for path in entries),
        capture_output=True,
        env=process.clean_environment(),
    )
    lines = (line.partition(b"\t") for line in done.stdout.split(b"\0") if line)
    return {Path(os.fsdecode(path)): int(number) for number, _, path in lines}


def unfinished_job(left: unfinished.Left) -> str:
    """Return what is left of a job, in words."""
    return f"{left.command}: needs {len(left.needs)} entries (to give it up: rm {left.file})"


def _is_used(path: Path) -> bool:
    try:
        with holding.unused(path) as unused:
            return not unused
    except OSError:  # gone, or another user's
        return False


def _oldest(entries: Iterable[Path]) -> str:
    used = []
    for path in entries:
        with contextlib.suppress(FileNotFoundError):
            used.append(path.stat().st_mtime)
    if not used:
        return "-"
    hours = max(0.0, time.time() - min(used)) / 3600
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"


def in_bytes(number: int) -> str:
    """Return a size in words."""
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="entries are removed whole: each is either gone or intact"))
