# SPDX-License-Identifier: GPL-2.0-only
"""What gcovr read of a run, as a table; what a guest has counted, as files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.errors import RunError, SpecError
from fixtures.guest.counters import DEBUGFS, Counters
from fixtures.guest.guest import Request
from workflows import coverage
from workflows.coverage import Share, as_text, by_driver
from workflows.mutants import power

QAT = "drivers/vfio/pci/qat/main.c"


def source(path: str, *counts: int, functions: dict[str, int] | None = None) -> dict[str, Any]:
    """Return an entry of gcovr's JSON, with a line for each of ``counts``."""
    return {
        "file": path,
        "lines": [
            {"line_number": n, "count": count, "branches": [{"count": count}, {"count": 0}]}
            for n, count in enumerate(counts, 1)
        ],
        "functions": [
            {"name": "<unknown function 7>", "lineno": 7, "gcovr/excluded": True},
            *({"name": name, "execution_count": n} for name, n in (functions or {}).items()),
        ],
    }


def test_each_driver_has_a_row_and_what_they_share_another() -> None:
    files = [
        source(QAT, 3, 0, 1, functions={"qat_vf_save_setup": 0, "qat_vf_save_read": 3}),
        source("drivers/vfio/vfio_main.c", 1),
        source("drivers/vfio/pci/vfio_pci_core.c", 0),
        source("drivers/vfio/pci/mlx5/cmd.c", 1),  # its driver was not chosen
        source("include/linux/vfio.h", 1),
    ]
    rows = by_driver(files, {"qat": [QAT], "mtty": ["samples/vfio-mdev/mtty.c"]})
    assert list(rows) == ["qat", "vfio"]
    assert rows["qat"].lines == Share(2, 3)
    assert rows["qat"].branches == Share(2, 6)
    assert rows["qat"].functions == Share(1, 2)
    assert rows["vfio"].lines == Share(1, 2)
    text = as_text(rows, "Coverage of 7.3.4")
    assert "qat     2 of 3, 66 %  2 of 6, 33 %  1 of 2, 50 %\n" in text
    assert text.endswith("\nqat: never run:\n    qat_vf_save_setup()\n")


class Answered:
    """An answer of the guest."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.error = "" if data else "ENOENT"


class Counting:
    """A guest whose kernel has counted in some objects, by their paths without a suffix."""

    def __init__(self, counts: dict[Path, bytes]) -> None:
        self._counts = {f"{DEBUGFS}{path}.gcda": data for path, data in counts.items()}

    def calls(self, *requests: Request) -> list[Answered]:
        return [Answered(self._counts.get(one.fields["path"], b"")) for one in requests]


def test_the_counts_of_loaded_modules_are_kept(tmp_path: Path) -> None:
    build, folder = tmp_path / "build", tmp_path / "gw0-1"
    objects = [build / f"drivers/vfio/{n}" for n in range(40)]
    for one in objects:
        one.parent.mkdir(parents=True, exist_ok=True)
        one.with_suffix(".gcno").touch()
    counters = Counters(build, folder)
    counters.gather(Counting({objects[3]: b"first", objects[39]: b"other"}))  # type: ignore[arg-type]
    counters.gather(Counting({objects[3]: b"second"}))  # type: ignore[arg-type]
    kept = {path.name: path.read_bytes() for path in (folder / "gcov/drivers/vfio").iterdir()}
    assert kept == {"3.gcda": b"second", "39.gcda": b"other"}


def test_without_gcovr_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SpecError, match=r"pip install -r requirements-coverage\.txt"):
        coverage.main(["--kernel=debian:7.3"])


def test_a_kernel_of_another_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gcovr")
    monkeypatch.setenv("LLVM", "1")
    with pytest.raises(SpecError, match="leave LLVM out"):
        coverage.main(["--kernel=debian:7.3"])


def test_the_page_about_the_suites_has_it(tmp_path: Path) -> None:
    kinds = {kind: {"run": 1, "there": 3} for kind in coverage.KINDS}
    text = yaml.safe_dump({"drivers": {"qat": {**kinds, "never_run": []}}})
    (tmp_path / "coverage.yaml").write_text(text, encoding="utf-8")
    lines = power.coverage(str(tmp_path))
    assert "| qat | 1 of 3, 33 % | 1 of 3, 33 % | 1 of 3, 33 % |" in lines
    assert power.coverage("") == []
    with pytest.raises(RunError, match="No such file or directory; make coverage writes it"):
        power.coverage(str(tmp_path / "other"))
