# SPDX-License-Identifier: GPL-2.0-only
"""Count what became of mutants."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workflows.mutants.bench import NotMade
from workflows.mutants.mutant import Mutant
from workflows.mutants.store import KILLED, SURVIVED, Verdict

EQUIVALENT, OPEN = "equivalent", "not judged yet"
OUTCOMES = (KILLED, SURVIVED, EQUIVALENT, *(one.value for one in NotMade), OPEN)
TESTED = (KILLED, SURVIVED)


@dataclass
class Score:
    """What became of the mutants ``of`` a driver: outcomes, by key of the mutant."""

    of: Iterable[Mutant]
    verdicts: Mapping[str, Verdict]
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
    def median(self) -> float | None:
        """Seconds from a compiled mutant to its verdict, of those that were tested."""
        took = [self.verdicts[key].seconds for key, one in self.outcomes.items() if one in TESTED]
        return statistics.median(took) if took else None

    def _outcome(self, mutant: Mutant) -> str:
        verdict = self.verdicts.get(mutant.key)
        if verdict is None:
            return OPEN
        if verdict.outcome == SURVIVED and mutant.key in self.equivalents:
            return EQUIVALENT
        return verdict.outcome


def share(counts: Mapping[str, int]) -> str:
    """Return the share of those killed among those that are not equivalent, rounded down."""
    tested = counts.get(KILLED, 0) + counts.get(SURVIVED, 0)
    if not tested:
        return "-"
    tenths = counts.get(KILLED, 0) * 1000 // tested
    return f"{tenths // 10}.{tenths % 10} %"
