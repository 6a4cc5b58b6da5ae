# SPDX-License-Identifier: GPL-2.0-only
"""Kernels with one line of a driver changed.

The kernel under test is a build folder with the changed module in it, so that this also tests
that form of a kernel spec.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fixtures import process
from fixtures.kernel import Kernel
from tests.vm.conftest import copy_of_build


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


def with_change(kernel: Kernel, module: Module, old: str, new: str, folder: Path) -> Path:
    """Return a copy of the kernel's build folder, with ``new`` instead of ``old`` in ``module``."""
    built = kernel.build
    original = built / "source" / module.source
    source = original.read_text(encoding="utf-8")
    assert source.count(old) == 1
    place = folder / "module"
    place.mkdir()
    (place / "changed.c").write_text(source.replace(old, new), encoding="utf-8")
    for other in module.others:
        shutil.copy(original.with_name(other), place)
    objects = [name.replace(".c", ".o") for name in ("changed.c", *module.others) if ".c" in name]
    kbuild = f"obj-m := {module.name}.o\n{module.name}-y := {' '.join(objects)}\n"
    (place / "Kbuild").write_text(kbuild, encoding="utf-8")
    # The kernel's own build does not know the exports of a double.
    argv = ["make", "-C", str(built), f"M={place}", "KBUILD_MODPOST_WARN=1", "modules"]
    process.run(argv, folder / "make.log")
    copy = copy_of_build(kernel, folder)
    target = copy / Path(module.source).parent / f"{module.name}.ko"
    assert target.exists()
    shutil.copy(place / f"{module.name}.ko", target)
    return copy
