# SPDX-License-Identifier: GPL-2.0-only
"""A seed means the same sequences in each process, whatever else that has loaded."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from suites.sequences import take

CONSTANTS = range(10_000_001, 10_000_400)


def drawn(seed: int) -> list[int]:
    """Return what one seed draws."""
    found: list[int] = []

    class Machine(RuleBasedStateMachine):
        @rule(number=st.integers(0, 1 << 40))
        def add(self, number: int) -> None:
            found.append(number)

    take(Machine, seed)
    return found


def test_a_seed_draws_the_same_again() -> None:
    assert drawn(3) == drawn(3) != drawn(4)


def test_what_a_process_has_loaded_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = drawn(5)
    path = tmp_path / "loaded.py"
    path.write_text("\n".join(f"x{one} = {one}" for one in CONSTANTS), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    assert drawn(5) == before
    assert not {*before} & {*CONSTANTS}
