# SPDX-License-Identifier: GPL-2.0-only
"""The page about streams across kernels, from a ``compat.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import page
from reports.compat import rows, view

# Sign, look and meaning of each outcome.
SIGNS: Mapping[str, tuple[str, str, str]] = {
    "wrong": ("D", "deviates", "accepted, and the device has another state"),
    "broken": ("B", "broken", "could not be judged"),
    "refused": ("R", "known", "refused with an error"),
    "accepted": ("✓", "conforms", "accepted, and the device has the same state"),
}


def render(data: Mapping[str, Any]) -> str:
    """Return the page for ``data``."""
    shown = [
        (driver, origin, [[(*SIGNS[word], count) for word, count in cell] for cell in cells])
        for driver, origin, cells in rows(data)
    ]
    return page.render("compat.html", view(data) | {"rows": shown, "signs": SIGNS})
