# SPDX-License-Identifier: GPL-2.0-only
"""The suites catch drivers that break a rule: real drivers with one changed line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.device import all_needs
from fixtures.kernel import parse, provide
from fixtures.kernel.kconfig import DEBUG, FAULT
from fixtures.plugin.run import Run
from fixtures.progress import Progress
from tests.vm.changed import HISI_ACC, MLX5, MLX5_FILES, MTTY, QAT, Module, with_change
from tests.vm.conftest import NEW, Suites


@pytest.mark.parametrize(
    ("old", "new", "clauses", "options"),
    [
        pytest.param(
            "\tinfo.dirty_bytes = 0;\n",
            "\tinfo.dirty_bytes = 0;\n\tinfo.flags |= 2;\n",
            {"precopy-info.flags.v1-echo", "precopy-info.flags.v2-zero"},
            [],
            id="flags",
        ),
        pytest.param(
            "info.initial_bytes = migf->filled_size - *pos;",
            "info.initial_bytes = migf->filled_size;",
            {"precopy-info.initial-bytes.falls"},
            [],
            id="initial_bytes",
        ),
        pytest.param(
            "\tinfo.dirty_bytes = 0;\n",
            "\tinfo.dirty_bytes = 8;\n\tWARN_ON(1);\n",
            {"precopy-info.dirty-bytes.start", "precopy-info.support"},
            # Each test with a splat takes a machine, and their number is limited.
            ["--retries=1", "-k", "test_dirty_bytes_start or test_it_works_in_pre_copy"],
            id="dirty_bytes-and-a-splat",
        ),
    ],
)
def test_a_driver_that_breaks_a_rule_is_caught(
    run: Run,
    suites: Suites,
    tmp_path: Path,
    old: str,
    new: str,
    clauses: set[str],
    options: list[str],
) -> None:
    kernel = with_change(run.prepare().kernel, MTTY, old, new, tmp_path)
    done = suites.run(f"--kernel={kernel}", "--driver=mtty", *options)
    assert done.status == 1, done.output
    assert done.results.complete is True
    found = {
        name
        for name, entry in done.results.drivers["mtty"].clauses.items()
        if entry.kind == "deviates"
    }
    assert clauses <= found
    assert "ioctl(" in done.output
    assert "VFIO_MIG_GET_PRECOPY_INFO, {argsz=" in done.output


LOOK = """	if (*offs < 0 || check_add_overflow(len, *offs, &end)) {
		done = -EOVERFLOW;
		goto out_unlock;
	}

	if (end > mig_dev->state_size) {
		done = -ENOMEM;
		goto out_unlock;
	}
"""
LOCK = "\tmutex_lock(&migf->lock);\n"
COPY = "copy_to_user(buf, (void *)&migf->data + *pos, len)"
MLX5_DISABLES = """	mutex_lock(&migf->lock);
	migf->state = MLX5_MIGF_STATE_ERROR;
	migf->filp->f_pos = 0;
	mutex_unlock(&migf->lock);
