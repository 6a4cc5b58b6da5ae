# SPDX-License-Identifier: GPL-2.0-only
"""Measure the steps of a run: ``make bench`` prints a table and writes ``results/bench.yaml``.

``make bench AGAINST=COMMIT`` compares whole runs with those of another commit (against.py).

The steps are timed from outside, with the real kernel, QEMU and agent, and with whole runs of
``make check``. The cold build uses a temporary cache.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from xml.etree import ElementTree

import yaml

from fixtures import cache, paths
from fixtures import kernel as kernels
from fixtures import machine as machines
from fixtures.device import Devices, Driver, all_needs, chosen, known_drivers, machine_options
from fixtures.errors import RunError
from fixtures.guest import Guest, Request
from fixtures.kernel import Kernel
from fixtures.kernel.doubles import Doubles
from fixtures.kernel.provide import wanted_doubles
from fixtures.kernel.source import of as source_of
from fixtures.kernel.spec import Spec
from fixtures.machine import Machine, MachineSpec, accelerator
from fixtures.machine.machine import qemu_version
from fixtures.progress import Progress
from fixtures.session import APIS, State, opened
from fixtures.vmm import chosen_vmms, provide_vmm
from workflows import against, replay
from workflows.command import must
from workflows.step import Selection, run

DRIVER = "mtty"
BEHAVIOUR = "precopy_info.flags.v2"
ROUND_TRIPS = 300
CALLS = 200  # in one program
BOOTS = 3

Rows = dict[str, dict[str, float]]


class Bench:
    """The measurements of one kernel; ``rows`` has the times in seconds."""

    def __init__(self, kernel_spec: str) -> None:
        self._kernel_spec = kernel_spec
        self._progress = Progress()
        self._needs = all_needs()
        self.rows: Rows = {}

    def run(self) -> None:
        """Measure every step."""
        self._spec = kernels.parse(self._kernel_spec)
        tree = source_of(self._spec, self._progress).tree()
        kernel = kernels.provide(self._spec, self._needs, self._progress)
        self._builds(tree)
        self._doubles(kernel)
        self._boots_and_calls(kernel)
        self._vmms()
        self._whole_runs()
        self._calls_alone(kernel)

    def _row(self, step: str, at_most: float, seconds: float) -> None:
        self.rows[step] = {"seconds": round(seconds, 4), "at_most": at_most}

    def _builds(self, tree: Path) -> None:
        """A cold build and one after an edit, of a copy of the tree, in a temporary cache."""
        with cache.scratch() as scratch, _cache_in(str(scratch)):
            copy = scratch / "linux"
            with self._progress.step("copying the kernel tree"):
                shutil.copytree(tree, copy, symlinks=True)
            spec = kernels.parse(str(copy))
            cold = _timed(lambda: kernels.provide(spec, self._needs, self._progress))
            self._row("cold kernel build", 240, cold)
            edited = copy / "drivers/vfio/vfio_main.c"
            edited.write_text(
                edited.read_text(encoding="utf-8") + "\n/* edited */\n", encoding="utf-8"
            )
            again = _timed(lambda: kernels.provide(spec, self._needs, self._progress))
            self._row("one file under drivers/vfio changed: ready to boot", 20, again)
            self._steps(spec, edited)

    def _steps(self, spec: Spec, edited: Path) -> None:
        """A later step of a pre-merge run or a bisect, with one changed file."""
        every = Selection(suites=("precopy_info",))
        one = Selection(drivers=(DRIVER,), words=(f"--behaviour={BEHAVIOUR}",))
        run(spec, every, "the first step", self._progress)
        for what, at_most, selection in (
            ("a step: five drivers' precopy_info", 60, every),
            ("a step: one driver, one behaviour", 30, one),
        ):
            edited.write_text(
                edited.read_text(encoding="utf-8") + f"\n/* {what} */\n", encoding="utf-8"
            )
            took = _timed(lambda chosen=selection: run(spec, chosen, "a step", self._progress))
            self._row(what, at_most, took)

    def _boots_and_calls(self, kernel: Kernel) -> None:
        """The time from QEMU's launch to a ready agent, and the times of calls and devices."""
        boots, calls, inside, devices, lives = [], [], [], [], []
        drivers = chosen([])
        boot = self._how_to_boot(kernel, drivers)
        for _ in range(BOOTS):
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                machine = boot(Path(folder), 1)
                try:
                    guest = Guest(machine)
                    boots.append(time.monotonic() - began)
                    calls += _round_trips(guest)
                    inside += _calls_in_a_program(guest)
                    for opened_after, gone_after in _devices_opened(guest, drivers):
                        devices.append(opened_after)
                        lives.append(gone_after)
                finally:
                    machine.stop()
        self._row("QEMU launched to agent ready, median", 6, statistics.median(boots))
        self._row("one ioctl through the agent, median", 0.005, statistics.median(calls))
        self._row("one call inside a program, median", 0.0001, statistics.median(inside))
        self._row("device made and opened for a test, median", 0.5, statistics.median(devices))
        self._row(
            "device made, opened, closed and removed, median", 0.038, statistics.median(lives)
        )

    def _how_to_boot(self, kernel: Kernel, drivers: list[Driver]) -> Callable[[Path, int], Machine]:
        """Return a function that boots a machine, by console folder and number of processors."""
        rootfs = machines.provide_rootfs(self._progress)
        kind = accelerator.choose(kernel, rootfs, qemu_version(), self._progress)
        options = tuple(machine_options(drivers))
        return lambda folder, processors: Machine.boot(
            kernel,
            rootfs,
            folder,
            MachineSpec(kind, processors=processors, devices=options),
            self._progress,
        )

    def _doubles(self, kernel: Kernel) -> None:
        """The build of all doubles for one kernel."""
        wanted = wanted_doubles(self._needs, kernel.lacking)
        with (
            tempfile.TemporaryDirectory() as folder,
            cache.locked(f"build-{kernel.build.name}", self._progress) as lock,
        ):
            doubles = Doubles(kernel.build, Path(folder) / "doubles", lock, self._progress)
            self._row(
                "all doubles compiled for one kernel", 30, _timed(lambda: doubles.build(wanted))
            )

    def _vmms(self) -> None:
        """The root file system of a VMM, and the tests of a run that migrate by one."""
        with cache.scratch() as scratch, _cache_in(str(scratch)):
            (vmm,) = chosen_vmms([])
            made = _timed(lambda: provide_vmm(vmm, self._progress))
        self._row("the root file system of a VMM, once", 150, made)
        with tempfile.TemporaryDirectory() as folder:
            words = (f"--kernel={self._spec.text}", f"--results={folder}/results", "-n", "auto")
            report = Path(folder) / "junit.xml"
            command = [sys.executable, "-m", "pytest", "suites/vmm", *words]
            took = _timed(lambda: must([*command, f"--junit-xml={report}"]))
            cases = ElementTree.parse(report).iter("testcase")
            times = [float(one.attrib["time"]) for one in cases if one.find("skipped") is None]
        self._row("all drivers migrated by a VMM, as in `make check`", 60, took)
        self._row("a test that migrates by a VMM", 8, statistics.median(times))

    def _whole_runs(self) -> None:
        """`make check` with a full cache: until QEMU's launch, and until the end."""
        launched, alone = self._whole_run(f"DRIVERS={DRIVER}")
        self._row("from `make check` to launching QEMU, all cached", 3, launched)
        self._row(f"`make check` of {DRIVER} alone, all cached", 20, alone)
        self._row("`make check` of all drivers, all cached", 60, self._whole_run()[1])

    def _whole_run(self, *variables: str) -> tuple[float, float]:
        """Return the seconds from `make check` to QEMU's launch, and to its end."""
        with tempfile.TemporaryDirectory() as results:
            command = ["make", "check", f"KERNEL={self._spec.text}", f"PYTEST=--results={results}"]
            began = time.time()
            whole = _timed(lambda: must([*command, *variables]))
            console = next(Path(results).glob("2*/machines/*/console.log"))
            return _birth(console) - began, whole

    def _calls_alone(self, kernel: Kernel) -> None:
        """A full run, compared with the same calls back to back, without the host's decisions."""
        boot = self._how_to_boot(kernel, chosen([]))
        with tempfile.TemporaryDirectory() as folder:
            # What VMMs do is in no program, and the ids of their processes are those of one guest.
            plugin = ("-p", "workflows.replay", f"--keep-programs={folder}", "--ignore=suites/vmm")
            words = (f"--kernel={self._spec.text}", f"--results={folder}/results", "-n", "auto")
            took = _timed(lambda: must([sys.executable, "-m", "pytest", "suites", *words, *plugin]))
            workers = replay.kept(Path(folder)).values()
            alone, programs = 0.0, 0
            for number, machines_of_workers in enumerate(itertools.zip_longest(*workers)):
                with ExitStack() as stack:
                    guests = []
                    for processors, path in filter(None, machines_of_workers):
                        machine = boot(Path(folder, f"{number}-{path.stem}"), processors)
                        stack.callback(machine.stop)
                        guests.append((Guest(machine), path))
                    with ThreadPoolExecutor() as threads:
                        done = list(threads.map(lambda pair: replay.replay(*pair), guests))
                programs += sum(count for count, _ in done)
                alone += max(seconds for _, seconds in done)
        what = f"a full run, whose {programs} programs take {alone:.0f} s back to back"
        self._row(what, 2.5 * alone, took)


