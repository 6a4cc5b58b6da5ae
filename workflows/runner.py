# SPDX-License-Identifier: GPL-2.0-only
"""Who carries out the steps of a job.

A job submits its steps before it asks for their results in order. So another runner than ``Here``
can work ahead; no job has to know which one it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from fixtures.kernel.spec import Spec
from fixtures.progress import Progress
from workflows import step
from workflows.step import Selection, StepResult


class Pending(Protocol):
    """A step that was submitted."""

    def result(self) -> StepResult:
        """Wait for the step, and return its result; its stage says if it could not be made."""

    def cancel(self) -> None:
        """Do not begin the step, or end it: nobody asks for its result."""


class Runner(Protocol):
    """Carries out steps, up to ``workers`` at a time."""

    @property
    def workers(self) -> int: ...

    def submit(
        self, spec: Spec, selection: Selection, name: str, *, again: bool = False
    ) -> Pending:
        """Take on a step; messages call it ``name``. ``again``: earlier runs are not enough."""


@dataclass(frozen=True)
class Here:
    """This process: it makes a step when the result is asked for, one after the other."""

    progress: Progress
    workers: int = 1

    def submit(
        self, spec: Spec, selection: Selection, name: str, *, again: bool = False
    ) -> Pending:
        """Take on a step; messages call it ``name``. ``again``: earlier runs are not enough."""
        return _Later(spec, selection, name, self.progress, again)


@dataclass(frozen=True)
class _Later:
    spec: Spec
    selection: Selection
    name: str
    progress: Progress
    again: bool

    def result(self) -> StepResult:
        return step.run_or_tell(
            self.spec, self.selection, self.name, self.progress, again=self.again
        )

    def cancel(self) -> None:
        pass  # it has not begun


@contextmanager
def submitted(
    runner: Runner, steps: Sequence[tuple[Spec, str]], selection: Selection
) -> Iterator[list[Pending]]:
    """Submit ``steps``, each a kernel and its name; after the block, cancel them.

    To cancel a step that is done has no effect.
    """
    pending = [runner.submit(spec, selection, name) for spec, name in steps]
    try:
        yield pending
    finally:
        for one in pending:
            one.cancel()
