# SPDX-License-Identifier: GPL-2.0-only
"""What one commit does, in one word; doubts are looked at again, and never made a word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fixtures.kernel.spec import Spec
from fixtures.progress import Progress
from fixtures.record.model import DEVIATES
from workflows import step
from workflows.step import Selection, Stage
from workflows.subject import NoValue, Subject

TRIES = 3  # of a commit whose run does not say


@dataclass(frozen=True)
class Measured:
    """What a commit was seen to do: ``value``, or "" and the reason why it has none."""

    value: str
    reason: str = ""
    folder: Path | None = None


def measure(
    spec: Spec,
    subject: Subject,
    selection: Selection,
    name: str,
    progress: Progress,
    *,
    again: bool = False,
) -> Measured:
    """Build and run ``spec``, to people ``name``, and return what it does.

    Raises RunError if nothing is learnt of the kernel.
    """
    reason = ""
    for attempt in range(TRIES):
        outcome = step.run(spec, selection, name, progress, again=again or attempt > 0)
        if outcome.stage in (Stage.DOES_NOT_BUILD, Stage.DOES_NOT_BOOT):
            return Measured("", f"{outcome.stage.value}: {outcome.problem}")
        reason = outcome.problem
        if outcome.results:
            try:
                value = subject.value(outcome.results, settled=not outcome.in_doubt)
            except NoValue as no_value:
                reason = str(no_value)
                continue
            # What a run that was cut short saw deviate does so; of the rest it says nothing.
            if outcome.stage is Stage.JUDGED or value == DEVIATES:
                return Measured(value, "", outcome.folder)
    return Measured("", f"no certain answer after {TRIES} runs: {reason}")
