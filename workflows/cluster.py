# SPDX-License-Identifier: GPL-2.0-only
"""Steps beside each other on this host, by Dask distributed: ``CLUSTER=local:2``.

The workers are processes that share the checkout, the cache and ``results/steps`` with the job: its
locks keep their builds of one tree apart, so that one worker builds while another tests. They take
orders by TLS, with keys of this job, on loopback only. They end with it, and so does what they run.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures import cache, untrusted
from fixtures.errors import SpecError
from fixtures.kernel.spec import Spec
from fixtures.progress import Progress
from workflows import step, unfinished
from workflows.runner import Here, Runner
from workflows.step import Selection, Stage, StepResult
from workflows.stop import Terminated

EXTRA = ".venv/bin/pip install -r requirements-cluster.txt"
_POLL = 1.0  # seconds between two looks at the workers
_TRIES = 3  # workers that may die of one step
_TO_END = 5  # seconds that workers get

# What a worker does: the kernel, the selection, the step's name, the files of unfinished jobs.
Work = Callable[[Spec, Selection, str, list[Path]], StepResult]


@contextmanager
def runner(text: str, progress: Progress) -> Iterator[Runner]:
    """Yield the runner that CLUSTER= names: "" is this process, ``local:2`` two workers here.

    Raises SpecError.
    """
    if not text:
        yield Here(progress)
        return
    found = re.fullmatch(r"local:([1-9][0-9]?)", text)
    if not found:
        raise SpecError(f"CLUSTER={text}: is not local:N, N workers on this host")
    with cluster(int(found[1]), carry_out) as made:
        yield made


def carry_out(spec: Spec, selection: Selection, name: str, jobs: list[Path]) -> StepResult:
    """Carry out a step in a worker."""
    with unfinished.noted_in(jobs):
        return step.run_or_tell(spec, selection, name, Progress(_Lines(name)))


@contextmanager
def cluster(workers: int, work: Work) -> Iterator[Cluster]:
    """Start ``workers``, and end them after the block, whatever they do.

    Raises SpecError if Dask distributed is not installed.
    """
    try:
        # Not all hosts have them, so that their types are not checked on any.
        dask: Any = importlib.import_module("dask")
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise SpecError(f"CLUSTER= needs Dask distributed: {EXTRA}") from None
    settings = {
        "distributed.scheduler.allowed-failures": _TRIES - 1,
        # No web server: it would answer every user of this host.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with cache.scratch() as folder, dask.config.set(settings):
        local = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,  # the steps' machines are no memory of the worker
            host="127.0.0.1",
            security=True,
            dashboard_address=None,
            local_directory=str(folder),
            silence_logs=logging.CRITICAL,
        )
        client = distributed.Client(local)
        try:
            yield Cluster(distributed, client, workers, work)
        finally:
            # A worker does not stop a step that it has begun: its nanny kills it.
            with contextlib.suppress(TimeoutError):
                client.close(timeout=_TO_END)
            with contextlib.suppress(TimeoutError):
                local.close(timeout=_TO_END)


class Cluster:
    """The workers of a Dask cluster. Each has one step at a time; others wait here, in order."""

    def __init__(self, distributed: Any, client: Any, workers: int, work: Work) -> None:
        self._distributed, self._client = distributed, client
        self.workers, self._work = workers, work
        self._waiting: list[_Step] = []
        self._begun: list[_Step] = []

    def submit(self, spec: Spec, selection: Selection, name: str) -> _Step:
        """Take on a step; messages call it ``name``."""
        made = _Step(self, (spec, selection, name, unfinished.files()))
        self._waiting.append(made)
        self._fill()
        return made

    def wait(self, wanted: _Step) -> StepResult:
        """Wait for a step, and return its result."""
        while wanted.future is None or not wanted.future.done():
            self._fill()
            pending = [one.future for one in self._begun if not one.future.done()]
            try:
                self._distributed.wait(pending, timeout=_POLL, return_when="FIRST_COMPLETED")
            except TimeoutError:
                continue
        self._fill()
        result: StepResult = wanted.future.result()
        return result

    def drop(self, unwanted: _Step) -> None:
        """Begin no step that nobody asks for; one that has begun ends with its worker."""
        if unwanted in self._waiting:
            self._waiting.remove(unwanted)

    def died_of(self, error: BaseException) -> bool:
        """Return whether ``error`` says that workers died of a step."""
        return isinstance(error, self._distributed.scheduler.KilledWorker)

    def _fill(self) -> None:
        """Give each idle worker a step: more would be heaped on workers that are busy for hours."""
        self._begun = [one for one in self._begun if not one.future.done()]
        while self._waiting and len(self._begun) < self.workers:
            following = self._waiting.pop(0)
            following.future = self._client.submit(self._work, *following.what, pure=False)
            self._begun.append(following)


class _Step:
    """A step that a cluster has, or will have."""

    def __init__(self, owner: Cluster, what: tuple[Spec, Selection, str, list[Path]]) -> None:
        self.what = what
        self.future: Any = None
        self._owner = owner

    def result(self) -> StepResult:
        """Wait for the step, and return its result."""
        try:
            return self._owner.wait(self)
        except (KeyboardInterrupt, Terminated) as stopped:
            return StepResult(Stage.NOT_MADE, problem=step.why(stopped))
        except CancelledError:
            return StepResult(Stage.NOT_MADE, problem="the cluster has lost its scheduler")
        except Exception as error:
            if not self._owner.died_of(error):
                raise
            return StepResult(Stage.NOT_MADE, problem=f"{_TRIES} workers died of this step")

    def cancel(self) -> None:
        """Do not begin the step; one that has begun ends with its worker."""
        self._owner.drop(self)


class _Lines(io.StringIO):
    """Standard error for the progress of one of several steps: whole lines, with its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = untrusted.clean_line(name)
        self._rest = ""

    def isatty(self) -> bool:
        """Return False: several steps cannot each have the last line."""
        return False

    def write(self, text: str) -> int:
        """Write the lines that are whole."""
        *lines, self._rest = (self._rest + text).split("\n")
        sys.stderr.write("".join(f"[{self._name}] {line}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """Flush what is whole."""
        sys.stderr.flush()
