# SPDX-License-Identifier: GPL-2.0-only
"""A task of a worker, in a process of its own that ends when nobody wants its result any more.

Dask does not stop a task that has begun: a job that was killed, or that cancelled a step, would
leave machines running for hours. A process can be stopped, and its machines end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from fixtures import process
from fixtures.paths import CHECKOUT

_TASK = "workflows.cluster.task"  # the program of that process
_POLL = 0.2  # seconds between two looks at the process
# Seconds that it gets to stop its machines; a job's workers must be idle 10 s after its end.
_TO_STOP = 7.0


class ChildDied(Exception):
    """The process of a task ended without a result: it was killed, for instance."""


def in_child(topic: str, label: str, task: Callable[..., Any], *arguments: object) -> Any:
    """Call ``task`` in a process of its own, and return its result.

    What it prints to standard error is sent to the job as ``topic``, in lines that begin with
    ``label``. A worker of Dask calls this, as a task.

    Raises what the task raises, ChildDied, and RunError if the disk is full.
    """
    distributed: Any = importlib.import_module("distributed")
    worker = distributed.get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        """Return whether the job is there, and has not cancelled this."""
        known = worker.state.tasks.get(key)
        return _works(worker) and known is not None and known.state == "executing"

    def send(line: str) -> None:
        worker.log_event(topic, f"[{label}] {line}")

    return _run(task, arguments, wanted, send)


async def aside(task: Callable[..., Any], *arguments: object, dask_worker: Any) -> Any:
    """Call ``task`` in a process of its own, also while ``dask_worker`` is busy.

    What it prints goes to the worker's own standard error. Raises what the task raises, and
    ChildDied.
    """

    def send(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    run = functools.partial(_run, task, arguments, lambda: _works(dask_worker), send)
    return await asyncio.get_running_loop().run_in_executor(None, run)


def _works(worker: Any) -> bool:
    """Return whether a worker of Dask has a scheduler, and is not about to end."""
    return worker.status.name in ("running", "paused")


def _run(
    task: Callable[..., Any],
    arguments: Sequence[object],
    wanted: Callable[[], bool],
    send: Callable[[str], object],
) -> Any:
    place = Path(tempfile.gettempdir())
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as found:
        try:
            pickle.dump((task, arguments), given)
            given.seek(0)
        except OSError as error:
            raise process.no_space(place) from error
        child = subprocess.Popen(
            process.until_we_die([sys.executable, "-m", _TASK]),
            stdin=given,
            stdout=found,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            cwd=CHECKOUT,
            start_new_session=True,
        )
        assert child.stderr is not None
        sender = threading.Thread(target=_send, args=(child.stderr, send), daemon=True)
        sender.start()
        try:
            while child.poll() is None and wanted():
                time.sleep(_POLL)
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_TO_STOP)
        finally:
            process.kill_group(child)
        sender.join(_TO_STOP)
        found.seek(0)
        try:
            result, error = pickle.load(found)
        except Exception as cut_off:
            if process.is_full(place):
                raise process.no_space(place) from cut_off
            raise ChildDied(f"its process ended with status {child.returncode}") from None
    if error is not None:
        raise error
    return result


def _send(lines: IO[str], send: Callable[[str], object]) -> None:
    with lines:
        for line in lines:
            send(line.rstrip("\n"))
