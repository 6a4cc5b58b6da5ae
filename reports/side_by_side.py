# SPDX-License-Identifier: GPL-2.0-only
"""Two texts side by side: what is equal in one line, long equal parts left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

from fixtures.record.compare import without_numbers

AROUND = 3  # equal lines that are shown before and after a difference


@dataclass(frozen=True)
class Row:
    """A line of each text; None where one has no line there. ``left_out`` equal lines are not."""

    before: str | None = None
    after: str | None = None
    same: bool = False
    left_out: int = 0


def rows(before: str, after: str) -> list[Row]:
    """Return the lines of both texts; addresses, counts and times make no difference."""
    old, new = before.splitlines(), after.splitlines()
    plain = [[without_numbers(line) for line in lines] for lines in (old, new)]
    matcher = SequenceMatcher(None, plain[0], plain[1], autojunk=False)
    found: list[Row] = []
    opcodes = matcher.get_opcodes()
    for number, (kind, a, b, c, d) in enumerate(opcodes):
        pairs = [Row(*pair, kind == "equal") for pair in zip_longest(old[a:b], new[c:d])]
        first, last = not number, number == len(opcodes) - 1
        found += _shortened(pairs, first, last) if kind == "equal" else pairs
    return found


def _shortened(equal: list[Row], first: bool, last: bool) -> Iterator[Row]:
    """Yield equal rows without their middle; at an end of the text one side has no neighbour."""
    head, tail = 0 if first else AROUND, 0 if last else AROUND
    left_out = len(equal) - head - tail
    if left_out <= 1:
        yield from equal
        return
    yield from equal[:head]
    yield Row(left_out=left_out)
    yield from equal[len(equal) - tail :]
