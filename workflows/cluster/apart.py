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
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
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
from workflows.cluster.host import Host
from workflows.cluster.workers import Ask, Order, Unable
from workflows.step import Stage, StepResult


class Apart:
    """Each worker has a checkout and a cache of its own.

    ``describe`` asks workers, by their addresses, what they are, also those that are busy.
    """

    def __init__(
        self, cluster: str, describe: Callable[[list[str]], Mapping[str, Host | Exception]]
    ) -> None:
        self._cluster = cluster
        self._describe = describe
        self._lock = threading.Lock()
        self._like: Host | None = None  # what all hosts of this job are
        self._job = host.job()
        self._tips: dict[str, set[str]] = {}  # commits that a host has, by its name

    def admit(self, hosts: dict[str, Any]) -> dict[str, str]:
        """Return why a worker is not used, "" if it is, for each of the addresses ``hosts``.

        The first ones that are asked decide: the kind that there is most of is used.
        """
        told = self._describe(list(hosts))
        why = {
            address: one.refused_by(self._job) if isinstance(one, Host) else str(one)
            for address, one in told.items()
        }
        fit = {
            hosts[address]: one
            for address, one in told.items()
            if isinstance(one, Host) and not why[address]
        }
        with self._lock:
            if self._like is None and fit:
                self._like = host.most_common(fit)
            for address, one in told.items():
                if isinstance(one, Host) and not why[address]:
                    assert self._like is not None
                    why[address] = one.differs_from(self._like)
        return why

    def check(self, spec: Spec) -> None:
        """Check that a kernel can be had on the workers' hosts; raises SpecError."""
        if not isinstance(spec, RefSpec | DebianSpec):
            raise SpecError(
                f"{spec.text}: is a folder of this host; with CLUSTER={self._cluster} name a commit"
                " (TREE@REF), or debian:VERSION"
            )

    def label(self, order: Order, host: str) -> str:
        """Return the step's name, and the host."""
        return f"{order.name}, {host}"

    def make(self, ask: Ask, host: str, order: Order) -> StepResult:
        """Carry out a step on ``host`` by means of ``ask``, unless its result is here.

        Raises Lost, Unable.
        """
        spec = order.spec
        tree = spec.tree if isinstance(spec, RefSpec) else None
        commit = spec.commit if isinstance(spec, RefSpec) else ""
        parcel = Parcel(spec.text, commit, order.selection, order.name, order.again, make.asked())
        try:
            if tree is not None:
                self._send(ask, host, tree, commit)
            folder = step.STEPS / ask(away.key_of, parcel)
        except (BuildError, ConfigError) as error:
            return StepResult(Stage.DOES_NOT_BUILD, problem=str(error))
        except RunError as error:
            raise _unable(str(error)) from error
        # Another job of this host may wait for the same step.
        with cache.locked(f"awaited-{folder.name}", Progress()):
            try:
                step.make_folder(folder)
                with unfinished.noted_in(order.jobs):
                    unfinished.needs(folder)
                done = None if order.again else step.judged(folder)
                if done and not done.in_doubt:
                    say = f"[{order.name}] already judged, results in {done.folder}"
                    print(say, file=sys.stderr, flush=True)
                    return done
                delivery: Delivery = ask(away.carry_out, parcel)
                runs = _unpacked(delivery.runs, folder, host)
            except RunError as error:  # this host's disk is full, say
                return StepResult(Stage.NOT_MADE, problem=str(error))
        result = StepResult(delivery.stage, runs, _ours(delivery, tree))
        if result.stage is Stage.NOT_MADE:
            raise Unable(result.problem, result)
        return result

    def _send(self, ask: Ask, host: str, tree: Path, commit: str) -> None:
        """Send ``commit`` of ``tree`` to ``host``, unless it is there."""
        there = self._tips.setdefault(host, set())
        if not there:
            there.update(ask(history.tips))
        if commit in there:
            return
        if packed := history.bundle(tree, commit, sorted(there), host):
            ask(history.receive, commit, packed)
        there.add(commit)


def _unable(why: str) -> Unable:
    return Unable(why, StepResult(Stage.NOT_MADE, problem=why))


def _unpacked(archive: bytes, folder: Path, host: str) -> dict[Path, Any]:
    """Put the runs of an archive in a step's ``folder``, and return all results there.

    Raises RunError if they cannot be written.
    """
    if not archive:
        return {}
    try:
        incoming = holding.make_folder(folder, ".incoming-")
        try:
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
                packed.extractall(incoming, filter="data")
            for run in incoming.iterdir():
                (run / step.MADE_BY).write_text(f"{host}\n", encoding="utf-8")
                with suppress(OSError):  # it is here: the worker is on this host
                    run.rename(folder / run.name)
        finally:
            holding.release(incoming)
            shutil.rmtree(incoming, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from error
    return step.runs_in(folder)


def _ours(delivery: Delivery, tree: Path | None) -> str:
    """Return the problem of a step, with paths of this host in place of the worker's."""
    if tree is None:
        return delivery.problem
    worktree = str(source.worktree_folder(tree))
    return delivery.problem.replace(str(delivery.worktree), worktree).replace(
        str(delivery.tree), str(tree)
    )
