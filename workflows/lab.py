# SPDX-License-Identifier: GPL-2.0-only
"""A machine with a kernel's drivers, for jobs that make calls themselves, without pytest."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fixtures import kernel as kernels
from fixtures.device import Devices, Driver, all_needs, machine_options
from fixtures.errors import GuestLost
from fixtures.guest import Guest
from fixtures.kernel import Kernel
from fixtures.kernel.spec import Spec
from fixtures.machine import Machine, MachineSpec, accelerator, provide_rootfs
from fixtures.machine.machine import qemu_version
from fixtures.progress import Progress
from fixtures.session import ANY, Session, opened
from suites.contents import Contents


class Lab:
    """Devices of ``drivers`` on a kernel, one at a time. Another machine boots after a death."""

    def __init__(
        self,
        kernel: Kernel,
        rootfs: Path,
        drivers: Sequence[Driver],
        wanted: MachineSpec,
        progress: Progress,
    ) -> None:
        self.kernel = kernel
        self.drivers = [one for one in drivers if one.name not in kernel.lacking | kernel.broken]
        self._wanted = wanted
        self._progress = progress
        self._rootfs = rootfs
        self._folder: Path | None = None
        self._machine: Machine | None = None
        self._guest: Guest | None = None

    @classmethod
    def of(
        cls,
        spec: Spec,
        flavour: str,
        drivers: Sequence[Driver],
        described: MachineSpec,
        progress: Progress,
    ) -> Lab:
        """Return a lab with the kernel of ``spec``, built if need be.

        Raises RunError.
        """
        kernel = kernels.provide(spec, all_needs(), progress, flavour)
        rootfs = provide_rootfs(progress)
        accelerated = accelerator.choose(kernel, rootfs, qemu_version(), progress)
        devices = tuple(machine_options(drivers))
        wanted = replace(described, accelerator=accelerated, devices=devices)
        return cls(kernel, rootfs, drivers, wanted, progress)

    @contextmanager
    def opened(self, driver: Driver) -> Iterator[tuple[Session, Contents]]:
        """Open a new device of ``driver``, and close it at the block's end.

        Raises GuestError, GuestLost if the guest dies; the next device is in another one then.
        """
        guest = self._there()
        try:
            with Devices(guest).make(driver) as device, opened(guest, device, ANY) as session:
                yield session, Contents(session, driver)
        except GuestLost:
            self.close()
            raise

    def close(self) -> None:
        """Stop the machine, if there is one."""
        if self._machine is not None:
            self._machine.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._machine, self._guest, self._folder = None, None, None

    def _there(self) -> Guest:
        if self._guest is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vfio-lab-"))
            self._machine = Machine.boot(
                self.kernel, self._rootfs, self._folder, self._wanted, self._progress
            )
            self._guest = Guest(self._machine)
        return self._guest
