# SPDX-License-Identifier: GPL-2.0-only
"""The suites see a driver that breaks a rule: mtty, with one line of it changed.

The kernel under test is a build folder with the changed module in it, so that this also tests
that form of a kernel spec.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures import process
from fixtures.plugin.run import Run
from tests.vm.conftest import Suites, copy_of_build

MTTY = "samples/vfio-mdev/mtty"


def with_changed_mtty(run: Run, old: str, new: str, folder: Path) -> Path:
    """Return a copy of the kernel's build folder in which mtty says ``new`` for ``old``."""
    kernel = run.prepare().kernel
    built = kernel.build
    source = (built / "source" / f"{MTTY}.c").read_text()
    assert source.count(old) == 1
    module = folder / "module"
    module.mkdir()
    (module / "mtty.c").write_text(source.replace(old, new))
    (module / "Kbuild").write_text("obj-m := mtty.o\n")
    argv = ["make", "-C", str(built), f"M={module}", "modules"]
    process.run(argv, folder / "make.log")
    copy = copy_of_build(kernel, folder)
    shutil.copy(module / "mtty.ko", copy / f"{MTTY}.ko")
    return copy


@pytest.mark.parametrize(
    ("old", "new", "clauses"),
    [
        pytest.param(
            "\tinfo.dirty_bytes = 0;\n",
            "\tinfo.dirty_bytes = 0;\n\tinfo.flags |= 2;\n",
            {"precopy-info.flags.v1-echo", "precopy-info.flags.v2-zero"},
            id="flags",
        ),
        pytest.param(
            "info.initial_bytes = migf->filled_size - *pos;",
            "info.initial_bytes = migf->filled_size;",
            {"precopy-info.initial-bytes.falls"},
            id="initial_bytes",
        ),
        pytest.param(
            "\tinfo.dirty_bytes = 0;\n",
            "\tinfo.dirty_bytes = 8;\n\tWARN_ON(1);\n",
            {"precopy-info.dirty-bytes.start", "precopy-info.support"},
            id="dirty_bytes-and-a-splat",
        ),
    ],
)
def test_a_driver_that_breaks_a_rule_is_caught(
    run: Run, suites: Suites, tmp_path: Path, old: str, new: str, clauses: set[str]
) -> None:
    kernel = with_changed_mtty(run, old, new, tmp_path)
    done = suites.run(f"--kernel={kernel}", "--driver=mtty")
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
