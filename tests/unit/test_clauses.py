# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue: every clause has a test, and every test in the suites has a clause."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import description
from fixtures.errors import DescriptionError
from fixtures.paths import CHECKOUT
from fixtures.record import catalogue
from fixtures.record.catalogue import Clause
from workflows.clauses import gaps


def test_make_clauses_shows_no_gap() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workflows.clauses"],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for name, clause in catalogue.clauses().items():
        assert f"\n{name} ({clause.level})\n" in f"\n{done.stdout}"


def test_every_source_is_that_of_a_clause() -> None:
    written = description.read(catalogue.CLAUSES, catalogue.Catalogue)
    used = {key for one in written.clauses.values() for key in catalogue.keys(one.source)}
    assert used == set(written.sources)


def test_a_clause_cites_its_sources() -> None:
    assert catalogue.clauses()["state-machine.initial"].source == (
        "VFIO_DEVICE_FEATURE_MIGRATION: the RUNNING state is always supported;"
        " RE: [PATCH V8 mlx5-next 09/15] vfio: Define device migration protocol v2"
        " (Kevin Tian, 2022-02-22): the device is initially running"
    )


def test_a_source_that_is_not_in_the_table(tmp_path: Path) -> None:
    text = catalogue.CLAUSES.read_text(encoding="utf-8")
    path = tmp_path / "clauses.yaml"
    path.write_text(text.replace("; [v2] the device", "; [v3] the device"), encoding="utf-8")
    line = next(
        number
        for number, one in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "[v3]" in one
    )
    with pytest.raises(DescriptionError) as caught:
        catalogue.read(path)
    assert str(caught.value) == (
        f"{path}:{line}: clauses.state-machine.initial.source: no source has the key v3; known"
        " keys: header, series, v2, region, man, abi, qemu, none"
    )


def test_a_gap_is_told() -> None:
    tests = {"suites/a.py::test_a": {"a.rule"}, "suites/b.py::test_b": set[str]()}
    written = Clause(level="MUST", text="It holds.", source="header")
    skeleton = Clause(level="MUST", text="It holds.", source="WRITE: the struct")
    assert gaps(tests, {"a.rule": skeleton, "b.rule": written}) == [
        "b.rule: this clause has no test",
        "a.rule: its source is not written yet",
        "suites/b.py::test_b: this test has no clause",
    ]
