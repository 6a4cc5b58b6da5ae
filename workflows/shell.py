# SPDX-License-Identifier: GPL-2.0-only
"""Open a shell in a guest with devices: ``make shell``.

    python -m workflows.shell --kernel=~/linux --drivers=mtty,mlx5
    python -m workflows.shell --cmd='uname -r'

Each driver is bound to one device, which is not open. With --cmd, ends with the command's status.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import paramiko

from fixtures import kernel as kernels
from fixtures.device import Device, Devices, Driver, all_needs, chosen, machine_options
from fixtures.device.firmware import ROOT
from fixtures.errors import Deviation, GuestError, GuestLost, HarnessError, RunError, SpecError
from fixtures.guest import Guest, late_death
from fixtures.machine import Machine, accelerator, provide_rootfs, shell
from fixtures.machine.machine import qemu_version
from fixtures.progress import Progress
from workflows.command import add_guest, check_flavour, machine_of, run_main, words

ENDS = 1.0  # seconds, in which a lost connection ends after its channels


def main(argv: Sequence[str]) -> int:
    """Carry out the command line, and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="shell", description="Open a shell in a guest.")
    add_guest(parser)
    parser.add_argument("--cmd", default="", help="a command to run in place of a shell")
    asked = parser.parse_args(argv)
    check_flavour(asked.flavour)
    if not asked.cmd and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise SpecError("a shell needs a terminal; CMD='...' runs one command without")
    described = machine_of(asked)
    drivers = chosen(list(words(asked.drivers)))
    spec = kernels.parse(asked.kernel)
    progress = Progress()
    qemu = qemu_version()
    kernel = kernels.provide(spec, all_needs(), progress, asked.flavour)
    rootfs = provide_rootfs(progress)
    chosen_accelerator = accelerator.choose(kernel, rootfs, qemu, progress)
    folder = Path(tempfile.mkdtemp(prefix="vfio-shell-"))
    usable = [one for one in drivers if one.name not in kernel.lacking | kernel.broken]
    devices_of = tuple(machine_options(usable))
    wanted = replace(described, accelerator=chosen_accelerator, devices=devices_of)
    machine = Machine.boot(kernel, rootfs, folder, wanted, progress)
    stack = ExitStack()
    try:
        devices = Devices(Guest(machine))
        for driver in drivers:
            if reason := (kernel.lacking | kernel.broken).get(driver.name):
                progress.note(f"{driver.name}: not in this kernel: {reason}")
                continue
            try:
                device = stack.enter_context(devices.make(driver))
            except GuestLost:
                raise
            except GuestError as error:  # the driver does not load, or bind
                progress.note(f"{driver.name}: no device: {error}")
                continue
            if not asked.cmd:
                print(*_about(driver, device), sep="\n")
        return _use(machine, asked.cmd)
    finally:
        with suppress(Deviation, GuestError, HarnessError):  # the user may have left them in use
            stack.close()
        machine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _about(driver: Driver, device: Device) -> Iterator[str]:
    """Yield lines about a device, for a person."""
    yield f"{driver.name}: {device.name}"
    yield f"    nodes: {' '.join(filter(None, (device.group, device.cdev)))}"
    if device.firmware is not None:
        yield f"    its double: {ROOT}/{driver.name}/{device.name}/ (control, journal, info ...)"


def _use(machine: Machine, command: str) -> int:
    """Run ``command``, or a shell, in the machine; return the exit status.

    Raises RunError if the guest is lost, or a signal ended the command.
    """
    try:
        if command:
            status = shell.run(machine.ssh, command, sys.stdout.buffer, sys.stderr.buffer)
        else:
            print(f"from another terminal: {machine.ssh_command}", flush=True)
            shell.interact(machine.ssh)
            status = 0
    except (OSError, paramiko.SSHException) as error:
        raise RunError(f"the shell is lost: {late_death(machine) or error}") from error
    transport = machine.ssh.get_transport()
    if status < 0 and transport is not None:
        transport.join(ENDS)  # a connection that is lost closes its channels first
    if transport is None or not transport.is_active():
        why = late_death(machine) or "its ssh connection ended"
        raise RunError(f"the guest is lost: {why}")
    if status < 0:
        raise RunError("a signal ended the command")
    return status


if __name__ == "__main__":
    sys.exit(run_main(main))