"""


@pytest.mark.parametrize(
    ("module", "old", "new", "clause"),
    [
        # The code before "vfio/qat: fix f_pos race in qat_vf_resume_write()".
        pytest.param(
            QAT,
            f"{LOCK}\n{LOOK}",
            f"{LOOK.replace('goto out_unlock', 'return done')}\n{LOCK}",
            "race.two-writes",
            id="compared-before-the-lock",
        ),
        pytest.param(
            MTTY,
            f"\t\tif ({COPY}) {{\n",
            "\t\tmutex_unlock(&migf->lock);\n"
            f"\t\tret = {COPY};\n"
            "\t\tmutex_lock(&migf->lock);\n"
            "\t\tif (ret) {\n",
            "race.two-reads",
            id="copied-without-the-lock",
        ),
        pytest.param(
            MLX5_FILES,
            MLX5_DISABLES,
            "\tmigf->state = MLX5_MIGF_STATE_ERROR;\n",
            "race.session-end",
            id="disabled-without-the-lock",
        ),
        pytest.param(
            MLX5_FILES,
            "\t\t\t\tmigf->state == MLX5_MIGF_STATE_ERROR ||\n",
            "",
            "in-flight-save.session-end",
            id="a-read-that-waits-on",
        ),
    ],
)
def test_calls_that_meet_badly_are_caught(
    run: Run, suites: Suites, tmp_path: Path, module: Module, old: str, new: str, clause: str
) -> None:
    kernel = with_change(run.prepare().kernel, module, old, new, tmp_path)
    driver = module.driver
    done = suites.run(f"--kernel={kernel}", f"--driver={driver}", f"--clause={clause}")
    assert done.status == 1, done.output
    assert done.results.drivers[driver].clauses[clause].kind == "deviates"


TOLD = "state-machine.failed-arc.told"


@pytest.mark.parametrize(
    ("module", "driver", "asks", "arcs"),
    [
        pytest.param(
            QAT, "qat", "qat_vf_load_device_data(qat_vdev);\n", {"RESUMING-STOP"}, id="a-load"
        ),
        # hisi_acc has no P2P, so its arcs differ from those of the text.
        pytest.param(
            HISI_ACC,
            "hisi_acc",
            "vf_qm_func_stop(vf_qm);\n",
            {"RUNNING-STOP", "PRE_COPY-STOP_COPY"},
            id="a-stop",
        ),
    ],
)
def test_an_arc_whose_failure_is_not_told_is_caught(
    run: Run,
    suites: Suites,
    tmp_path: Path,
    module: Module,
    driver: str,
    asks: str,
    arcs: set[str],
) -> None:
    heedless = f"\t{asks}\tret = 0;\n"
    kernel = with_change(run.prepare().kernel, module, f"\tret = {asks}", heedless, tmp_path)
    done = suites.run(f"--kernel={kernel}", f"--driver={driver}", f"--clause={TOLD}", "--retries=0")
    assert done.status == 1, done.output
    found = [one.test for one in done.held(driver, TOLD).failures if not one.known]
    assert {arc for arc in arcs if any(f"[{arc}-{driver}" in test for test in found)} == arcs


@pytest.mark.parametrize(
    ("module", "driver", "old", "new", "test"),
    [
        pytest.param(
            MTTY,
            "mtty",
            "&mdev_state->s[i], sizeof(struct serial_port));",
            "&mdev_state->s[0], sizeof(struct serial_port));",
            "data-transfer.stop-copy: test_stop_copy_alone_carries_the_whole_state",
            id="the-first-port-twice",
        ),
        pytest.param(
            MTTY,
            "mtty",
            "\t\tmigf->filled_size += sizeof(struct serial_port);\n",
            "\t\tmigf->filled_size += sizeof(struct serial_port) - 4;\n",
            "data-transfer.pre-copy: test_pre_copy_and_stop_copy_carry_the_whole_state",
            id="a-short-stream",
        ),
        pytest.param(
            MTTY,
            "mtty",
            "\t\t    migf->data.major_ver != MTTY_MAJOR_VER ||\n",
            "",
            "data-transfer.corrupted: test_one_wrong_field_of_a_header_is_noticed",
            id="a-field-that-is-not-looked-at",
        ),
        pytest.param(
            QAT,
            "qat",
            "\tret = qat_vf_load_device_data(qat_vdev);\n",
            "\tqat_vf_load_device_data(qat_vdev);\tret = 0;\n",
            "data-transfer.refused.leaving:"
            " test_resuming_is_not_left_after_a_write_that_was_refused",
            id="a-way-on-after-a-refused-write",
        ),
        pytest.param(
            MTTY,
            "mtty",
            "\tmtty_disable_files(mdev_state);\n\tmtty_disable_intx",
            "\tmtty_disable_intx",
            "state-machine.close.session: test_the_last_close_ends_the_session",
            id="a-session-that-outlives-the-device",
        ),
    ],
)
def test_what_only_one_test_sees_is_caught(
    run: Run,
    suites: Suites,
    tmp_path: Path,
    module: Module,
    driver: str,
    old: str,
    new: str,
    test: str,
) -> None:
    clause, _, name = test.partition(": ")
    kernel = with_change(run.prepare().kernel, module, old, new, tmp_path)
    options = (f"--kernel={kernel}", f"--driver={driver}", f"--clause={clause}", "--retries=0")
    done = suites.run(*options)
    assert done.status == 1, done.output
    failures = [one for one in done.held(driver, clause).failures if not one.known]
    assert any(f"::{name}[" in one.test and one.verdict == "deviates" for one in failures)


DIES = "\t*(volatile int *)0 = 1;\n"


@pytest.mark.parametrize(
    ("module", "driver", "before", "function"),
    [
        pytest.param(
            QAT,
            "qat",
            "\tret = vfio_pci_core_enable(vdev);\n",
            "qat_vf_pci_open_device",
            id="open",
        ),
        pytest.param(
            MTTY,
            "mtty",
            "\tmtty_disable_files(mdev_state);\n\tmtty_disable_intx",
            "mtty_close",
            id="close",
        ),
        pytest.param(
            MTTY,
            "mtty",
            "\tvfio_unregister_group_dev(&mdev_state->vdev);\n\tvfio_put",
            "mtty_remove",
            id="remove",
        ),
    ],
)
def test_a_driver_that_dies_as_a_device_comes_or_goes_is_caught(
    run: Run,
    suites: Suites,
    tmp_path: Path,
    module: Module,
    driver: str,
    before: str,
    function: str,
) -> None:
    kernel = with_change(run.prepare().kernel, module, before, DIES + before, tmp_path)
    done = suites.run(f"--kernel={kernel}", f"--driver={driver}", "-k", "test_it_works_in_pre_copy")
    assert done.status == 1, done.output
    entry = done.held(driver, "precopy-info.support")
    assert entry.verdict == "deviates"
    assert entry.why.startswith("the kernel died: ")
    assert entry.fingerprints[0].startswith("oops-")
    (transcript, *_) = (suites.folder / "latest/transcripts").glob("*pre_copy*")
    assert f"{function}+" in transcript.read_text(encoding="utf-8")


def test_a_driver_that_breaks_a_rule_of_its_firmware_is_caught(
    run: Run, suites: Suites, tmp_path: Path
) -> None:
    suspends = "ret = qat_vfmig_suspend(qat_vdev->mdev);"
    kernel = with_change(run.prepare().kernel, QAT, suspends, "ret = 0;", tmp_path)
    options = (f"--kernel={kernel}", "--driver=qat", "--clause=precopy-info.state.stop-copy")
    done = suites.run(*options)
    assert done.status == 1, done.output
    entry = done.held("qat", "precopy-info.state.stop-copy")
    assert entry.verdict == "deviates"
    assert entry.why.startswith("the driver broke a rule of its firmware: ")
    # A deviation of the baseline is not a change.
    again = suites.run(*options, f"--baseline={suites.folder / 'latest'}")
    assert again.status == 0, again.output


@pytest.mark.long
def test_a_driver_that_leaves_its_mappings_is_caught(suites: Suites, tmp_path: Path) -> None:
    debug = provide(parse(NEW), all_needs(), Progress(), DEBUG)
    begins = "\tif (dma_use_iova(state)) {\n\t\tdma_iova_destroy("
    kernel = with_change(debug, MLX5, begins, f"\treturn;\n{begins}", tmp_path)
    options = ("--driver=mlx5", "--flavour=debug", "-k", "test_a_device_that_migrated")
    done = suites.run(f"--kernel={kernel}", *options)
    assert done.status == 1, done.output
    entry = done.held("mlx5", "leaks.references")
    assert entry.verdict == "deviates"
    assert "DMA mappings" in entry.why


@pytest.mark.long
def test_an_error_path_that_forgets_memory_is_caught(suites: Suites, tmp_path: Path) -> None:
    flavour = provide(parse(NEW), all_needs(), Progress(), FAULT)
    fails = "\t\tret = PTR_ERR(migf->filp);\n"
    kernel = with_change(flavour, MTTY, f"{fails}\t\tkfree(migf);\n", fails, tmp_path)
    options = ("--driver=mtty", "--flavour=fault", "--clause=faults.memory")
    done = suites.run(f"--kernel={kernel}", *options)
    assert done.status == 1, done.output
    entry = done.held("mtty", "faults.memory")
    assert entry.verdict == "deviates"
    assert "allocated by mtty_" in entry.why
