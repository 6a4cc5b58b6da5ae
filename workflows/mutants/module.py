# SPDX-License-Identifier: GPL-2.0-only
"""The module of a driver in a built kernel, and the source files that it is made of."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fixtures.device import Driver
from fixtures.errors import RunError, SpecError
from fixtures.kernel import Kernel
from fixtures.kernel.doubles import PLACE
from fixtures.kernel.install import module_name


@dataclass(frozen=True)
class Module:
    """The module under test of ``driver``.

    ``place`` is its path in the tree of modules, and in the build folder; ``sources`` are its C
    files, by their paths in the kernel tree.
    """

    driver: Driver
    kernel: Kernel
    place: Path
    sources: Mapping[str, bytes]

    @property
    def tree(self) -> Path:
        """The kernel's sources."""
        return self.kernel.build / "source"

    def bring(self, place: Path) -> None:
        """Make ``place`` hold the folder of the module's sources, with its Makefile."""
        folder = self.tree / self.place.parent
        place.mkdir(parents=True, exist_ok=True)
        for path in (*folder.glob("*.[ch]"), folder / "Makefile"):
            shutil.copyfile(path, place / path.name)


def module_of(driver: Driver, kernel: Kernel) -> Module:
    """Return the module of ``driver`` in ``kernel``.

    Raises SpecError if there is none that could be changed, RunError if its build is gone.
    """
    if reason := (kernel.lacking | kernel.broken).get(driver.name):
        raise SpecError(f"{driver.name}: {reason}")
    tree = kernel.modules / "lib" / "modules" / kernel.release / "kernel"
    found = [
        path.relative_to(tree)
        for path in tree.rglob("*.ko")
        if module_name(path) == driver.modules[-1] and not path.is_relative_to(tree / PLACE)
    ]
    if not found:
        raise SpecError(f"{driver.name}: its module is this project's own, or built in")
    made_of = (kernel.build / found[0]).with_suffix(".mod")
    try:
        objects = made_of.read_text(encoding="utf-8").split()
        paths = [str(Path(name).with_suffix(".c")) for name in objects]
        sources = {path: (kernel.build / "source" / path).read_bytes() for path in paths}
    except OSError as error:
        raise RunError(
            f"{error.filename}: {error.strerror}; the kernel's build is needed"
        ) from error
    return Module(driver, kernel, found[0], sources)
