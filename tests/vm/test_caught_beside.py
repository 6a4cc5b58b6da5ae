# SPDX-License-Identifier: GPL-2.0-only
"""The suites catch what goes wrong beside a migration: without it, in debugfs, in low power."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.plugin.run import Run
from tests.vm.changed import (
    HISI_ACC,
    MLX5,
    Module,
    with_change,
    with_changes,
)
from tests.vm.conftest import Suites

WITHOUT = "device.without-migration"
# What makes the known deviation of hisi_acc go.
NO_PF = """	struct hisi_qm *qm = hisi_acc_vdev->pf_qm;
	struct device *dev = &qm->pdev->dev;
	u32 delay = 0;
"""
NO_PF_IS_CHECKED = """	struct hisi_qm *qm = hisi_acc_vdev->pf_qm;
	struct device *dev;
	u32 delay = 0;

	if (!qm)
		return;
	dev = &qm->pdev->dev;
"""
REGIONS = ".get_region_info_caps = vfio_pci_ioctl_get_region_info,"
REGIONS_OF_MIGRATION = ".get_region_info_caps = hisi_acc_vfio_ioctl_get_region,"


def test_a_driver_that_does_without_its_pf_conforms(
    run: Run, suites: Suites, tmp_path: Path
) -> None:
    kernel = with_change(run.prepare().kernel, HISI_ACC, NO_PF, NO_PF_IS_CHECKED, tmp_path)
    done = suites.run(f"--kernel={kernel}", "--driver=hisi_acc", f"--clause={WITHOUT}")
    assert done.held("hisi_acc", WITHOUT).verdict == "conforms", done.output


def test_a_region_that_is_cut_for_a_migration_that_is_not_there_is_caught(
    run: Run, suites: Suites, tmp_path: Path
) -> None:
    changes = [(NO_PF, NO_PF_IS_CHECKED), (REGIONS, REGIONS_OF_MIGRATION)]
    kernel = with_changes(run.prepare().kernel, HISI_ACC, changes, tmp_path)
    options = ("--driver=hisi_acc", f"--clause={WITHOUT}", "--retries=0")
    done = suites.run(f"--kernel={kernel}", *options)
    assert done.status == 1, done.output
    failures = done.held("hisi_acc", WITHOUT).failures
    assert {one.test.partition("[")[0].rpartition("::")[2] for one in failures} == {
        "test_it_shows_what_it_shows_with_vfio_pci"
    }


CLOSES = """	if (!mvdev->migrate_cap)
		return;

	/* Must be done outside the lock to let it progress */
"""


@pytest.mark.parametrize(
    ("module", "old", "new", "clause"),
    [
        pytest.param(
            MLX5,
            CLOSES,
            CLOSES.partition("\n\n")[2],
            WITHOUT,
            id="a-close-for-a-migration-that-is-not-there",
        ),
    ],
)
def test_a_mistake_is_caught(
    run: Run, suites: Suites, tmp_path: Path, module: Module, old: str, new: str, clause: str
) -> None:
    """As a deviation of ``clause`` that is not a known one."""
    kernel = with_change(run.prepare().kernel, module, old, new, tmp_path)
    options = (f"--driver={module.driver}", f"--clause={clause}", "--retries=0")
    done = suites.run(f"--kernel={kernel}", *options)
    assert done.status == 1, done.output
    failures = done.held(module.driver, clause).failures
    assert [one for one in failures if one.verdict == "deviates" and not one.known]
