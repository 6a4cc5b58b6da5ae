# SPDX-License-Identifier: GPL-2.0-only
"""A processor that QEMU has made deaf is found, and nothing else is taken for one."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import HostFailed
from fixtures.guest import Guest
from fixtures.machine import machine, monitor, processors
from fixtures.machine.machine import CONSOLE, Machine
from fixtures.machine.processors import LOOKS, Processor
from fixtures.machine.spec import KVM, MachineSpec
from fixtures.plugin.machines import Machines
from tests.unit import local_agent

# As QEMU 7.2.22 printed it for a guest that was lost; shortened.
REGISTERS = """\r
CPU#0\r
RAX=0000000000000000 RBX=0000000000000000 RCX=000000000000001f RDX=0000000000000000\r
RIP=ffffffff8145fd63 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r
\r
CPU#1\r
RAX=0000000000000001 RBX=0000000000000001 RCX=0000000000000000 RDX=0000000000000000\r
RIP=ffffffff81437209 RFL=00000086 [--S--P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r
"""
APIC = """dumping local APIC state for CPU {number} \r
\r
LVTT\t 0x000000ec active-hi edge                 one-shot     Fixed  (vec 236)\r
Timer\t DCR=0x3 (divide by 16) initial_count = 123845 current_count = 0\r
ICR2\t 0x01000000 cpu 1 (APIC ID)\r
ESR\t 0x00000000\r
ISR\t {in_service}\r
IRR\t {waiting}\r
\r
APR 0x00 TPR 0x10 DFR 0x0f LDR 0x00 PPR 0xf0\r
"""
HUNG = """[   31.369789] INFO: task vfio-agent:465 blocked for more than 10 seconds.
[   31.370423] task:vfio-agent      state:D stack:0     pid:465   tgid:68    ppid:67
[   31.370692] Call Trace:
[   31.372873]  vfio_pci_core_ioctl+0x2df/0xa80 [vfio_pci_core]
[   41.000000] BUG: KASAN: slab-use-after-free in mtty_read+0x10/0x20 [mtty]
"""
DEAF = Processor(0, True, (251,), (236, 251, 253), "initial_count = 123845")
OTHER = Processor(1, False, (), (), "initial_count = 123845")


def answers(status: str = "VM status: running", waiting: str = "236 251 253 ") -> list[str]:
    first = APIC.format(number=0, in_service="251 ", waiting=waiting)
    second = APIC.format(number=1, in_service="(none)", waiting="(none)")
    return [status, REGISTERS, first, second]


def test_processors_and_their_interrupts_are_read() -> None:
    assert processors.look(answers()) == [DEAF, OTHER]
    assert len(processors.questions(2)) == len(answers())
    assert str(DEAF) == "processor 0 takes no interrupt (in service: 251; waiting: 236, 251, 253)"


def test_a_level_triggered_interrupt_is_one() -> None:
    level = processors.look(answers(waiting="34(level) 236 251 253 "))
    assert level[0].waiting == (34, 236, 251, 253)


def test_a_machine_that_is_stopped_shows_no_processor() -> None:
    assert processors.look(answers("VM status: paused (debug)")) == []


def showing(*looks: Sequence[Processor]) -> Callable[[], list[Processor]]:
    """Return a function that shows ``looks``, one after the other."""
    left = list(looks)
    return lambda: list(left.pop(0))


def judged(*looks: Processor) -> Processor | None:
    """Judge a machine of which each look shows another processor, too."""
    return processors.deaf(showing(*([OTHER, one] for one in looks)), lambda: None)


SWITCHED_OFF = replace(DEAF, enabled=False)


@pytest.mark.parametrize(
    "looks",
    [
        [DEAF] * LOOKS,
        [replace(DEAF, in_service=())] * LOOKS,
        [*[DEAF] * (LOOKS - 1), replace(DEAF, waiting=(235, 236, 251, 253))],
        [*[SWITCHED_OFF] * (LOOKS - 2), DEAF, DEAF],
    ],
)
def test_one_that_takes_no_interrupt_is_found(looks: list[Processor]) -> None:
    assert judged(*looks) == looks[-1]


@pytest.mark.parametrize(
    "looks",
    [
        [replace(DEAF, waiting=())],
        [*[DEAF] * (LOOKS - 1), replace(DEAF, waiting=())],
        [*[DEAF] * (LOOKS - 1), replace(DEAF, in_service=(236,))],
        [DEAF, replace(DEAF, timer="initial_count = 1")],
        [SWITCHED_OFF] * LOOKS,
        [DEAF, *[SWITCHED_OFF] * (LOOKS - 1)],
    ],
    ids=["nothing-waits", "nothing-waits-any-more", "another", "timer", "disabled", "once"],
)
def test_others_are_not(looks: list[Processor]) -> None:
    assert judged(*looks) is None


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of which a processor is deaf, while its kernel tells of hung tasks."""
    monkeypatch.setattr(machine, "BETWEEN_LOOKS", 0)
    (tmp_path / CONSOLE).write_text(HUNG, encoding="utf-8")
    one = Machine(tmp_path, MachineSpec(processors=2))
    monkeypatch.setattr(one, "_look", showing(*[[DEAF]] * LOOKS))
    return one


def test_it_is_looked_at_once(lost: Machine) -> None:
    assert "the emulator lost an interrupt: processor 0 takes no interrupt" in str(lost.deaf())
    assert lost.deaf() is not None


def test_stalls_do_not_count_while_a_processor_is_deaf(lost: Machine) -> None:
    machines = Machines.__new__(Machines)
    machines._machine = lost
    heard, failed = machines.heard(lost.splats())
    assert ([one.kind for one in heard], failed) == (["kasan"], lost.deaf())


def test_they_count_if_none_is(lost: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost, "_look", lambda: [OTHER])
    machines = Machines.__new__(Machines)
    machines._machine = lost
    heard, failed = machines.heard(lost.splats())
    assert ([one.kind for one in heard], failed) == (["hung-task", "kasan"], None)


def test_a_stopped_machine_says_nothing(lost: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost, "_look", lambda: [])
    assert lost.deaf() is None


def test_a_monitor_that_is_not_there_says_nothing(
    lost: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert lost.deaf() is None  # it has no QEMU


@pytest.mark.parametrize(
    "spec", [MachineSpec(KVM, processors=2), MachineSpec()], ids=["kvm", "one-processor"]
)
def test_others_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: MachineSpec
) -> None:
    one = Machine(tmp_path, spec)
    monkeypatch.setattr(one, "_look", showing())
    assert one.deaf() is None


VERSION = {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""}
GREETING = json.dumps({"QMP": {"version": VERSION, "capabilities": []}}).encode() + b"\n"


@pytest.mark.parametrize("said", [b"", GREETING, b"nonsense\n"], ids=["silent", "hangs", "strange"])
@pytest.mark.parametrize("closes", [False, True], ids=["", "closes"])
def test_a_qemu_that_hangs_or_ends_does_not_hang_the_run(said: bytes, closes: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = Path(folder, "qmp")
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                client, _ = server.accept()
                with client:
                    client.sendall(said)
                    while not closes and client.recv(100):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(OSError):
            monitor.ask(path, "info status", limit=0.3)
        thread.join(5)
        assert not thread.is_alive()


class Deaf(local_agent.Host):
    def deaf(self) -> Any:
        return HostFailed("the emulator lost an interrupt: processor 0 takes no interrupt")


def test_a_call_that_hangs_there_is_the_hosts() -> None:
    with pytest.raises(HostFailed, match="lost an interrupt"):
        Guest.check_processors(hung := _guest())
    assert isinstance(hung.loss, HostFailed)
    assert isinstance(_guest()._what("race", TimeoutError()), HostFailed)


def _guest() -> Guest:
    guest = Guest.__new__(Guest)
    guest._host, guest.loss, guest.deadline = Deaf(), None, 1.0
    return guest
