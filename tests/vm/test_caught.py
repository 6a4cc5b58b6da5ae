# SPDX-License-Identifier: GPL-2.0-only
"""The suites see a driver that breaks a rule: a real one, with one line of it changed.

The kernel under test is a build folder with the changed module in it, so that this also tests
that form of a kernel spec.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import process
from fixtures.plugin.run import Run
from tests.vm.conftest import Suites, copy_of_build


@dataclass(frozen=True)
class Module:
    """A module of one source file: where that lies in a kernel tree, and the module's name."""

    source: str
    name: str


MTTY = Module("samples/vfio-mdev/mtty.c", "mtty")
QAT = Module("drivers/vfio/pci/qat/main.c", "qat_vfio_pci")


def with_change(run: Run, module: Module, old: str, new: str, folder: Path) -> Path:
    """Return a copy of the kernel's build folder in which ``module`` says ``new`` for ``old``."""
    kernel = run.prepare().kernel
    built = kernel.build
    source = (built / "source" / module.source).read_text()
    assert source.count(old) == 1
    place = folder / "module"
    place.mkdir()
    (place / "changed.c").write_text(source.replace(old, new))
    (place / "Kbuild").write_text(f"obj-m := {module.name}.o\n{module.name}-y := changed.o\n")
    # What a double exports is unknown to the kernel's own build.
    argv = ["make", "-C", str(built), f"M={place}", "KBUILD_MODPOST_WARN=1", "modules"]
    process.run(argv, folder / "make.log")
    copy = copy_of_build(kernel, folder)
    target = copy / Path(module.source).parent / f"{module.name}.ko"
    assert target.exists()
    shutil.copy(place / f"{module.name}.ko", target)
    return copy


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
            # Each test that sees the splat takes a machine; there is an end to those.
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
    kernel = with_change(run, MTTY, old, new, tmp_path)
    done = suites.run(f"--kernel={kernel}", "--driver=mtty", *options)
    assert done.status == 1, done.output
    assert done.results["complete"] is True
    found = {
        name
        for name, entry in done.results["drivers"]["mtty"]["clauses"].items()
        if entry["verdict"] == "deviates" and not entry.get("expected")
    }
    assert clauses <= found
    assert "ioctl(" in done.output
    assert "VFIO_MIG_GET_PRECOPY_INFO, {argsz=" in done.output


def test_a_driver_that_breaks_a_rule_of_its_firmware_is_caught(
    run: Run, suites: Suites, tmp_path: Path
) -> None:
    kernel = with_change(run, QAT, "ret = qat_vfmig_suspend(qat_vdev->mdev);", "ret = 0;", tmp_path)
    done = suites.run(f"--kernel={kernel}", "--driver=qat", "-k", "stop_copy")
    assert done.status == 1, done.output
    entry = done.results["drivers"]["qat"]["clauses"]["precopy-info.state.stop-copy"]
    assert entry["verdict"] == "deviates"
    assert entry["reason"].startswith("the driver broke a rule of its firmware: ")
