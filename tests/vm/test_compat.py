# SPDX-License-Identifier: GPL-2.0-only
"""Streams across real kernels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from fixtures.plugin.run import Run
from tests.vm.changed import MTTY, with_change
from tests.vm.conftest import NEW, OLD
from workflows import compat


def crossed(said: str) -> list[tuple[str, int, int, str]]:
    """Return driver, kernels and outcome of each load, in order."""
    found = re.search(r"^report: (.*)/report.txt", said, re.MULTILINE)
    assert found
    loads = yaml.safe_load((Path(found[1]) / "compat.yaml").read_text(encoding="utf-8"))["loads"]
    return [(one["driver"], one["from"], one["to"], one["word"]) for one in loads]


def test_streams_cross_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    """virtio migrates on one of them only."""
    assert compat.main([f"{OLD} {NEW}", "--drivers=mtty,virtio"]) == 0
    loads = set(crossed(capsys.readouterr().out))
    everywhere = {("mtty", origin, to, "accepted") for origin in (0, 1) for to in (0, 1)}
    assert loads == everywhere | {("virtio", 1, 1, "accepted")}


def test_a_stream_that_gives_another_state_is_wrong(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = with_change(
        run.prepare().kernel,
        MTTY,
        "&mdev_state->s[i], sizeof(struct serial_port));",
        "&mdev_state->s[0], sizeof(struct serial_port));",
        tmp_path,
    )
    assert compat.main([f"{NEW} {kernel}", "--drivers=mtty"]) == compat.WRONG
    said = capsys.readouterr().out
    assert ("mtty", 1, 0, "wrong") in crossed(said)
    assert ("mtty", 0, 1, "accepted") in crossed(said)
    assert "mtty, saved on 2, loaded on 1: wrong: " in said
