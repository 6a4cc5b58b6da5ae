# SPDX-License-Identifier: GPL-2.0-only
"""Kernels against drivers against behaviours, from a ``matrix.yaml``; for a terminal or a mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fixtures.record.compare import NOTHING
from reports.changes import grouped_by_effect, only_begin
from reports.text import render

Data = Mapping[str, Any]


def text(data: Data) -> str:
    """Return the matrix as plain text: a block for each driver, a column for each kernel."""
    blocks = {driver: _block(driver, data["kernels"]) for driver in data["drivers"]}
    changes = [
        dict(one)
        | {"groups": grouped_by_effect(one["changes"]), "began": only_begin(one["changes"])}
        for one in data["changes"]
    ]
    return render("matrix.txt.j2", dict(data) | {"blocks": blocks, "changes": changes})


def _block(driver: str, kernels: list[Data]) -> list[str]:
    """Return the rows of a driver, aligned."""
    abouts = [kernel["drivers"].get(driver) for kernel in kernels]
    rows = [["", *(str(number) for number in range(1, len(kernels) + 1))]]
    for word in ("conforms", "deviates"):
        rows.append([f"clauses {word}", *(_count(about, word) for about in abouts)])
    names = sorted({name for about in abouts if about for name in about["behaviours"]})
    for name in names:
        cells = [about["behaviours"].get(name, NOTHING) if about else NOTHING for about in abouts]
        rows.append([name, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _count(about: Data | None, word: str) -> str:
    if about is None or about["absent"]:
        return NOTHING
    count = str(about["counts"].get(word, 0))
    return f"{count} ({about['known']} known)" if word == "deviates" and about["known"] else count
