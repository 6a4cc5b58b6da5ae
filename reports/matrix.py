# SPDX-License-Identifier: GPL-2.0-only
"""Kernels against drivers against behaviours, from a ``matrix.yaml``; for a terminal or a mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fixtures.record.compare import NOTHING
from fixtures.record.model import BROKEN, CONFORMS, FLAKY, Deviations
from fixtures.record.table import aligned, blocks
from reports.changes import grouped_by_effect, only_begin
from reports.hosts import shares
from reports.text import WIDTH, render

Data = Mapping[str, Any]
SELDOM = (BROKEN, FLAKY)  # shown if there are any


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
    shown = {"lines": lines, "changes": changes, "hosts": hosts_of(data)}
    return render("matrix.txt.j2", dict(data) | shown)


def hosts_of(data: Data) -> str:
    """Return which host judged which kernels, "" if that was this one."""
    kernels = enumerate(data["kernels"], 1)
    return shares((str(number), kernel.get("host", "")) for number, kernel in kernels)


def _lines(driver: str, kernels: list[Data]) -> list[str]:
    """Return the lines of a driver; kernels that do not fit into the width come below."""
    abouts = [kernel["drivers"].get(driver) for kernel in kernels]
    seldom = [word for word in SELDOM if any(one["counts"].get(word) for one in abouts if one)]
    levels = dict.fromkeys(level for one in abouts if one for level in one["deviations"])
    behaviours = sorted({name for about in abouts if about for name in about["behaviours"]})
    names = (
        driver,
        "",
        [
            f"  clauses {CONFORMS}",
            *(f"  clauses deviate from {level or 'others'}" for level in levels),
            *(f"  clauses {word}" for word in seldom),
            *(f"  {name}" for name in behaviours),
        ],
    )
    columns = [
        (
            "",
            str(number),
            [
                _count(about, CONFORMS),
                *(_deviations(about, level) for level in levels),
                *(_count(about, word) for word in seldom),
                *(about["behaviours"].get(n, NOTHING) if about else NOTHING for n in behaviours),
            ],
        )
        for number, about in enumerate(abouts, 1)
    ]
    found = [aligned(block) for block in blocks(names, columns, WIDTH)]
    return [line for lines in found for line in ["", *lines]]


def _count(about: Data | None, word: str) -> str:
    return NOTHING if about is None or about["absent"] else str(about["counts"].get(word, 0))


def _deviations(about: Data | None, level: str) -> str:
    if about is None or about["absent"]:
        return NOTHING
    return str(Deviations(**about["deviations"].get(level, {})))
