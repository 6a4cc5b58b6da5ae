# SPDX-License-Identifier: GPL-2.0-only
"""Run the kernel's own VFIO selftests on the functions of this suite: ``make selftests``.

    python -m workflows.selftests --kernel=~/linux --drivers=mlx5,qat

They show whether the doubles, and the drivers, leave the rest of VFIO intact. Exit status: 0 if all
passed, with the expected skips; 1 after a failure, other skips than expected, or a splat; 2 if they
could not be run. selftests.yaml has what is expected.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import paramiko

from fixtures import kernel as kernels
from fixtures import splat, ssh, untrusted
from fixtures.device import (
    Device,
    Devices,
    Driver,
    VfDevice,
    all_needs,
    chosen,
    known_drivers,
    machine_options,
    spare_device,
)
from fixtures.device.device import MODULES
from fixtures.errors import (
    CallBlocked,
    Deviation,
    GuestError,
    GuestLost,
    HarnessError,
    HostFailed,
    RunError,
    SpecError,
)
from fixtures.guest import Guest
from fixtures.kernel import Kernel, selftests
from fixtures.kernel.selftests import Selftests
from fixtures.machine import Machine, MachineSpec, accelerator, provide_rootfs
from fixtures.machine.machine import qemu_version, shared_folder
from fixtures.progress import Progress
from fixtures.splat import Splat
from workflows import skips, tap
from workflows.command import (
    CANNOT,
    add_guest,
    check_flavour,
    machine_of,
    make_folder,
    run_main,
    words,
    write_report,
)
from workflows.skips import Judgement, Problem

DEVIATED = 1
VFIO_PCI = "vfio-pci"
PF = "vfio-pci-pf"
WITHOUT = "-without-double"
TAG = "conformance.selftests"  # of the folder that is shared with the guest
PLACE = "/run/selftests"  # where the guest has it
# Seconds, on a machine of usual speed. The harness ends each sub-test after 30 s; all that a
# program does takes 2 s.
QUIET_LIMIT = 60.0
LIMIT = 300.0
DYING = 1.0  # seconds from the loss of the connection to what shows that the guest died
SHOWN = 8  # lines of a failure
IN_FULL = 3  # failures of a program on a device
_PART = 1 << 15  # bytes


def main(argv: Sequence[str]) -> int:
    """Carry out the command line, and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="selftests", description="Run the kernel's selftests.")
    add_guest(parser)
    asked = parser.parse_args(argv)
    check_flavour(asked.flavour)
    described = machine_of(asked)
    named = words(asked.drivers)
    drivers = _of_functions(chosen(named))
    spec = kernels.parse(asked.kernel)
    rules = skips.expected()
    progress = Progress()
    qemu = qemu_version()
    kernel = kernels.provide(spec, all_needs(), progress, asked.flavour)
    tests = selftests.provide(spec, progress)
    rootfs = provide_rootfs(progress)
    chosen_accelerator = accelerator.choose(kernel, rootfs, qemu, progress)
    usable, missing = _in(kernel, drivers, named=bool(named))
    for name, reason in missing.items():
        progress.note(f"{name}: missing: {reason}")
    owners, spare = owners_of(usable, kernel), spare_device(VFIO_PCI)
    needed = {driver.name: driver for driver in [*usable, *owners.values()]}
    devices = [*machine_options(needed.values(), spare), *shared_folder(TAG, tests.folder)]
    machine = replace(described, accelerator=chosen_accelerator, devices=tuple(devices))
    folder = make_folder("selftests")
    omitted = rules.not_for(kernel.release)
    programs = [name for name in tests.programs if name not in omitted]
    judged: dict[str, skips.Judgement] = {}
    try:
        with Bench(kernel, programs, rootfs, machine, folder, progress) as bench:
            for kind in kinds(usable, owners, spare):
                one = bench.run(kind)
                judged[one.kind] = skips.judge(
                    one.kind, kernel.release, one.reports, one.problems, rules
                )
    finally:  # what was learnt before an error, too
        text = "\n".join(table(kernel, tests, judged, omitted))
        write_report(folder, as_data(kernel, tests, judged), {"report.txt": text + "\n"})
        print(untrusted.clean(text))
        print(f"results: {folder}")
    if any(one.problems for one in judged.values()):
        return DEVIATED
    return CANNOT if missing else 0


