# SPDX-License-Identifier: GPL-2.0-only
"""Errors that a caller cannot tell from others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflows.mutants.code import Node, text, walk
from workflows.mutants.edit import Edit, replaced

_ERRNO = re.compile(r"-(E[A-Z0-9]+)")
_OTHER, _ANOTHER = "-EIO", "-EINVAL"


def changed(body: Node) -> Iterator[Edit]:
    """Another errno; of errors that are returned, and of those that are compared."""
    for node in walk(body):
        if node.type == "unary_expression" and _ERRNO.fullmatch(text(node)):
            yield replaced(node, _ANOTHER if text(node) == _OTHER else _OTHER)
