# SPDX-License-Identifier: GPL-2.0-only
"""Initialisations that are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflows.mutants.code import Node, callee, last_name, text, walk
from workflows.mutants.edit import Edit, replaced, without
from workflows.mutants.operators.state import NAMES

_CALLS = re.compile(r"(?:mutex|spin_lock|xa|hash|kref|refcount|atomic\w*)_(?:init\w*|set)|memset")
_MORE_CALLS = re.compile(r"INIT_\w+|init_\w+|stream_open|nonseekable_open")
_CONSTANTS = {"number_literal", "null", "true", "false"}


def left_out(body: Node) -> Iterator[Edit]:
    """A variable, a field or an object keeps what was there before."""
    for node in walk(body):
        if node.type == "init_declarator" and _is_empty(node.child_by_field_name("value")):
            yield replaced(node, text(node.child_by_field_name("declarator")))
        elif node.type == "expression_statement" and (_is_call(node) or _is_assignment(node)):
            yield without(node)


def _is_empty(value: Node) -> bool:
    return value.type in _CONSTANTS or text(value).replace(" ", "") == "{}"


def _is_call(statement: Node) -> bool:
    name = callee(statement)
    return bool(_CALLS.fullmatch(name) or _MORE_CALLS.fullmatch(name))


def _is_assignment(statement: Node) -> bool:
    """Return whether a field gets a constant; that of a state is another operator's."""
    (node, *_) = statement.named_children or [None]
    if node is None or node.type != "assignment_expression":
        return False
    left, right = (node.child_by_field_name(side) for side in ("left", "right"))
    is_field = left.type == "field_expression" and not NAMES.fullmatch(last_name(left))
    return is_field and right.type in _CONSTANTS
