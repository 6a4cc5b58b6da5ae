# SPDX-License-Identifier: GPL-2.0-only
"""Streams across kernels, from a ``compat.yaml``: as text for a terminal, and Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fixtures.record.compare import NOTHING
from fixtures.record.table import Column, aligned
from reports.text import render

Data = Mapping[str, Any]
ACCEPTED = "accepted"
WORDS = ("wrong", "broken", "refused", ACCEPTED)  # the most important first


def text(data: Data) -> str:
    """Return the matrix as plain text, lines of at most 72 columns but for the tables."""
    tables = [aligned(_table(data, driver)) for driver in _seen(data)]
    return render("compat.txt.j2", view(data) | {"tables": tables})


def markdown(data: Data) -> str:
    """Return the matrix in Markdown."""
    return render("compat.md.j2", view(data) | {"rows": rows(data)})


def view(data: Data) -> dict[str, Any]:
    """Return what all forms of the report show: the loads that need attention, and the rest."""
    attention: dict[tuple[str, str, int, int], list[str]] = {}
    for one in data["loads"]:
        if one["word"] != ACCEPTED:
            key = (one["driver"], f"{one['word']}: {one['why']}", one["from"], one["to"])
            attention.setdefault(key, []).append(f"{one['way']} {one['size']}")
    told = [
        {"driver": driver, "why": why, "from": origin, "to": to, "streams": streams}
        for (driver, why, origin, to), streams in attention.items()
    ]
    unseen = [name for name in data["drivers"] if name not in _seen(data)]
    return dict(data) | {"attention": told, "unseen": unseen}


def rows(data: Data) -> list[tuple[str, int, list[list[tuple[str, int]]]]]:
    """Return a row for each driver and kernel that saved: what came of it on each kernel."""
    found = []
    for driver in _seen(data):
        for origin in range(len(data["kernels"])):
            cells = [_cell(data, driver, origin, to) for to in range(len(data["kernels"]))]
            if any(cells):
                found.append((driver, origin, cells))
    return found


def _seen(data: Data) -> list[str]:
    loaded = {one["driver"] for one in data["loads"]}
    return [name for name in data["drivers"] if name in loaded]


def _cell(data: Data, driver: str, origin: int, to: int) -> list[tuple[str, int]]:
    """Return how many streams had each outcome, the most important first."""
    counts = Counter(
        one["word"]
        for one in data["loads"]
        if (one["driver"], one["from"], one["to"]) == (driver, origin, to)
    )
    return [(word, counts[word]) for word in WORDS if counts[word]]


def _table(data: Data, driver: str) -> list[Column]:
    mine = [(origin, cells) for name, origin, cells in rows(data) if name == driver]
    names: Column = (driver, "saved on", [str(origin + 1) for origin, _ in mine])
    columns = [
        ("loaded on" if not to else "", str(to + 1), [_words(cells[to]) for _, cells in mine])
        for to in range(len(data["kernels"]))
    ]
    return [names, *columns]


def _words(cell: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {word}" for word, count in cell) or NOTHING
