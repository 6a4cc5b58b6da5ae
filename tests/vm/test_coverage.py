# SPDX-License-Identifier: GPL-2.0-only
"""A kernel of the flavour "coverage" counts what the suites run of a driver."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.vm.conftest import NEW
from workflows import coverage


@pytest.mark.long
def test_what_is_run_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gcovr")
    folder = tmp_path / "coverage" / "run"
    folder.mkdir(parents=True)
    monkeypatch.setattr(coverage, "make_folder", lambda _job: folder)
    asked = [f"--kernel={NEW}", "--drivers=qat", "--suites=precopy_info", "--jobs=2"]
    assert coverage.main(asked) == 0
    rows = yaml.safe_load((folder / "coverage.yaml").read_text(encoding="utf-8"))["drivers"]
    assert list(rows) == ["qat", coverage.CORE]
    assert rows["qat"]["lines"]["run"] > 100
    assert "qat_vf_resume_write" in rows["qat"]["never_run"]
    assert "qat_vf_precopy_ioctl" not in rows["qat"]["never_run"]
    assert re.search(r"^qat +\d+ of \d+, \d+ % ", capsys.readouterr().out, re.MULTILINE)
    assert (folder / "index.html").exists()
