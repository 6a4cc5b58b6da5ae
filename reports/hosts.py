# SPDX-License-Identifier: GPL-2.0-only
"""Which host judged what, where other hosts than this one did."""

from __future__ import annotations

from collections.abc import Iterable


def shares(steps: Iterable[tuple[str, str]]) -> str:
    """Return the hosts and their steps, "" if all were made here; ``steps`` are names and hosts."""
    by_host: dict[str, list[str]] = {}
    for name, host in steps:
        by_host.setdefault(host, []).append(name)
    if not any(by_host):
        return ""
    return "; ".join(
        f"{host or 'here'}: {', '.join(names)}" for host, names in sorted(by_host.items())
    )
