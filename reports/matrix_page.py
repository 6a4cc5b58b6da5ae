# SPDX-License-Identifier: GPL-2.0-only
"""The page of a matrix: kernels against drivers and clauses, and the changes between neighbours."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fixtures.record import catalogue
from fixtures.record.compare import NOTHING
from reports import page
from reports.changes import SIGNS as EFFECTS
from reports.changes import grouped_by_effect, only_begin
from reports.evidence import Evidence
from reports.html import SIGNS, by_part
from reports.matrix import hosts_of
from reports.run import CALM

Data = Mapping[str, Any]

_SIGNS: Mapping[str, tuple[str, str]] = {
    kind: (sign, name) for kind, (sign, name, _) in SIGNS.items()
}
# Sign, look, meaning; whether it differs from the kernel before.
Cell = tuple[str, str, str, bool]


def render(data: Data, folder: Path) -> str:
    """Return the page for ``data``, a ``matrix.yaml``, to lie in ``folder``."""
    kernels, drivers = data["kernels"], data["drivers"]
    evidence = Evidence(folder)
    changes = [
        {
            "from": kernels[one["from"]],
            "to": kernels[one["to"]],
            "groups": evidence.of_groups(
                grouped_by_effect(one["changes"]),
                kernels[one["from"]]["results"],
                kernels[one["to"]]["results"],
            ),
            "began": only_begin(one["changes"]),
        }
        for one in data["changes"]
    ]
    verdicts = _values(data, "clauses")
    words = _values(data, "behaviours")
    clauses = {clause for _, clause in verdicts}
    view = {
        "kernels": kernels,
        "hosts": hosts_of(data),
        "drivers": drivers,
        "fail_on": data["fail_on"],
        "counts": [{name: _counts(kernel, name) for name in drivers} for kernel in kernels],
        "parts": by_part(clauses),
        "rules": catalogue.clauses(),
        "cells": {
            clause: {
                driver: _cells(verdicts.get((driver, clause), [NOTHING] * len(kernels)))
                for driver in drivers
            }
            for clause in clauses
        },
        "behaviours": sorted({name for _, name in words}),
        "words": {key: _without_repeats(found) for key, found in words.items()},
        "changes": changes,
        "signs": SIGNS,
        "effects": EFFECTS,
    }
    return page.render("matrix.html", view)


def _values(data: Data, what: str) -> dict[tuple[str, str], list[str]]:
    """Return the values of all kernels, by driver and name."""
    found: dict[tuple[str, str], list[str]] = {}
    for number, kernel in enumerate(data["kernels"]):
        for driver, about in kernel["drivers"].items():
            for name, value in about[what].items():
                row = found.setdefault((driver, name), [NOTHING] * len(data["kernels"]))
                row[number] = value
    return found


def _cells(kinds: Sequence[str]) -> list[Cell]:
    """Return a cell for each kernel; a kernel without a result is no change."""
    cells = []
    last = NOTHING
    for kind in kinds:
        sign, meaning = _SIGNS.get(kind, ("", "no result"))
        cells.append((sign, kind, meaning, NOTHING not in (kind, last) and kind != last))
        last = last if kind == NOTHING else kind
    return cells


def _without_repeats(words: Sequence[str]) -> list[str]:
    """Return the words in order, those of kernels with results, each change once."""
    return [word for word, _ in itertools.groupby(one for one in words if one != NOTHING)]


def _counts(kernel: Data, driver: str) -> list[tuple[str, str, str, int]]:
    """Return sign, look, meaning and number of the clauses of each kind, but for the calm ones."""
    about = kernel["drivers"].get(driver)
    kinds = Counter(about["clauses"].values()) if about else Counter()
    found = [(sign, kind, name, kinds[kind]) for kind, (sign, name, _) in SIGNS.items()]
    return [one for one in found if one[3] and (one[1] not in CALM or one[1] == "conforms")]
