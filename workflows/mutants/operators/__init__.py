# SPDX-License-Identifier: GPL-2.0-only
"""The operators: each makes one kind of mistake, everywhere in a function where it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from workflows.mutants.code import Node
from workflows.mutants.edit import Edit
from workflows.mutants.operators import (
    boundary,
    checks,
    errno,
    exchanged,
    flags,
    initial,
    left_out,
    length,
    returned,
    state,
)

Operator = Callable[[Node], Iterator[Edit]]

OPERATORS: Mapping[str, Operator] = {
    "check-dropped": checks.dropped,
    "condition-negated": checks.negated,
    "boundary": boundary.off_by_one,
    "errno": errno.changed,
    "lock-left-out": left_out.lock,
    "reference-left-out": left_out.reference,
    "wake-up-left-out": left_out.wake_up,
    "state-left-out": state.left_out,
    "length-wrong": length.wrong,
    "initialisation-left-out": initial.left_out,
    "exchanged": exchanged.two_statements,
    "return-ignored": returned.ignored,
    "flag-wrong": flags.wrong,
}