def _round_trips(guest: Guest) -> list[float]:
    driver = known_drivers()[DRIVER]
    with Devices(guest).make(driver) as device, opened(guest, device, "group") as session:
        data_fd = session.start(State.PRE_COPY)
        return [_timed(data_fd.precopy_info) for _ in range(ROUND_TRIPS)]


def _calls_in_a_program(guest: Guest) -> list[float]:
    """Return the seconds per call that fails at once, without the overhead of its program."""
    closes = [Request("close", {"fd": 999})] * CALLS

    def once(calls: int) -> float:
        return _timed(lambda: guest.calls(*closes[:calls]))

    return [(once(CALLS) - once(1)) / (CALLS - 1) for _ in range(20)]


def _devices_opened(guest: Guest, drivers: Iterable[Driver]) -> Iterator[tuple[float, float]]:
    """Yield the seconds from the request for a device until it is open, and until it is removed.

    For every driver and API.
    """
    devices = Devices(guest)
    for driver in drivers:
        with devices.make(driver):
            pass  # the first device also sets up modules and functions
        for api in APIS * 3:
            began = time.monotonic()
            with devices.make(driver) as device, opened(guest, device, api):
                is_open = time.monotonic() - began
            yield is_open, time.monotonic() - began


def _timed(action: object) -> float:
    began = time.monotonic()
    action()  # type: ignore[operator]
    return time.monotonic() - began


