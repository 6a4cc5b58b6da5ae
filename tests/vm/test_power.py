# SPDX-License-Identifier: GPL-2.0-only
"""Mutants that the suites kill stay killed, in a real guest."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fixtures import suite
from tests.vm.conftest import NEW
from workflows.mutants import __main__ as job
from workflows.mutants import rounds
from workflows.mutants.store import Store

SAMPLE = Path(__file__).with_name("killed.yaml")


@pytest.mark.long
@pytest.mark.parametrize("driver", ["mtty"])
def test_what_was_killed_is_killed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    expected = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))[driver]
    monkeypatch.setattr(rounds, "ROOT", tmp_path)
    keys = ",".join(expected)
    assert job.main([f"--drivers={driver}", f"--kernel={NEW}", f"--mutants={keys}"]) == 0
    (folder,) = tmp_path.iterdir()
    verdicts = Store(folder).verdicts(suite.digest())
    assert {key: one.outcome for key, one in verdicts.items()} == expected
    assert (folder / "report.txt").read_text(encoding="utf-8").startswith(f"Mutants of {driver} ")
