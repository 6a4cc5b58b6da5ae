# SPDX-License-Identifier: GPL-2.0-only
"""Load what each kernel's drivers saved on each kernel: do streams cross kernels?

    python -m workflows.compat "debian:6.12 debian:7.3" --drivers=mtty

Exit status: 0; 1 if a stream is accepted and gives another state; 2 if a kernel or a load could not
be judged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.device import Driver, chosen
from fixtures.errors import Deviation, GuestError, HarnessError, NotThere, RunError, SpecError
from fixtures.kernel import parse
from fixtures.kernel.spec import Spec
from fixtures.machine.spec import MachineSpec
from fixtures.progress import Progress
from fixtures.session import ArrangementFailed
from reports import compat as report
from reports import compat_page
from suites.data_transfer.kept import WAYS, Kept
from suites.data_transfer.loads import Loaded, Size, loaded_by, saved_by
from workflows.command import (
    CANNOT,
    add_devices,
    arguments,
    check_flavour,
    machine_of,
    make_folder,
    run_main,
    words,
    write_report,
)
from workflows.lab import Lab
from workflows.stop import on_sigterm

SEED, ANOTHER = 41, 43  # of the state that is saved, and of the device before the load
SIZES: tuple[Size, ...] = ("small", "usual", "large")
WRONG = 1  # exit status
# What ends a save or a load without a result: the driver's failure is told in the same words.
_PROBLEMS = (ArrangementFailed, Deviation, GuestError, HarnessError, NotThere)


@dataclass(frozen=True)
class Stream:
    """A stream that a driver saved in a way of WAYS, and its device's state; or the ``problem``."""

    driver: str
    way: str
    size: str
    kept: Kept | None
    problem: str = ""


@dataclass
class Column:
    """A kernel: its ``lab`` if it was built, what it ``saved``, or the ``problem``."""

    name: str
    lab: Lab | None = None
    saved: Sequence[Stream] = ()
    problem: str = ""


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    about = "Load the streams of each kernel on each kernel."
    specs_are = "kernel specs, separated by blanks"
    asked = arguments(argv, "compat", about, add_devices, kernels=specs_are)
    check_flavour(asked.flavour)
    specs = [parse(text) for text in asked.kernels.split()]
    if len(specs) < 2:
        raise SpecError('KERNELS= names two kernels or more, such as "debian:6.12 ~/linux@v7.1"')
    drivers, wanted, progress = chosen(words(asked.drivers)), machine_of(asked), Progress()
    on_sigterm()
    folder = make_folder("compat")
    columns = [_column(spec, asked.flavour, drivers, wanted, progress) for spec in specs]
    labs = {number: column.lab for number, column in enumerate(columns) if column.lab}
    loads: list[dict[str, Any]] = []
    try:
        for number, lab in labs.items():
            with closing(lab):
                columns[number].saved = list(_saved(lab, folder / "streams" / str(number + 1)))
        for to, lab in labs.items():
            with closing(lab):
                for origin, other in enumerate(columns):
                    loads += _loads(lab, other.saved, origin, to, progress)
    finally:
        data = _data(columns, drivers, loads)
        texts = {
            "report.txt": report.text(data),
            "report.md": report.markdown(data),
            "report.html": compat_page.render(data),
        }
        write_report(folder, data, texts)
        print(texts["report.txt"])
        print(f"report: {folder}/report.txt, report.md, report.html; data: compat.yaml; streams/")
    return status(data)


def _column(
    spec: Spec,
    flavour: str,
    drivers: Sequence[Driver],
    wanted: MachineSpec,
    progress: Progress,
) -> Column:
    try:
        return Column(spec.text, Lab.of(spec, flavour, drivers, wanted, progress))
    except SpecError:
        raise
    except RunError as error:
        progress.note(f"{spec.text}: {error}")
        return Column(spec.text, problem=str(error).partition("\n")[0])


def _saved(lab: Lab, place: Path) -> Iterator[Stream]:
    """Yield the streams of all drivers, and write them below ``place``."""
    for driver in lab.drivers:
        # A state without firmware has one size.
        for size in SIZES if driver.firmware else SIZES[:1]:
            for way in WAYS:
                stream = _save(lab, driver, way, size)
                if stream is None:
                    continue
                if stream.kept:
                    stream.kept.write(place, f"{driver.name}-{way}-{size}")
                yield stream


def _save(lab: Lab, driver: Driver, way: str, size: Size) -> Stream | None:
    try:
        with lab.opened(driver) as (session, contents):
            kept = saved_by(session, contents, way, size, SEED)
            return Stream(driver.name, way, size, kept) if kept else None
    except _PROBLEMS as error:
        return Stream(driver.name, way, size, None, str(error).partition("\n")[0])


def _loads(
    lab: Lab, saved: Sequence[Stream], origin: int, to: int, progress: Progress
) -> Iterator[dict[str, Any]]:
    """Yield what comes of each load of ``saved``, streams of the kernel number ``origin``."""
    drivers = {one.name: one for one in lab.drivers}
    with progress.step(f"loading the streams of kernel {origin + 1} on kernel {to + 1}"):
        for stream in saved:
            if driver := drivers.get(stream.driver):
                came = _load(lab, driver, stream)
                if came is None:
                    continue
                yield {
                    "driver": stream.driver,
                    "from": origin,
                    "to": to,
                    "way": stream.way,
                    "size": stream.size,
                    "word": came.word,
                    "why": came.why,
                }


def _load(lab: Lab, driver: Driver, stream: Stream) -> Loaded | None:
    """Return what comes of a load; None if the driver cannot migrate on this kernel."""
    if stream.kept is None:
        return Loaded("broken", f"not saved: {stream.problem}")
    try:
        with lab.opened(driver) as (session, contents):
            if session.capabilities() is None:
                return None
            contents.set(ANOTHER)
            return loaded_by(session, contents, stream.kept)
    except _PROBLEMS as error:
        return Loaded("broken", str(error).partition("\n")[0])


def _data(
    columns: Sequence[Column], drivers: Sequence[Driver], loads: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "schema": 1,
        "kernels": [
            {
                "name": one.name,
                "release": one.lab.kernel.release if one.lab else "",
                "problem": one.problem,
            }
            for one in columns
        ],
        "drivers": [one.name for one in drivers],
        "loads": list(loads),
    }


def status(data: dict[str, Any]) -> int:
    """Return the exit status for the data of a report."""
    found = {one["word"] for one in data["loads"]}
    if "wrong" in found:
        return WRONG
    unjudged = "broken" in found or not found or any(one["problem"] for one in data["kernels"])
    return CANNOT if unjudged else 0


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="a new run begins anew"))
