# SPDX-License-Identifier: GPL-2.0-only
"""A shell in a guest: a command's output and status, and refused requests."""

from __future__ import annotations

import io
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import paramiko
import pytest

from fixtures import ssh
from fixtures.errors import SpecError
from fixtures.machine import shell
from fixtures.paths import CHECKOUT
from workflows import check
from workflows import shell as make_shell


class Channel:
    """A channel whose other side does one step of ``script`` before each query of its status."""

    def __init__(self, script: list[tuple[bytes, bytes, bool]]) -> None:
        self._script: Iterator[tuple[bytes, bytes, bool]] = iter(script)
        self._now = (b"", b"", False)
        self.status_event = threading.Event()

    def settimeout(self, _: float | None) -> None: ...

    def shutdown_write(self) -> None: ...

    def exit_status_ready(self) -> bool:
        self._now = next(self._script, self._now)
        return self._now[2]

    def recv_ready(self) -> bool:
        return bool(self._now[0])

    def recv_stderr_ready(self) -> bool:
        return bool(self._now[1])

    def recv(self, _: int) -> bytes:
        part, self._now = self._now[0], (b"", *self._now[1:])
        return part

    def recv_stderr(self, _: int) -> bytes:
        part, self._now = self._now[1], (self._now[0], b"", self._now[2])
        return part

    def recv_exit_status(self) -> int:
        return 3


def test_output_that_comes_with_the_status_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel([(b"one ", b"", False), (b"", b"", False), (b"two", b"words", True)])
    monkeypatch.setattr(ssh, "start", lambda *_: channel)
    monkeypatch.setattr(select, "select", lambda *_: None)
    out, err = io.BytesIO(), io.BytesIO()
    connection: Any = paramiko.SSHClient()
    assert shell.run(connection, "x", out, err) == 3
    assert (out.getvalue(), err.getvalue()) == (b"one two", b"words")


def test_a_shell_without_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SpecError, match=r"a shell needs a terminal; CMD='...' runs one command"):
        make_shell.main([])


@pytest.mark.parametrize("option", ["shell-on-failure", "dump", "gdb"])
def test_a_switch_is_1_or_left_out(option: str) -> None:
    name = option.upper().replace("-", "_")
    with pytest.raises(SpecError, match=f"{name}=yes: it is 1, or left out"):
        check.main([f"--{option}=yes"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-n2"], "--shell-on-failure needs one process: leave out -n (JOBS=1)"),
        ([], "--shell-on-failure needs a terminal"),
    ],
)
def test_a_shell_on_failure_needs_one_process_and_a_terminal(
    options: list[str], words: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "suites/reinit", "--shell-on-failure", *options],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
