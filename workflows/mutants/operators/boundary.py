# SPDX-License-Identifier: GPL-2.0-only
"""Comparisons that are off by one."""

from __future__ import annotations

from collections.abc import Iterator

from workflows.mutants.code import Node, walk
from workflows.mutants.edit import Edit, replaced

_OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}


def off_by_one(body: Node) -> Iterator[Edit]:
    """The bound itself is on the wrong side."""
    for node in walk(body):
        if node.type == "binary_expression":
            operator = node.child_by_field_name("operator")
            if operator.type in _OTHER:
                yield replaced(operator, _OTHER[operator.type])
