# SPDX-License-Identifier: GPL-2.0-only
"""The folder of a run: its link, and what a power cut leaves of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
