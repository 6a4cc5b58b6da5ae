# SPDX-License-Identifier: GPL-2.0-only
"""Measure one commit: one word for its value. A doubtful run is repeated, never reported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fixtures.kernel.spec import Spec
from fixtures.progress import Progress
from fixtures.record.model import DEVIATES
from workflows import step
from workflows.step import Selection, Stage, StepResult
from workflows.subject import NoValue, Subject

TRIES = 3  # runs of a commit without a certain value


@dataclass(frozen=True)
class Measured:
    """The measured value of a commit, or "" and the reason why it has none."""

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
    first: StepResult | None = None,
) -> Measured:
    """Build and run ``spec``, and return its value; messages call it ``name``.

    ``first`` is the result of its first run, if that was made already.

    Raises RunError if the runs give no information about the kernel.
    """
    reason = ""
    for attempt in range(TRIES):
        if first and not attempt:
            outcome = first
        else:
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
            # A deviation counts even if the run was cut short; any other value needs a full run.
            if outcome.stage is Stage.JUDGED or value == DEVIATES:
                return Measured(value, "", outcome.folder)
    return Measured("", f"no certain value after {TRIES} runs: {reason}")
