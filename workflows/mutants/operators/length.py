# SPDX-License-Identifier: GPL-2.0-only
"""Lengths and offsets that are off by one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflows.mutants.code import Node, callee, last_name, text, walk
from workflows.mutants.edit import Edit, replaced

_NAMES = re.compile(r"\w*(?:len|length|size|offset|offs|off|pos|count|bytes|done|npages|nr)\w*")
_COPIES = re.compile(r"copy_(?:to|from)_user|memcpy|memset|simple_\w+_buffer|min(?:_t)?")


def wrong(body: Node) -> Iterator[Edit]:
    """One more in a length or an offset that is assigned, one less in one that is handed on."""
    for node in walk(body):
        if node.type == "assignment_expression" and _is_length(node, "left"):
            yield _one_more(node.child_by_field_name("right"))
        elif node.type == "init_declarator" and _is_length(node, "declarator"):
            yield _one_more(node.child_by_field_name("value"))
        elif node.type == "call_expression" and _COPIES.fullmatch(callee(node)):
            arguments = node.child_by_field_name("arguments").named_children
            if arguments:
                yield replaced(arguments[-1], f"({text(arguments[-1])}) - 1")


def _is_length(node: Node, side: str) -> bool:
    target = node.child_by_field_name(side)
    if (
        target.type == "pointer_declarator"
        or "|" in text(node.child(1))
        or "&" in text(node.child(1))
    ):
        return False
    return bool(_NAMES.fullmatch(last_name(target)))


def _one_more(value: Node) -> Edit:
    return replaced(value, f"({text(value)}) + 1")
