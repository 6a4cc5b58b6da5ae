# SPDX-License-Identifier: GPL-2.0-only
"""The flaky results of a step, with what all kept runs say of them."""

from __future__ import annotations

from fixtures.paths import CHECKOUT
from fixtures.record import memory
from fixtures.record.model import FLAKY
from workflows.step import StepResult

RESULTS = CHECKOUT / "results"


def flaky(outcome: StepResult) -> list[tuple[str, str, str]]:
    """Return driver and clause of each flaky result of ``outcome``, and why it is flaky."""
    if outcome.results is None:
        return []
    said = memory.remembered(outcome.results, RESULTS, outcome.runs)
    return [
        (
            driver,
            clause,
            held.why + (f" ({said[driver, clause]})" if (driver, clause) in said else ""),
        )
        for driver, clause, held in outcome.results.of_kind(FLAKY)
    ]
