# SPDX-License-Identifier: GPL-2.0-only
"""The functions of a C file, as syntax trees with exact byte ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from fixtures.errors import SpecError

REQUIREMENTS = "requirements-mutants.txt"
INSTALL = f".venv/bin/pip install -r {REQUIREMENTS}"

# tree_sitter.Node; the package is an optional requirement.
Node: TypeAlias = Any

# The C of the kernel has words here that the grammar does not know.
_ANNOTATIONS = re.compile(rb"\b__(?:user|iomem|rcu|init|exit|maybe_unused)\b")


def functions(source: bytes) -> Iterator[tuple[str, Node]]:
    """Yield the name and the body of each function that ``source`` defines.

    Raises SpecError if tree-sitter is not installed.
    """
    # The tree's byte ranges are those of the original.
    plain = _ANNOTATIONS.sub(lambda found: b" " * len(found[0]), source)
    for node in walk(_parser().parse(plain).root_node):
        if node.type == "function_definition" and (name := _name(node)):
            yield name, node.child_by_field_name("body")


def walk(node: Node) -> Iterator[Node]:
    """Yield ``node`` and all below it, in the order of the text."""
    yield node
    for child in node.named_children:
        yield from walk(child)


def text(node: Node) -> str:
    """Return the source text of ``node``."""
    found: bytes = node.text
    return found.decode(errors="replace")


def last_name(node: Node) -> str:
    """Return the last identifier of an expression: "state" for ``migf->mvdev->state``."""
    names = [text(one) for one in walk(node) if one.type in ("identifier", "field_identifier")]
    return names[-1] if names else ""


def callee(node: Node) -> str:
    """Return the name of the function that the statement or expression ``node`` calls, or ""."""
    if node.type == "expression_statement" and node.named_child_count:
        node = node.named_children[0]
    while node.type == "call_expression":  # guard(mutex)(&lock) calls what a call returns
        node = node.child_by_field_name("function")
        if node.type == "identifier":
            return text(node)
    return ""


def _name(definition: Node) -> str:
    declarator = definition.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "identifier":
        declarator = declarator.child_by_field_name("declarator")
    return text(declarator) if declarator is not None else ""


def _parser() -> Any:
    try:
        import tree_sitter
        import tree_sitter_c
    except ImportError as error:
        raise SpecError(f"this needs tree-sitter: {INSTALL}") from error
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))
