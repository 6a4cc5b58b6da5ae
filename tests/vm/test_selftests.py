# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own selftests: they pass as expected, and a driver that breaks VFIO fails them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.paths import CHECKOUT
from fixtures.plugin.run import Run
from tests.vm.changed import MLX5_FILES, with_change
from tests.vm.conftest import NEW

pytestmark = pytest.mark.long


def selftests(kernel: str) -> tuple[int, str]:
    """Return the exit status of `make selftests` for mlx5, and what it prints."""
    argv = [sys.executable, "-m", "workflows.selftests", "--drivers=mlx5", f"--kernel={kernel}"]
    done = subprocess.run(
        argv, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    return done.returncode, done.stdout


def counts(output: str, kind: str) -> tuple[int, ...]:
    """Return how many sub-tests passed, failed, failed as is known and were skipped."""
    (row,) = re.findall(rf"^{kind} +(\d+) +(\d+) +(\d+) +(\d+)$", output, re.MULTILINE)
    return tuple(map(int, row))


def test_they_pass_on_functions_with_and_without_a_double() -> None:
    status, output = selftests(NEW)
    assert status == 0, output
    for kind in ("vfio-pci", "vfio-pci-pf", "mlx5", "mlx5-without-double"):
        passed, failed, known, skipped = counts(output, kind)
        assert passed >= 50
        assert (failed, known) == (0, 0)
        assert skipped > 0
    (folder,) = re.findall(r"^results: (.+)$", output, re.MULTILINE)
    log = Path(folder) / "mlx5" / "vfio_pci_device_test.log"
    assert "ok 1 vfio_pci_device_test.config_space_read_write" in log.read_text(encoding="utf-8")


def test_a_driver_whose_bars_cannot_be_mapped_fails_them(run: Run, tmp_path: Path) -> None:
    kernel = run.prepare().kernel
    changed = with_change(kernel, MLX5_FILES, "\t.mmap = vfio_pci_core_mmap,\n", "", tmp_path)
    status, output = selftests(str(changed))
    assert status == 1, output
    assert counts(output, "vfio-pci")[1] == 0
    assert counts(output, "mlx5")[1] > 0
    assert "mlx5: vfio_pci_device_test: vfio_pci_device_test.validate_bars: fails:\n" in output
