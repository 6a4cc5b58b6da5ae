# SPDX-License-Identifier: GPL-2.0-only
"""Drivers with one mistake: a VMM that migrates their device shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.plugin.run import Run
from tests.vm.changed import MLX5_FILES, QAT, Module, with_changes
from tests.vm.conftest import Suites

OPENS = (
    "\tqat_vdev->mig_state = VFIO_DEVICE_STATE_RUNNING;\n\n\tvfio_pci_core_finish_enable",
    "\tif (!qat_vdev->mig_state)\n\t\tqat_vdev->mig_state = VFIO_DEVICE_STATE_RUNNING;\n\n"
    "\tvfio_pci_core_finish_enable",
)
IS_RESET = (
    "\tqat_vdev->mig_state = VFIO_DEVICE_STATE_RUNNING;\n\tqat_vfmig_reset(qat_vdev->mdev);\n",
    "\tqat_vfmig_reset(qat_vdev->mdev);\n",
)
LOADS = "\t\tret = qat_vf_load_device_data(qat_vdev);\n\t\tif (ret)\n\t\t\treturn ERR_PTR(ret);\n"
SAVES = "\t\tret = qat_vf_save_state(qat_vdev, migf);\n\t\tif (ret)\n\t\t\treturn ERR_PTR(ret);\n"
# Half a minute each; `make test` has one of each kind.
LONG = pytest.mark.long
LOADS_ONE = """\
\t\tstatic struct qat_vf_core_device *one;

\t\tif (!one)
\t\t\tone = qat_vdev;
\t\tret = qat_vf_load_device_data(one);
\t\tif (ret)
\t\t\treturn ERR_PTR(ret);
"""
IS_P2P = "\t\tret = qat_vfmig_suspend(qat_vdev->mdev);\n"
IS_P2P_ONCE = f"\t\tstatic int before;\n\n{IS_P2P}\t\tif (!ret && before++)\n\t\t\tret = -EBUSY;\n"
RESUMES = """\
\t\t\tMLX5_RESUME_VHCA_IN_OP_MOD_RESUME_RESPONDER);
\t\tif (ret)
\t\t\treturn ERR_PTR(ret);
"""
CANCELS = "(cur == VFIO_DEVICE_STATE_PRE_COPY && new == VFIO_DEVICE_STATE_RUNNING)"
NO_PRE_COPY = "\t\tqat_vdev->core_device.vdev.migration_flags &= ~VFIO_MIGRATION_PRE_COPY;\n"
DIRTY = "info.dirty_bytes = (migf->max_pos - *pos) + inc_length;"


@pytest.mark.parametrize(
    ("module", "changes", "clause", "vmm"),
    [
        pytest.param(QAT, [(LOADS, "")], "vmm.migrates", "qemu", id="a-state-that-is-not-loaded"),
        pytest.param(
            QAT,
            [(LOADS, LOADS + NO_PRE_COPY)],
            "vmm.migrates.back",
            "qemu",
            id="no-pre-copy-after-a-load",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [(CANCELS, CANCELS.replace(")", " && !qat_vfmig_suspend(qat_vdev->mdev))"))],
            "vmm.cancel.pre-copy",
            "qemu",
            id="a-device-that-is-stopped-by-a-cancel",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [(SAVES, SAVES + "\t\tqat_vfmig_reset(qat_vdev->mdev);\n")],
            "vmm.cancel.stop-copy",
            "qemu",
            id="a-state-that-is-gone-when-it-is-saved",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [OPENS, IS_RESET],
            "vmm.killed.destination",
            "qemu",
            id="a-destination-that-stays-in-resuming",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [OPENS, IS_RESET],
            "vmm.killed.source",
            "qemu",
            id="a-source-that-stays-in-pre-copy",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [(SAVES, SAVES.replace("ERR_PTR(ret)", "NULL"))],
            "vmm.failed-save",
            "qemu",
            id="a-failed-save-that-is-not-told",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [(LOADS, LOADS.replace("ERR_PTR(ret)", "NULL"))],
            "vmm.failed-load",
            "qemu",
            id="a-failed-load-that-is-not-told",
            marks=LONG,
        ),
        pytest.param(
            MLX5_FILES,
            [(RESUMES, RESUMES.replace("ERR_PTR(ret)", "NULL"))],
            "vmm.failed-resume",
            "qemu",
            id="a-failed-resume-that-is-not-told",
            marks=LONG,
        ),
        pytest.param(
            QAT, [(LOADS, "")], "vmm.file", "qemu", id="a-file-that-is-not-loaded", marks=LONG
        ),
        pytest.param(
            QAT,
            [(LOADS, LOADS_ONE)],
            "vmm.two-devices",
            "qemu",
            id="one-device-that-is-loaded-twice",
        ),
        pytest.param(
            QAT,
            [(IS_P2P, IS_P2P_ONCE)],
            "vmm.two-devices.p2p",
            "qemu",
            id="only-one-device-without-p2p",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [OPENS, IS_RESET],
            "vmm.file.cut",
            "qemu",
            id="a-device-that-keeps-half-a-stream",
            marks=LONG,
        ),
        pytest.param(
            QAT,
            [OPENS, IS_RESET],
            "vmm.wire.cut",
            "qemu",
            id="a-device-that-keeps-what-came-before-the-cut",
        ),
        pytest.param(
            QAT,
            [OPENS, IS_RESET],
            "vmm.wire.changed",
            "qemu",
            id="a-device-that-stays-in-resuming-after-bad-data",
            marks=LONG,
        ),
        pytest.param(
            MLX5_FILES,
            [("\t\tinfo.flags |= VFIO_PRECOPY_INFO_REINIT;\n", "")],
            "vmm.reinit",
            "qemu",
            id="no-reinit",
        ),
        pytest.param(
            MLX5_FILES,
            [(DIRTY, DIRTY.replace("dirty", "initial"))],
            "vmm.reinit.without-opt-in",
            "qemu10",
            id="dirty-bytes-that-are-initial",
            marks=LONG,
        ),
    ],
)
def test_a_mistake_is_caught(
    run: Run,
    suites: Suites,
    tmp_path: Path,
    module: Module,
    changes: list[tuple[str, str]],
    clause: str,
    vmm: str,
) -> None:
    """As a deviation that is not a known one."""
    kernel = with_changes(run.prepare().kernel, module, changes, tmp_path)
    suites.catch(kernel, module.driver, clause, f"--vmm={vmm}")


@pytest.mark.parametrize(
    ("does", "says"),
    [
        pytest.param('\t\tpanic("no more");\n', "no more", id="dies"),
        pytest.param(
            "\t\tschedule_timeout_uninterruptible(MAX_SCHEDULE_TIMEOUT);\n",
            "destination: the VMM hangs in the kernel, in ",
            id="hangs",
            marks=LONG,
        ),
    ],
)
def test_a_kernel_that_fails_while_two_vmms_run(
    run: Run, suites: Suites, tmp_path: Path, does: str, says: str
) -> None:
    """It is blamed on the migration, and the next test gets another machine."""
    kernel = with_changes(run.prepare().kernel, QAT, [(LOADS, does + LOADS)], tmp_path)
    done = suites.run(
        f"--kernel={kernel}",
        *("--driver=qat", "--clause=vmm.migrates*", "--vmm=qemu", "--retries=0"),
        *("-k", "with_its_state or back"),
    )
    for clause in ("vmm.migrates", "vmm.migrates.back"):
        assert [one for one in done.held("qat", clause).failures if says in one.seen], done.output
