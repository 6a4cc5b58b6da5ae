# SPDX-License-Identifier: GPL-2.0-only
"""Which lines, branches and functions of the drivers the suites run: ``make coverage``.

    python -m workflows.coverage --kernel=debian:7.3 --drivers=mtty,qat

The kernel is built in the flavour "coverage", whose modules count; gcovr reads the counts. What a
kernel counted after the last file of tests that it has run to the end is lost if it dies.

Exit status: pytest's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fixtures import kernel as kernels
from fixtures import process
from fixtures.device import all_needs, chosen
from fixtures.errors import RunError, SpecError
from fixtures.guest.counters import NOTES
from fixtures.kernel import Kernel, make
from fixtures.progress import Progress
from fixtures.record import table
from workflows.command import (
    CANNOT,
    add_run,
    make_folder,
    pytest_words,
    run_main,
    run_pytest,
    words,
    write_report,
)
from workflows.mutants.module import module_of

REQUIREMENTS = "requirements-coverage.txt"
INSTALL = f".venv/bin/pip install -r {REQUIREMENTS}"
CORE = "vfio"  # the row of the code that all drivers share
_CORE = "drivers/vfio"
_SHARED = (_CORE, f"{_CORE}/pci")  # the folders of it
KINDS = ("lines", "branches", "functions")


@dataclass(frozen=True)
class Share:
    """How many there are of something, and how many of them were run."""

    run: int = 0
    there: int = 0

    def __str__(self) -> str:
        if not self.there:
            return "-"
        return f"{self.run} of {self.there}, {100 * self.run // self.there} %"


@dataclass(frozen=True)
class Covered:
    """What was run of some source files; ``missed`` are the functions that never were."""

    lines: Share
    branches: Share
    functions: Share
    missed: tuple[str, ...]


def covered(files: Iterable[Mapping[str, Any]]) -> Covered:
    """Return what was run of ``files``, which are entries of gcovr's JSON format."""
    lines = [line for file in files for line in file["lines"] if not line.get("gcovr/noncode")]
    branches = [branch for line in lines for branch in line["branches"]]
    functions = {
        one["name"]: one["execution_count"]
        for file in files
        for one in file["functions"]
        if not one.get("gcovr/excluded")
    }

    def share(counts: Iterable[int]) -> Share:
        reached = [count > 0 for count in counts]
        return Share(sum(reached), len(reached))

    return Covered(
        share(line["count"] for line in lines),
        share(branch["count"] for branch in branches),
        share(functions.values()),
        tuple(sorted(name for name, count in functions.items() if not count)),
    )


def by_driver(
    files: Sequence[Mapping[str, Any]], sources: Mapping[str, Iterable[str]]
) -> dict[str, Covered]:
    """Return what was run of each driver, and of what they share.

    ``sources`` are the paths of each driver's C files in the kernel tree.
    """
    found = {str(one["file"]): one for one in files}
    shared = [one for path, one in found.items() if str(Path(path).parent) in _SHARED]
    rows = {
        driver: [found[path] for path in paths if path in found]
        for driver, paths in sources.items()
    }
    return {name: covered(of) for name, of in (rows | {CORE: shared}).items() if of}


def as_text(rows: Mapping[str, Covered], heading: str) -> str:
    """Return the table of ``rows``, and the functions that were never run."""
    block = [("", "driver", list(rows))]
    block += [("", kind, [str(getattr(one, kind)) for one in rows.values()]) for kind in KINDS]
    lines = [heading, *table.aligned(block)]
    for name, one in rows.items():
        if one.missed and name != CORE:
            lines += ["", f"{name}: never run:", *(f"    {function}()" for function in one.missed)]
    return "\n".join(lines) + "\n"


def read(kernel: Kernel, results: Path, folder: Path) -> list[dict[str, Any]]:
    """Write gcovr's reports of a run to ``folder``; return the source files of its JSON format.

    Raises RunError.
    """
    counted = sorted(results.glob("machines/*/gcov"))
    if not counted:
        raise RunError(f"{results}: no machine of this run has counted anything")
    root = (kernel.build / "source").resolve()
    traces = []
    for place in counted:
        for notes in kernel.build.rglob(f"*{NOTES}"):
            there = place / notes.relative_to(kernel.build)
            if there.parent.is_dir():
                shutil.copyfile(notes, there)
        traces.append(folder / f"{place.parent.name}.json")
        _gcovr(root, ["--object-directory", str(place), "--json", str(traces[-1]), str(place)])
    merged = folder / "coverage.json"
    reports = {
        "--json": merged,
        "--cobertura": folder / "cobertura.xml",
        "--html-nested": folder / "index.html",
    }
    given = [f"--add-tracefile={path}" for path in traces]
    _gcovr(root, [*given, *(word for key, path in reports.items() for word in (key, str(path)))])
    for path in traces:
        path.unlink()
    files: list[dict[str, Any]] = json.loads(merged.read_text(encoding="utf-8"))["files"]
    return files


def _gcovr(root: Path, words: Sequence[str]) -> None:
    only = [f"--filter={folder}/" for folder in (_CORE, "samples/vfio-mdev")]
    argv = [sys.executable, "-m", "gcovr", "--root", str(root), *only, *words]
    done = subprocess.run(argv, cwd=root, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise RunError(f"gcovr: {(done.stderr.strip() or 'it failed').splitlines()[-1]}")


def check_tools() -> None:
    """Raise SpecError unless gcovr is installed, RunError if gcov is not."""
    if importlib.util.find_spec("gcovr") is None:
        raise SpecError(f"coverage needs gcovr: {INSTALL}")
    if "LLVM" in make.asked():
        raise SpecError("coverage needs a kernel that gcc has built: leave LLVM out")
    process.need("gcov")


def main(argv: Sequence[str]) -> int:
    """Carry out the command line.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="coverage", description=__doc__)
    add_run(parser)
    asked = parser.parse_args(argv)
    asked.flavour = kernels.COVERAGE
    check_tools()
    options = pytest_words(asked)
    kernel = kernels.provide(kernels.parse(asked.kernel), all_needs(), Progress(), asked.flavour)
    kernel.check_build()
    if not any((kernel.build / _CORE).rglob(f"*{NOTES}")):
        raise SpecError(f"{asked.kernel}: VFIO does not count there; build it with GCOV_PROFILE=y")
    sources = {
        driver.name: tuple(module_of(driver, kernel).sources)
        for driver in chosen(list(words(asked.drivers)))
        if driver.name not in kernel.lacking | kernel.broken
    }
    folder = make_folder("coverage")
    status = run_pytest([*options, f"--results={folder}"])
    results = folder / "latest"
    if not results.exists():
        return status
    rows = by_driver(read(kernel, results, folder), sources)
    text = as_text(rows, f"Coverage of {kernel.release}, flavour coverage")
    write_report(folder, {"drivers": _as_data(rows)}, {"coverage.txt": text})
    print(text)
    print(f"page: {folder / 'index.html'}")
    return status


def _as_data(rows: Mapping[str, Covered]) -> dict[str, Any]:
    return {
        name: {
            **{kind: asdict(getattr(one, kind)) for kind in KINDS},
            "never_run": list(one.missed),
        }
        for name, one in rows.items()
    }


if __name__ == "__main__":
    sys.exit(run_main(main, CANNOT, "what was counted is below results/coverage"))
