# SPDX-License-Identifier: GPL-2.0-only
"""The page about the mutants of a driver: how many were killed, and each survivor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import page


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test sees: its name, notes on it, and the lines of its diff."""

    key: str
    name: str
    notes: Sequence[str]
    diff: Sequence[str]


def render(
    title: str, facts: Sequence[str], table: Sequence[Sequence[str]], survivors: Sequence[Survivor]
) -> str:
    """Return the page; the first row of ``table`` is its heading, the last its sum."""
    heading, *rows = table
    view = {
        "title": title,
        "facts": facts,
        "heading": heading,
        "rows": rows,
        "survivors": [(one, [(_look(line), line) for line in one.diff]) for one in survivors],
    }
    return page.render("mutants.html", view)


def _look(line: str) -> str:
    """Return the class of a line of a diff."""
    if line.startswith(("+++", "---", "@@")):
        return "note"
    return {"+": "added", "-": "removed"}.get(line[:1], "")
