# SPDX-License-Identifier: GPL-2.0-only
"""Statements in the wrong order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from workflows.mutants.code import Node, text, walk
from workflows.mutants.edit import Edit, between


def two_statements(body: Node) -> Iterator[Edit]:
    """Two statements change places; one of them at least calls a function."""
    for block in walk(body):
        if block.type not in ("compound_statement", "case_statement"):
            continue
        statements = [child for child in block.named_children if child.type != "comment"]
        for first, second in pairwise(statements):
            both = (first, second)
            if all(one.type == "expression_statement" for one in both) and any(map(_calls, both)):
                yield between(first, second, f"{text(second)}\n{text(first)}")


def _calls(statement: Node) -> bool:
    return any(node.type == "call_expression" for node in walk(statement))
