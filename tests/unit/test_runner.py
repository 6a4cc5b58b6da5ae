# SPDX-License-Identifier: GPL-2.0-only
"""The seam between a job and who carries out its steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.kernel.spec import RefSpec, Spec
from fixtures.paths import CHECKOUT
from fixtures.progress import Progress
from tests.unit.test_b4_check import NOT_MADE
from tests.unit.test_jobs import BAD, GOOD, NOT_BUILT, judged
from workflows import premerge, runner, step
from workflows.runner import Here, Pending
from workflows.series import Commit, Series
from workflows.step import Selection, Stage, StepResult

SELECTION = Selection(("mtty",))
SERIES = Series(Path("linux"), "v7.1", tuple(Commit(n, str(n) * 40, "x") for n in range(4)))


class Ahead:
    """A runner that knows all results; it notes what it is asked, in order."""

    workers = 9

    def __init__(self, *outcomes: StepResult) -> None:
        self.asked: list[str] = []
        self._outcomes = list(outcomes)

    def submit(
        self, spec: Spec, selection: Selection, name: str, *, again: bool = False
    ) -> Pending:
        self.asked.append(f"submit {name}: {spec.text[-1]}")
        assert selection == SELECTION
        ahead, number = self, len([one for one in self.asked if one.startswith("submit")]) - 1

        class Its:
            def result(self) -> StepResult:
                ahead.asked.append(f"result {number}")
                return ahead._outcomes[number]

            def cancel(self) -> None:
                ahead.asked.append(f"cancel {number}")

        return Its()


def judge(*outcomes: StepResult) -> tuple[list[Stage], list[str]]:
    ahead = Ahead(*outcomes)
    made = premerge.judge_all(SERIES, SELECTION, Progress(), runner=ahead)
    return [one.outcome.stage for one in made], ahead.asked


SUBMITTED = ["submit base v7.1: 0", *(f"submit patch {n} of 3: {n}" for n in (1, 2, 3))]
CANCELLED = [f"cancel {number}" for number in range(4)]


def test_all_is_submitted_before_the_first_result_is_asked_for() -> None:
    stages, asked = judge(judged(GOOD), judged(BAD), NOT_BUILT, judged(GOOD))
    assert stages == [Stage.JUDGED, Stage.JUDGED, Stage.DOES_NOT_BUILD, Stage.JUDGED]
    assert asked == [*SUBMITTED, *(f"result {number}" for number in range(4)), *CANCELLED]


@pytest.mark.parametrize("outcomes", [[NOT_BUILT], [judged(GOOD), NOT_MADE]])
def test_what_is_not_needed_any_more_is_cancelled(outcomes: list[StepResult]) -> None:
    _, asked = judge(*outcomes)
    assert asked == [*SUBMITTED, *(f"result {n}" for n in range(len(outcomes))), *CANCELLED]


def test_what_is_left_is_cancelled_when_the_job_ends_with_an_exception() -> None:
    ahead = Ahead()
    steps: list[tuple[Spec, str]] = [(RefSpec("0", Path("/x"), "0"), "it")]
    with pytest.raises(KeyboardInterrupt), runner.submitted(ahead, steps, SELECTION):
        raise KeyboardInterrupt
    assert ahead.asked == ["submit it: 0", "cancel 0"]


def test_here_makes_a_step_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def run(*step: object, again: bool) -> StepResult:
        made.append(f"{step[2]}{' again' * again}")
        return NOT_MADE

    monkeypatch.setattr(step, "run_or_tell", run)
    here, spec = Here(Progress()), RefSpec("x", Path("/x"), "abc")
    first, second = (here.submit(spec, SELECTION, name) for name in ("first", "second"))
    third = here.submit(spec, SELECTION, "third", again=True)
    assert made == []
    assert second.result() is third.result() is NOT_MADE
    first.cancel()
    assert made == ["second", "third again"]


def test_here_needs_nothing_new() -> None:
    program = "import sys, workflows.premerge; print('distributed' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == "False\n"
