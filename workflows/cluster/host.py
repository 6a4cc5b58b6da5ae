# SPDX-License-Identifier: GPL-2.0-only
"""What decides a verdict beside the kernel: hosts that differ in it judge no common job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from fixtures import cache, suite
from fixtures.kernel import make
from workflows import step


@dataclass(frozen=True)
class Host:
    """A host that carries out steps.

    ``suites`` is the digest of the suites, and of the jobs, which talk to each other; ``dask`` is
    the version of Dask distributed. They are as the job's. ``traits`` are other versions, by the
    name of the software.
    """

    suites: str
    commit: str
    dask: str
    traits: Mapping[str, str]

    def refused_by(self, job: Host) -> str:
        """Return why this host can do nothing for ``job``, "" if it can."""
        if self.suites != job.suites:
            there = f" (commit {self.commit[:12]})" if self.commit else ""
            here = f" commit {job.commit[:12]}" if job.commit else " the same"
            return f"its suites{there} are not those of this job; check out{here} there"
        if self.dask != job.dask:
            return f"its Dask distributed is {self.dask}, not {job.dask}"
        return ""

    def differs_from(self, other: Host) -> str:
        """Return in what this host differs from ``other``, "" if a verdict cannot show it."""
        names = sorted({*self.traits, *other.traits})
        pairs = [(name, self.traits.get(name, ""), other.traits.get(name, "")) for name in names]
        return "; ".join(
            f"its {name} is {mine or 'missing'}, not {theirs or 'missing'}"
            for name, mine, theirs in pairs
            if mine != theirs
        )


def job() -> Host:
    """Return what a job expects of each host."""
    about = suite.about()
    ours = cache.digest(suite.digest(), suite.digest_of("workflows"))
    return Host(ours, about.commit, metadata.version("distributed"), {})


def this() -> Host:
    """Return what this host is; its guest's root file system is built on first use.

    Raises RunError.
    """
    compiler, linker, *settings = make.toolchain()
    traits = step.traits() | {"compiler": compiler, "linker": linker}
    mine = job()
    return Host(mine.suites, mine.commit, mine.dask, traits | {"settings": " ".join(settings)})


def most_common(hosts: Mapping[str, Host]) -> Host:
    """Return a host of the kind that there is most of; names decide between equal numbers."""
    kinds = Counter(tuple(sorted(one.traits.items())) for one in hosts.values())
    return max(
        (hosts[name] for name in sorted(hosts)),
        key=lambda one: kinds[tuple(sorted(one.traits.items()))],
    )
