# SPDX-License-Identifier: GPL-2.0-only
"""Shared parts of the commands: options that choose tests, reports, exit statuses."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import yaml

from fixtures import kernel, process
from fixtures.durable import write_whole
from fixtures.errors import RunError, SpecError
from fixtures.machine.spec import MachineSpec
from fixtures.paths import CHECKOUT
from fixtures.plugin import selection
from fixtures.record import level
from fixtures.terminal import show_any_character
from workflows import subject as subjects
from workflows.step import Selection

CANNOT = 2  # exit status: no verdict
TO_STOP = 20.0  # seconds that pytest gets to stop its machines


def must(argv: Sequence[str], place: Path = CHECKOUT) -> None:
    """Run a command of this project in ``place``; status 1 (something deviates) is accepted.

    Raises RunError if it ends with a status other than 0 or 1.
    """
    done = subprocess.run(argv, cwd=place, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode not in (0, 1):
        lines = (done.stdout + done.stderr).splitlines()
        said = [line for line in lines if line and not line.startswith("make: ")]
        why = said[-1] if said else "it printed nothing"
        raise RunError(f"{' '.join(argv)} in {place} ended with {done.returncode}: {why}")


def arguments(
    argv: Sequence[str],
    job: str,
    description: str,
    add: Callable[[argparse.ArgumentParser], None],
    **positional: str,
) -> argparse.Namespace:
    """Return the arguments of ``job``: those of ``add``, and ``positional`` ones with a help."""
    parser = argparse.ArgumentParser(prog=job, description=description)
    for name, text in positional.items():
        parser.add_argument(name, help=text)
    add(parser)
    return parser.parse_args(argv)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the tests and the flavour of each step."""
    parser.add_argument("--drivers", default="", help="separated by commas or blanks (all)")
    parser.add_argument("--suites", default="", help="folders of suites/ (all)")
    parser.add_argument("--flavour", default=kernel.DEFAULT, help=", ".join(kernel.FLAVOURS))
    parser.add_argument("--fail-on", default=level.DEFAULT, help=", ".join(level.FAIL_ON))
    parser.add_argument("--jobs", default="auto", help="machines at the same time")
    parser.add_argument("--vmms", default="", help="VMMs of suites/vmm, for all of its tests")
    parser.add_argument("--pytest", default="", help="more options for pytest")


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add the option that says who carries out the steps."""
    parser.add_argument("--cluster", default="", help="local:N, ssh:FILE or tcp://HEAD:PORT")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a kernel, its tests and its machine."""
    parser.add_argument("--kernel", default="debian:newest", help="the kernel under test")
    subjects.add_options(parser)
    add_selection(parser)
    add_machine(parser)


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe the virtual machine."""
    parser.add_argument("--memory", default="", help="of each machine, in MiB")
    parser.add_argument("--cpus", default="", help="processors of each machine, at least")
    parser.add_argument("--qemu-options", default="", help="more options for QEMU")
    parser.add_argument("--kernel-options", default="", help="more options for the guest's kernel")
    parser.add_argument("--gdb", default="", help="1: let gdb attach to each machine")


def add_guest(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a kernel, its devices and its machine, without tests."""
    parser.add_argument("--kernel", default="debian:newest", help="the kernel under test")
    add_devices(parser)


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose devices, their kernel's flavour and their machine."""
    parser.add_argument("--drivers", default="", help="separated by commas or blanks (all)")
    parser.add_argument("--flavour", default=kernel.DEFAULT, help=", ".join(kernel.FLAVOURS))
    add_machine(parser)


def check_flavour(flavour: str) -> None:
    """Raise SpecError unless ``flavour`` exists."""
    if flavour not in kernel.FLAVOURS:
        raise SpecError(f"FLAVOUR={flavour}: there are {', '.join(kernel.FLAVOURS)}")


def machine_of(asked: argparse.Namespace) -> MachineSpec:
    """Return the machine that the options of ``add_machine`` describe.

    Raises SpecError.
    """
    numbers = {"MEMORY": asked.memory, "CPUS": asked.cpus}
    for name, text in numbers.items():
        if text and not re.fullmatch(r"[0-9]+", text):
            raise SpecError(f"{name}={text}: is no number")
    memory, cpus = (int(text) if text else None for text in numbers.values())
    return MachineSpec.chosen(
        memory, cpus, asked.qemu_options, asked.kernel_options, gdb=is_set("GDB", asked.gdb)
    )


def is_set(name: str, text: str) -> bool:
    """Return whether the variable ``name`` of make is 1.

    Raises SpecError if it is neither 1 nor empty or 0.
    """
    if text not in ("", "0", "1"):
        raise SpecError(f"{name}={text}: it is 1, or left out")
    return text == "1"


