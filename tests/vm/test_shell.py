# SPDX-License-Identifier: GPL-2.0-only
"""A shell in a guest: one command, and a person at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

from fixtures.paths import CHECKOUT

SHELL = [sys.executable, "-m", "workflows.shell", "--drivers=mtty,mlx5"]
LIMIT = 120.0  # seconds


def test_a_command_runs_in_the_guest() -> None:
    command = "ls /sys/kernel/debug/vfio-double/mlx5; echo words >&2; exit 3"
    done = subprocess.run(
        [*SHELL, f"--cmd={command}"], cwd=CHECKOUT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.split() == ["0000:01:00.1", "0000:01:00.2"]
    assert "words" in done.stderr


def test_a_guest_that_dies_ends_it_with_a_line() -> None:
    done = subprocess.run(
        [*SHELL, "--cmd=echo c > /proc/sysrq-trigger"],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert "the guest is lost: the kernel died: " in done.stderr


def read_to(terminal: int, words: bytes) -> bytes:
    """Return the output up to ``words``."""
    seen, ends = b"", time.monotonic() + LIMIT
    while words not in seen and time.monotonic() < ends:
        seen += os.read(terminal, 4096)
    assert words in seen
    return seen


def test_a_person_has_a_terminal_in_the_guest() -> None:
    child, terminal = pty.fork()
    if not child:
        os.chdir(CHECKOUT)
        os.execv(SHELL[0], SHELL)
    said = read_to(terminal, b"root@127.0.0.1").decode()
    assert "mtty: " in said
    assert "/sys/kernel/debug/vfio-double/mlx5/0000:01:00.1/" in said
    assert "ssh -i " in said
    read_to(terminal, b"# ")
    os.write(terminal, b"echo $((6*7))-is; tty\n")
    assert b"/dev/pts/" in read_to(terminal, b"42-is\r\n/dev/pts/")
    os.write(terminal, b"exit\n")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
