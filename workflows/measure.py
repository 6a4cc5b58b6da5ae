# SPDX-License-Identifier: GPL-2.0-only
"""Measure one commit: one word for its value. A doubtful run is repeated, never reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fixtures.record.model import DEVIATES
from workflows.step import Stage, StepResult
from workflows.subject import NoValue, Subject

TRIES = 3  # steps of a commit without a certain value; one in doubt has two runs


@dataclass(frozen=True)
class Measured:
    """The measured value of a commit, or "" and the reason why it has none.

    ``host`` is the other host that measured it, "" for this one.
    """

    value: str
    reason: str = ""
    folder: Path | None = None
    host: str = ""


def measure(make: Callable[[bool], StepResult], subject: Subject) -> Measured:
    """Return the value of a kernel; ``make(again)`` builds it and runs the tests.

    ``again``: earlier runs are not enough. Raises what ``make`` raises.
    """
    reason = ""
    for attempt in range(TRIES):
        outcome = make(attempt > 0)
        if outcome.stage in (Stage.DOES_NOT_BUILD, Stage.DOES_NOT_BOOT):
            return Measured("", f"{outcome.stage.value}: {outcome.problem}", host=outcome.host)
        reason = outcome.problem
        if outcome.results:
            try:
                value = subject.value(outcome.results, settled=not outcome.in_doubt)
            except NoValue as no_value:
                reason = str(no_value)
                continue
            # A deviation counts even if the run was cut short; any other value needs a full run.
            if outcome.stage is Stage.JUDGED or value == DEVIATES:
                return Measured(value, "", outcome.folder, outcome.host)
    return Measured("", f"no certain value after {TRIES} tries: {reason}")
