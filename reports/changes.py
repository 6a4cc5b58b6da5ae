# SPDX-License-Identifier: GPL-2.0-only
"""Changes between two runs, grouped for a reader: drivers with the same change share one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fixtures.record.compare import ChangeKind, Effect, labelled
from fixtures.record.model import NOT_APPLICABLE

Data = Mapping[str, Any]

# A sign that tells an effect without its colour, its look, and what it means.
SIGNS = {
    Effect.WORSE.value: ("W", "deviates", "changed for the worse"),
    Effect.UNJUDGED.value: ("?", "broken", "could not be judged"),
    Effect.TOLERATED.value: ("T", "tolerated", "a deviation that --fail-on=must tolerates"),
    Effect.FLAKY.value: ("F", "flaky", "failed once, and not again"),
    Effect.BETTER.value: ("+", "conforms", "changed for the better"),
    Effect.CHANGED.value: ("~", "changed", "another behaviour, neither better nor worse"),
}


@dataclass
class Group:
    """A change that several drivers share; ``name`` includes the level of a broken clause.

    ``changes`` are the drivers' own, in the order of ``drivers``; rules that cease to apply
    together have none.
    """

    name: str
    before: str
    after: str
    expected: bool
    fingerprints: list[str]
    drivers: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    changes: list[Data] = field(default_factory=list)


def grouped_by_effect(changes: Iterable[Data]) -> dict[str, list[Group]]:
    """Return the changes by effect, the most important first.

    Rules that only begin to apply are left out.
    """
    told = [one for one in changes if not _only_begins(one)]
    groups = {
        effect.value: _groups(one for one in told if one["effect"] == effect.value)
        for effect in Effect
    }
    return {effect: of_these for effect, of_these in groups.items() if of_these}


def only_begin(changes: Iterable[Data]) -> list[Group]:
    """Return how many rules of each driver only begin to apply, by verdict."""
    numbers: dict[str, dict[str, int]] = {}
    for one in filter(_only_begins, changes):
        of_these = numbers.setdefault(one["after"], {})
        of_these[one["driver"]] = of_these.get(one["driver"], 0) + 1
    return [
        Group(
            "clauses",
            NOT_APPLICABLE,
            after,
            False,
            [],
            [f"{name} {n}" for name, n in sorted(of_these.items())],
        )
        for after, of_these in numbers.items()
    ]


def _only_begins(change: Data) -> bool:
    """Return whether the change is that a rule begins to apply; tens of rules do so together."""
    return (
        change["kind"] == ChangeKind.CLAUSE.value
        and change["effect"] == Effect.CHANGED.value
        and not change.get("expected")
        and change["before"] == NOT_APPLICABLE
    )


def _name(change: Data) -> str:
    """Return the name of the change, with the level of a clause that was or is broken."""
    name = change["name"] or change["kind"]
    return labelled(name, change.get("level", ""), change["before"], change["after"])


def _ceases(change: Data) -> bool:
    """Return whether a rule ceases to apply: each rule is named, one line for each driver."""
    return bool(change["kind"] == ChangeKind.CLAUSE.value and change["after"] == NOT_APPLICABLE)


def _groups(changes: Iterable[Data]) -> list[Group]:
    """Group changes that are the same for several drivers."""
    groups: dict[tuple[Any, ...], Group] = {}
    ceased: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for one in changes:
        expected = one.get("expected", False)
        if _ceases(one):
            verdicts = ceased.setdefault((one["before"], one["after"], expected), {})
            verdicts.setdefault(one["driver"], []).append(_name(one))
            continue
        name = _name(one)
        key = (name, one["before"], one["after"], expected, *one["fingerprints"])
        fresh = Group(name, one["before"], one["after"], expected, one["fingerprints"])
        group = groups.setdefault(key, fresh)
        group.drivers.append(one["driver"])
        group.changes.append(one)
        if one["reason"] and one["reason"] not in group.reasons:
            group.reasons.append(one["reason"])
    return [*groups.values(), *_ceased(ceased)]


def _ceased(ceased: Mapping[tuple[Any, ...], Mapping[str, list[str]]]) -> Iterator[Group]:
    """Yield groups of rules that cease to apply, by the drivers that share them."""
    for (before, after, expected), drivers in ceased.items():
        shared: dict[str, list[str]] = {}
        for driver, names in drivers.items():
            shared.setdefault(", ".join(names), []).append(driver)
        for named, of_these in shared.items():
            yield Group(named, before, after, expected, [], of_these)
