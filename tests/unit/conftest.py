# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for tests of several files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit import repository
from workflows import step
from workflows.step import StepResult


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository; every test gets a copy of it."""
    tree = tmp_path_factory.mktemp("made") / "linux"
    repository.make(tree)
    return tree


@pytest.fixture
def tree(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a kernel header, a base, and two patches on the branch ``topic``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return shutil.copytree(made, tmp_path / "linux", symlinks=True)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[StepResult]:
    """The outcomes of a job's steps, in order; its report goes to a folder of the test."""
    outcomes: list[StepResult] = []
    monkeypatch.setattr(step, "run", lambda *_, **__: outcomes.pop(0))
    monkeypatch.setattr("fixtures.kernel.identity", lambda *_: "x")
    monkeypatch.setattr("workflows.command.CHECKOUT", tmp_path)
    return outcomes
