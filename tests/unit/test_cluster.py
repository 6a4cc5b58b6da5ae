# SPDX-License-Identifier: GPL-2.0-only
"""CLUSTER=: what it names, and the lines of several steps on one terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fixtures import git
from fixtures.errors import SpecError
from fixtures.paths import CHECKOUT
from fixtures.progress import Progress
from workflows import cluster
from workflows.cluster import history, ssh
from workflows.cluster.history import Have
from workflows.cluster.host import Host, most_common
from workflows.cluster.ssh import SshHost
from workflows.runner import Here


@pytest.mark.parametrize("text", ["2", "local", "local:0", "local:x", "http://head:1"])
def test_a_cluster_that_is_none(text: str) -> None:
    with (
        pytest.raises(SpecError, match=f"CLUSTER={text}: is neither local:N"),
        cluster.runner(text, Progress()),
    ):
        pass


def test_without_a_cluster_it_is_this_process() -> None:
    with cluster.runner("", Progress()) as runner:
        assert isinstance(runner, Here)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    with (
        pytest.raises(SpecError, match=r"CLUSTER= needs Dask distributed: \.venv/bin/pip install"),
        cluster.runner("local:2", Progress()),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory; it has a host in each line"),
        ("# none\n\n", "names no host"),
        ("a\nb c d\n", "line 2: is not HOST, or HOST and its checkout"),
        ("-oProxyCommand=x\n", "line 1: is not HOST"),
        ("a /srv/it's\n", "line 1: is not HOST"),
        ("a\nb\na /srv\n", "line 3: a is named twice"),
    ],
)
def test_a_file_of_hosts_that_is_none(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "hosts.txt"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=f"CLUSTER=ssh:{file}: {why}"):
        ssh.hosts(str(file))


def test_a_host_has_a_checkout_or_the_one_of_here(tmp_path: Path) -> None:
    file = tmp_path / "hosts.txt"
    file.write_text("me@a  # fast\nb '/srv/the suite'\n", encoding="utf-8")
    assert ssh.hosts(str(file)) == [
        SshHost("me@a", str(CHECKOUT)),
        SshHost("b", "/srv/the suite"),
    ]


def host(**traits: str) -> Host:
    return Host("suites", "c" * 40, "2026.8", traits)


def test_a_host_that_differs_says_in_what() -> None:
    one, other = host(QEMU="7.2", Python="3.11"), host(QEMU="10.0", Python="3.11", more="1")
    assert one.differs_from(one) == ""
    assert other.differs_from(one) == "its QEMU is 10.0, not 7.2; its more is 1, not missing"
    assert most_common({"c": other, "a": one, "b": one}) == one
    assert most_common({"b": other, "a": one}) == one  # by name


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (host(), ""),
        (host(QEMU="1"), ""),
        (Host("edited", "d" * 40, "2026.8", {}), "its suites (commit dddddddddddd) are not those"),
        (Host("suites", "c" * 40, "2026.7", {}), "its Dask distributed is 2026.7, not 2026.8"),
    ],
)
def test_a_host_whose_suites_are_others_is_refused(other: Host, why: str) -> None:
    assert other.refused_by(host()).startswith(why)
    assert bool(other.refused_by(host())) == bool(why)


# Commits that travel


def receive(commit: str, bundle: bytes) -> None:
    """Take in a bundle in two pieces, the first of them twice."""
    half = len(bundle) // 2
    for at, piece in ((0, bundle[:half]), (0, bundle[:half]), (half, bundle[half:])):
        history.append("name", at, piece)
    history.receive(commit, "name")


def received(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """Return the repository of a worker with ``cache``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return history.repository()


def test_a_bundle_has_what_the_other_host_lacks(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = git.git(tree, "for-each-ref"), sorted(tree.rglob("*"))
    base, tip = (git.git(tree, "rev-parse", name).strip() for name in ("base", "topic"))
    there = received(monkeypatch, tmp_path / "worker")
    assert history.have() == Have(there, [])
    receive(base, history.bundle(tree, base, history.have(), "host"))
    assert history.have().tips == [base]
    whole = history.bundle(tree, tip, Have(there, []), "host")
    second = history.bundle(tree, tip, history.have(), "host")
    assert len(second) < len(whole)
    receive(tip, second)
    assert git.git(there, "log", "--format=%H", tip) == git.git(tree, "log", "--format=%H", tip)
    assert history.bundle(tree, tip, history.have(), "host") == b""
    assert history.bundle(tree, base, Have(there, [tip]), "host") == b""
    assert history.bundle(tree, tip, Have(there, [tip, "a" * 40]), "host") == b""
    git.git(there, "fsck", "--strict", "--connectivity-only")
    assert (git.git(tree, "for-each-ref"), sorted(tree.rglob("*"))) == before


def test_a_history_that_cannot_travel(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = git.git(tree, "rev-parse", "topic").strip()
    monkeypatch.setattr(history, "MOST_COMMITS", 2)
    with pytest.raises(SpecError, match=r"host lacks 3 commits of .*; there, once: git -C /there"):
        history.bundle(tree, tip, Have(Path("/there"), []), "host")
    shallow = tmp_path / "shallow"
    git.git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tree}", str(shallow))
    with pytest.raises(SpecError, match=r"is a shallow clone, .* fetch --unshallow`"):
        history.check(shallow)


def test_the_history_of_a_partial_clone_travels(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git.git(tree, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "partial"
    options = ("--filter=blob:none", "--no-checkout", "--branch=topic")
    git.git(tmp_path, "clone", "--quiet", *options, f"file://{tree}", str(clone))
    there = received(monkeypatch, tmp_path / "worker")
    tip = git.git(tree, "rev-parse", "topic").strip()
    receive(tip, history.bundle(clone, tip, Have(there, []), "host"))
    git.git(there, "fsck", "--strict", tip)


def test_a_broken_bundle_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received(monkeypatch, tree.parent / "worker")
    with pytest.raises(git.GitFailed):
        receive("a" * 40, b"nonsense")
