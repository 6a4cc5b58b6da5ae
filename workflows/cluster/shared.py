# SPDX-License-Identifier: GPL-2.0-only
"""Workers on this host, which share the checkout, the cache and ``results/steps`` with the job.

Its locks keep their builds of one tree apart, so that one worker builds while another tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fixtures.kernel.spec import Spec
from fixtures.progress import Progress
from workflows import step, unfinished
from workflows.cluster.workers import Ask, Order
from workflows.step import StepResult

Work = Callable[[Order], StepResult]


def carry_out(order: Order) -> StepResult:
    """Carry out a step in a worker."""
    with unfinished.noted_in(order.jobs):
        return step.run_or_tell(
            order.spec, order.selection, order.name, Progress(), again=order.again
        )


@dataclass(frozen=True)
class Shared:
    """Nothing has to travel."""

    work: Work = carry_out

    def describe(self, address: str) -> object:
        """Return None: they are all this host."""
        return None

    def refuses(self, told: object) -> str:
        """Refuse no worker."""
        return ""

    def admit(self, told: Mapping[str, object]) -> dict[str, str]:
        """Use all workers."""
        return dict.fromkeys(told, "")

    def check(self, spec: Spec) -> None:
        """Accept every kernel."""

    def label(self, order: Order, host: str) -> str:
        """Return the step's name."""
        return order.name

    def make(self, ask: Ask, host: str, order: Order) -> StepResult:
        """Carry out a step by means of ``ask``."""
        result: StepResult = ask(self.work, order)
        return result