def _of_functions(drivers: Iterable[Driver]) -> list[Driver]:
    """Return those of ``drivers`` whose devices are PCI functions, as the selftests want them.

    Raises SpecError if there are none.
    """
    drivers = list(drivers)
    found = [driver for driver in drivers if isinstance(driver.device, VfDevice)]
    if not found:
        names = ", ".join(driver.name for driver in drivers)
        raise SpecError(f"{names}: has no PCI function, and so no part in the kernel's selftests")
    return found


def _in(
    kernel: Kernel, drivers: Iterable[Driver], *, named: bool
) -> tuple[list[Driver], dict[str, str]]:
    """Return the ``drivers`` that ``kernel`` has, and why it lacks those that it should have.

    Raises RunError if it has none.
    """
    lacking = kernel.lacking | kernel.broken
    usable = [driver for driver in drivers if driver.name not in lacking]
    if not usable:
        raise RunError(f"{kernel.spec} ({kernel.release}) has none of the drivers")
    missing = {
        driver.name: lacking[driver.name]
        for driver in drivers
        if driver.name in lacking
        and (
            named
            or driver.name in kernel.broken
            or driver.expected_capabilities(kernel.release) is not None
        )
    }
    return usable, missing


@dataclass(frozen=True)
class Kind:
    """A kind of function: how to make one, and the driver to ask for leaks afterwards."""

    name: str
    make: Callable[[Devices], AbstractContextManager[Device]]
    leaks_of: Driver | None = None


