# SPDX-License-Identifier: GPL-2.0-only
"""Changes between two runs, put together for a reader: what several drivers share is said once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fixtures.record.compare import Effect, Kind
from fixtures.record.results import NOT_APPLICABLE

Data = Mapping[str, Any]


@dataclass
class Group:
    """A change that several drivers share."""

    name: str
    before: str
    after: str
    expected: bool
    fingerprints: list[str]
    drivers: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def grouped_by_effect(changes: Iterable[Data]) -> dict[str, list[Group]]:
    """Return the changes by what they mean, those that matter most first.

    Left out are the rules that only begin or cease to apply.
    """
    told = [one for one in changes if not _only_begins(one)]
    groups = {
        effect.value: _groups(one for one in told if one["effect"] == effect.value)
        for effect in Effect
    }
    return {effect: of_these for effect, of_these in groups.items() if of_these}


def only_begin(changes: Iterable[Data]) -> list[Group]:
    """Return how many rules of each driver only begin or cease to apply, by verdict."""
    numbers: dict[tuple[str, str], dict[str, int]] = {}
    for one in filter(_only_begins, changes):
        of_these = numbers.setdefault((one["before"], one["after"]), {})
        of_these[one["driver"]] = of_these.get(one["driver"], 0) + 1
    return [
        Group(
            "clauses", *verdicts, False, [], [f"{name} {n}" for name, n in sorted(of_these.items())]
        )
        for verdicts, of_these in numbers.items()
    ]


def _only_begins(change: Data) -> bool:
    """Tell whether a rule begins or ceases to apply, which tens of them do together."""
    return (
        change["kind"] == Kind.CLAUSE.value
        and change["effect"] == Effect.CHANGED.value
        and not change.get("expected")
        and NOT_APPLICABLE in (change["before"], change["after"])
    )


def _groups(changes: Iterable[Data]) -> list[Group]:
    """Put together what is the same for several drivers."""
    groups: dict[tuple[Any, ...], Group] = {}
    for one in changes:
        name, expected = one["name"] or one["kind"], one.get("expected", False)
        key = (name, one["before"], one["after"], expected, *one["fingerprints"])
        fresh = Group(name, one["before"], one["after"], expected, one["fingerprints"])
        group = groups.setdefault(key, fresh)
        group.drivers.append(one["driver"])
        if one["reason"] and one["reason"] not in group.reasons:
            group.reasons.append(one["reason"])
    return list(groups.values())
