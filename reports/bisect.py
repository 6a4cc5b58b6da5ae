# SPDX-License-Identifier: GPL-2.0-only
"""Report of a bisect, to paste into a mail, from its ``bisect.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.hosts import shares
from reports.text import render


def text(data: Mapping[str, Any]) -> str:
    """Return the report as plain text of at most 72 columns."""
    hosts = shares((one["commit"][:12], one.get("host", "")) for one in data["steps"])
    return render("bisect.txt.j2", dict(data) | {"hosts": hosts})
