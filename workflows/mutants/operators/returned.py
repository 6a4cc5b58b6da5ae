# SPDX-License-Identifier: GPL-2.0-only
"""Results that nobody looks at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflows.mutants.code import Node, last_name, text, walk
from workflows.mutants.edit import Edit, replaced

_NAMES = re.compile(r"ret|err|rc|r|error|status|result")


def ignored(body: Node) -> Iterator[Edit]:
    """What a function returns is not kept: the variable has its value of before."""
    for node in walk(body):
        if node.type != "assignment_expression" or node.parent.type != "expression_statement":
            continue
        left, right = (node.child_by_field_name(side) for side in ("left", "right"))
        if right.type == "call_expression" and _NAMES.fullmatch(last_name(left)):
            yield replaced(node, text(right))
