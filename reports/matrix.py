# SPDX-License-Identifier: GPL-2.0-only
"""Kernels against drivers against behaviours, from a ``matrix.yaml``; for a terminal or a mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fixtures.record.compare import NOTHING
from fixtures.record.model import BROKEN, CONFORMS, DEVIATES, FLAKY
from fixtures.record.table import aligned, blocks
from reports.changes import grouped_by_effect, only_begin
from reports.text import WIDTH, render

Data = Mapping[str, Any]
COUNTS = (CONFORMS, DEVIATES, BROKEN, FLAKY)


def text(data: Data) -> str:
    """Return the matrix as plain text: a block for each driver, a column for each kernel.

    A line has at most 72 columns.
    """
    lines = [line for driver in data["drivers"] for line in _lines(driver, data["kernels"])]
    changes = [
        dict(one)
        | {"groups": grouped_by_effect(one["changes"]), "began": only_begin(one["changes"])}
        for one in data["changes"]
    ]
    return render("matrix.txt.j2", dict(data) | {"lines": lines, "changes": changes})


def _lines(driver: str, kernels: list[Data]) -> list[str]:
    """Return the lines of a driver; kernels that do not fit beside the others come below."""
    abouts = [kernel["drivers"].get(driver) for kernel in kernels]
    counts = [
        word
        for word in COUNTS
        if word in (CONFORMS, DEVIATES) or any(one["counts"].get(word) for one in abouts if one)
    ]
    behaviours = sorted({name for about in abouts if about for name in about["behaviours"]})
    names = (
        driver,
        "",
        [*(f"  clauses {word}" for word in counts), *(f"  {n}" for n in behaviours)],
    )
    columns = [
        (
            "",
            str(number),
            [_count(about, word) for word in counts]
            + [about["behaviours"].get(n, NOTHING) if about else NOTHING for n in behaviours],
        )
        for number, about in enumerate(abouts, 1)
    ]
    found = [aligned(block) for block in blocks(names, columns, WIDTH)]
    return [line for lines in found for line in ["", *lines]]


def _count(about: Data | None, word: str) -> str:
    if about is None or about["absent"]:
        return NOTHING
    count = str(about["counts"].get(word, 0))
    return f"{count} ({about['known']} known)" if word == DEVIATES and about["known"] else count
