# SPDX-License-Identifier: GPL-2.0-only
"""The machine: its connections, and the report of its death."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.errors import BootError, GuestError, HostFailed, KernelDied
from fixtures.guest import Guest
from fixtures.machine import Machine, MachineSpec, machine
from fixtures.machine.keys import KeyPair
from fixtures.plugin.run import Run
from fixtures.progress import Progress


def boot(
    run: Run, folder: Path, rootfs: Path | None = None, spec: MachineSpec | None = None
) -> Machine:
    prepared = run.prepare()
    return Machine.boot(
        prepared.kernel,
        rootfs or prepared.rootfs,
        folder,
        spec or MachineSpec(prepared.machine["accelerator"]),
        Progress(),
    )


@pytest.fixture
def booted(run: Run, tmp_path: Path) -> Iterator[Machine]:
    """A machine that a test may kill."""
    machine = boot(run, tmp_path)
    yield machine
    machine.stop()


def test_the_kernels_log_rides_along(guest: Guest) -> None:
    answer = guest.call("write_file", path="/dev/kmsg", data=b"<4>hello from the test\n")
    assert any("hello from the test" in line for line in answer.log)


def test_the_memory_of_a_dead_kernel_is_kept(run: Run, tmp_path: Path) -> None:
    spec = MachineSpec(run.prepare().machine["accelerator"], dump=True)
    machine = boot(run, tmp_path / "one", spec=spec)
    try:
        guest = Guest(machine)
        with pytest.raises(KernelDied):
            guest.call("write_file", path="/proc/sysrq-trigger", data=b"c")
    finally:
        machine.stop()
    dumped = (tmp_path / "one.dump").read_bytes()
    assert dumped.startswith(b"\x7fELF")
    assert b"sysrq: Trigger a crash" in dumped
    note = (tmp_path / "one.dump.txt").read_text(encoding="utf-8")
    assert note.startswith(f"memory of the guest: {tmp_path}/one.dump\n")


def test_a_machine_that_lives_leaves_no_dump(run: Run, tmp_path: Path) -> None:
    spec = MachineSpec(run.prepare().machine["accelerator"], dump=True)
    boot(run, tmp_path / "one", spec=spec).stop()
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_the_guest_reaches_nothing(guest: Guest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        tries = [("10.0.2.2", port), ("10.0.2.2", 22), ("10.0.2.3", 53), ("192.0.2.1", 80)]
        for address, port in tries:
            script = (
                "import socket, sys; s = socket.socket(); s.settimeout(3);"
                f" sys.exit(s.connect_ex(('{address}', {port})) == 0)"
            )
            answer = guest.call("run", argv=["python3", "-c", script])
            assert answer.ret == 0, f"the guest reached {address}:{port}"


@pytest.mark.parametrize("path", ["/bin/sh", "/mnt/run/authorized_keys", "/mnt/modules/lib"])
def test_the_guest_cannot_write_what_it_is_shown(guest: Guest, path: str) -> None:
    remount = guest.call("run", argv=["mount", "-o", "remount,rw", "/"])
    for mount in ("/mnt/run", "/mnt/modules"):
        guest.call("run", argv=["mount", "-o", "remount,rw", mount])
    assert guest.call("run", argv=["touch", path]).ret != 0, remount


def test_the_guest_sees_no_file_of_the_host(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a-secret-of-the-host").write_text("secret", encoding="utf-8")
    for where in (tmp_path, Path.home(), Path.cwd()):
        assert guest.call("list", path=f"{where}/{tmp_path.name}").error == "ENOENT"
    names = ["-name", "a-secret-of-the-host", "-o", "-name", "conftest.py"]
    found = guest.call("run", argv=["find", "/", "-path", "/proc", "-prune", "-o", *names])
    assert "a-secret-of-the-host" not in found.more["output"]
    assert "conftest.py" not in found.more["output"]
    mounts = guest.call("read_file", path="/proc/mounts").data.decode().splitlines()
    shared = {line.split()[1] for line in mounts if line.split()[2] == "9p"}
    assert shared == {"/", "/run/virtme/guesttools", "/mnt/run", "/mnt/modules"}


def test_a_machine_that_waits_costs_no_processor_time(booted: Machine) -> None:
    guest = Guest(booted)
    assert booted._process is not None
    time.sleep(2.0)  # the boot continues for a moment after ssh works
    before = processor_seconds(booted._process.pid)
    time.sleep(5.0)
    spent = processor_seconds(booted._process.pid) - before
    guest.call("list", path="/")  # it was idle, not dead
    assert spent < 0.05 * 5.0


def processor_seconds(session: int) -> float:
    """Return the processor time, in seconds, of the processes of ``session``."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_a_server_with_another_key_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = Machine._launch

    def launch_then_forget(self: Machine, *arguments: object) -> None:
        launch(self, *arguments)  # type: ignore[arg-type]
        self._host_key = KeyPair.make()

    monkeypatch.setattr(Machine, "_launch", launch_then_forget)
    with pytest.raises(BootError, match=r"ssh does not work: .*[Hh]ost key"):
        boot(run, tmp_path)


