# SPDX-License-Identifier: GPL-2.0-only
"""Which tests come first for a mutant: those that are likely to see it, and are quick."""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from fixtures.paths import SUITES
from fixtures.plugin import selection
from workflows.mutants.mutant import Mutant
from workflows.mutants.store import Known, Verdict

REACH = Path(__file__).with_name("reach.yaml")


class Order:
    """The order of those ``items`` that apply to the unchanged driver.

    It learns from what killed mutants until now. All mutants have ``passed`` these tests in other
    flavours of the kernel.
    """

    def __init__(
        self,
        items: Sequence[pytest.Item],
        known: Mapping[str, Known],
        passed: Collection[str] = (),
    ) -> None:
        self._items = [item for item in items if known[item.nodeid].applies]
        self._known = known
        self._passed = frozenset(passed)
        self._by_function: dict[str, Counter[str]] = defaultdict(Counter)
        self._by_mutant: dict[str, str] = {}
        self._all: Counter[str] = Counter()

    def learn(self, verdicts: Iterable[Verdict]) -> None:
        """Take note of the tests that killed mutants."""
        for verdict in verdicts:
            for test in {fault.test for fault in verdict.faults}:
                self._by_function[verdict.mutant.function][test] += 1
                self._by_mutant[verdict.mutant.key] = test
                self._all[test] += 1

    def of(self, mutant: Mutant, processors: int) -> list[pytest.Item]:
        """Return the tests in their order for ``mutant``; the machine has so many ``processors``.

        First comes what killed it before, then what no other flavour could run, then what killed
        others in its function, then the suites that reach the function: of each test function one
        with its quickest parameters, then the others. Those that need another machine come last.
        """
        suites = suites_for(mutant.function)
        killers = self._by_function[mutant.function]
        by_time = sorted(self._items, key=lambda item: self._known[item.nodeid].seconds)
        seen: Counter[str] = Counter()
        keys = {}
        for item in by_time:
            name = item.nodeid.partition("[")[0]
            suite = item.path.relative_to(SUITES).parts[0]
            keys[item.nodeid] = (
                item.nodeid != self._by_mutant.get(mutant.key),
                selection.processors(item) != processors,
                item.nodeid in self._passed,
                -killers[item.nodeid],
                suite not in suites,
                min(seen[name], 1),
                -self._all[item.nodeid],
                self._known[item.nodeid].seconds,
            )
            seen[name] += 1
        return sorted(by_time, key=lambda item: keys[item.nodeid])


def suites_for(function: str) -> tuple[str, ...]:
    """Return the suites that reach ``function``, by its name."""
    for pattern, suites in _reach():
        if pattern.search(function):
            return suites
    return ()


@functools.cache
def _reach() -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    entries = yaml.safe_load(REACH.read_text(encoding="utf-8"))
    return [(re.compile(one["functions"]), tuple(one["suites"])) for one in entries]
