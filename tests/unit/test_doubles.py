# SPDX-License-Identifier: GPL-2.0-only
"""Doubles that fail to compile, and stray modules in a build folder.

The build folder here has only a Makefile that imitates kbuild with ``M=``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures import cache
from fixtures.errors import BuildError, RunError
from fixtures.kernel.doubles import Doubles, Wanted
from fixtures.kernel.kernel import Kernel
from fixtures.kernel.provide import _built_in, _with_dependencies
from fixtures.progress import Progress
from tests.unit.tools import needs

pytestmark = needs("gcc", "objcopy")

MLX5 = Wanted("mlx5", "mlx5", None)
VIRTIO = Wanted("virtio", "virtio", "virtio_vfio_pci")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def build_folder(tmp_path: Path, recipe: str) -> Path:
    """Return a build folder that runs ``recipe`` for $(M), until the file ``well`` exists."""
    folder = tmp_path / "build"
    folder.mkdir(exist_ok=True)
    script = f"[ -e {tmp_path}/well ] && touch $(M)/modules.order || {{ {recipe}; }}"
    (folder / "Makefile").write_text(f"modules:\n\t@{script}\n", encoding="utf-8")
    return folder


def doubles(tmp_path: Path, folder: Path) -> Doubles:
    return Doubles(folder, tmp_path / "doubles", os.open(os.devnull, os.O_RDONLY), Progress())


def module(path: Path, name: str) -> Path:
    """Write a module with one function, ``name``, to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f"int {name}(void) {{ return 0; }}"
    argv = ["gcc", "-x", "c", "-c", "-o", str(path), "-"]
    subprocess.run(argv, input=source, encoding="utf-8", check=True)
    return path


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("make: fork: Resource temporarily unavailable", "the host is short of memory, processes"),
        ("sh: 1: objtool: not found", "the compiler reports no error: sh: 1: objtool: not found"),
        ("", "the compiler reports no error"),
    ],
)
def test_a_double_that_failed_once_is_tried_again(tmp_path: Path, line: str, shown: str) -> None:
    folder = build_folder(tmp_path, f"echo '{line}'; exit 1")

    def fill(into: Path, lock: int) -> None:
        bench = Doubles(folder, tmp_path / "doubles", lock, Progress())
        Kernel("x", "7.3.4", into, (), {}, bench.build([MLX5]), folder).save()

    with pytest.raises(RunError, match=shown) as caught:
        cache.entry("kernels", "key", fill, Progress())
    assert not isinstance(caught.value, BuildError)  # which would blame the kernel
    assert Path(str(caught.value).rpartition(": ")[2]).exists()
    (tmp_path / "well").touch()
    assert Kernel.load("x", cache.entry("kernels", "key", fill, Progress())).broken == {}


@pytest.mark.parametrize(
    "line",
    [
        "/cache/doubles/mlx5/core.c:12:1: error: implicit declaration of function foo",
        "core.c:3:10: fatal error: linux/mlx5/vport.h: No such file or directory",
        'ERROR: modpost: "foo" [mlx5/vfio_double_mlx5.ko] undefined!',
        "vfio_double_mlx5.o: error: objtool: .text+0x1: unreachable instruction",
    ],
)
def test_a_double_that_the_kernel_does_not_fit(tmp_path: Path, line: str) -> None:
    of_mlx5 = f"case $(M) in */mlx5|*/doubles) echo '{line}'; exit 1;; esac"
    folder = build_folder(tmp_path, f"{of_mlx5}; touch $(M)/modules.order")
    broken = doubles(tmp_path, folder).build([MLX5, Wanted("qat", "qat", None)])
    assert broken == {"mlx5": f"the double vm-images/doubles/mlx5 does not compile: {line}"}


def test_the_module_that_is_redirected_is_of_this_kernel(tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "touch $(M)/modules.order")
    place = Path("drivers/vfio/pci/virtio/virtio_vfio_pci.ko")
    module(folder / "drivers/vfio/pci/aaa/virtio_vfio_pci.ko", "before_the_driver_moved")
    built = [(module(folder / place, "as_built"), place)]
    bench = doubles(tmp_path, folder)
    assert bench.build([VIRTIO], built) == {}
    copies = [path for path, where in bench.modules if where == place]
    assert len(copies) == 1
    assert b"as_built" in copies[0].read_bytes()
    (reason,) = doubles(tmp_path, folder).build([VIRTIO], []).values()
    assert "is built into the kernel" in reason


@pytest.mark.parametrize(
    "above", ["build", "vfio/build", "virt", "iommu/vfio-mdev", "drivers/vfio"]
)
def test_vendor_cores_are_left_out_wherever_the_build_folder_is(tmp_path: Path, above: str) -> None:
    folder = tmp_path / above
    names = {
        "vfio": "drivers/vfio/vfio.ko",
        "mlx5_vfio_pci": "drivers/vfio/pci/mlx5/mlx5-vfio-pci.ko",
        "iommufd": "drivers/iommu/iommufd/iommufd.ko",
        "mtty": "samples/vfio-mdev/mtty.ko",
        "irqbypass": "virt/lib/irqbypass.ko",
        "mlx5_core": "drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko",
        "hisi_qm": "drivers/crypto/hisilicon/hisi_qm.ko",
    }
    for place in names.values():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    built = _built_in(folder)
    found = _with_dependencies(list(names), built, folder)
    cores = {"mlx5_core", "hisi_qm"}
    assert found == sorted(folder / place for name, place in names.items() if name not in cores)


def test_modules_that_a_build_folder_does_not_build_any_more(tmp_path: Path) -> None:
    def built(place: str, when: int) -> Path:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (when, when))
        return path

    moved = built("drivers/vfio/pci/virtio2/virtio-vfio-pci.ko", 3)
    built("drivers/vfio/pci/virtio/virtio-vfio-pci.ko", 1)
    built("drivers/iommu/iommufd/iommufd.ko", 1)  # now built in
    kept = built("drivers/vfio/vfio.ko", 1)
    added = built("drivers/vfio/pci/xe/xe-vfio-pci.ko", 5)  # by make drivers/vfio/
    every = _built_in(tmp_path)
    assert every["virtio_vfio_pci"] == moved  # the newest, without more information
    order = tmp_path / "modules.order"
    order.write_text(
        "drivers/vfio/vfio.o\ndrivers/vfio/pci/virtio2/virtio-vfio-pci.o\n", encoding="utf-8"
    )
    os.utime(order, (4, 4))
    assert _built_in(tmp_path) == {
        "vfio": kept,
        "virtio_vfio_pci": moved,
        "xe_vfio_pci": added,
    }


@pytest.mark.parametrize("other", ["config", "folder", "nothing"])
def test_objects_for_another_kernel_in_the_same_folder_go(tmp_path: Path, other: str) -> None:
    """Kbuild would keep them: it compares times, and does not see that an option has changed."""
    folder = build_folder(tmp_path, "false")
    (tmp_path / "well").touch()
    (folder / ".config").write_text("CONFIG_PCI_PASID=y\n", encoding="utf-8")
    doubles(tmp_path, folder).build([MLX5])
    made = tmp_path / "doubles" / "mlx5" / "core.o"
    made.touch()
    if other == "config":
        (folder / ".config").write_text("CONFIG_PCI_PASID=n\n", encoding="utf-8")
    elif other == "folder":
        shutil.copytree(folder, tmp_path / "copy")
        shutil.rmtree(folder)
        (tmp_path / "copy").rename(folder)
    doubles(tmp_path, folder).build([MLX5])
    assert made.exists() == (other == "nothing")
    assert (tmp_path / "doubles/mlx5/Kbuild").exists()
