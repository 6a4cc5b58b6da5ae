# SPDX-License-Identifier: GPL-2.0-only
"""What a worker on another host does for a job. It has a checkout and a cache of its own.

Each function is called in a process of its own (``child.py``).
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fixtures.kernel import make, parse, source
from fixtures.kernel.spec import RefSpec, Spec
from fixtures.progress import Progress
from workflows import step
from workflows.cluster import history
from workflows.cluster.host import Host, this
from workflows.step import Selection, Stage


@dataclass(frozen=True)
class Parcel:
    """A step, in words that mean the same on each host.

    The kernel is ``commit``, of a tree, or ``text``. ``environment`` has the variables that are
    meant for the kernel's build.
    """

    text: str
    commit: str
    selection: Selection
    name: str
    environment: Mapping[str, str]
    again: bool = False

    def spec(self) -> Spec:
        """Return the kernel, on this host."""
        if self.commit:
            return RefSpec.of_commit(history.repository(), self.commit)
        return parse(self.text)


@dataclass(frozen=True)
class Delivery:
    """What became of a step.

    ``runs`` is an archive (tar, gzip) with a folder for each of its runs, b"" without any.
    ``tree`` and ``worktree`` are paths of this host that ``problem`` may name.
    """

    stage: Stage
    problem: str
    runs: bytes
    tree: Path
    worktree: Path


def describe(environment: Mapping[str, str]) -> Host:
    """Return what this host is.

    Raises RunError.
    """
    _use(environment)
    return this()


def key_of(parcel: Parcel) -> str:
    """Return the name of the step's folder, on all hosts that do not differ.

    Raises RunError.
    """
    _use(parcel.environment)
    return step.key_of(parcel.spec(), parcel.selection, Progress())


def carry_out(parcel: Parcel) -> Delivery:
    """Carry out a step."""
    _use(parcel.environment)
    done = step.run_or_tell(
        parcel.spec(), parcel.selection, parcel.name, Progress(), again=parcel.again
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for folder in done.runs:
            archive.add(folder, folder.name)
    tree = history.repository()
    runs = packed.getvalue() if done.runs else b""
    return Delivery(done.stage, done.problem, runs, tree, source.worktree_folder(tree))


def _use(environment: Mapping[str, str]) -> None:
    """Let this process build as the job's host would."""
    for name in make.ASKED:
        os.environ.pop(name, None)
    os.environ.update(environment)
