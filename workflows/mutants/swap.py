# SPDX-License-Identifier: GPL-2.0-only
"""Replace a driver's module in a running guest."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from fixtures import process
from fixtures.device.device import MODULES
from fixtures.errors import HarnessError, RunError
from fixtures.guest import Guest, read_file
from fixtures.kernel.install import module_name
from fixtures.plugin.prepared import Prepared
from fixtures.plugin.run import Run
from workflows.mutants.module import Module

NOTE = ".note.gnu.build-id"  # the section that identifies a module


class Swap:
    """The module of a run's machines, which share a private folder of modules in ``folder``."""

    def __init__(self, run: Run, module: Module, folder: Path) -> None:
        self._run = run
        self._driver = module.driver
        kernel = run.prepare().kernel
        private = folder / "kernel"
        shutil.rmtree(private, ignore_errors=True)
        shutil.copytree(kernel.folder, private)
        mine = replace(kernel, folder=private)
        ready = run.prepare()
        run.prepared = Prepared(mine, ready.rootfs, ready.machine)
        self._note = b""
        self._swaps = 0
        self._modules = mine.modules
        self._name = module_name(module.place)
        self._file = mine.modules / "lib" / "modules" / mine.release / "kernel" / module.place

    def put(self, module: Path) -> None:
        """Have ``module`` loaded from now on.

        A guest keeps what it has read of the shared folder. So the modules get another path there;
        a guest in which they do not load from it goes.
        """
        partial = self._file.with_suffix(".partial")
        shutil.copyfile(module, partial)
        partial.rename(self._file)
        self._note = _note_of(self._file)
        self._run.abilities.clear()
        machines = self._run.machines
        if machines.guest is None:
            return
        self._swaps += 1
        path = self._modules / f"swap-{self._swaps}"
        shutil.copytree(self._modules / "lib", path / "lib", copy_function=os.link)
        try:
            load = ["modprobe", "-d", f"{MODULES}/{path.name}", "-a", *self._driver.modules]
            failed = machines.guest.call("run", argv=load).ret
            right = not failed and self._is_loaded(machines.guest)
        except RunError:
            right = False
        shutil.rmtree(path)
        if not right:
            machines.stop()

    def _is_loaded(self, guest: Guest) -> bool:
        """Return whether the guest has the module that it was given, or none."""
        loaded = guest.calls(read_file(f"/sys/module/{self._name}/notes/{NOTE}"))[0]
        return bool(loaded.error) or loaded.data == self._note

    def unload(self) -> str:
        """Unload the modules; return why that fails, "" if it does not. The machine then goes.

        Raises HarnessError if the guest had another module than it was given.
        """
        machines = self._run.machines
        machines.drop_what_died()
        machines.take_stray()
        if machines.devices is None or machines.guest is None:
            return ""
        try:
            right = self._is_loaded(machines.guest)
            machines.devices.tear_down(self._driver)
            late = machines.last_words()
        except RunError as error:
            machines.stop()
            return str(error).partition("\n")[0]
        if not right:
            raise HarnessError(f"the guest has not loaded the {self._name} that it was given")
        if late:
            machines.stop()
        return f"the kernel reported: {late[0].headline}" if late else ""


def _note_of(module: Path) -> bytes:
    """Return the section of ``module`` that the kernel shows of a loaded one."""
    argv = [process.need("objcopy"), "-O", "binary", f"--only-section={NOTE}", str(module)]
    copy = module.with_suffix(".note")
    subprocess.run([*argv, "--set-section-flags", f"{NOTE}=alloc", str(copy)], check=True)
    return copy.read_bytes()
