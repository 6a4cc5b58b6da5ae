# SPDX-License-Identifier: GPL-2.0-only
"""Keep the results and the cache within bounds: ``make prune``.

    python -m workflows.prune --keep-days=30 --keep-gb=20 [--prune="results kernels"]

Removes what was last used more than KEEP_DAYS days ago, and then the least recently used, until the
results have at most KEEP_GB gigabytes, and the cache as many. What is in use, what an unfinished
job needs, and what a ``latest`` points at, stays in any case. Exit status: 2 if an entry could not
be removed.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fixtures import cache
from fixtures.errors import SpecError
from workflows import cache as kept
from workflows import unfinished
from workflows.cache import CacheKind
from workflows.command import CANNOT, run_main, words

DAY = 24 * 3600.0
GB = 1_000_000_000


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises SpecError.
    """
    parser = argparse.ArgumentParser(prog="prune", description="Remove old results and caches.")
    parser.add_argument("--keep-days", default="", help="what was used since stays")
    parser.add_argument("--keep-gb", default="", help="of the results, and of the cache")
    parser.add_argument("--prune", default="", help="results, cache, or kinds (both)")
    asked = parser.parse_args(argv)
    days, size = _number("KEEP_DAYS", asked.keep_days), _number("KEEP_GB", asked.keep_gb)
    if days is None and size is None:
        raise SpecError("KEEP_DAYS= or KEEP_GB= is missing: how much to keep")
    jobs = unfinished.left()
    problems = 0
    for name, kinds in _chosen(words(asked.prune)).items():
        entries = sorted(
            (path for kind in kinds for path in kind.entries()), key=_used, reverse=True
        )
        spare = {latest for kind in kinds for latest in kind.latest()}
        free = [path for path in entries if path not in spare]
        mine = [path for path in free if not unfinished.needed(path, jobs)]
        sizes = kept.sizes(entries)
        over = _old(mine, days) | _large(entries, {*mine}, sizes, size)
        pruned = cache.remove(path for path in reversed(entries) if path in over)
        gone = sum(sizes.get(path, 0) for path in over if not path.exists())
        left = sum(sizes.values()) - gone
        why = {"in use": pruned.in_use, "needed by unfinished jobs": len(free) - len(mine)}
        stay = "".join(f"; {count} {words}" for words, count in why.items() if count)
        told = f"{pruned.removed} removed, {kept.in_bytes(gone)}; {kept.in_bytes(left)} left"
        print(f"{name}: {told}{stay}", flush=True)
        if pruned.problem:
            print(f"error: {pruned.problem}", file=sys.stderr)
            problems += 1
    for one in jobs:
        print(f"unfinished: {kept.unfinished_job(one)}")
    return CANNOT if problems else 0


def _number(name: str, text: str) -> float | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text):
        raise SpecError(f"{name}={text}: is no number, such as 30")
    return float(text)


def _chosen(named: Sequence[str]) -> dict[str, list[CacheKind]]:
    """Return the kinds of entries by what they are a part of.

    Raises SpecError if there is no such kind.
    """
    parts = {
        "results": [kind for kind in kept.kinds() if kind.is_result],
        "cache": [kind for kind in kept.kinds() if not kind.is_result],
    }
    known = {*parts, *(kind.name for kinds in parts.values() for kind in kinds)}
    for name in named:
        if name not in known:
            raise SpecError(f"PRUNE={name}: no such kind; there are {', '.join(sorted(known))}")
    chosen = {
        part: [kind for kind in kinds if not named or {part, kind.name} & {*named}]
        for part, kinds in parts.items()
    }
    return {part: kinds for part, kinds in chosen.items() if kinds}


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another run prunes, too
        return 0.0


def _old(entries: Sequence[Path], days: float | None) -> set[Path]:
    if days is None:
        return set()
    return {path for path in entries if _used(path) < time.time() - days * DAY}


def _large(
    entries: Sequence[Path], mine: set[Path], sizes: dict[Path, int], most: float | None
) -> set[Path]:
    """Return those of ``mine``, the least recently used, without which the rest has room."""
    over: set[Path] = set()
    left = sum(sizes.values())
    for path in reversed(entries):
        if most is None or left <= most * GB:
            break
        if path in mine:
            over.add(path)
            left -= sizes.get(path, 0)
    return over


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="entries are removed whole: each is either gone or intact"))
