# SPDX-License-Identifier: GPL-2.0-only
"""The page of a history: one value over runs and kernels, as a picture and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from string import ascii_uppercase

from fixtures.record.model import VERDICTS
from reports import page

STEP, SIZE, LANE, LEFT = 28, 20, 58, 14  # pixels of the picture
_NARROWEST = 320
_LABEL = 52  # between two dates
_PALETTE = 6  # colours for words that are no verdicts


@dataclass(frozen=True)
class Seen:
    """What one run saw. ``lane`` is its line in the picture; ``was`` is the value before, if other.

    ``shown`` is the value with its level.
    """

    when: datetime
    lane: str
    kernel: str
    value: str
    shown: str
    was: str = ""


@dataclass(frozen=True)
class _Mark:
    x: int
    seen: Seen
    joined: bool  # to the mark before it


@dataclass(frozen=True)
class _Lane:
    name: str
    y: int
    marks: tuple[_Mark, ...]


def render(title: str, about: str, rows: Sequence[Seen]) -> str:
    """Return the page for ``rows``, in order of time; ``about`` says what the value is."""
    values = list(dict.fromkeys(one.value for one in rows))
    places = {id(one): LEFT + STEP * number for number, one in enumerate(rows)}
    by_lane: dict[str, list[Seen]] = {}
    for one in rows:
        by_lane.setdefault(one.lane, []).append(one)
    lanes = [
        _Lane(
            name,
            LANE * number,
            tuple(_Mark(places[id(one)], one, bool(index)) for index, one in enumerate(found)),
        )
        for number, (name, found) in enumerate(by_lane.items())
    ]
    view = {
        "title": title,
        "about": about,
        "rows": rows,
        "lanes": lanes,
        "letters": dict(zip(values, _letters(len(values)), strict=True)),
        "looks": {value: _look(value, values) for value in values},
        "dates": _dates(rows, places),
        "size": SIZE,
        "step": STEP,
        "lane": LANE,
        "width": max(_NARROWEST, LEFT * 2 + STEP * len(rows)),
        "height": LANE * len(lanes) + 24,
    }
    return page.render("history.html", view)


def _letters(count: int) -> list[str]:
    """Return a sign for each of ``count`` values, to tell them without colours."""
    return [
        ascii_uppercase[number] if number < len(ascii_uppercase) else str(number)
        for number in range(count)
    ]


def _look(value: str, values: Sequence[str]) -> str:
    return value if value in VERDICTS else f"w{values.index(value) % _PALETTE}"


def _dates(rows: Sequence[Seen], places: dict[int, int]) -> list[tuple[int, str]]:
    """Return the first run of each day, as place and date, where there is room for the date."""
    found: list[tuple[int, str]] = []
    day = None
    for one in rows:
        place = places[id(one)]
        if one.when.date() != day and (not found or place - found[-1][0] >= _LABEL):
            day = one.when.date()
            found.append((place, f"{day:%m-%d}"))
    return found
