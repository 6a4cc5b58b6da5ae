# SPDX-License-Identifier: GPL-2.0-only
"""The suites catch what goes wrong beside a migration: without it, in debugfs, in low power."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.plugin.run import Run
from tests.vm.changed import (
    HISI_ACC,
    MLX5,
    MTTY,
    VFIO,
    VFIO_PCI,
    Module,
    with_change,
    with_changes,
)
from tests.vm.conftest import Caught, Suites

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
READS = "	len = min_t(size_t, migf->total_length - *pos, len);\n"
IN_LOW_POWER = """	if (migf->hisi_acc_vdev->vf_dev->dev.power.runtime_status == RPM_SUSPENDED) {
		done = -EIO;
		goto out_unlock;
	}
"""
NOT_OPEN = """	if (!hisi_acc_vdev->dev_opened) {
		seq_puts(seq, "device not opened!\\n");
		return -EINVAL;
	}
"""
GONE = """	debugfs_remove_recursive(vdev->debug_root);
	vdev->debug_root = NULL;
"""
# A driver's own that two devices use, without a lock.
MTTY_CLOSES = "\tmtty_disable_files(mdev_state);\n\tmtty_disable_intx"
MTTY_CLOSES_ONE = """	static bool closing;

	WARN_ON(closing);
	closing = true;
	schedule_timeout_uninterruptible(HZ / 50);
	closing = false;
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
        pytest.param(
            VFIO,
            '"STOP_COPY\\n"',
            '"STOP\\n"',
            "state-machine.debugfs.state",
            id="another-state-in-debugfs",
        ),
        pytest.param(
            VFIO,
            '"p2p\\n"',
            '"stop-copy\\n"',
            "state-machine.debugfs.features",
            id="another-capability-in-debugfs",
        ),
        pytest.param(
            VFIO, GONE, "", "state-machine.debugfs.removed", id="a-folder-that-stays-in-debugfs"
        ),
        pytest.param(
            HISI_ACC,
            NOT_OPEN,
            "",
            "state-machine.debugfs.undisturbed",
            id="a-closed-device-that-is-read",
        ),
        pytest.param(
            HISI_ACC,
            "\tvf_data->vf_qm_state = hisi_acc_vdev->vf_qm_state;\n\tret = vf_qm_read_data(",
            "\thisi_acc_vf_disable_fds(hisi_acc_vdev);\n\tret = vf_qm_read_data(",
            "state-machine.debugfs.undisturbed",
            id="a-session-that-a-look-ends",
        ),
        pytest.param(
            VFIO_PCI,
            "\t\teventfd_signal(vdev->pm_wake_eventfd_ctx);\n",
            "",
            "state-machine.low-power.wake-up",
            id="a-wake-up-that-is-not-told",
        ),
        pytest.param(
            VFIO_PCI,
            "\t\teventfd_signal(vdev->pm_wake_eventfd_ctx);\n\t\t__vfio_pci_runtime_pm_exit(vdev);\n",
            "\t\teventfd_signal(vdev->pm_wake_eventfd_ctx);\n",
            "state-machine.low-power.wake-up",
            id="a-wake-up-after-which-low-power-goes-on",
        ),
        pytest.param(
            HISI_ACC,
            READS,
            IN_LOW_POWER + READS,
            "state-machine.low-power.data-fd",
            id="a-read-that-fails-in-low-power",
        ),
        pytest.param(
            replace(VFIO, driver="mlx5"),
            "\t\trc = iommufd_device_replace(vdev->iommufd_device,\n"
            "\t\t\t\t\t    IOMMU_NO_PASID, pt_id);\n",
            "\t\trc = -EBUSY;\n",
            "dma-logging.iommu",
            id="an-address-space-for-good",
        ),
        pytest.param(
            MTTY,
            MTTY_CLOSES,
            MTTY_CLOSES_ONE + MTTY_CLOSES,
            "race.opens",
            id="a-close-that-another-one-meets",
        ),
    ],
)
def test_a_mistake_is_caught(
    caught: Caught, module: Module, old: str, new: str, clause: str
) -> None:
    caught(module, old, new, clause)
