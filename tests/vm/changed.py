# SPDX-License-Identifier: GPL-2.0-only
"""Kernels with some lines of a driver, or of VFIO itself, changed.

The kernel under test is a build folder with the changed module in it, so that this also tests
that form of a kernel spec.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures import process
from fixtures.kernel import Kernel


@dataclass(frozen=True)
class Module:
    """A driver's module: the path of the source file to change in a kernel tree, and its name.

    ``driver`` is the name of its file in ``fixtures/drivers/``, ``others`` are its other files.
    """

    driver: str
    source: str
    name: str
    others: tuple[str, ...] = ()


MTTY = Module("mtty", "samples/vfio-mdev/mtty.c", "mtty")
QAT = Module("qat", "drivers/vfio/pci/qat/main.c", "qat_vfio_pci")
HISI_ACC = Module(
    "hisi_acc",
    "drivers/vfio/pci/hisilicon/hisi_acc_vfio_pci.c",
    "hisi-acc-vfio-pci",
    ("hisi_acc_vfio_pci.h",),
)
VIRTIO = Module(
    "virtio", "drivers/vfio/pci/virtio/migrate.c", "virtio-vfio-pci", ("main.c", "common.h")
)
MLX5 = Module("mlx5", "drivers/vfio/pci/mlx5/cmd.c", "mlx5-vfio-pci", ("main.c", "cmd.h"))
MLX5_FILES = Module("mlx5", "drivers/vfio/pci/mlx5/main.c", "mlx5-vfio-pci", ("cmd.c", "cmd.h"))
PDS = Module(
    "pds",
    "drivers/vfio/pci/pds/vfio_dev.c",
    "pds-vfio-pci",
    (
        *("cmds.c", "dirty.c", "lm.c", "pci_drv.c"),
        *("cmds.h", "dirty.h", "lm.h", "pci_drv.h", "vfio_dev.h"),
    ),
)
XE = Module("xe", "drivers/vfio/pci/xe/main.c", "xe-vfio-pci")
# VFIO itself, with the driver that is the cheapest to run.
VFIO = Module(
    "mtty",
    "drivers/vfio/vfio_main.c",
    "vfio",
    ("device_cdev.c", "group.c", "iommufd.c", "container.c", "virqfd.c", "debugfs.c", "vfio.h"),
)

VFIO_PCI = Module(
    "mlx5",
    "drivers/vfio/pci/vfio_pci_core.c",
    "vfio-pci-core",
    ("vfio_pci_intrs.c", "vfio_pci_rdwr.c", "vfio_pci_config.c", "vfio_pci_priv.h"),
)


def copy_of_build(kernel: Kernel, copy: Path) -> Path:
    """Make ``copy`` a copy of the build folder of ``kernel``, which a test may change; return it.

    The files are not hard links, because kbuild writes to some files in place.
    """
    partial = copy.with_name(f"{copy.name}.partial")
    subprocess.run(["cp", "-a", str(kernel.build), str(partial)], check=True)
    makefile = partial / "Makefile"
    makefile.write_text(
        makefile.read_text(encoding="utf-8").replace(str(kernel.build), str(copy)), encoding="utf-8"
    )
    return partial.rename(copy)


def _shared_copy(kernel: Kernel, folder: Path) -> Path:
    """Return the copy in ``folder`` of the build folder of ``kernel``, with its own modules.

    To copy it for each test, and compile doubles for each copy, takes longer than most tests.
    """
    copy = folder / f"build-{kernel.build.name}"
    if not copy.exists():
        return copy_of_build(kernel, copy)
    for original in kernel.build.rglob("*.ko"):
        there = copy / original.relative_to(kernel.build)
        if not filecmp.cmp(original, there):
            shutil.copy2(original, there)
    return copy


def with_change(kernel: Kernel, module: Module, old: str, new: str, folder: Path) -> Path:
    """Return a copy of the kernel's build folder, with ``new`` instead of ``old`` in ``module``."""
    return with_changes(kernel, module, [(old, new)], folder)


def with_changes(
    kernel: Kernel, module: Module, changes: Sequence[tuple[str, str]], folder: Path
) -> Path:
    """Return a copy of the kernel's build folder, with ``changes`` of lines made to ``module``.

    The lines stand once in one of the module's files. ``folder`` is the test's own; the copy is
    beside it, and is changed again for the next test.
    """
    built = kernel.build
    original = built / "source" / module.source
    made = built / Path(module.source).parent
    texts = {"changed.c": original.read_text(encoding="utf-8")}
    for name in module.others:
        # The configuration may leave out a source file: it has no object.
        if name.endswith(".h") or (made / name).with_suffix(".o").exists():
            texts[name] = original.with_name(name).read_text(encoding="utf-8")
    for old, new in changes:
        (name,) = [name for name, text in texts.items() if old in text]
        assert texts[name].count(old) == 1
        texts[name] = texts[name].replace(old, new)
    place = folder / "module"
    place.mkdir()
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    objects = [name.replace(".c", ".o") for name in texts if name.endswith(".c")]
    kbuild = f"obj-m := {module.name}.o\n{module.name}-y := {' '.join(objects)}\n"
    (place / "Kbuild").write_text(kbuild, encoding="utf-8")
    # The kernel's own build does not know the exports of a double.
    argv = ["make", "-C", str(built), f"M={place}", "KBUILD_MODPOST_WARN=1", "modules"]
    process.run(argv, folder / "make.log")
    copy = _shared_copy(kernel, folder.parent)
    target = copy / made.relative_to(built) / f"{module.name}.ko"
    assert target.exists()
    shutil.copy(place / f"{module.name}.ko", target)
    return copy
