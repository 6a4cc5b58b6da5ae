# SPDX-License-Identifier: GPL-2.0-only
"""Conditions of if statements: without effect, or the other way round."""

from __future__ import annotations

from collections.abc import Iterator

from workflows.mutants.code import Node, text, walk
from workflows.mutants.edit import Edit, replaced


def dropped(body: Node) -> Iterator[Edit]:
    """What an if statement guards is never done; its condition is still computed."""
    for condition in _conditions(body):
        yield replaced(condition, f"({text(condition)} && 0)")


def negated(body: Node) -> Iterator[Edit]:
    """A condition holds when it should not."""
    for condition in _conditions(body):
        yield replaced(condition, f"(!{text(condition)})")


def _conditions(body: Node) -> Iterator[Node]:
    for node in walk(body):
        if node.type == "if_statement":
            yield node.child_by_field_name("condition")
