# SPDX-License-Identifier: GPL-2.0-only
"""Reproducers of real failures, run on the failing kernel and on a good one.

The failures come from real drivers with one changed line; the reproducers do not know that.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures import kernel as kernels
from fixtures.device import (
    Devices,
    Driver,
    FirmwareViolation,
    all_needs,
    chosen,
    known_drivers,
    machine_options,
)
from fixtures.errors import GuestLost
from fixtures.guest import Guest
from fixtures.kernel import Kernel
from fixtures.kernel.spec import parse
from fixtures.machine import Machine, MachineSpec
from fixtures.plugin.run import Run
from fixtures.progress import Progress
from tests.vm.changed import MTTY, QAT, with_change
from tests.vm.conftest import NEW, Suites

REPRODUCED, NOT_REPRODUCED, NOT_TRIED = 1, 0, 2
PLACE = "/run/reproducer"
APIS = ("group", "cdev")


@dataclass(frozen=True)
class Ran:
    """A reproducer after its run in a guest, with its exit status."""

    status: int
    output: str


class Bench:
    """A machine with devices, for programs that do not need this project."""

    def __init__(self, machine: Machine, *devices: str) -> None:
        self._machine = machine
        self.devices = devices

    def run(self, program: Path, *devices: str) -> Ran:
        """Copy ``program`` into the guest, and run it on the first device, or on ``devices``."""
        start = ["python3", PLACE] if program.suffix == ".py" else [PLACE]
        brought = self._ssh(f"cat > {PLACE} && chmod 755 {PLACE}", program.read_bytes())
        assert brought.status == 0, brought.output
        return self._ssh(shlex.join([*start, *(devices or self.devices[:1])]))

    def _ssh(self, command: str, given: bytes = b"") -> Ran:
        stdin, stdout, stderr = self._machine.ssh.exec_command(command, timeout=60)
        stdin.write(given)
        stdin.channel.shutdown_write()
        output = (stdout.read() + stderr.read()).decode()
        return Ran(stdout.channel.recv_exit_status(), output)


@contextmanager
def bench(run: Run, kernel: Kernel, driver: Driver, folder: Path) -> Iterator[Bench]:
    """Boot ``kernel``, and make a device of ``driver``."""
    with (
        booted(run, kernel, driver, folder) as machine,
        Devices(Guest(machine)).make(driver) as device,
    ):
        yield Bench(machine, device.name)


@contextmanager
def booted(run: Run, kernel: Kernel, driver: Driver, folder: Path) -> Iterator[Machine]:
    """Boot ``kernel`` for ``driver``."""
    prepared = run.prepare()
    machine = Machine.boot(
        kernel,
        prepared.rootfs,
        folder,
        MachineSpec(prepared.machine["accelerator"], devices=tuple(machine_options([driver]))),
        Progress(),
    )
    try:
        yield machine
    finally:
        machine.stop()


def programs(suites: Suites, test: str, folder: Path) -> list[Path]:
    """Return the test's reproducers for both APIs; those in C are compiled."""
    found = []
    for api in APIS:
        for source in (suites.folder / "latest" / "reproducers").glob(f"*{test}*{api}*"):
            found.append(runnable(source, folder))
    assert len(found) == 2 * len(APIS), found
    return found


def runnable(source: Path, folder: Path) -> Path:
    """Return a reproducer that can be run; one in C is compiled in ``folder``."""
    if source.suffix == ".py":
        return source
    program = folder / f"{source.stem}.compiled"
    # The guest has neither a compiler nor the host's libraries.
    argv = ["gcc", "-Wall", "-Wextra", "-Werror", "-static", "-o", str(program), str(source)]
    subprocess.run(argv, check=True)
    return program


def changed_kernel(folder: Path) -> Kernel:
    """Return the kernel with the changed build folder."""
    needs = all_needs()
    return kernels.provide(parse(str(folder)), needs, Progress())


def test_a_wrong_answer_is_reproduced_until_the_driver_is_mended(
    run: Run, suites: Suites, tmp_path: Path
) -> None:
    old = "\tinfo.dirty_bytes = 0;\n"
    folder = with_change(run.prepare().kernel, MTTY, old, f"{old}\tinfo.flags |= 2;\n", tmp_path)
    done = suites.run(f"--kernel={folder}", "--driver=mtty", "-k", "without_the_opt_in and 0x1")
    assert done.status == 1, done.output
    assert "reproducers/suites_precopy_info_test_flags.py_test_without" in done.output
    made = programs(suites, "without_the_opt_in", tmp_path)
    driver = known_drivers()["mtty"]
    with bench(run, changed_kernel(folder), driver, tmp_path / "changed") as broken:
        for program in made:
            ran = broken.run(program)
            assert ran.status == REPRODUCED, ran.output
            assert (
                "\nreproduced\nprecopy-info.flags.v1-echo (SHOULD): Without the opt-in"
                in ran.output
            )
            assert broken.run(program, "no-such-device").status == NOT_TRIED
    with bench(run, run.prepare().kernel, driver, tmp_path / "unchanged") as sound:
        for program in made:
            ran = sound.run(program)
            assert ran.status == NOT_REPRODUCED, ran.output
            assert "answered flags=0x1, then it was " in ran.output