def _birth(path: Path) -> float:
    """Return the creation time of the file, in seconds since the epoch."""
    shown = subprocess.run(["stat", "-c", "%.W", str(path)], capture_output=True, encoding="utf-8")
    return float(shown.stdout)


@contextmanager
def _cache_in(folder: str) -> Iterator[None]:
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before


def main() -> int:
    """Measure, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the steps of a run.")
    parser.add_argument("kernel", nargs="?", default="debian:newest", help="the kernel under test")
    parser.add_argument("--against", default="", help="a commit to compare whole runs with")
    parser.add_argument("--turns", type=int, default=3, help="how often each is timed (3)")
    asked = parser.parse_args()
    bench = Bench(asked.kernel)
    try:
        if asked.against:
            return against.compare(asked.kernel, asked.against, asked.turns, Progress())
        bench.run()
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if bench.rows:
            _report(bench.rows)
    return 0


def _report(rows: Rows) -> None:
    width = max((len(step) for step in rows), default=0)
    for step, row in rows.items():
        met = "" if row["seconds"] <= row["at_most"] else "  (missed)"
        print(f"{step:<{width}}  {row['seconds']:>9.3f} s  at most {row['at_most']:g} s{met}")
    place = paths.CHECKOUT / "results" / "bench.yaml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(
        yaml.safe_dump({"cores": os.cpu_count(), "steps": rows}, sort_keys=False), encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
