# SPDX-License-Identifier: GPL-2.0-only
"""How to open the dump of a dead guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.kernel import Kernel
from fixtures.machine import dump

SYMBOLS = "ffffffff81e3d000 D init_top_pgt\nffffffff83d94d60 B mem_section\n"


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    build, folder = tmp_path / "a build", tmp_path / "kernel"
    (build / "arch/x86/boot").mkdir(parents=True)
    folder.mkdir()
    for image in (build / "arch/x86/boot/bzImage", folder / "bzImage"):
        image.write_text("the same", encoding="ascii")
    (build / "System.map").write_text(SYMBOLS, encoding="ascii")
    (folder / "config").write_text("CONFIG_DEBUG_INFO=y\n", encoding="ascii")
    return Kernel("x", "7.3.4", folder, (), {}, {}, build)


def test_drgn_and_crash_find_all_that_they_need(kernel: Kernel, tmp_path: Path) -> None:
    found, drgn, crash = dump.explain(kernel, tmp_path / "gw0-1")
    assert found == f"memory of the guest: {tmp_path}/gw0-1.dump"
    assert f"--vmcoreinfo={tmp_path}/gw0-1.vmcoreinfo" in drgn
    assert f"'--kernel-directory={tmp_path}/a build'" in drgn
    assert crash.split() == [
        *("crash", f"'{tmp_path}/a", "build/vmlinux'", f"{tmp_path}/gw0-1.dump"),
    ]
    info = (tmp_path / "gw0-1.vmcoreinfo").read_text(encoding="ascii").splitlines()
    assert "OSRELEASE=7.3.4" in info
    assert "SYMBOL(swapper_pg_dir)=ffffffff81e3d000" in info


@pytest.mark.parametrize("lacking", ["debug information", "this kernel", "symbols"])
def test_a_kernel_without_debug_information_says_so(
    kernel: Kernel, tmp_path: Path, lacking: str
) -> None:
    if lacking == "debug information":
        (kernel.folder / "config").write_text("", encoding="ascii")
    elif lacking == "this kernel":
        (kernel.build / "arch/x86/boot/bzImage").write_text("another", encoding="ascii")
    else:
        (kernel.build / "System.map").unlink()
    _, why = dump.explain(kernel, tmp_path / "gw0-1")
    assert "FLAVOUR=debug has it" in why
    assert not (tmp_path / "gw0-1.vmcoreinfo").exists()
