# SPDX-License-Identifier: GPL-2.0-only
"""Run one test in this process, and say what it has against the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from fixtures.plugin.compat import runtestprotocol
from fixtures.plugin.recorder import renew
from fixtures.record.model import DEVIATES, NOT_APPLICABLE
from fixtures.record.results import Learnt


@dataclass(frozen=True)
class Fault:
    """A new deviation of ``clause``, or evidence with a fingerprint, that ``test`` saw."""

    test: str
    clause: str
    seen: str
    fingerprint: str = ""


@dataclass(frozen=True)
class Outcome:
    """The faults that a test saw, and whether it applies to the driver."""

    faults: tuple[Fault, ...]
    applies: bool


def run_test(item: pytest.Item, following: pytest.Item | None) -> Outcome:
    """Run ``item``, before ``following``, and return what fails the run.

    Nothing reaches the results or the terminal.
    """
    item.session._setupstate.teardown_exact(item)  # where another one was to follow
    renew(item)
    reports = runtestprotocol(item, nextitem=following, log=False)
    learnt = [Learnt.from_wire(one) for report in reports for one in getattr(report, "learnt", ())]
    applies = any(one.verdict != NOT_APPLICABLE for one in learnt)
    return Outcome(tuple(_faults(learnt)), applies)


def _faults(found: Iterable[Learnt]) -> Iterator[Fault]:
    for learnt in found:
        for failure in learnt.failing:
            if failure.verdict == DEVIATES:
                for clause in learnt.clauses:
                    yield Fault(learnt.test, clause, failure.seen, failure.fingerprint)
