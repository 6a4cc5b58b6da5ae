# SPDX-License-Identifier: GPL-2.0-only
"""The page of a pre-merge run: patches against drivers, and what each change stands on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports import page
from reports.changes import SIGNS
from reports.evidence import Evidence
from reports.premerge import view

Data = Mapping[str, Any]

EXPECTED = ("E", "known", "as EXPECT says")
STATUS = {0: "conforms", 1: "deviates"}  # the look of a verdict; else it could not be judged


def render(data: Data, folder: Path) -> str:
    """Return the page for ``data``, a ``premerge.yaml``, to lie in ``folder``."""
    evidence = Evidence(folder)
    places = {step["number"]: step["results"] for step in data["steps"]}
    shown = view(data)
    for step in shown["steps"]:
        before = places.get(step["since"], "")
        step["groups"] = evidence.of_groups(step["groups"], before, step["results"])
        step["cells"] = {driver: _cell(driver, step["changes"]) for driver in data["drivers"]}
    last = data["steps"][-1]["results"]
    whole = shown["whole"]
    whole["groups"] = evidence.of_groups(whole["groups"], places.get(0, ""), last)
    more = {"signs": SIGNS, "expected": EXPECTED, "look": STATUS.get(data["status"], "broken")}
    return page.render("premerge.html", shown | more)


def _cell(driver: str, changes: list[Data]) -> list[tuple[str, str, str, int]]:
    """Return sign, look, meaning and number of the driver's changes, the most important first."""
    of_driver = [one for one in changes if one["driver"] == driver]
    fresh = [one["effect"] for one in of_driver if not one["expected"]]
    found = [(*sign, fresh.count(effect)) for effect, sign in SIGNS.items()]
    found.append((*EXPECTED, len(of_driver) - len(fresh)))
    return [one for one in found if one[-1]]
