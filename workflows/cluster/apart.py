# SPDX-License-Identifier: GPL-2.0-only
"""Workers on other hosts: commits travel to them, and the folders of finished runs back.

The head keeps the results, in ``results/steps`` and under the name that a worker's own would have,
so that the same command makes no step twice, whichever worker made it.
"""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fixtures import cache, holding
from fixtures.errors import BuildError, ConfigError, RunError, SpecError
from fixtures.kernel import make, source
from fixtures.kernel.spec import DebianSpec, RefSpec, Spec
from fixtures.progress import Progress
from workflows import step, unfinished
from workflows.cluster import away, history, host
from workflows.cluster.away import Delivery, Parcel
from workflows.cluster.history import Have
from workflows.cluster.host import Host
from workflows.cluster.workers import Ask, Order, Unable
from workflows.step import Stage, StepResult

STAMP = "%Y%m%d-%H%M%S"  # begins the name of a run's folder


class Apart:
    """Each worker has a checkout and a cache of its own.

    ``cluster`` is what CLUSTER= names; ``ask`` asks a worker, by its address, what it is.
    """

    def __init__(self, cluster: str, ask: Callable[[str], Host]) -> None:
        self._cluster, self._ask = cluster, ask
        self._like: Host | None = None  # what all hosts of this job are
        self._job = host.job()
        self._have: dict[str, Have] = {}  # commits, by the host's name

    def describe(self, address: str) -> object:
        """Return what the worker at ``address`` is; raises what asking it raises."""
        return self._ask(address)

    def refuses(self, told: object) -> str:
        """Return why a host can do nothing for this job, whatever the others are; "" if it can."""
        if not isinstance(told, Host):
            return "it does not say what it is"
        return told.refused_by(self._job)

    def admit(self, told: Mapping[str, object]) -> dict[str, str]:
        """Return why a host is not used, "" if it is, by the names of ``told``.

        The first ones that are told together decide: the kind that there is most of is used.
        """
        hosts = {name: one for name, one in told.items() if isinstance(one, Host)}
        if self._like is None:
            self._like = host.most_common(hosts)
        return {name: one.differs_from(self._like) for name, one in hosts.items()}

    def check(self, spec: Spec) -> None:
        """Check that a kernel can be had on the workers' hosts; raises SpecError."""
        if not isinstance(spec, RefSpec | DebianSpec):
            raise SpecError(
                f"{spec.text}: is a folder of this host; with CLUSTER={self._cluster} name a commit"
                " (TREE@REF), or debian:VERSION"
            )
        if isinstance(spec, RefSpec):
            history.check(spec.tree)

    def label(self, order: Order, host: str) -> str:
        """Return the step's name, and the host."""
        return f"{order.name}, {host}"

    def make(self, ask: Ask, host: str, order: Order) -> StepResult:
        """Carry out a step on ``host`` by means of ``ask``, unless its result is here.

        Raises Lost, Unable.
        """
        try:
            return self._make(_blaming(ask), host, order)
        except (BuildError, ConfigError) as error:
            return StepResult(Stage.DOES_NOT_BUILD, problem=str(error))
        except (RunError, OSError) as error:  # of this host: its disk is full, say
            return StepResult(Stage.NOT_MADE, problem=str(error))

    def _make(self, ask: Ask, host: str, order: Order) -> StepResult:
        spec = order.spec
        tree = spec.tree if isinstance(spec, RefSpec) else None
        commit = spec.commit if isinstance(spec, RefSpec) else ""
        if tree is not None:
            self._send(ask, host, tree, commit)
        parcel = Parcel(spec.text, commit, order.selection, order.name, make.asked())
        folder = step.STEPS / ask(away.key_of, parcel)
        # Another job of this host may wait for the same step.
        with cache.locked(f"awaited-{folder.name}", Progress()):
            step.make_folder(folder)
            unfinished.note(order.jobs[-1:], folder)
            earlier = step.runs_in(folder)
            done = None if order.again else step.judged_by(earlier)
            if done and not done.in_doubt:
                say = f"[{order.name}] already judged, results in {done.folder}"
                print(say, file=sys.stderr, flush=True)
                return done
            # Runs that are here and not enough are not enough there, either.
            parcel = replace(parcel, again=order.again or bool(earlier))
            delivery: Delivery = ask(away.carry_out, parcel)
            runs = _unpacked(delivery, folder, host)
        result = StepResult(delivery.stage, runs, _ours(delivery, tree, host), host)
        if result.stage is Stage.NOT_MADE:
            raise Unable(result.problem, result)
        return result

    def _send(self, ask: Ask, host: str, tree: Path, commit: str) -> None:
        """Send ``commit`` of ``tree`` to ``host``, unless it is there."""
        if host not in self._have:
            self._have[host] = ask(history.have)
        have = self._have[host]
        if commit not in have.tips:
            try:
                packed = history.bundle(tree, commit, have, host)
            except history.TooMuch as error:
                raise _unable(str(error)) from error
            if packed:
                name = uuid.uuid4().hex
                for at in range(0, len(packed), history.PIECE):
                    ask(history.append, name, at, packed[at : at + history.PIECE])
                ask(history.receive, commit, name)
            self._have[host] = replace(have, tips=[*have.tips, commit])


