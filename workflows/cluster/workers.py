# SPDX-License-Identifier: GPL-2.0-only
"""A job's steps on the workers of Dask distributed, one at a time on each.

Each call is bound to one worker, and is made when that is idle. Dask itself would heap steps of
hours on a worker that is busy, as it takes them for short ones, and would give the step of a host
that is gone to any other, also to one that differs.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fixtures import untrusted
from fixtures.kernel.spec import Spec
from workflows import step, unfinished
from workflows.cluster.call import Call, LinkLost, Lost, packed
from workflows.cluster.child import ChildDied
from workflows.step import Selection, Stage, StepResult
from workflows.stop import Terminated

POLL = 1.0  # seconds between two looks at the workers
TRIES = 3  # workers that may die of one step, or be unable to make it
NO_WORKERS = 60.0  # seconds without a worker that can be used until the job gives up
TO_CONNECT = 15.0  # seconds that a lost scheduler has to be there again
TO_TELL = 1800.0  # seconds that a worker has to say what it is: it may make a guest's root first
TO_VOTE = 30.0  # seconds from the first one's answer until those that answered decide


class Unable(Exception):
    """The worker's host cannot make a step: its disk is full, for instance."""

    def __init__(self, why: str, result: StepResult) -> None:
        super().__init__(why)
        self.result = result


class _Cancelled(Exception):
    """Nobody asks for the step any more."""


@dataclass(frozen=True)
class Order:
    """A step to make, and the files of the unfinished jobs that it is for.

    ``again``: earlier runs are not enough.
    """

    spec: Spec
    selection: Selection
    name: str
    jobs: Sequence[Path]
    again: bool


# Calls a function on one worker, in a process of its own, and returns what it returns.
Ask = Callable[..., Any]


class Trip(Protocol):
    """How a step comes to a worker, and its result comes back."""

    def describe(self, address: str) -> object:
        """Return what the worker at ``address`` is; raises what asking it raises."""

    def refuses(self, told: object) -> str:
        """Return why a host can do nothing for this job, whatever the others are; "" if it can."""

    def admit(self, told: Mapping[str, object]) -> dict[str, str]:
        """Return why a host is not used, "" if it is, by the names of ``told``: what they are.

        The first ones that are told together decide what the others must be.
        """

    def check(self, spec: Spec) -> None:
        """Check that a kernel can be had on the workers' hosts; raises SpecError."""

    def label(self, order: Order, host: str) -> str:
        """Return what the lines of a step begin with."""

    def make(self, ask: Ask, host: str, order: Order) -> StepResult:
        """Carry out a step on ``host`` by means of ``ask``; raises Lost, Unable."""


@dataclass(eq=False)
class _Worker:
    address: str
    id: str
    host: str
    came: float = field(default_factory=time.monotonic)
    told: tuple[object] | None = None  # what it says that it is
    admitted: bool = False
    refused: bool = False
    gone: bool = False
    slow: bool = False
    step: _Step | None = None  # what it carries out
    call: Call | None = None  # what it is asked

    @property
    def usable(self) -> bool:
        """Whether it is, or may be, good for steps."""
        return not (self.refused or self.gone)

    def interrupt(self, error: Exception) -> None:
        """End the call that waits for this worker, if there is one."""
        if (call := self.call) is not None:
            call.end(error)


@dataclass(eq=False)
class _Step:
    """A step that a cluster has, or will have."""

    order: Order
    owner: Cluster
    promise: Future[StepResult] = field(default_factory=Future)
    lost: int = 0
    unable: int = 0
    failed: StepResult | None = None  # what the last host that was unable made of it
    cancelled: bool = False

    def result(self) -> StepResult:
        """Wait for the step, and return its result."""
        try:
            return self.promise.result()
        except (KeyboardInterrupt, Terminated) as stopped:
            return StepResult(Stage.NOT_MADE, problem=step.why(stopped))

    def cancel(self) -> None:
        """Do not begin the step, or end it."""
        self.owner.drop(self)


