# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures for tests of several files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.unit import repository
from workflows import judged, memory, premerge, step, unfinished
from workflows.step import StepResult


@pytest.fixture(scope="session")
def no_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for results of jobs."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(autouse=True)
def _no_results(no_results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the results of earlier runs, or notes what a job needs beside them."""
    monkeypatch.setattr(memory, "RESULTS", no_results)
    monkeypatch.setattr(unfinished, "FOLDER", no_results / "unfinished")


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


@pytest.fixture
def whole(tree: Path) -> list[str]:
    """A cover letter and three patches, as mails."""
    cover, *patches = repository.three(tree, "--cover-letter", "--base=base")
    return [cover.replace("*** SUBJECT HERE ***", "vfio: add files"), *patches]


@pytest.fixture
def premerges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the results of pre-merge runs."""
    folder = tmp_path / "results" / "premerge"
    monkeypatch.setattr(judged, "RESULTS", folder)
    return folder


@pytest.fixture
def judge(
    runs: list[StepResult], tree: Path, whole: list[str], premerges: Path, tmp_path: Path
) -> Any:
    """Judge the series of ``whole`` with these outcomes; returns the exit status."""

    def judge(*outcomes: StepResult) -> int:
        (tmp_path / "thread.mbx").write_text("".join(whole), encoding="utf-8")
        runs[:] = outcomes
        asked = [f"--tree={tree}", f"--series={tmp_path}/thread.mbx", "--drivers=mtty"]
        return premerge.main(asked)

    return judge
