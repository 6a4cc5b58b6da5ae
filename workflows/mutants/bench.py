# SPDX-License-Identifier: GPL-2.0-only
"""Compile mutants of a driver: its module alone, out of tree, against the built kernel."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from fixtures import process
from fixtures.errors import RunError
from fixtures.kernel import kconfig, make
from fixtures.kernel.doubles import redirect
from fixtures.process import ProcessFailed
from workflows.mutants.module import Module
from workflows.mutants.mutant import Mutant


class NotMade(Enum):
    """Why there is no module to test."""

    DOES_NOT_COMPILE = "does not compile"
    SAME_CODE = "same object code"


@dataclass(frozen=True)
class Made:
    """The ``module`` of a mutant, or why there is none."""

    module: Path | None = None
    why_not: NotMade | None = None


class Bench:
    """Compiles mutants of ``module`` in ``folder``, which the lock ``lock`` (a descriptor) guards.

    Raises RunError if the unchanged module does not compile there.
    """

    def __init__(self, module: Module, folder: Path, lock: int) -> None:
        self._module = module
        self._place = folder / "build"
        self._made = folder / "made"
        self._lock = lock
        module.kernel.check_build()
        shutil.rmtree(self._place, ignore_errors=True)
        module.bring(self._place)
        self._made.mkdir(exist_ok=True)
        try:
            self._compile()
        except ProcessFailed as error:
            raise RunError(f"the unchanged module does not compile: {error.log}") from error
        self._objects = {path: self._code(path) for path in module.sources}
        self.original = self._take("original")

    def make(self, mutant: Mutant) -> Made:
        """Compile a mutant."""
        source = self._module.sources[mutant.path]
        file = self._place / Path(mutant.path).name
        file.write_bytes(mutant.apply(source))
        try:
            self._compile()
            if self._code(mutant.path) == self._objects[mutant.path]:
                return Made(why_not=NotMade.SAME_CODE)
            return Made(self._take(mutant.key))
        except ProcessFailed:
            return Made(why_not=NotMade.DOES_NOT_COMPILE)
        finally:
            file.write_bytes(source)

    def _compile(self) -> None:
        # The kernel's own build does not know the exports of a double.
        make.run(
            self._module.kernel.build,
            ["modules"],
            self._place / "build.log",
            self._lock,
            config=kconfig.read(self._module.kernel.folder / "config"),
            variables={"M": str(self._place), "KBUILD_MODPOST_WARN": "1"},
        )

    def _code(self, path: str) -> bytes:
        """Return the object code of a source file."""
        built = (self._place / Path(path).name).with_suffix(".o")
        plain = self._place / "plain"
        argv = ["objcopy", "--strip-debug", "--remove-section=.comment", str(built), str(plain)]
        process.run(argv, self._place / "objcopy.log", pass_fds=[self._lock])
        return plain.read_bytes()

    def _take(self, name: str) -> Path:
        """Return the compiled module, with its imports from a double; it is not overwritten."""
        built, taken = self._place / self._module.place.name, self._made / f"{name}.ko"
        double = self._module.driver.double
        if double and double.redirects:
            redirect(double.folder, built, taken, self._place / "redirect.log", self._lock)
        else:
            shutil.copyfile(built, taken)
        return taken