def test_a_broken_rule_of_the_firmware_is_reproduced_on_a_double(
    run: Run, suites: Suites, tmp_path: Path
) -> None:
    change = ("ret = qat_vfmig_suspend(qat_vdev->mdev);", "ret = 0;")
    folder = with_change(run.prepare().kernel, QAT, *change, tmp_path)
    done = suites.run(f"--kernel={folder}", "--driver=qat", "-k", "began_in_stop_copy")
    assert done.status == 1, done.output
    made = programs(suites, "began_in_stop_copy", tmp_path)
    driver = known_drivers()["qat"]
    with ExitStack() as cleanup:
        # The device's firmware also shows the effect of the reproducer.
        cleanup.enter_context(suppress(FirmwareViolation))
        broken = cleanup.enter_context(
            bench(run, changed_kernel(folder), driver, tmp_path / "changed")
        )
        shown = "found: the driver broke a rule of its firmware"
        check_each(broken, made, REPRODUCED, shown)
    with bench(run, run.prepare().kernel, driver, tmp_path / "unchanged") as sound:
        check_each(sound, made, NOT_REPRODUCED, 'violations") = 0')


def test_a_complaint_of_the_kernel_is_reproduced(run: Run, suites: Suites, tmp_path: Path) -> None:
    old = "\tinfo.dirty_bytes = 0;\n"
    folder = with_change(run.prepare().kernel, MTTY, old, f"{old}\tWARN_ON(1);\n", tmp_path)
    done = suites.run(f"--kernel={folder}", "--driver=mtty", "-k", "it_works_in_pre_copy_p2p")
    assert done.status == 1, done.output
    made = programs(suites, "it_works_in_pre_copy_p2p", tmp_path)
    driver = known_drivers()["mtty"]
    with bench(run, changed_kernel(folder), driver, tmp_path / "changed") as broken:
        check_each(broken, made, REPRODUCED, "kernel: WARNING: ")
    with bench(run, run.prepare().kernel, driver, tmp_path / "unchanged") as sound:
        shown = "the kernel does not complain, then it did"
        check_each(sound, made, NOT_REPRODUCED, shown)


def check_each(bench: Bench, made: list[Path], status: int, shown: str) -> None:
    """Run each program: it ends with ``status`` and prints ``shown``."""
    for program in made:
        ran = bench.run(program)
        assert ran.status == status, ran.output
        assert shown in ran.output


def again(bench: Bench, source: Path, folder: Path) -> bool:
    """Return whether a reproducer shows the failure again, or kills the kernel."""
    text = source.read_text(encoding="utf-8")
    said = re.search(r"It was [^;]*", text)
    # The functions of the failing run, in the same order; a software device has none.
    last = re.findall(r"0000:[0-9a-f]{2}:00(\.\d)", said[0]) if said else []
    first = [name for end in last for name in bench.devices if name.endswith(end)]
    others = [name for name in bench.devices if name not in first]
    devices = [*first, *others][: 2 if "DEVICE2" in text else 1]
    try:
        return bench.run(runnable(source, folder), *devices).status == REPRODUCED
    except TimeoutError:
        return False


# Tests whose reproducers may show something else. xe keeps a part of a stream over a close and a
# reset, so that a program meets what an earlier one has left. How a read ends that got a signal, or
# a race of threads, is a matter of time.
UNSURE = {
    "xe": (
        "test_what_is_refused_is_refused_after_a_good_stream",
        "test_a_read_that_waits_ends_with_its_session",
        "test_threads_that_race_on_one_device",
    )
}


@pytest.mark.long
@pytest.mark.parametrize("name", [driver.name for driver in chosen([])])
def test_every_known_deviation_is_reproduced(
    run: Run, suites: Suites, tmp_path: Path, name: str
) -> None:
    done = suites.run(f"--kernel={NEW}", f"--driver={name}", "-n2")
    assert done.status == 0, done.output
    driver, kernel = known_drivers()[name], run.prepare().kernel
    sources = sorted((suites.folder / "latest" / "reproducers").glob("*"))
    if driver.expected(kernel.release, kernel.features):
        assert sources
    failed = []
    while sources:
        with booted(run, kernel, driver, tmp_path / f"{len(sources)}") as machine:
            devices = Devices(Guest(machine))
            while sources:
                source, shown = sources.pop(0), False
                with ExitStack() as cleanup:
                    cleanup.enter_context(suppress(FirmwareViolation, GuestLost))
                    two = [cleanup.enter_context(devices.make(driver)).name for _ in range(2)]
                    shown = again(Bench(machine, *two), source, tmp_path)
                died = machine.death() is not None
                if not (shown or died):
                    failed.append(source.name)
                if died:
                    break
    assert not [one for one in failed if not any(test in one for test in UNSURE.get(name, ()))]