def test_a_panic_at_boot_ends_the_wait_at_once(run: Run, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    began = time.monotonic()
    with pytest.raises(BootError, match=r"the kernel died: .*Kernel panic") as caught:
        boot(run, tmp_path / "machine", rootfs=nothing)
    assert time.monotonic() - began < machine.BOOT_DEADLINE / 3
    assert "console.log" in str(caught.value)


def test_a_guest_without_ssh_ends_with_the_consoles_last_lines(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "SSH_IS_UP", "no guest says this")
    monkeypatch.setattr(machine, "BOOT_DEADLINE", 12.0)
    said = r"no ssh after \d+ s, and no console output for 12 s(.|\n)*Not backgrounding"
    with pytest.raises(BootError, match=said):
        boot(run, tmp_path)


def test_a_panic_is_told_by_the_next_call(booted: Machine) -> None:
    guest = Guest(booted)
    with pytest.raises(GuestError, match=r"the kernel died: .*sysrq triggered crash"):
        guest.call("write_file", path="/proc/sysrq-trigger", data=b"c")
    assert booted.death() is not None


def test_a_guest_that_prints_without_end_is_ended(
    booted: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = Guest(booted)
    monkeypatch.setattr(booted.console, "limit", booted.console.size() + (1 << 18))
    with pytest.raises(GuestError, match="the guest printed more than"):
        guest.call("run", argv=["sh", "-c", "while cat /proc/kallsyms; do :; done > /dev/ttyS0"])
    assert booted.console.size() <= booted.console.limit + 1024
    assert booted._process is not None
    assert booted._process.poll() is not None


def test_qemu_runs_in_its_sandbox_and_as_nobody_who_owns_a_file(booted: Machine) -> None:
    about = next(
        status
        for path in Path("/proc").glob("[0-9]*/status")
        if (status := path.read_text(encoding="utf-8")).startswith("Name:\tqemu-system")
        and str(booted._private) in (path.parent / "cmdline").read_text(encoding="utf-8")
    )
    assert "\nSeccomp:\t2\n" in about
    assert "\nNoNewPrivs:\t1\n" in about
    if os.getuid() == 0:
        user = next(line.split()[1:] for line in about.splitlines() if line.startswith("Uid:"))
        assert "0" not in user
        assert f"\nCapEff:\t{1 << 2:016x}\n" in about  # CAP_DAC_READ_SEARCH


def test_a_killed_qemu_is_told_by_the_next_call(booted: Machine) -> None:
    guest = Guest(booted)
    assert booted._process is not None
    os.killpg(booted._process.pid, signal.SIGKILL)
    with pytest.raises(HostFailed, match="QEMU ended with status -9"):
        guest.call("run", argv=["sleep", "5"])


@pytest.mark.parametrize(("sent", "status"), [("SEGV", 139), ("TERM", 0)])
def test_a_signal_to_qemu_is_not_the_kernels_death(booted: Machine, sent: str, status: int) -> None:
    guest = Guest(booted)
    subprocess.run(["pkill", f"-{sent}", "-f", f"qemu-system.*{booted._private}"], check=True)
    with pytest.raises(HostFailed, match=f"QEMU ended with status {status}"):
        guest.call("run", argv=["sleep", "5"])


@pytest.mark.parametrize(
    "ends",
    [
        "kill -9 $(grep -lx dropbear /proc/[0-9]*/comm | cut -d/ -f3)",
        "echo b > /proc/sysrq-trigger",  # at once, as a triple fault
    ],
)
def test_a_guest_that_ends_without_a_word_died(booted: Machine, ends: str) -> None:
    guest = Guest(booted)
    with pytest.raises(KernelDied, match="QEMU ended with status 0"):
        guest.call("run", argv=["sh", "-c", f"{ends}; sleep 5"])


def test_a_dead_machine_is_replaced(run: Run, guest: Guest) -> None:
    with pytest.raises(GuestError):
        guest.call("write_file", path="/proc/sysrq-trigger", data=b"c")
    assert run.guest().call("hello").ret == 0
