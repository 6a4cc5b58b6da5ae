# SPDX-License-Identifier: GPL-2.0-only
"""Report of a pre-merge run, to paste into a mail or a web page, from its ``premerge.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fixtures.record.compare import Effect
from reports.changes import grouped_by_effect, only_begin
from reports.hosts import shares
from reports.text import render

Data = Mapping[str, Any]


def text(data: Data) -> str:
    """Return the report as plain text of at most 72 columns."""
    return render("premerge.txt.j2", view(data))


def markdown(data: Data) -> str:
    """Return the same in Markdown."""
    return render("premerge.md.j2", view(data))


def view(data: Data) -> dict[str, Any]:
    """Return ``data`` with the changes of each step in groups, and its state in words."""
    steps = [
        dict(one)
        | {
            "state": _state(one),
            "groups": grouped_by_effect(one["changes"]),
            "began": only_begin(one["changes"]),
        }
        for one in data["steps"]
    ]
    # With one patch the summary equals that patch's own changes. It is shown only if `passing`
    # entries make it differ.
    same = len(steps) == 2 and data["whole"] == steps[-1]["changes"]
    several = [] if same else data["whole"]
    whole = {"groups": grouped_by_effect(several), "began": only_begin(several)}
    hosts = shares((str(one["number"] or "base"), one.get("host", "")) for one in data["steps"])
    return dict(data) | {"steps": steps, "whole": whole, "hosts": hosts}


def _state(step: Data) -> str:
    """Return the words for a step in the overview."""
    if step["problem"]:
        return str(step["stage"])
    for effect in (
        Effect.WORSE,
        Effect.UNJUDGED,
        Effect.TOLERATED,
        Effect.FLAKY,
        Effect.BETTER,
        Effect.CHANGED,
    ):
        those = [one for one in step["changes"] if one["effect"] == effect.value]
        if unexpected := [one for one in those if not one["expected"]]:
            return f"{len(unexpected)} {effect.value}"
        if those:
            return f"{len(those)} expected"
    return "no change" if step["number"] else ""
