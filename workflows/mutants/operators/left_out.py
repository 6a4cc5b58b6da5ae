# SPDX-License-Identifier: GPL-2.0-only
"""Calls that are left out, by the name of what is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workflows.mutants.code import Node, callee, walk
from workflows.mutants.edit import Edit, without

_LOCKS = re.compile(
    r"(?:scoped_)?guard|(?:\w+_)?(?:un)?lock(?:_(?!init)\w+)?|(?:up|down)(?:_(?:read|write)\w*)?"
)
_REFERENCES = re.compile(
    r"(?:\w+_)?(?:get|put|fput|ref|unref)(?:_(?:device|file|dev|sync))?|k?v?z?free\w*"
)
_WAKE_UPS = re.compile(
    r"wake_up\w*|complete(?:_all)?|eventfd_signal\w*|(?:queue|schedule)_(?:delayed_)?work\w*"
    r"|(?:cancel|flush)_work\w*|wait_for_completion\w*|wait_event\w*"
)


def lock(body: Node) -> Iterator[Edit]:
    """A lock is not taken, or not released."""
    yield from _without_calls(body, _LOCKS)


def reference(body: Node) -> Iterator[Edit]:
    """A reference is not taken, or not dropped; or memory is not freed."""
    yield from _without_calls(body, _REFERENCES)


def wake_up(body: Node) -> Iterator[Edit]:
    """Nobody is woken up, no work is queued, or nobody waits for it."""
    yield from _without_calls(body, _WAKE_UPS)


def _without_calls(body: Node, names: re.Pattern[str]) -> Iterator[Edit]:
    for node in walk(body):
        if node.type == "expression_statement" and names.fullmatch(callee(node)):
            yield without(node)
