# SPDX-License-Identifier: GPL-2.0-only
"""make cache: the entries, and those that can be removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures import cache, durable, holding
from fixtures import kernel as kernels
from fixtures.errors import SpecError
from fixtures.kernel import source
from fixtures.kernel.spec import TreeSpec
from fixtures.plugin.prepared import Prepared
from fixtures.progress import Progress
from fixtures.record.results import Collector
from workflows import cache as command
from workflows import step
from workflows.step import Selection


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Private folders for the cache and for results; returns the latter."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(step, "STEPS", tmp_path / "results/steps")
    monkeypatch.setattr(durable, "flush_tree", lambda folder: None)
    with holding.only_here():
        yield tmp_path / "results"


def entries(kind: str, number: int) -> None:
    """Make entries that are not in use, named after their last use."""
    for when in range(number):
        folder = cache.place(kind, str(when))
        folder.mkdir(parents=True)
        os.utime(folder, (when, when))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("[!.]*")}


def test_the_table_has_every_kind_with_its_bound(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries("kernels", 3)
    holding.hold(cache.place("kernels", "1"))
    assert command.main([]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert set(cache.KEPT) <= set(rows)
    assert rows["kernels"][1] == "3"
    assert rows["kernels"][4] == "1"
    assert rows["kernels"][-1] == str(cache.KEPT["kernels"])
    assert rows["steps"][-1] == str(step.KEPT)
    assert rows["runs"][-1] == "all"


def test_what_is_named_is_removed_but_for_what_is_in_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    entries("kernels", 4)
    entries("build", 2)
    holding.hold(cache.place("kernels", "0"))
    assert command.main(["--prune=kernels", "--keep=1"]) == 0
    assert names(cache.place("kernels", "0").parent) == {"0"}  # the last one used: just now
    assert names(cache.place("build", "0").parent) == {"0", "1"}
    assert command.main(["--prune=kernels, build"]) == 0
    assert names(cache.place("kernels", "0").parent) == {"0"}
    assert names(cache.place("build", "0").parent) == set()
    assert "1 in use" in capsys.readouterr().out


def test_all_leaves_the_runs_alone(results: Path) -> None:
    entries("kernels", 1)
    with holding.only_here():
        Collector.begin(results, "debian:7.3")
    (results / "steps/0123456789abcdef").mkdir(parents=True)
    runs = names(results)
    assert command.main(["--prune=all"]) == 0
    assert names(cache.place("kernels", "0").parent) == set()
    assert names(results / "steps") == set()
    assert names(results) == runs


def test_the_latest_run_and_one_that_goes_on_stay(results: Path) -> None:
    with holding.only_here():
        old = Collector.begin(results, "old").folder
        latest = Collector.begin(results, "latest").folder
        (results / "steps").mkdir()
    going_on = Collector.begin(results, "goes-on").folder
    (results / "latest").unlink()
    (results / "latest").symlink_to(latest.name)
    for number, run in enumerate((latest, going_on, old)):
        os.utime(run, (number, number))
    assert command.main(["--prune=runs", "--keep=0"]) == 0
    assert names(results) == {"latest", latest.name, going_on.name, "steps"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--prune=kernles"], "PRUNE=kernles: no such kind; the kinds are all, kernels,"),
        (["--prune=kernels", "--keep=few"], "KEEP=few: is not a number"),
        (["--prune=kernels", "--keep=-1"], "KEEP=-1: is not a number"),
        (["--keep=3"], "PRUNE= is missing"),
        (["--prune=runs"], "add the number to keep"),
        (["--prune=all runs"], "add the number to keep"),
    ],
)
def test_what_makes_no_sense_removes_nothing(argv: list[str], said: str, results: Path) -> None:
    entries("kernels", 1)
    with pytest.raises(SpecError, match=said):
        command.main(argv)
    assert names(cache.place("kernels", "0").parent) == {"0"}


def test_what_cannot_be_removed_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries("kernels", 1)

    def rename(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", rename)
    assert command.main(["--prune=kernels"]) == 2
    assert "Operation not permitted" in capsys.readouterr().err


def test_an_interrupt_leaves_nothing_half_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    entries("kernels", 2)

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            command.main(["--prune=kernels"])
    assert names(cache.place("kernels", "0").parent) == {"0"}
    cache.prune("kernels", 1)
    assert [path.name for path in cache.place("kernels", "0").parent.iterdir()] == ["0"]


def test_steps_are_bounded_and_a_step_in_use_stays(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "KEPT", 2)
    for when in range(4):
        (step.STEPS / str(when)).mkdir(parents=True)
        os.utime(step.STEPS / str(when), (when, when))
    holding.hold(step.STEPS / "0")
    os.utime(step.STEPS / "0", (0, 0))
    step.make_folder(step.STEPS / "new")
    assert names(step.STEPS) == {"0", "3", "new"}


def test_a_job_holds_no_kernel_that_it_is_done_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def provide(*_: object) -> None:
        cache.entry("kernels", "key", lambda folder, lock: None, Progress())

    monkeypatch.setattr(kernels, "identity", lambda *_: "identity")
    monkeypatch.setattr(kernels, "provide", provide)
    monkeypatch.setattr(step, "_test", lambda *_: None)
    monkeypatch.setattr(step, "fingerprint", lambda: "suite")
    step.run(TreeSpec("linux", Path("linux")), Selection(), "linux", Progress())
    assert cache.prune("kernels", 0) == cache.Pruned(removed=1)


def test_a_worker_holds_the_kernel_and_the_root_that_it_boots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries("kernels", 1)
    entries("rootfs", 1)
    entries("vmms", 1)
    folder, root = cache.place("kernels", "0"), cache.place("rootfs", "0") / "root"
    vmm = cache.place("vmms", "0") / "root"
    (folder / "kernel.yaml").write_text(
        "{release: '7.3', features: [], lacking: {}, broken: {}, build: /, flavour: default,"
        " compiler: gcc, config: x}",
        encoding="utf-8",
    )
    Prepared.from_wire(
        {
            "kernel": {"spec": "x", "folder": str(folder)},
            "rootfs": str(root),
            "machine": {},
            "vmms": {"qemu": str(vmm)},
            "no_vmms": {},
        }
    )
    for kind in ("kernels", "rootfs", "vmms"):
        assert cache.prune(kind, 0).in_use == 1


def test_a_copy_of_a_tree_is_held_while_it_is_built(tmp_path: Path) -> None:
    tree = tmp_path / "linux"
    subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
    copy = source._mirror(tree)
    assert cache.prune("mirrors", 0).in_use == 1
    assert copy.is_dir()
