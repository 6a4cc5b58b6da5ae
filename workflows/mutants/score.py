# SPDX-License-Identifier: GPL-2.0-only
"""Count what became of mutants."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from workflows.mutants.bench import NotMade
from workflows.mutants.mutant import Mutant
from workflows.mutants.store import KILLED, SURVIVED, Verdict

EQUIVALENT, OPEN = "equivalent", "not judged yet"
UNTESTED = (EQUIVALENT, *(one.value for one in NotMade), OPEN)


@dataclass
class Score:
    """What became of the mutants ``of`` a driver: outcomes, by key of the mutant.

    ``known`` has the verdicts by flavour of the kernel and key, in the order of the rounds. What
    survived until now is a survivor, also where a later round has not tried it yet: ``waiting``.
    """

    of: Iterable[Mutant]
    known: Mapping[str, Mapping[str, Verdict]]
    equivalents: Mapping[str, str]
    outcomes: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.outcomes = {mutant.key: self._outcome(mutant) for mutant in self.of}

    @property
    def counts(self) -> Counter[str]:
        """How many mutants had each outcome."""
        return Counter(self.outcomes.values())

    def of_operator(self, operator: str) -> Counter[str]:
        """Return the same for the mutants of one operator."""
        return Counter(self.outcomes[one.key] for one in self.of if one.operator == operator)

    def with_outcome(self, outcome: str) -> list[Mutant]:
        """Return the mutants with an ``outcome``."""
        return [one for one in self.of if self.outcomes[one.key] == outcome]

    @property
    def names(self) -> list[str]:
        """All outcomes that these rounds can have, in the order of a table."""
        return [*(_killed_in(*one) for one in enumerate(self.known)), SURVIVED, *UNTESTED]

    @property
    def waiting(self) -> int:
        """How many survivors a later round has not tried yet."""
        return sum(
            any(mutant.key not in known for known in self.known.values())
            for mutant in self.with_outcome(SURVIVED)
        )

    @property
    def headings(self) -> list[str]:
        """The names of the scores: that of the first round, if there are several, and of all."""
        first = next(iter(self.known))
        return ["score"] if len(self.known) == 1 else [f"score in {first}", "score"]

    def shares(self, counts: Mapping[str, int]) -> list[str]:
        """Return the scores of ``counts``, in the order of ``headings``."""
        of_all = [share(counts)]
        return of_all if len(self.known) == 1 else [share(counts, later=False), *of_all]

    @property
    def median(self) -> float | None:
        """Seconds from a compiled mutant to its verdict, of those that were tested.

        A round that survivors go through adds its own.
        """
        took = [
            sum(one.seconds for one in self._went_through(key))
            for key, outcome in self.outcomes.items()
            if outcome not in UNTESTED
        ]
        return statistics.median(took) if took else None

    def _went_through(self, key: str) -> Iterator[Verdict]:
        """Yield the verdicts on a mutant up to the one that ends it."""
        for known in self.known.values():
            if key in known:
                yield known[key]
                if known[key].outcome == KILLED:
                    return

    def _outcome(self, mutant: Mutant) -> str:
        for number, (flavour, known) in enumerate(self.known.items()):
            verdict = known.get(mutant.key)
            if not number and (verdict is None or verdict.outcome not in (KILLED, SURVIVED)):
                return verdict.outcome if verdict else OPEN
            if verdict and verdict.outcome == KILLED:
                return _killed_in(number, flavour)
            if mutant.key in self.equivalents:
                return EQUIVALENT
        return SURVIVED


def _killed_in(number: int, flavour: str) -> str:
    return f"{KILLED} in {flavour}" if number else KILLED


def share(counts: Mapping[str, int], *, later: bool = True) -> str:
    """Return the share of those killed among those that were tested, rounded down.

    The mutants that ``later`` rounds killed count as survivors if that is False.
    """
    tested = sum(count for outcome, count in counts.items() if outcome not in UNTESTED)
    if not tested:
        return "-"
    killed = tested - counts.get(SURVIVED, 0) if later else counts.get(KILLED, 0)
    tenths = killed * 1000 // tested
    return f"{tenths // 10}.{tenths % 10} %"