class Cluster:
    """The workers that a Dask client knows."""

    def __init__(self, distributed: Any, client: Any, workers: int, trip: Trip) -> None:
        self.workers = workers
        self._distributed, self._client, self._trip = distributed, client, trip
        self._topic = f"lines of {client.id}"
        self._lock = threading.RLock()
        self._changed = threading.Event()
        self._closed = False
        self._waiting: list[_Step] = []
        self._unsettled: set[_Step] = set()
        self._known: dict[str, _Worker] = {}  # by name and address
        self._why = ""  # what the last worker that could not be used lacked
        self._last_seen = time.monotonic()  # when there was a worker that can be used
        self._voting_since: float | None = None
        self._voted = False
        client.subscribe_topic(self._topic, _show)
        threading.Thread(target=self._oversee, daemon=True).start()

    def submit(self, spec: Spec, selection: Selection, name: str, *, again: bool = False) -> _Step:
        """Take on a step; messages call it ``name``. ``again``: earlier runs are not enough.

        Raises SpecError if it cannot be carried out elsewhere.
        """
        made = _Step(Order(spec, selection, name, unfinished.files(), again), self)
        self._trip.check(spec)
        with self._lock:
            self._unsettled.add(made)
            self._waiting.append(made)
        self._changed.set()
        return made

    def drop(self, unwanted: _Step) -> None:
        """Do not begin a step, or end it."""
        with self._lock:
            unwanted.cancelled = True
            self._unsettled.discard(unwanted)
            if unwanted in self._waiting:
                self._waiting.remove(unwanted)
            for one in self._known.values():
                if one.step is unwanted:
                    one.interrupt(_Cancelled())

    def close(self) -> None:
        """End all that runs, and look after workers no more."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            for one in self._known.values():
                one.interrupt(_Cancelled())
        self._changed.set()

    def _oversee(self) -> None:
        """Look at the workers, and give steps to those that are idle, until the job ends."""
        failing_since: float | None = None
        while not self._closed:
            try:
                self._look()
                self._admit()
                self._assign()
                failing_since = None
            except Exception as error:  # a link may break, and be there again
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > TO_CONNECT:
                    self._give_up(_without_scheduler(error))
                    return
            self._changed.wait(POLL)
            self._changed.clear()

    def _look(self) -> None:
        """Notice workers that came, and those that went."""
        if self._client.status != "running":
            raise ConnectionError
        there = {
            f"{about['name']} at {address}": (address, about["name"])
            for address, about in present(self._client).items()
        }
        with self._lock:
            for id_ in self._known.keys() - there.keys():
                gone = self._known.pop(id_)
                gone.gone = True
                gone.interrupt(Lost(f"{gone.host} is gone"))
            fresh = [
                _Worker(address, id_, str(name))
                for id_, (address, name) in there.items()
                if id_ not in self._known
            ]
            self._known |= {one.id: one for one in fresh}
        for one in fresh:
            threading.Thread(target=self._ask_what_it_is, args=(one,), daemon=True).start()

    def _ask_what_it_is(self, one: _Worker) -> None:
        try:
            told = self._trip.describe(one.address)
        except Exception as error:  # it is gone again, or cannot make a guest's root, say
            with self._lock:
                self._refuse(one, str(error) or type(error).__name__)
        else:
            with self._lock:
                if why := self._trip.refuses(told):
                    self._refuse(one, why)
                else:
                    one.told = (told,)
        self._changed.set()

    def _admit(self) -> None:
        """Use the workers that said what they are, unless they differ from the others."""
        now = time.monotonic()
        with self._lock:
            those = [one for one in self._known.values() if one.usable and not one.admitted]
            for one in those:
                if one.told is None and now - one.came > TO_TELL:
                    self._refuse(one, f"it did not say in {TO_TELL / 60:.0f} min what it is")
                elif one.told is None and now - one.came > TO_VOTE and not one.slow:
                    one.slow = True
                    _show_line(f"{one.host} does not say yet what it is; a new one makes a root")
            answered = {one.host: one for one in those if one.told is not None}
            if not answered:
                self._voting_since = None
                return
            self._voting_since = self._voting_since or now
            missing = any(one.told is None and one.usable for one in those)
            if not self._voted and missing and now - self._voting_since < TO_VOTE:
                return
            self._voted = True
            told = {host: one.told[0] for host, one in answered.items() if one.told is not None}
            for host, why in self._trip.admit(told).items():
                if why:
                    self._refuse(answered[host], why)
                else:
                    answered[host].admitted = True

    def _refuse(self, one: _Worker, why: str) -> None:
        if not self._closed and not one.gone:
            one.refused = True
            self._why = f"{one.host}: {why}"
            _show_line(f"{one.host} is not used: {why}")

    def _assign(self) -> None:
        with self._lock:
            if self._others():
                self._last_seen = time.monotonic()
            elif time.monotonic() - self._last_seen > NO_WORKERS:
                why = f"; {self._why}" if self._why else ""
                self._fail(f"for {NO_WORKERS:.0f} s there has been no worker to use{why}")
            for one in self._known.values():
                if self._waiting and one.usable and one.admitted and one.step is None:
                    one.step = self._waiting.pop(0)
                    threading.Thread(target=self._carry, args=(one,), daemon=True).start()

    def _carry(self, one: _Worker) -> None:
        """Carry out the step of a worker; another worker gets it if this one is lost."""
        doing = one.step
        assert doing is not None
        again = False
        try:
            self._settle(doing, self._trip.make(self._ask(one, doing), one.host, doing.order))
        except LinkLost as error:
            again = True
            _show_line(f"[{doing.order.name}] {error}; it is made again")
        except (Lost, ChildDied) as error:
            doing.lost += 1
            again = doing.lost < TRIES
            if self._closed or doing.cancelled:
                pass  # nobody waits for it
            elif again:
                _show_line(f"[{doing.order.name}] {error}; another worker makes it")
            else:
                problem = f"{TRIES} workers died of this step"
                self._settle(doing, StepResult(Stage.NOT_MADE, problem=problem))
            if isinstance(error, Lost):
                self._look_again_at(one)
        except Unable as error:
            doing.unable += 1
            doing.failed = error.result
            again = doing.unable < TRIES
            with self._lock:
                self._refuse(one, str(error))
            if not again:
                self._settle(doing, error.result)
        except _Cancelled:
            pass
        except Exception as error:
            with contextlib.suppress(InvalidStateError):
                doing.promise.set_exception(error)
        finally:
            with self._lock:
                one.step = None
                if again and not (self._closed or doing.cancelled):
                    self._waiting.insert(0, doing)
        self._changed.set()

    def _look_again_at(self, one: _Worker) -> None:
        """Take a worker that was lost for a new one, if it is there after all."""
        with self._lock:
            one.gone = True
            if self._known.get(one.id) is one:
                del self._known[one.id]

    def _others(self) -> bool:
        """Return whether there is a worker that may be used."""
        return any(one.usable for one in self._known.values())

    def _ask(self, one: _Worker, doing: _Step) -> Ask:
        label = self._trip.label(doing.order, one.host)

        def ask(task: Callable[..., Any], *arguments: object) -> Any:
            what = packed(self._topic, label, task, *arguments)
            with self._lock:
                if self._closed or doing.cancelled:
                    raise _Cancelled
                if one.gone:
                    raise Lost(f"{one.host} is gone")
                one.call = Call(self._distributed, self._client, one.address, what)
            try:
                return one.call.result()
            finally:
                one.call = None

        return ask

    def _give_up(self, why: str) -> None:
        """Make nothing of all steps: no worker can be reached any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for one in self._known.values():
                one.interrupt(_Cancelled())
            for step_ in [*self._unsettled]:
                self._settle(step_, StepResult(Stage.NOT_MADE, problem=why))

    def _fail(self, why: str) -> None:
        """Make nothing of the steps that wait."""
        for one in self._waiting:
            self._settle(one, one.failed or StepResult(Stage.NOT_MADE, problem=why))
        self._waiting.clear()

    def _settle(self, one: _Step, result: StepResult) -> None:
        with self._lock:
            self._unsettled.discard(one)
            with contextlib.suppress(InvalidStateError):
                one.promise.set_result(result)


def present(client: Any) -> dict[str, dict[str, Any]]:
    """Return what the scheduler of a Dask client knows of each worker, by address.

    The client's own ``scheduler_info()`` shares its answer with a timer that asks for no workers.
    """
    found: dict[str, dict[str, Any]] = client.sync(client.scheduler.identity, n_workers=-1)[
        "workers"
    ]
    return found


def _without_scheduler(error: Exception) -> str:
    lost = "the cluster has lost its scheduler"
    said = str(error)
    return f"{lost}: {said}" if said and not isinstance(error, ConnectionError) else lost


def _show(event: tuple[float, str]) -> None:
    """Show a line of a step, which a worker sent."""
    _show_line(event[1])


def _show_line(line: str) -> None:
    """Print one line; several steps cannot each have the terminal's last one."""
    sys.stderr.write(f"{untrusted.clean_line(line)}\n")
    sys.stderr.flush()
