# SPDX-License-Identifier: GPL-2.0-only
"""VMMs that are not there, crash, hang or speak no QMP, and what is known of those there are."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import paramiko
import pytest

from fixtures import ssh
from fixtures.answer import Answer
from fixtures.errors import (
    CallBlocked,
    DescriptionError,
    Deviation,
    FetchError,
    GuestLost,
    HostFailed,
    SpecError,
    VmmFailed,
)
from fixtures.guest import Guest
from fixtures.guest import guest as guest_module
from fixtures.plugin import prepared
from fixtures.progress import Progress
from fixtures.record.transcript import Transcript
from fixtures.vmm import Vmm, chosen_vmms, known_vmms, process
from fixtures.vmm.root import FIRMWARE, HALT

GREETS = r"""
import json, os, sys, time
def say(**words):
    print(json.dumps(words), flush=True)
def commands():
    for line in sys.stdin:
        yield json.loads(line)
def do(name, **value):
    assert next(told)["execute"] == name
    say(**{"return": value})
told = commands()
say(QMP={"version": {"qemu": {"major": 11, "minor": 1, "micro": 3}}})
do("qmp_capabilities")
"""


class Channel:
    """A program of this host, in the place of one that ssh starts in the guest."""

    closed = False

    def __init__(self, command: str) -> None:
        self.child = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.stdin, self.out, self.err = (
            cast("IO[bytes]", one)
            for one in (self.child.stdin, self.child.stdout, self.child.stderr)
        )
        for file in (self.out, self.err):
            os.set_blocking(file.fileno(), False)
        self._parts: dict[int, bytes] = {}

    def fileno(self) -> int:
        return self.out.fileno()

    def sendall(self, data: bytes) -> None:
        try:
            self.stdin.write(data)
        except BrokenPipeError:
            self.closed = True
            raise

    def _ready(self, fd: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._parts[fd] = self._parts.get(fd, b"") + os.read(fd, 1 << 15)
        return bool(self._parts.get(fd))

    def recv_ready(self) -> bool:
        return self._ready(self.out.fileno())

    def recv_stderr_ready(self) -> bool:
        return self._ready(self.err.fileno())

    def recv(self, _: int) -> bytes:
        return self._parts.pop(self.out.fileno())

    def recv_stderr(self, _: int) -> bytes:
        return self._parts.pop(self.err.fileno())

    def exit_status_ready(self) -> bool:
        ended = self.child.poll() is not None
        self.closed = self.closed or ended
        return ended

    def recv_exit_status(self) -> int:
        return self.child.wait()

    def close(self) -> None:
        self.closed = True


class Host:
    """A guest that lives, on a machine of usual speed."""

    ssh = None
    slowness = 1.0

    def death(self) -> GuestLost | None:
        return None


class LocalGuest:
    """Runs commands on this host; ``tasks`` is what /proc says of a process."""

    loss: GuestLost | None = None
    tasks = ""

    def check_processors(self) -> None:
        """Do nothing: they take their interrupts."""

    def call(self, op: str, **fields: Any) -> Answer:
        assert op == "run"
        if "/proc/" in fields["argv"][-1]:
            return Answer(0, more={"output": self.tasks})
        done = subprocess.run(fields["argv"], capture_output=True, encoding="utf-8", check=False)
        return Answer(done.returncode, more={"output": done.stdout + done.stderr})


class Fake:
    """A VMM that is a program of this host."""

    def __init__(self, vmm: Vmm, guest: LocalGuest, transcript: Transcript) -> None:
        self.vmm = vmm
        self.guest = guest
        self.transcript = transcript


@pytest.fixture
def guest() -> LocalGuest:
    return LocalGuest()


@pytest.fixture
def vmm(guest: LocalGuest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vmm]:
    """A VMM whose program is what ``program`` wrote."""
    about = known_vmms()["qemu"].model_copy(update={"program": str(tmp_path / "vmm")})
    started: list[Channel] = []

    def start(_: object, command: str, __: float) -> Channel:
        command = command.replace(f"chroot {process._ROOTS}/{about.name} ", "")
        started.append(Channel(command))
        return started[-1]

    monkeypatch.setattr(ssh, "start", start)
    monkeypatch.setattr(process, "START", 3.0)
    monkeypatch.setattr(process, "ANSWER", 1.0)
    transcript = Transcript()
    yield Vmm(cast("Any", Host()), cast("Guest", guest), about, "source", transcript)
    for one in started:
        one.child.kill()
        one.child.wait()
        for file in (one.stdin, one.out, one.err):
            file.close()


def program(tmp_path: Path, text: str) -> None:
    """Write the program of the VMM."""
    path = tmp_path / "vmm"
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)


def start_and_ask(vmm: Vmm) -> None:
    vmm.start([])
    time.sleep(0.1)  # in which some end
    vmm.do("query-status")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            "import sys; sys.exit('vmm: no memory')",
            "source: the VMM ended (1) before the greeting of QMP: vmm: no memory",
            id="crashes-at-start",
        ),
        pytest.param(
            "print('Hello.', flush=True)\nimport time; time.sleep(60)",
            "the VMM speaks no QMP: 'Hello.'",
            id="speaks-no-qmp",
        ),
        pytest.param(
            "print('{\"QMP\": 1}', flush=True)\nimport time; time.sleep(60)",
            "the VMM speaks no QMP: '{\"QMP\": 1}'",
            id="greets-with-nonsense",
        ),
        pytest.param(
            "import sys\nwhile True: sys.stdout.write('x' * 65536)",
            "the VMM speaks no QMP: a line of more than 1048576 bytes",
            id="prints-without-end",
        ),
        pytest.param(
            "import time; time.sleep(60)",
            "source: the VMM hangs: the greeting of QMP does not come",
            id="hangs-at-start",
        ),
        pytest.param(
            GREETS + "next(told); time.sleep(60)",
            "source: the VMM hangs: the answer to query-status does not come",
            id="hangs-later",
        ),
        pytest.param(
            GREETS + "next(told); print('dying', file=sys.stderr); os.abort()",
            "source: the VMM ended (-6) before the answer to query-status: dying",
            id="crashes-later",
        ),
        pytest.param(
            GREETS + "sys.exit('it is over')",
            "source: the VMM ended (1) before the answer to query-status: it is over",
            id="ends-before-it-is-asked",
        ),
        pytest.param(
            GREETS + "next(told); say(error={'class': 'x', 'desc': 'no such command'})",
            "source: query-status: no such command",
            id="refuses",
        ),
    ],
)
def test_a_vmm_that_fails_is_told_in_a_line(
    vmm: Vmm, guest: LocalGuest, tmp_path: Path, text: str, says: str
) -> None:
    """It is no deviation of the driver, and none of its processes stays."""
    program(tmp_path, text)
    with pytest.raises(VmmFailed) as caught:
        start_and_ask(vmm)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    vmm.stop()
    assert not vmm.running
    assert guest.loss is None


def test_a_vmm_that_is_not_there(vmm: Vmm) -> None:
    with pytest.raises(VmmFailed, match=r"the VMM ended \(127\) before the greeting.* not found"):
        vmm.start([])
    vmm.stop()


def test_what_it_says_is_in_the_transcript_in_order(vmm: Vmm, tmp_path: Path) -> None:
    program(
        tmp_path,
        GREETS
        + "next(told); say(event='STOP', timestamp={}); print('a \\x1bword', file=sys.stderr)\n"
        "sys.stderr.flush(); time.sleep(.1); say(**{'return': {'status': 'paused'}})\nnext(told)",
    )
    vmm.start(["-m", "8M"])
    assert vmm.version == "11.1.3"
    assert vmm.do("query-status") == {"status": "paused"}
    assert [one.name for one in vmm.events] == ["STOP"]
    assert [line.partition("word")[1] for line in vmm.errors] == ["word"]
    transcript = cast("Transcript", vmm._log)
    lines = [line for line in transcript.lines if "qmp_capabilities" not in line]
    assert lines[0] == f"# source: {tmp_path}/vmm -m 8M -qmp stdio"
    assert any(line == '# source <- {"execute": "query-status"}' for line in lines)
    assert any(line.startswith('# source -> {"return": {"status": "paused"}}') for line in lines)
    assert "\x1b" not in str(transcript)
    vmm.kill()
    assert transcript.lines[-1] == "# source: killed"
    assert not vmm.running


@pytest.mark.parametrize(
    ("tasks", "error", "says"),
    [
        (
            "\nName:\tqemu\nState:\tD (disk sleep)\n[<0>] msleep+0x1/0x2\n"
            "[<0>] qat_vf_state+0x4f/0x120 [qat_vfio_pci]\n",
            CallBlocked,
            "source: the VMM hangs in the kernel, in qat_vf_state() of qat_vfio_pci",
        ),
        (
            "\nName:\tqemu\nState:\tD (disk sleep)\n[<0>] msleep+0x1/0x2\n",
            CallBlocked,
            "source: the VMM hangs in the kernel, in [<0>] msleep+0x1/0x2",
        ),
        (
            "\nName:\tqemu\nState:\tS (sleeping)\n[<0>] mtty_read+0x4f/0x120 [mtty]\n",
            Deviation,
            "source: the VMM hangs in the kernel, in mtty_read() of mtty",
        ),
    ],
)
def test_a_vmm_that_hangs_in_a_driver_is_the_drivers_fault(
    vmm: Vmm, guest: LocalGuest, tmp_path: Path, tasks: str, error: type[Exception], says: str
) -> None:
    guest.tasks = tasks
    program(tmp_path, GREETS + "next(told); time.sleep(60)")
    vmm.start([])
    with pytest.raises(error) as caught:
        vmm.do("query-status")
    assert str(caught.value) == says
    # A process that nothing ends keeps its device: the machine is given up.
    assert (guest.loss is caught.value) == (error is CallBlocked)
    vmm._channel.close()


def test_a_connection_that_breaks_is_not_the_vmms_fault(
    vmm: Vmm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, GREETS + "time.sleep(60)")
    vmm.start([])

    def breaks(_: bytes) -> None:
        raise paramiko.SSHException("gone")

    monkeypatch.setattr(vmm._channel, "sendall", breaks)
    monkeypatch.setattr(guest_module, "SEEN", 0.1)
    with pytest.raises(HostFailed, match="no ssh into the guest"):
        vmm.do("query-status")


def test_the_vmms_there_are() -> None:
    assert {name: "v2" in one.knows for name, one in known_vmms().items()} == {
        "qemu": True,
        "qemu10": False,
    }
    assert [one.name for one in chosen_vmms([])] == ["qemu"]
    assert [one.name for one in chosen_vmms(["all"])] == ["qemu", "qemu10"]
    assert [one.name for one in chosen_vmms(["qemu10", "qemu10"])] == ["qemu10"]
    with pytest.raises(SpecError, match=r"^xen: no such VMM; known VMMs: qemu, qemu10, or all$"):
        chosen_vmms(["xen"])


RIGHT = """\
name: kvmtool
title: a VMM
default: false
root: {sources: [{release: sid}], packages: [kvmtool]}
program: /usr/bin/lkvm
knows: [v2]
traces: {precopy: a, state: b, ack: c}
"""


def test_a_mistake_in_a_vmms_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "kvmtool.yaml"
    path.write_text(RIGHT.replace("[v2]", "[v3]"), encoding="utf-8")
    with pytest.raises(DescriptionError, match=r"kvmtool\.yaml:6: knows"):
        known_vmms(tmp_path)
    path.write_text(RIGHT.replace("kvmtool", "lkvm", 1), encoding="utf-8")
    with pytest.raises(DescriptionError, match=r"kvmtool\.yaml:1: .* the name must be kvmtool"):
        known_vmms.__wrapped__(tmp_path)


def test_the_firmware_halts_where_the_processor_starts() -> None:
    assert len(HALT) == 256 << 10
    assert HALT[-16:-13] == b"\xf4\xeb\xfd"
    assert FIRMWARE == "/halt.bin"


def test_without_a_vmms_packages_the_rest_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_reach(*_: object) -> Path:
        raise FetchError("http://mirror cannot be reached")

    monkeypatch.setattr(prepared, "provide_vmm", out_of_reach)
    there, lacking = prepared._vmms(chosen_vmms([]), Progress())
    assert there == {}
    assert lacking == {"qemu": "http://mirror cannot be reached"}
    said = capsys.readouterr()
    assert [line for line in (said.out + said.err).splitlines() if line] == [
        "continuing without QEMU of trixie-backports: http://mirror cannot be reached"
    ]
