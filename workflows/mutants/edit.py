# SPDX-License-Identifier: GPL-2.0-only
"""One change of a source text."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.mutants.code import Node


@dataclass(frozen=True)
class Edit:
    """``new`` in place of the bytes from ``start`` to ``end``.

    The lines after it keep their numbers, which are in the object code of some macros.
    """

    start: int
    end: int
    new: str


def replaced(node: Node, new: str) -> Edit:
    """Return the edit that puts ``new`` in the place of ``node``."""
    return between(node, node, new)


def between(first: Node, last: Node, new: str) -> Edit:
    """Return the edit that puts ``new`` in the place of all from ``first`` to ``last``."""
    lines = last.end_point[0] - first.start_point[0]
    return Edit(first.start_byte, last.end_byte, new + "\n" * (lines - new.count("\n")))


def without(statement: Node) -> Edit:
    """Return the edit that leaves ``statement`` out."""
    return replaced(statement, ";")
