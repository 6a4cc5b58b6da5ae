# SPDX-License-Identifier: GPL-2.0-only
"""Random sequences of calls, which Hypothesis draws from a seed, and shrinks if they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.internal.constants_ast import Constants
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

LENGTH = 40  # steps in a sequence, at most
BATCH = 12  # sequences drawn from one seed
_NAME = "hypothesis"


class SeededProvider(HypothesisProvider):
    """Draws from the seed alone.

    Hypothesis' own also draws constants of all modules that the process has loaded: a seed would
    not mean the same sequences in another process, or after a change of any file.
    """

    _local_constants = Constants()


def take(
    sequences: Callable[[], RuleBasedStateMachine], number: int, *, shrinks: bool = True
) -> None:
    """Take a device through the sequences drawn from the seed ``number``.

    Raises the exception of a failing sequence; with ``shrinks``, of the shortest one.
    """
    limits = settings(
        max_examples=BATCH,
        stateful_step_count=LENGTH,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,  # several would come as a group, which blames nobody
    )
    # Hypothesis accepts a function in place of the class, although its type hint does not.
    factory = cast("type[RuleBasedStateMachine]", lambda: sequences())
    with _seeded():
        run_state_machine_as_test(seed(number)(factory), settings=limits)


@contextmanager
def _seeded() -> Iterator[None]:
    """Have Hypothesis use SeededProvider; under another name it would not mutate what it drew."""
    own = AVAILABLE_PROVIDERS[_NAME]
    AVAILABLE_PROVIDERS[_NAME] = SeededProvider
    try:
        yield
    finally:
        AVAILABLE_PROVIDERS[_NAME] = own
