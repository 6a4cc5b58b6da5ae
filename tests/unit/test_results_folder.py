# SPDX-License-Identifier: GPL-2.0-only
"""The folder of a run: its link, and its state after a power cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures import holding
from fixtures.errors import RunError
from fixtures.record.results import Collector


def test_runs_of_the_same_process_id_in_two_containers_do_not_share_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def begin_meanwhile(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        Collector.begin(tmp_path, "other")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", begin_meanwhile)
    ours = Collector.begin(tmp_path, "ours")
    assert (tmp_path / "latest").resolve() == ours.folder
    assert len(list(tmp_path.iterdir())) == 3


def test_results_are_on_the_disk_before_they_replace_those_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Collector.begin(tmp_path, "x")
    results.write(complete=False)

    def cut(_: int) -> None:
        raise OSError("the power was cut")

    monkeypatch.setattr(os, "fsync", cut)
    with pytest.raises(OSError, match="the power was cut"):
        results.write(complete=True)
    assert "complete: false" in (results.folder / "results.yaml").read_text(encoding="utf-8")


def test_a_run_that_never_began_leaves_no_trace(tmp_path: Path) -> None:
    with holding.only_here():
        first = Collector.begin(tmp_path, "first").folder
        Collector.begin(tmp_path, "second").discard()
        assert [path.name for path in tmp_path.iterdir() if path.name != "latest"] == [first.name]
        assert (tmp_path / "latest").resolve() == first
        alone = tmp_path / "alone"
        Collector.begin(alone, "x").discard()
        assert list(alone.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="name another folder with --results"):
        Collector.check(tmp_path / "file")
    Collector.check(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