def _blaming(ask: Ask) -> Ask:
    """Return ``ask``, which raises Unable where it is the worker's host that fails."""

    def asked(*what: Any) -> Any:
        try:
            return ask(*what)
        except (BuildError, ConfigError):  # the kernel's fault
            raise
        except RunError as error:
            raise _unable(str(error)) from error

    return asked


def _unable(why: str) -> Unable:
    return Unable(why, StepResult(Stage.NOT_MADE, problem=why))


def _unpacked(delivery: Delivery, folder: Path, host: str) -> dict[Path, Any]:
    """Put the runs of a delivery in a step's ``folder``, and return all results there.

    The clocks of hosts differ, and the newest run counts most: so the runs get new names, by the
    clock of this host, in their order. Those that came before are left out.

    Raises RunError if they cannot be written, or do not have what the delivery says.
    """
    if not delivery.runs:
        return {}
    before = {_origin(path) for path in folder.glob(f"*/{step.MADE_BY}")}
    stamp, number, fresh = time.strftime(STAMP), len(before), 0
    try:
        incoming = holding.make_folder(folder, ".incoming-")
        try:
            with tarfile.open(fileobj=io.BytesIO(delivery.runs), mode="r:gz") as packed:
                packed.extractall(incoming, filter="data")
            for run in sorted(incoming.iterdir()):
                origin = f"{host} {run.name}"
                if origin not in before:
                    (run / step.MADE_BY).write_text(f"{origin}\n", encoding="utf-8")
                    number, fresh = number + 1, fresh + 1
                    run.rename(folder / f"{stamp}-{number:03}-{run.name}")
        finally:
            holding.release(incoming)
            shutil.rmtree(incoming, ignore_errors=True)
    except (OSError, tarfile.TarError) as error:
        raise RunError(f"{folder}: the runs of {host} cannot be kept: {error}") from error
    runs = step.runs_in(folder)
    if delivery.stage is Stage.JUDGED and not (step.judged_by(runs) and fresh):
        raise RunError(f"{folder}: {host} sent no complete run of a step that it judged")
    return runs


def _origin(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _ours(delivery: Delivery, tree: Path | None, host: str) -> str:
    """Return the problem of a step, with paths of this host in place of the worker's.

    Where it ends with a log, which stays on ``host``, it says so.
    """
    problem = delivery.problem
    if step.names_a_log(problem):
        problem = f"{problem}, on {host}"
    if tree is None:
        return problem
    worktree = str(source.worktree_folder(tree))
    return problem.replace(str(delivery.worktree), worktree).replace(str(delivery.tree), str(tree))