@dataclass
class Outcome:
    """What the programs said on one kind of function, and what else was seen."""

    kind: str
    reports: dict[str, tap.Report] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Bench:
    """A machine with functions of all kinds, replaced if its kernel dies or complains."""

    def __init__(
        self,
        kernel: Kernel,
        programs: Sequence[str],
        rootfs: Path,
        spec: MachineSpec,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._kernel = kernel
        self._programs = programs
        self._rootfs = rootfs
        self._spec = spec
        self._folder = folder
        self._progress = progress
        self._machine: Machine | None = None
        self._booted = 0
        self._interrupted = False  # during a program
        self._said: list[str] = []  # of the kernel's log, since it was last looked at

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the machine, if there is one."""
        if self._machine is not None:
            self._machine.stop()
            self._machine = None

    def run(self, kind: Kind) -> Outcome:
        """Run all programs on a function of ``kind``.

        Raises RunError if the host or the harness is at fault.
        """
        outcome = Outcome(kind.name)
        program = ""
        if self._machine is None:
            outcome.problems += _complaints("", self._boot())
        machine, guest, devices = self._machine, self._guest, self._devices
        assert machine is not None
        with self._progress.step(f"selftests on {kind.name}") as step:
            try:
                with kind.make(devices) as device:
                    for program in self._programs:
                        step.update(program)
                        outcome.reports[program] = self._run(machine, guest, kind, program, device)
                        outcome.problems += self._splats(program)
                    program = ""
                if kind.leaks_of:
                    devices.check_leaks(kind.leaks_of)
            except HostFailed:
                raise
            except (Deviation, GuestError) as error:
                if self._interrupted:
                    raise KeyboardInterrupt from error
                where = program if isinstance(error, GuestLost) else ""
                outcome.problems.append(Problem(where, "", tuple(str(error).splitlines())))
        outcome.problems += self._splats("")
        found = machine.splats()
        told = "\n".join(line for problem in outcome.problems for line in problem.lines)
        # The console has also what came after the last call.
        outcome.problems += _complaints("", [one for one in found if one.headline not in told])
        if found or guest.loss:
            self.stop()
        return outcome

    def _boot(self) -> Sequence[Splat]:
        """Boot a machine, and return the splats of its boot."""
        self._booted += 1
        self._machine = Machine.boot(
            self._kernel,
            self._rootfs,
            self._folder / f"machine-{self._booted}",
            self._spec,
            self._progress,
        )
        self._guest = Guest(self._machine)
        self._guest.on_answer = lambda _op, _fields, answer: self._said.extend(answer.log)
        self._devices = Devices(self._guest)
        mount = ["mount", "-t", "9p", "-o", "ro,trans=virtio,version=9p2000.L,cache=loose"]
        for argv in (
            ["mkdir", "-p", PLACE],
            [*mount, TAG, PLACE],
            ["modprobe", "-d", MODULES, "vfio_iommu_type1"],
            ["modprobe", "-d", MODULES, VFIO_PCI, "enable_sriov=1"],
        ):
            done = self._guest.call("run", argv=argv)
            if done.ret:
                raise HarnessError(f"{' '.join(argv)}: {done.more['output'].strip()}")
        self._said.clear()
        return self._machine.at_boot

    def _splats(self, program: str) -> list[Problem]:
        """Return the splats in the log since the last time."""
        found = splat.parse(self._said)
        self._said.clear()
        return _complaints(program, found)

    def _run(
        self, machine: Machine, guest: Guest, kind: Kind, program: str, device: Device
    ) -> tap.Report:
        """Run a program on ``device``, keep its output, and return what it says.

        Raises GuestLost.
        """
        folder = self._folder / kind.name
        folder.mkdir(exist_ok=True)
        with (folder / f"{program}.log").open("wb", buffering=0) as log:
            try:
                status = _in_guest(machine, f"{PLACE}/{program} {device.name} 2>&1", log.write)
            except (OSError, paramiko.SSHException) as error:
                guest.loss = _loss(machine, program, error)
                raise guest.loss from error
            except KeyboardInterrupt:
                # The program still has the device open, so that clean-up would wait for its end.
                self._interrupted = True
                guest.loss = GuestLost("interrupted")
                raise
        guest.call("hello")  # brings what the kernel has logged since
        output = untrusted.decode((folder / f"{program}.log").read_bytes())
        return tap.read(output, status)


def _complaints(program: str, splats: Iterable[Splat]) -> list[Problem]:
    return [
        Problem(program, "", (f"the kernel complains: {one}", *one.lines[: SHOWN - 1]))
        for one in splats
    ]


def kinds(drivers: Sequence[Driver], owners: Mapping[str, Driver], spare: VfDevice) -> list[Kind]:
    """Return the kinds of functions for ``drivers``; those that may harm the kernel come last.

    ``owners`` has, by name, the drivers whose double is the PF of a function without its double;
    ``spare`` is a device without a double.
    """
    first = drivers[0]
    return [
        Kind(VFIO_PCI, lambda devices: devices.lend(first, VFIO_PCI)),
        Kind(PF, lambda devices: devices.physical(spare)),
        *(_with_its_double(driver) for driver in drivers),
        *(_without(driver, owners[driver.name]) for driver in drivers if driver.name in owners),
    ]


def owners_of(drivers: Iterable[Driver], kernel: Kernel) -> dict[str, Driver]:
    """Return for each of ``drivers`` another one that ``kernel`` has, if there is one."""
    lacking = kernel.lacking | kernel.broken
    there = [
        driver
        for driver in known_drivers().values()
        if isinstance(driver.device, VfDevice) and driver.name not in lacking
    ]
    others = {driver.name: [one for one in there if one != driver] for driver in drivers}
    return {name: found[0] for name, found in others.items() if found}


def _with_its_double(driver: Driver) -> Kind:
    return Kind(driver.name, lambda devices: devices.make(driver), driver)


def _without(driver: Driver, owner: Driver) -> Kind:
    """Return the kind of a function of ``driver`` whose PF is ``owner``'s double."""
    about = driver.device
    assert isinstance(about, VfDevice)

    @contextmanager
    def make(devices: Devices) -> Iterator[Device]:
        devices.set_up(driver)
        with devices.lend(owner, about.vf_driver) as device:
            yield device

    return Kind(f"{driver.name}{WITHOUT}", make)


def _in_guest(machine: Machine, command: str, write: Callable[[bytes], object]) -> int:
    """Run ``command`` in the guest; return its status, negative for the signal that ended it.

    Raises OSError (TimeoutError if it does not end in time), or paramiko.SSHException.
    """
    quiet, until = QUIET_LIMIT * machine.slowness, time.monotonic() + LIMIT * machine.slowness
    channel = ssh.start(machine.ssh, f"{command}; exit $?", quiet)
    while part := channel.recv(_PART):
        write(part)
        if time.monotonic() > until:
            raise TimeoutError
    if not channel.status_event.wait(quiet):
        raise TimeoutError
    status = channel.recv_exit_status()
    return 128 - status if status > 128 else status  # as a shell tells of a signal


def _loss(machine: Machine, program: str, error: Exception) -> GuestLost:
    """Return why the guest was lost while ``program`` ran."""
    until = time.monotonic() + DYING
    while not (death := machine.death()) and time.monotonic() < until:
        time.sleep(0.02)
    if death:
        return death
    if not isinstance(error, TimeoutError):
        return GuestLost(f"the ssh connection ended ({error})", machine.splat())
    found = machine.inquest()
    return CallBlocked(f"{program} does not end{f' ({found})' if found else ''}", found)


def table(
    kernel: Kernel, tests: Selftests, judged: Mapping[str, Judgement], omitted: Mapping[str, str]
) -> list[str]:
    """Return the result for people; ``omitted`` are the programs that were not run, and why."""
    rows = [["device", "pass", "fail", "known", "skip"]]
    for kind, one in judged.items():
        counts = (one.passed, len(one.problems), len(one.known), one.skipped)
        rows.append([kind, *map(str, counts)])
    wide = max(len(row[0]) for row in rows)
    count = len(tests.programs)
    lines = [f"{kernel.spec} ({kernel.release}); selftests of {tests.spec}: {count} programs", ""]
    lines += [row[0].ljust(wide) + "".join(cell.rjust(7) for cell in row[1:]) for row in rows]
    lines.append("")
    for kind, one in judged.items():
        lines += failures(kind, one.problems)
    lines += _known(judged)
    lines += [f"{program}: not run: {reason}" for program, reason in omitted.items()]
    reasons = {
        f"{rule.program}: {rule.number} skipped: {rule.reason}": None
        for one in judged.values()
        for rule, _ in one.skips
    }
    return [*lines, *reasons]


def failures(kind: str, problems: Iterable[Problem]) -> Iterator[str]:
    """Yield the lines that tell of ``problems``, the first few of each program in full."""
    told = Counter[str]()
    for problem in problems:
        told[problem.program] += 1
        if told[problem.program] <= IN_FULL:
            yield f"{': '.join(filter(None, (kind, problem.where)))}: fails:"
            yield from (f"    {line}" for line in problem.lines[-SHOWN:])
    for program, number in told.items():
        if number > IN_FULL:
            yield f"{kind}: {program}: {number - IN_FULL} more failures: see {kind}/{program}.log"


def _known(judged: Mapping[str, Judgement]) -> Iterator[str]:
    """Yield a line for each known failure that came: where, and why."""
    where: dict[str, dict[str, None]] = {}
    for kind, one in judged.items():
        for rule, problem in one.known:
            about = problem.where if rule.device == "*" else f"{kind}: {problem.where}"
            where.setdefault(rule.reason, {})[about.removesuffix(": ")] = None
    for reason, places in where.items():
        yield f"{', '.join(places)}: fails, as is known: {reason}"


def as_data(kernel: Kernel, tests: Selftests, judged: Mapping[str, Judgement]) -> dict[str, Any]:
    """Return the result as plain data."""

    def told(problem: Problem) -> dict[str, Any]:
        about = {"program": problem.program, "test": problem.test}
        return about | {"says": [untrusted.clean_line(line) for line in problem.lines]}

    return {
        "schema": 1,
        "kernel": kernel.spec,
        "release": kernel.release,
        "flavour": kernel.flavour,
        "selftests": tests.spec,
        "devices": {
            kind: {
                "passed": one.passed,
                "skipped": one.skipped,
                "known": [told(problem) for _, problem in one.known],
                "failed": [told(problem) for problem in one.problems],
            }
            for kind, one in judged.items()
        },
    }


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="the outputs so far are in results/selftests"))
