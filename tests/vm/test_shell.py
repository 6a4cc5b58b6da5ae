# SPDX-License-Identifier: GPL-2.0-only
"""A shell in a guest: with one command, and with a person at a terminal."""

from __future__ import annotations

import os
import pty
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

from fixtures.machine import MachineSpec
from fixtures.paths import CHECKOUT
from fixtures.plugin.run import Run
from tests.unit.tools import needs
from tests.vm.conftest import NEW
from tests.vm.test_machine import boot
from tests.vm.test_survival import a_checkout

SHELL = [sys.executable, "-m", "workflows.shell", "--drivers=mtty,mlx5"]
LIMIT = 120.0  # seconds


def test_a_command_that_a_signal_ends_is_no_lost_guest() -> None:
    done = subprocess.run(
        [*SHELL, "--cmd=kill -9 $$"], cwd=CHECKOUT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: a signal ended the command"


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
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # the other end has closed
            break
    assert words in seen, seen.decode()
    return seen


def test_a_person_has_a_terminal_in_the_guest() -> None:
    child, terminal = pty.fork()
    if not child:
        os.chdir(CHECKOUT)
        os.execv(SHELL[0], SHELL)
    said = read_to(terminal, b"root@127.0.0.1").decode()
    assert re.search(
        r"mtty: [0-9a-f-]{36}\r\n    nodes: /dev/vfio/\d+ /dev/vfio/devices/vfio\d+\r", said
    )
    assert "/sys/kernel/debug/vfio-double/mlx5/0000:01:00.1/" in said
    assert "ssh -i " in said
    read_to(terminal, b"# ")
    os.write(terminal, b"echo $((6*7))-is; tty\n")
    assert b"/dev/pts/" in read_to(terminal, b"42-is\r\n/dev/pts/")
    os.write(terminal, b"exit\n")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_failure_opens_a_shell_in_its_machine(tmp_path: Path) -> None:
    checkout = a_checkout(tmp_path, ["fail"])
    options = ["-n0", "--shell-on-failure", "--driver=misbehave", f"--kernel={NEW}"]
    child, terminal = pty.fork()
    if not child:
        os.chdir(checkout)
        argv = [sys.executable, "-m", "pytest", "suites", "-k", "test_it", *options]
        os.execve(argv[0], argv, os.environ | {"MISDEEDS": "fail"})
    said = read_to(terminal, b"root@127.0.0.1")
    assert b"without evidence from the kernel" in said
    read_to(terminal, b"# ")
    os.write(terminal, b"ls /sys/kernel/debug/ | grep misbehave; exit\n")
    read_to(terminal, b"vfio-misbehave\r\n")
    read_to(terminal, b"1 failed")
    os.waitpid(child, 0)


def test_the_debugger_of_pytest_reaches_the_guest(tmp_path: Path) -> None:
    checkout = a_checkout(tmp_path, ["fail"])
    options = ["-n0", "--retries=0", "--pdb", "--driver=misbehave", f"--kernel={NEW}"]
    child, terminal = pty.fork()
    if not child:
        os.chdir(checkout)
        argv = [sys.executable, "-m", "pytest", "suites", "-k", "test_it", *options]
        os.execve(argv[0], argv, os.environ | {"MISDEEDS": "fail"})
    read_to(terminal, b"(Pdb) ")
    os.write(terminal, b"session.state().name + '!'\n")
    read_to(terminal, b"'RUNNING!'")
    os.write(terminal, b"continue\n")
    read_to(terminal, b"1 failed")
    os.waitpid(child, 0)


@needs("ssh")
def test_another_terminal_reaches_the_guest(run: Run, tmp_path: Path) -> None:
    machine = boot(run, tmp_path)
    try:
        argv = [*shlex.split(machine.ssh_command), "uname -r; exit 3"]
        done = subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=LIMIT)
    finally:
        machine.stop()
    assert (done.stdout, done.returncode) == (f"{run.prepare().kernel.release}\n", 3), done.stderr


def test_gdb_can_attach(run: Run, tmp_path: Path) -> None:
    machine = boot(run, tmp_path, spec=MachineSpec(run.prepare().machine["accelerator"], gdb=True))
    try:
        with socket.socket(socket.AF_UNIX) as gdb:
            gdb.settimeout(10)
            gdb.connect(f"{machine._private}/qemu/gdb")
            gdb.sendall(b"$?#3f")
            assert b"$T" in gdb.recv(64)
    finally:
        machine.stop()
