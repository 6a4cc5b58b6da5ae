# SPDX-License-Identifier: GPL-2.0-only
"""One mutant: a file of a driver with one mistake in it."""

from __future__ import annotations

import difflib
import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workflows.mutants.code import functions
from workflows.mutants.operators import OPERATORS

DIGITS = 10  # of the digest that names a mutant


@dataclass(frozen=True)
class Mutant:
    """``new`` in place of the bytes from ``start`` to ``end`` of the file ``path`` of a tree.

    ``key`` stays the same where other parts of the file change.
    """

    key: str
    path: str
    line: int
    function: str
    operator: str
    start: int
    end: int
    new: str

    @property
    def place(self) -> str:
        """What the mistake is, and in which function."""
        return f"{self.operator} in {self.function}()"

    def apply(self, source: bytes) -> bytes:
        """Return ``source`` with the mistake."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        """Return the mistake as a unified diff."""
        before, after = (
            text.decode(errors="replace").splitlines(keepends=True)
            for text in (source, self.apply(source))
        )
        found = difflib.unified_diff(before, after, f"a/{self.path}", f"b/{self.path}", n=2)
        return "".join(found)


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a file, in the order of its text.

    Raises SpecError if tree-sitter is not installed.
    """
    found: list[Mutant] = []
    same: Counter[tuple[str, ...]] = Counter()
    for function, body in functions(source):
        for operator, make in OPERATORS.items():
            for edit in make(body):
                old = source[edit.start : edit.end].decode(errors="replace")
                about = (path, function, operator, old, edit.new)
                key = _digest(*about, str(same[about]))
                same[about] += 1
                line = source.count(b"\n", 0, edit.start) + 1
                found.append(
                    Mutant(key, path, line, function, operator, edit.start, edit.end, edit.new)
                )
    return sorted(found, key=lambda one: (one.start, one.end, one.operator, one.new))


def of_sources(sources: Mapping[str, bytes]) -> list[Mutant]:
    """Return all mutants of the files ``sources``, by path."""
    return [mutant for path in sorted(sources) for mutant in mutants_of(path, sources[path])]


def sample(mutants: Sequence[Mutant], number: int | None, seed: int) -> list[Mutant]:
    """Return a random sample of ``number`` mutants, all without a number.

    A larger sample with the same seed begins with the smaller one. The order is random, so that one
    that is cut short is a sample, too.
    """
    by_key = sorted(mutants, key=lambda one: one.key)
    random.Random(seed).shuffle(by_key)
    return by_key[:number]


def named(mutants: Iterable[Mutant], keys: Iterable[str]) -> tuple[list[Mutant], list[str]]:
    """Return the mutants with ``keys``, and those keys that no mutant has."""
    known = {one.key: one for one in mutants}
    wanted = list(dict.fromkeys(keys))
    return [known[key] for key in wanted if key in known], [
        key for key in wanted if key not in known
    ]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGITS]
