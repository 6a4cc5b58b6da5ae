# SPDX-License-Identifier: GPL-2.0-only
"""The cache: an entry is complete or missing, and has one maker at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures import cache, durable, holding
from fixtures.errors import RunError
from fixtures.progress import Progress

IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(durable, "flush_tree", lambda folder: None)  # the host's disk may be slow
    with holding.only_here():
        yield


def make_entries(number: int) -> None:
    """Make entries that are named after their last use, and are not in use now."""
    with holding.only_here():
        for when in range(number):
            folder = cache.entry("kind", str(when), lambda folder, lock: None, Progress())
            os.utime(folder, (when, when))


def left_in(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "vfio-conformance" / "kind").iterdir()}


def fill(folder: Path, _lock: int) -> None:
    with (folder / "made").open("a", encoding="utf-8") as made:
        made.write(f"{os.getpid()}\n")
    time.sleep(0.2)


def provide() -> Path:
    return cache.entry("kind", "key", fill, Progress())


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    assert provide() == provide()
    assert (provide() / "made").read_text(encoding="utf-8").count("\n") == 1


def test_runs_at_the_same_time_make_it_once() -> None:
    makers = [multiprocessing.get_context("fork").Process(target=provide) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0] * 4
    assert (provide() / "made").read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_what_fails_half_way_leaves_nothing(tmp_path: Path, failure: type) -> None:
    def fails(folder: Path, _lock: int) -> None:
        (folder / "half").touch()
        raise failure

    with pytest.raises(failure):
        cache.entry("kind", "key", fails, Progress())
    assert list((tmp_path / "vfio-conformance" / "kind").iterdir()) == []


def test_a_maker_that_was_killed_leaves_nothing_that_counts() -> None:
    maker = multiprocessing.get_context("fork").Process(target=provide)
    maker.start()
    time.sleep(0.1)
    maker.kill()
    maker.join()
    assert (provide() / "made").read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_a_full_disk_is_one_line() -> None:
    def fails(folder: Path, _lock: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match="no space left on the file system of") as caught:
        cache.entry("kind", "key", fails, Progress())
    assert "XDG_CACHE_HOME" in str(caught.value)


def test_a_cache_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(RunError, match="cannot write to the cache"):
        provide()


def test_only_the_most_recently_used_entries_stay(tmp_path: Path) -> None:
    make_entries(5)
    pruned = cache.prune("kind", 2)
    assert left_in(tmp_path) == {"3", "4"}
    assert pruned == cache.Pruned(removed=3)


def test_what_this_process_uses_is_not_pruned(tmp_path: Path) -> None:
    provide()
    make_entries(5)
    assert cache.prune("kind", 0) == cache.Pruned(removed=5, in_use=1)
    assert left_in(tmp_path) == {"key"}


def test_what_another_process_uses_is_not_pruned_until_it_is_killed(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()

    def use() -> None:
        provide()
        theirs.send("in use")
        time.sleep(60)

    user = multiprocessing.get_context("fork").Process(target=use)
    user.start()
    ours.recv()
    try:
        assert cache.prune("kind", 0).in_use == 1
    finally:
        user.kill()
        user.join()
    assert cache.prune("kind", 0).removed == 1
    assert left_in(tmp_path) == set()


def test_an_entry_that_is_removed_while_somebody_asks_for_it_is_made_again() -> None:
    with holding.only_here():
        folder = provide()
    with holding.unused(folder) as unused:
        assert unused
        user = threading.Thread(target=provide)
        user.start()
        time.sleep(0.2)  # the thread waits for the lock of the entry that is renamed now
        folder.rename(folder.with_name("aside"))
    user.join(10)
    assert not user.is_alive()
    assert folder.is_dir()


def test_a_time_in_the_future_is_no_time_of_use(tmp_path: Path) -> None:
    make_entries(3)
    future = time.time() + 1e6
    os.utime(tmp_path / "vfio-conformance/kind/0", (future, future))
    cache.prune("kind", 3)
    assert (tmp_path / "vfio-conformance/kind/0").stat().st_mtime < future - 1e5


def test_what_killed_makers_and_removers_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "vfio-conformance/kind"
    for name in (".other.partial", ".busy.partial", ".old.1a2b.removed"):
        (folder / name / "sub").mkdir(parents=True)
    with cache.locked("kind-busy", Progress()):  # it is being made right now
        cache.prune("kind", 2)
    assert left_in(tmp_path) == {".busy.partial"}


def test_a_lock_is_not_shared_with_one_that_was_pruned() -> None:
    with cache.locked("name", Progress()):
        assert cache.prune("locks", 0) == cache.Pruned(in_use=1)
    stale = os.open(cache.place("locks", "name"), os.O_RDWR)
    fcntl.flock(stale, fcntl.LOCK_EX)
    seen: list[bool] = []

    def take_and_look() -> None:
        with cache.locked("name", Progress()) as lock:
            seen.append(holding.is_at(lock, cache.place("locks", "name")))

    waiter = threading.Thread(target=take_and_look)
    waiter.start()
    time.sleep(0.2)
    (cache.place("locks", "name")).unlink()  # like prune, with the lock held
    os.close(stale)
    waiter.join(10)
    assert seen == [True]


def test_a_file_system_without_locks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(RunError, match=r"has no locks .*XDG_CACHE_HOME"):
        provide()


def test_an_entry_of_a_cache_that_is_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with holding.only_here():
        provide()

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("utime", "mkdir", "rename"):
        monkeypatch.setattr(os, name, read_only)
    assert provide().is_dir()
    with holding.only_here():
        pass
    cache.prune("kind", 0)
    assert provide().is_dir()


def test_a_folder_that_may_not_be_read_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, _: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "glob", refuse)
    with pytest.raises(RunError, match="kernels: cannot be read: Permission denied"):
        cache.by_use(cache.place("kernels", "x").parent)


def test_a_kind_that_another_user_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vfio-conformance").mkdir()
    (tmp_path / "vfio-conformance/kind").touch()
    with pytest.raises(RunError, match="cannot write to the cache"):
        provide()


def test_an_entry_is_on_the_disk_before_it_gets_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def flush_tree(folder: Path) -> None:
        assert (folder / "made").exists()
        assert not (folder.parent / "key").exists()
        seen.append("tree")

    def flush_names(folder: Path) -> None:
        assert (folder / "key").exists()
        seen.append("names")

    monkeypatch.setattr(durable, "flush_tree", flush_tree)
    monkeypatch.setattr(durable, "flush_names", flush_names)
    provide()
    assert seen == ["tree", "names"]


def test_a_build_that_a_power_cut_may_have_broken_begins_anew() -> None:
    with cache.work_folder("build", "key") as folder:
        (folder / "whole.o").touch()
    with contextlib.suppress(KeyboardInterrupt), cache.work_folder("build", "key") as folder:
        raise KeyboardInterrupt
    with cache.work_folder("build", "key") as folder:  # make can continue
        assert (folder / "whole.o").exists()
    with contextlib.suppress(KeyboardInterrupt), cache.work_folder("build", "key") as folder:
        (folder / ".changing").write_text("another boot of this host", encoding="utf-8")
        raise KeyboardInterrupt
    with cache.work_folder("build", "key") as folder:
        assert not (folder / "whole.o").exists()


def test_a_worktree_is_forgotten_by_its_repository(tmp_path: Path) -> None:
    repository, folder = tmp_path / "linux", cache.place("worktrees", "key")
    commands = [
        ["init", "--quiet", str(repository)],
        ["-C", str(repository), "commit", "--quiet", "--allow-empty", "-m", "one"],
        ["-C", str(repository), "worktree", "add", "--quiet", "--detach", str(folder)],
    ]
    for command in commands:
        subprocess.run(["git", *IDENTITY, *command], check=True)
    with cache.locked("source-key", Progress()):  # a build uses it
        assert cache.prune("worktrees", 0).in_use == 1
    assert cache.prune("worktrees", 0).removed == 1
    assert not folder.exists()
    assert not list((repository / ".git").glob("worktrees/*"))


def test_scratch_that_a_killed_run_left_is_removed() -> None:
    left = cache.place("scratch", "left")
    left.mkdir(parents=True)
    with cache.scratch() as mine:
        assert cache.prune("scratch", 0) == cache.Pruned(removed=1, in_use=1)
        assert mine.is_dir()
    assert not mine.exists()
