# SPDX-License-Identifier: GPL-2.0-only
"""Bugs that these drivers once had, and others, put into a driver by an edit of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.device import all_needs
from fixtures.kernel import parse, provide
from fixtures.kernel.kconfig import DEBUG, FAULT
from fixtures.progress import Progress
from tests.vm.changed import HISI_ACC, MLX5, MLX5_FILES, MTTY, QAT, VIRTIO, Module, with_change
from tests.vm.conftest import NEW, Caught, Suites

ANSWERS = (
    "\tif (copy_to_user((void __user *)arg, &info,\n"
    "\t\t\t offsetofend(struct vfio_precopy_info, dirty_bytes)))\n"
    "\t\treturn -EFAULT;\n"
    "\treturn 0;\n"
)
ANSWERS_POSITIVELY = (
    "\treturn copy_to_user((void __user *)arg, &info,\n"
    "\t\t\t    offsetofend(struct vfio_precopy_info, dirty_bytes));\n"
)
CANNOT_MIGRATE = """	if (!MLX5_CAP_GEN(mvdev->mdev, migration))
		goto end;
"""
MIGRATES_ALL_THE_SAME = """	mutex_init(&mvdev->state_mutex);
	mvdev->core_device.vdev.mig_ops = mig_ops;
	mvdev->core_device.vdev.migration_flags = VFIO_MIGRATION_STOP_COPY;
	if (!MLX5_CAP_GEN(mvdev->mdev, migration))
		goto end;
"""
CLOSES = """	mutex_lock(&mvdev->state_mutex);
	mlx5vf_disable_fds(mvdev, NULL);
	_mlx5vf_free_page_tracker_resources(mvdev);
	mlx5vf_state_mutex_unlock(mvdev);
"""
CLOSES_UNLOCKED = """	mlx5vf_disable_fds(mvdev, NULL);
	_mlx5vf_free_page_tracker_resources(mvdev);
"""
FREES_PAGES = """err_append:
	for (i = filled - 1; i >= 0; i--)
		__free_page(page_list[i]);
err:
"""
KEEPS_PAGES = """err_append:
	i = 0;
err:
"""


@pytest.mark.parametrize(
    ("module", "old", "new", "clause"),
    [
        pytest.param(
            MLX5_FILES,
            ANSWERS,
            ANSWERS_POSITIVELY,
            "reinit.failed-call",
            id="fe3dd71db2b8-bytes-not-copied-as-success",
        ),
        pytest.param(
            MLX5,
            CANNOT_MIGRATE,
            MIGRATES_ALL_THE_SAME,
            "feature.migration.expected",
            id="6e97eba8ad87-migration-of-a-device-that-has-none",
        ),
        pytest.param(
            HISI_ACC,
            "\t\thisi_acc_vdev->match_done = 0;\n",
            "",
            "data-transfer.refused.after-good",
            id="8c6ac1730a97-a-match-that-outlives-the-close",
        ),
        pytest.param(
            HISI_ACC,
            "\thisi_acc_vf_disable_fds(hisi_acc_vdev);\n\tmutex_lock(&hisi_acc_vdev->open_mutex);\n",
            "\tmutex_lock(&hisi_acc_vdev->open_mutex);\n",
            "state-machine.close.session",
            id="c816e3fb69ba-a-session-that-outlives-the-close",
        ),
        pytest.param(
            MLX5_FILES,
            "\t\tmlx5vf_disable_fd(mvdev->saving_migf);\n"
            "\t\twake_up_interruptible(&mvdev->saving_migf->poll_wait);\n",
            "\t\tmlx5vf_disable_fd(mvdev->saving_migf);\n",
            "in-flight-save.session-end",
            id="82470eba9df9-a-reader-that-is-not-woken",
        ),
        # Bugs that no driver has had.
        pytest.param(
            MLX5_FILES,
            "\tmvdev->deferred_reset = true;\n",
            "",
            "state-machine.reset.in-arc",
            id="a-reset-that-is-forgotten",
        ),
        pytest.param(
            QAT,
            "\tqat_vdev->mig_state = VFIO_DEVICE_STATE_RUNNING;\n\tqat_vfmig_reset",
            "\tqat_vfmig_reset",
            "state-machine.reset.other",
            id="a-state-that-a-reset-leaves",
        ),
        pytest.param(
            QAT,
            "\t\tqat_vfmig_resume(qat_vdev->mdev);\n",
            "",
            "state-machine.activity.running",
            id="a-device-that-is-not-resumed",
        ),
        pytest.param(
            QAT,
            "\t\tret = qat_vfmig_suspend(qat_vdev->mdev);\n",
            "\t\tret = qat_vfmig_suspend(qat_vdev->mdev);\n"
            "\t\tif (!ret && signal_pending(current))\n\t\t\tret = -EIO;\n",
            "state-machine.signal",
            id="a-signal-that-is-told-as-another-error",
        ),
        pytest.param(
            MTTY,
            "\tif (copy_to_user(buf, (void *)&migf->data + *pos, len)) {\n",
            "\t*pos += len;\n\tif (copy_to_user(buf, (void *)&migf->data + *pos - len, len)) {\n",
            "data-transfer.failed-read",
            id="a-position-that-moves-before-the-copy",
        ),
    ],
)
def test_a_bug_is_caught(caught: Caught, module: Module, old: str, new: str, clause: str) -> None:
    caught(module, old, new, clause)


@pytest.mark.long
def test_mlx5_meets_faults_once_it_frees_its_own_pages(suites: Suites, tmp_path: Path) -> None:
    """Nothing else is wrong behind the known oops of mlx5vf_add_pages()."""
    built = provide(parse(NEW), all_needs(), Progress(), FAULT)
    old, new = "__free_page(*page_list[i]);", "__free_page((*page_list)[i]);"
    kernel = with_change(built, MLX5, old, new, tmp_path)
    options = ("--driver=mlx5", f"--flavour={FAULT}", "-k", "faults", "--retries=0")
    done = suites.run(f"--kernel={kernel}", *options)
    assert done.status == 0, done.output
    for clause in ("faults.state", "faults.memory", "faults.call"):
        assert done.held("mlx5", clause).verdict == "conforms"


@pytest.mark.long
@pytest.mark.parametrize(
    ("flavour", "module", "old", "new", "clause", "function"),
    [
        pytest.param(
            DEBUG,
            MLX5,
            CLOSES,
            CLOSES_UNLOCKED,
            "state-machine.reopen",
            "mlx5vf_disable_fds",
            id="2b1c1906286f-a-close-without-its-lock",
        ),
        pytest.param(
            FAULT,
            VIRTIO,
            FREES_PAGES,
            KEEPS_PAGES,
            "faults.memory",
            "virtiovf_add_migration_pages",
            id="22e87bf3f77c-pages-that-a-failed-allocation-loses",
        ),
    ],
)
def test_a_bug_is_caught_in_its_flavour(
    suites: Suites,
    tmp_path: Path,
    flavour: str,
    module: Module,
    old: str,
    new: str,
    clause: str,
    function: str,
) -> None:
    built = provide(parse(NEW), all_needs(), Progress(), flavour)
    kernel = with_change(built, module, old, new, tmp_path)
    options = (f"--driver={module.driver}", f"--flavour={flavour}", f"--clause={clause}")
    done = suites.run(f"--kernel={kernel}", *options, "--retries=0")
    assert done.status == 1, done.output
    entry = done.held(module.driver, clause)
    assert entry.verdict == "deviates"
    assert function in entry.why
