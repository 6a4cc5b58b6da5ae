# SPDX-License-Identifier: GPL-2.0-only
"""The cache: whole entries or none, one maker at a time."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from fixtures import cache
from fixtures.errors import RunError
from fixtures.progress import Progress


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def fill(folder: Path, _lock: int) -> None:
    with (folder / "made").open("a") as made:
        made.write(f"{os.getpid()}\n")
    time.sleep(0.2)


def provide() -> Path:
    return cache.entry("kind", "key", fill, Progress())


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    assert provide() == provide()
    assert (provide() / "made").read_text().count("\n") == 1


def test_runs_at_the_same_time_make_it_once() -> None:
    makers = [multiprocessing.get_context("fork").Process(target=provide) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0] * 4
    assert (provide() / "made").read_text().count("\n") == 1


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
    assert (provide() / "made").read_text() == f"{os.getpid()}\n"


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
    for number in range(5):
        folder = cache.entry("kind", str(number), lambda folder, lock: None, Progress())
        os.utime(folder, (number, number))
    cache.prune("kind", 2)
    left = {path.name for path in (tmp_path / "vfio-conformance" / "kind").iterdir()}
    assert left == {"3", "4"}
