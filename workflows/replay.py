# SPDX-License-Identifier: GPL-2.0-only
"""Replay the calls of a run back to back, to compare their time with that of the whole run.

As a pytest plugin (``-p workflows.replay --keep-programs=FOLDER``) it records the programs sent to
the agents, one file per machine. ``replay`` sends them to new machines without waiting for answers:
the agent goes from one call to the next without a decision by the host.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import RunError
from fixtures.guest import Guest
from fixtures.guest.wire import ANSWER, PROGRAM
from fixtures.plugin import machines

SUFFIX = ".programs"
LIMIT = 600.0  # seconds that the programs of one machine may take


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-programs", metavar="FOLDER", help="for workflows/replay.py")


def pytest_configure(config: pytest.Config) -> None:
    """Record the programs of every agent in the run."""
    folder, numbers = Path(config.getoption("--keep-programs")), itertools.count(1)

    class Watched(Guest):
        """A guest that records its programs, except the first, which asks for its name."""

        def __init__(self, host: Any) -> None:
            super().__init__(host)
            name = f"{os.getpid()}-{next(numbers):03}-{host.spec.processors}{SUFFIX}"
            self._programs_file = (folder / name).open("wb", buffering=0)
            self.on_program = self._keep

        def _keep(self, program: bytes) -> None:
            self._programs_file.write(program)

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(machines, "Guest", Watched)
    config.add_cleanup(monkeypatch.undo)


def kept(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    """Return the recordings in ``folder``: the machines of each worker, in order.

    Each machine is its number of processors and the file with its programs.
    """
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        worker, _, processors = path.stem.split("-")
        found.setdefault(worker, []).append((int(processors), path))
    return found


def replay(guest: Guest, path: Path) -> tuple[int, float]:
    """Send the programs at ``path`` to the agent of ``guest``, and read its answers.

    Returns the number of programs and their duration in seconds. Raises RunError if an answer is
    missing.
    """
    data = path.read_bytes()
    programs = [PROGRAM.unpack(data, at)[1] for at in _starts(data)]
    guest.line.until = time.monotonic() + LIMIT
    began = time.monotonic()
    sender = threading.Thread(target=guest.line.sendall, args=(data,), daemon=True)
    sender.start()
    try:
        for number in programs:
            _answer(guest, number)
    except OSError as error:
        raise RunError(f"the agent does not answer program {number}: {error!r}") from error
    took = time.monotonic() - began
    sender.join()
    return len(programs), took


def _starts(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        yield at
        at += PROGRAM.size + PROGRAM.unpack(data, at)[0]


def _answer(guest: Guest, number: int) -> None:
    """Read the answer to program ``number``, and ignore its contents."""
    goes_on = 1
    while goes_on:
        head = guest.line.read(ANSWER.size)
        if len(head) < ANSWER.size:
            raise RunError(f"the agent ended before its answer to program {number}")
        size, told, goes_on, _ = ANSWER.unpack(head)
        if told != number:
            raise RunError(f"expected the answer to program {number}, got one to {told}")
        guest.line.read(size)
