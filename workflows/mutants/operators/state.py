# SPDX-License-Identifier: GPL-2.0-only
"""States that do not change."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflows.mutants.code import Node, last_name, walk
from workflows.mutants.edit import Edit, without

NAMES = re.compile(r"\w*(?:state|status|deferred|disabled|enabled|running|active|ready|object)\w*")


def left_out(body: Node) -> Iterator[Edit]:
    """A state, or a flag that is one, is not assigned."""
    for node in walk(body):
        if node.type != "expression_statement" or not node.named_child_count:
            continue
        (assignment, *_) = node.named_children
        if assignment.type == "assignment_expression":
            left = assignment.child_by_field_name("left")
            if left.type != "identifier" and NAMES.fullmatch(last_name(left)):
                yield without(node)
