# SPDX-License-Identifier: GPL-2.0-only
"""Failing programs: which failures are the host's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fixtures import paths, process
from fixtures.errors import BuildError, NoSpace, RunError
from fixtures.guest import Answer
from fixtures.process import ProcessFailed
from fixtures.record import strace

PRINTS = 'printf "%s\\n" "$1"; exit 2'
COMPILER = "a.c:1:2: error: "
KILLED = "gcc: fatal error: Killed signal terminated program cc1"
FULL = "ld: final link failed: No space left on device"


def fails(tmp_path: Path, line: str, *, builds: bool) -> Exception:
    """Return the error for a program that prints ``line`` and fails."""
    with pytest.raises((RunError, ProcessFailed)) as caught:
        process.run(["sh", "-c", PRINTS, "sh", line], tmp_path / "log", builds=builds)
    return caught.value


@pytest.fixture
def _full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "is_full", lambda _: True)


@pytest.mark.usefixtures("_full")
@pytest.mark.parametrize(
    "line",
    [
        strace.show("write", {"fd": 7, "data": b"x"}, Answer(-1, 28)),
        "E   OSError: [Errno 28] No space left on device",
        FULL,
        KILLED,
        "make: *** [Makefile:1: x] Killed",
        "make: fork: Resource temporarily unavailable",
    ],
)
def test_what_a_program_that_builds_nothing_prints_says_nothing_of_the_host(
    tmp_path: Path, line: str
) -> None:
    assert isinstance(fails(tmp_path, line, builds=False), ProcessFailed)


@pytest.mark.usefixtures("_full")
@pytest.mark.parametrize(
    "line",
    [
        f'{COMPILER}stray "No space left on device"',
        f"{COMPILER}#error cannot: No space left on device",
        "    1 | #error cannot: No space left on device",
        f"{COMPILER}#error {KILLED}",
        f"    1 | #error {KILLED}",
        f"{COMPILER}#error x: Cannot allocate memory",
        "fs/x.c:3:1: warning: #warning out: Input/output error",
        f"{COMPILER}unknown type name 'foo'",
    ],
)
def test_a_diagnosis_of_source_says_nothing_of_the_host(tmp_path: Path, line: str) -> None:
    assert isinstance(fails(tmp_path, line, builds=True), ProcessFailed)


@pytest.mark.parametrize(
    "line",
    [
        FULL,
        "a.c:9:1: fatal error: error writing to /tmp/ccX.s: No space left on device",
        "{standard input}: Fatal error: can't write 12 bytes to section .text of a.o: "
        "'No space left on device'",
        "tar: x: Cannot write: Disk quota exceeded",
    ],
)
def test_a_build_for_which_there_is_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(process, "is_full", lambda place: place == tmp_path)
    error = fails(tmp_path, line, builds=True)
    assert isinstance(error, NoSpace)
    assert f"the file system of {tmp_path} (" in str(error)
    monkeypatch.setattr(process, "is_full", lambda place: place == Path("/somewhere"))
    monkeypatch.setenv("TMPDIR", "/somewhere")
    monkeypatch.setattr(process, "no_space", lambda place: NoSpace(str(place)))
    assert str(fails(tmp_path, line, builds=True)) == "/somewhere"


def test_space_that_is_there_again_is_not_blamed_on_what_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "is_full", lambda _: False)
    error = fails(tmp_path, FULL, builds=True)
    assert isinstance(error, RunError)
    assert not isinstance(error, (BuildError, NoSpace))
    assert f"there was no space for a while; start again: {FULL}" in str(error)


@pytest.mark.parametrize(
    "line",
    [
        KILLED,
        "collect2: fatal error: ld terminated with signal 9 [Killed]",
        "make[3]: *** [scripts/Makefile.build:287: fs/x.o] Killed",
        "clang: error: unable to execute command: Killed",
        "cc1: out of memory allocating 65536 bytes after a total of 1 bytes",
        "make: fork: Resource temporarily unavailable",
        "make[1]: vfork: Cannot allocate memory",
        "/bin/sh: 1: Cannot fork",
        "ld: vmlinux.o: Input/output error",
        "The bug is not reproducible, so it is likely a hardware or OS problem.",
    ],
)
def test_a_build_that_the_host_fails_is_not_the_kernels_fault(tmp_path: Path, line: str) -> None:
    error = fails(tmp_path, line, builds=True)
    assert isinstance(error, RunError)
    assert not isinstance(error, BuildError)
    assert line in str(error)
    assert "start again" in str(error)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, as Linux has it")
def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(NoSpace, match="no space left on the file system of"):
        process.run(["sh", "-c", "echo x"], tmp_path / "log")


def test_a_program_for_which_there_is_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("subprocess.Popen", fork)
    with pytest.raises(RunError, match="make: the host is short of memory, processes or files"):
        process.run(["make"], tmp_path / "log")


def test_a_file_system_with_little_room_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not process.is_full(tmp_path / "nowhere")
    monkeypatch.setattr(process, "ROOM", 0)
    assert not process.is_full(tmp_path)
    monkeypatch.setattr(process, "ROOM", 1 << 62)
    assert process.is_full(tmp_path)


def test_a_users_quota_that_is_used_up_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fallocate(*_: int) -> None:
        raise OSError(process.FULL[1], "Disk quota exceeded")

    monkeypatch.setattr(process, "ROOM", 0)
    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    assert process.is_full(tmp_path)


def test_what_is_set_for_other_builds_is_handed_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARCH", "CROSS_COMPILE", "KBUILD_OUTPUT", "KCONFIG_CONFIG", "HOSTCFLAGS", "CC"):
        monkeypatch.setenv(name, "other")
    for name in ("KCFLAGS", "LLVM", "DEBIAN_MIRROR", "http_proxy", "CARGO"):  # for a step's pytest
        monkeypatch.setenv(name, "kept")
    values = process.clean_environment().values()
    assert "other" not in values
    assert list(values).count("kept") == 5


def test_what_a_full_disk_is_left_for_is_said_of_a_folder_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    for place, advice in (
        (paths.cache() / "kernels", "or set XDG_CACHE_HOME to a folder with more space"),
        (tmp_path / "tmp", "or set TMPDIR to a folder with more space"),
        (tmp_path / "results/steps", "free some (a kernel needs about 3 GiB)"),  # in the checkout
    ):
        said = str(process.no_space(place))
        assert said.startswith(f"no space left on the file system of {place} (")
        assert said.endswith(advice)
