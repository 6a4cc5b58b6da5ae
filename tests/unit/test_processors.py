# SPDX-License-Identifier: GPL-2.0-only
"""A processor that QEMU has put to sleep for ever is found, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import HostFailed
from fixtures.guest import Guest
from fixtures.machine import machine, processors
from fixtures.machine.machine import CONSOLE, Machine
from fixtures.machine.spec import KVM, MachineSpec
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
APIC = """dumping local APIC state for CPU 0 \r
\r
LVTT\t 0x000000ec active-hi edge                 one-shot     Fixed  (vec 236)\r
Timer\t DCR=0x3 (divide by 16) initial_count = 123845 current_count = 0\r
ICR2\t 0x01000000 cpu 1 (APIC ID)\r
ESR\t 0x00000000\r
ISR\t 251 \r
IRR\t 236 251 253 \r
\r
APR 0x00 TPR 0x10 DFR 0x0f LDR 0x00 PPR 0xf0\r
"""
HUNG = """[   31.369789] INFO: task vfio-agent:465 blocked for more than 10 seconds.
[   31.370423] task:vfio-agent      state:D stack:0     pid:465   tgid:68    ppid:67
[   31.370692] Call Trace:
[   31.372873]  vfio_pci_core_ioctl+0x2df/0xa80 [vfio_pci_core]
[   41.000000] BUG: KASAN: slab-use-after-free in mtty_read+0x10/0x20 [mtty]
"""


def looked(registers: str = REGISTERS, apic: str = APIC) -> set[processors.Asleep]:
    answers = {"info registers -a": registers, "info lapic 0": apic}
    return set(processors.asleep(answers.__getitem__))


def test_a_processor_that_sleeps_though_interrupts_wait_is_found() -> None:
    (found,) = looked()
    assert str(found) == (
        "processor 0 sleeps while interrupts wait for it (vectors 236, 251, 253; in service: 251)"
    )


@pytest.mark.parametrize(
    ("registers", "apic"),
    [
        pytest.param(REGISTERS.replace("HLT=1", "HLT=0"), APIC, id="it-runs"),
        pytest.param(REGISTERS.replace("00000246", "00000046"), APIC, id="interrupts-are-off"),
        pytest.param(REGISTERS, APIC.replace("236 251 253 ", "(none)"), id="nothing-waits"),
    ],
)
def test_other_processors_are_not(registers: str, apic: str) -> None:
    assert not looked(registers, apic)


@pytest.mark.parametrize(
    ("registers", "apic"),
    [
        (REGISTERS.replace("RBX=0000000000000000", "RBX=0000000000000001"), APIC),
        (REGISTERS, APIC.replace("123845", "123846")),
        (REGISTERS, APIC.replace("236 251 253", "251 253")),
    ],
)
def test_one_that_ran_in_between_is_not_the_same(registers: str, apic: str) -> None:
    assert looked() != looked(registers, apic)
    assert looked() == looked()


class Told:
    """What the looks at a machine show, one after the other."""

    def __init__(self, *looks: set[processors.Asleep]) -> None:
        self.looks = list(looks)

    def __call__(self) -> set[processors.Asleep]:
        return self.looks.pop(0)


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose processor sleeps for ever, while its kernel tells of hung tasks."""
    monkeypatch.setattr(machine, "BETWEEN_LOOKS", 0)
    (tmp_path / CONSOLE).write_text(HUNG, encoding="utf-8")
    one = Machine(tmp_path, MachineSpec(processors=2))
    monkeypatch.setattr(one, "_look", Told(looked(), looked(), looked()))
    return one


def test_a_stall_says_nothing_while_a_processor_sleeps_for_ever(lost: Machine) -> None:
    assert [one.kind for one in lost.console.splats()] == ["hung-task", "kasan"]
    assert "the emulator lost an interrupt: processor 0 sleeps" in str(lost.asleep())
    assert lost.asleep() is not None, "it is not asked again"
    assert [one.kind for one in lost.splats()] == ["kasan"]
    assert (found := lost.splat())
    assert found.kind == "kasan"


@pytest.mark.parametrize(
    "looks",
    [
        (set(),),
        (looked(), set()),
        (looked(), looked(), looked(apic=APIC.replace("123845", "123846"))),
    ],
)
def test_one_that_wakes_up_does_not_count(
    lost: Machine, monkeypatch: pytest.MonkeyPatch, looks: tuple[set[processors.Asleep], ...]
) -> None:
    told = Told(*looks)
    monkeypatch.setattr(lost, "_look", told)
    assert lost.asleep() is None
    assert not told.looks
    monkeypatch.setattr(lost, "_look", Told(*looks))
    assert [one.kind for one in lost.splats()] == ["hung-task", "kasan"]


def test_a_monitor_that_does_not_answer_says_nothing(
    lost: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert lost.asleep() is None  # it has no QEMU


def test_real_processors_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Machine(tmp_path, MachineSpec(KVM, processors=2))
    monkeypatch.setattr(one, "_look", Told())
    assert one.asleep() is None


class Asleep(local_agent.Host):
    def asleep(self) -> Any:
        return HostFailed("the emulator lost an interrupt: processor 0 sleeps")


def test_a_call_that_hangs_there_is_the_hosts() -> None:
    with pytest.raises(HostFailed, match="lost an interrupt"):
        Guest.check_awake(hung := _guest())
    assert isinstance(hung.loss, HostFailed)
    assert isinstance(_guest()._what("race", TimeoutError()), HostFailed)


def _guest() -> Guest:
    guest = Guest.__new__(Guest)
    guest._host, guest.loss, guest.deadline = Asleep(), None, 1.0
    return guest