def selection_of(asked: argparse.Namespace, *more: str) -> Selection:
    """Return the chosen selection; ``more`` are further options for pytest.

    Raises SpecError.
    """
    try:
        options = shlex.split(asked.pytest)
    except ValueError as error:
        raise SpecError(f"PYTEST={asked.pytest}: {error}") from error
    if asked.flavour not in kernel.FLAVOURS:
        hint = selection.near(asked.flavour, kernel.FLAVOURS)
        raise SpecError(f"FLAVOUR={asked.flavour}: there are {', '.join(kernel.FLAVOURS)}{hint}")
    if not re.fullmatch(r"auto|logical|[1-9][0-9]*", asked.jobs):
        raise SpecError(f"JOBS={asked.jobs}: how many machines at the same time, or auto")
    chosen = Selection(
        drivers=words(asked.drivers),
        suites=tuple(selection.suite(name) for name in words(asked.suites)),
        flavour=asked.flavour,
        fail_on=level.fail_on("FAIL_ON", asked.fail_on),
        jobs=asked.jobs,
        vmms=words(asked.vmms),
        words=(*options, *more),
    )
    chosen.check()
    return chosen


def pytest_words(asked: argparse.Namespace) -> list[str]:
    """Return pytest's arguments for the options of ``add_run``.

    Raises SpecError.
    """
    chosen = selection_of(asked)
    machine_of(asked)
    kernel.parse(asked.kernel)  # earlier than pytest would report it
    selection.check_expression("TESTS", asked.tests)
    if asked.tests and any(word.startswith("-k") for word in chosen.words):
        raise SpecError("TESTS= and PYTEST=-k both name tests; one of them would have no effect")
    return [
        *([f"suites/{suite}" for suite in chosen.suites] or ["suites"]),
        *("-n", chosen.jobs, f"--kernel={asked.kernel}", f"--flavour={chosen.flavour}"),
        f"--fail-on={chosen.fail_on}",
        *([f"--driver={','.join(chosen.drivers)}"] if chosen.drivers else []),
        *chosen.vmm_options,
        *(f"--clause={name}" for name in words(asked.clause)),
        *(f"--behaviour={name}" for name in words(asked.behaviour)),
        *(["-k", asked.tests] if asked.tests else []),
        *([f"--memory={asked.memory}"] if asked.memory else []),
        *([f"--cpus={asked.cpus}"] if asked.cpus else []),
        *([f"--qemu-option={asked.qemu_options}"] if asked.qemu_options else []),
        *([f"--kernel-option={asked.kernel_options}"] if asked.kernel_options else []),
        *(["--gdb"] if is_set("GDB", asked.gdb) else []),
        *chosen.words,
    ]


def run_pytest(options: Sequence[str], output: IO[str] | None = None) -> int:
    """Run pytest with ``options``, and return its exit status; it prints to ``output``.

    Ctrl-C reaches pytest as well: it has time to stop its machines and to write its results before
    KeyboardInterrupt is raised here. If this process is killed, so is pytest.
    """
    argv = process.until_we_die([sys.executable, "-m", "pytest", *options])
    errors = subprocess.STDOUT if output else None
    child = subprocess.Popen(argv, cwd=CHECKOUT, stdout=output, stderr=errors)
    try:
        return child.wait()
    except KeyboardInterrupt:
        try:
            child.wait(TO_STOP)
        except subprocess.TimeoutExpired:  # only this process got the signal
            child.send_signal(signal.SIGINT)
            child.wait()
        raise


def words(option: str) -> tuple[str, ...]:
    """Return the words of a variable of make; blanks or commas separate them."""
    return tuple(filter(None, re.split(r"[\s,]+", option)))


def make_folder(job: str) -> Path:
    """Make a new folder for a report of ``job``, below ``results/``.

    Raises RunError if that fails.
    """
    root = CHECKOUT / "results" / job
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=root))
        folder.chmod(0o755)
    except OSError as error:
        raise RunError(f"{root}: the report cannot be written: {error.strerror}") from error
    return folder


def write_report(folder: Path, data: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Write ``data`` to ``JOB.yaml`` in ``folder``, and each of ``texts`` under its file name.

    Raises RunError if that fails.
    """
    dump = yaml.safe_dump(dict(data), sort_keys=False, width=100, allow_unicode=True)
    try:
        for name, text in {f"{folder.parent.name}.yaml": dump, **texts}.items():
            write_whole(folder / name, text)
    except OSError as error:
        raise RunError(f"{folder}: the report cannot be written: {error.strerror}") from error


def run_main(
    main: Callable[[Sequence[str]], int],
    cannot: int = CANNOT,
    interrupted: str = "the same command resumes here",
) -> int:
    """Run ``main`` on the command line; a RunError prints one line and returns ``cannot``.

    ``interrupted`` is printed after Ctrl-C: the effect on the work so far; "" if another process
    reports it.
    """
    show_any_character()
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
        return status
    except SystemExit as ended:  # argparse printed why, and would end with 2
        return cannot if ended.code else 0
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
    except BrokenPipeError:  # `| head` ended; drop the rest of the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:  # a bug of this suite, not a deviation
        traceback.print_exc()
    except KeyboardInterrupt:
        if interrupted:
            print(f"\ninterrupted; {interrupted}", file=sys.stderr)
    return cannot
