# SPDX-License-Identifier: GPL-2.0-only
"""Wrong bits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflows.mutants.code import Node, text, walk
from workflows.mutants.edit import Edit, replaced

_FLAG = re.compile(r"(?!_*GFP_)[A-Z][A-Z0-9_]{2,}")
_OPERATORS = {"|", "&", "|=", "&="}


def wrong(body: Node) -> Iterator[Edit]:
    """The bit beside a flag, where flags are set, cleared or looked at."""
    for node in walk(body):
        if node.type == "identifier" and _FLAG.fullmatch(text(node)) and _is_a_bit(node):
            yield replaced(node, f"({text(node)} << 1)")


def _is_a_bit(node: Node) -> bool:
    parent = node.parent
    if parent.type == "unary_expression" and text(parent).startswith("~"):
        parent = parent.parent
    operator = parent.child_by_field_name("operator")
    is_operation = parent.type in ("binary_expression", "assignment_expression")
    return is_operation and operator.type in _OPERATORS
