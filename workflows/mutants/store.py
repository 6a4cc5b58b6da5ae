# SPDX-License-Identifier: GPL-2.0-only
"""What is known of a driver's mutants on a kernel, kept so that a job resumes.

A folder has a line of JSON for each verdict in ``verdicts.jsonl``, the newest last, and in
``baseline.json`` what the tests say of the unchanged driver.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fixtures.durable import write_whole
from fixtures.paths import CHECKOUT
from workflows.mutants.judge import Fault
from workflows.mutants.mutant import Mutant

ROOT = CHECKOUT / "results" / "mutants"

KILLED, SURVIVED = "killed", "survived"


@dataclass(frozen=True)
class Verdict:
    """The ``outcome`` of ``mutant``: killed, survived, or why it was not tested (NotMade).

    ``faults`` are what killed it; ``died`` is whether the guest did. ``doubtful`` are tests that
    failed once and not again. ``suite`` is the state of this project that judged it.
    """

    mutant: Mutant
    outcome: str
    suite: str
    seconds: float = 0.0
    faults: tuple[Fault, ...] = ()
    died: bool = False
    doubtful: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What a test says of the unchanged driver: the clauses that fail, and how long it takes.

    ``applies`` is False for a test that was skipped.
    """

    clauses: tuple[str, ...]
    seconds: float
    applies: bool


class Store:
    """The verdicts on a driver's mutants in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "verdicts.jsonl"
        self._baseline = folder / "baseline.json"

    def verdicts(self, suite: str = "") -> dict[str, Verdict]:
        """Return the newest verdict of ``suite`` (of any, without it) on each mutant, by key."""
        if not self._file.exists():
            return {}
        found = {}
        for line in self._file.read_text(encoding="utf-8").splitlines():
            try:
                verdict = _verdict(json.loads(line))
            except (ValueError, KeyError):  # cut short, as the disk was full
                continue
            if suite in ("", verdict.suite):
                found[verdict.mutant.key] = verdict
        return found

    def forget(self, keys: Iterable[str]) -> None:
        """Have the mutants with ``keys`` judged anew."""
        gone = set(keys)
        kept = [asdict(one) for key, one in self.verdicts().items() if key not in gone]
        write_whole(self._file, "".join(f"{json.dumps(one)}\n" for one in kept))

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict, whatever ends the job."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def baseline(self, suite: str) -> dict[str, Known]:
        """Return what the tests of ``suite`` say of the unchanged driver; {} if it is not known."""
        if not self._baseline.exists():
            return {}
        wire = json.loads(self._baseline.read_text(encoding="utf-8"))
        if wire["suite"] != suite:
            return {}
        return {
            test: Known(tuple(one["clauses"]), one["seconds"], one["applies"])
            for test, one in wire["tests"].items()
        }

    def keep_baseline(self, suite: str, tests: dict[str, Known]) -> None:
        """Keep what the tests of ``suite`` say of the unchanged driver."""
        wire = {"suite": suite, "tests": {name: asdict(one) for name, one in tests.items()}}
        write_whole(self._baseline, json.dumps(wire, indent=1) + "\n")


@dataclass(frozen=True)
class Job:
    """What pytest's process gets to do: the ``mutants`` of ``driver``, in their order.

    They have ``passed`` these tests in earlier rounds.
    """

    driver: str
    mutants: tuple[Mutant, ...]
    passed: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Hand the job over in ``folder``."""
        write_whole(folder / "job.json", json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Return the job in ``folder``."""
        wire = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        mutants = tuple(Mutant(**one) for one in wire["mutants"])
        return cls(wire["driver"], mutants, tuple(wire["passed"]))


def _verdict(wire: dict[str, Any]) -> Verdict:
    faults: Iterable[dict[str, str]] = wire["faults"]
    more = {
        "mutant": Mutant(**wire["mutant"]),
        "faults": tuple(Fault(**one) for one in faults),
        "doubtful": tuple(wire["doubtful"]),
    }
    return Verdict(**wire | more)
