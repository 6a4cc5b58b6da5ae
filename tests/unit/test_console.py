# SPDX-License-Identifier: GPL-2.0-only
"""Consoles: the machine's cause of death, and the limit of the output."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fixtures.errors import GuestLost, KernelDied
from fixtures.machine import console as console_module
from fixtures.machine.console import Console

AT_BOOT = "[    1.000000] WARNING: kernel/rcu/tree.c:1 at something_of_the_boot+0x1/0x2\n"
CASCADE = """\
[  194.630162] BUG: scheduling while atomic: python3/58/0x00000002
[  194.640000] Call Trace:
[  194.650000]  misbehave_atomic+0x1/0x2
[  195.120979] refcount_t: underflow; use-after-free.
[  195.121014] WARNING: lib/refcount.c:28 at refcount_warn_saturate+0x33/0x90, CPU#0: kworker/0:0/8
"""


def test_of_what_follows_from_one_another_the_first_is_the_fault(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.path.write_text(AT_BOOT, encoding="utf-8")
    fault = console.splat()
    assert fault is not None
    assert fault.kind == "warning"  # during boot the first splat counts
    console.is_up()
    assert console.splat() is None
    console.path.write_text(AT_BOOT + CASCADE, encoding="utf-8")
    fault = console.splat()
    assert fault is not None
    assert (fault.kind, fault.top) == ("atomic-sleep", ["misbehave_atomic"])


def test_a_panic_is_seen_when_it_is_printed(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.path.write_text(AT_BOOT, encoding="utf-8")
    assert console.death() is None
    console.path.write_text(AT_BOOT + "[    2.0] Kernel panic - not sync", encoding="utf-8")
    assert console.death() is None
    with console.path.open("a", encoding="utf-8") as log:
        log.write("ing: Fatal exception\r\n---[ end Kernel panic - not syncing ]---\r\n")
    died = console.death()
    assert isinstance(died, KernelDied)
    assert str(died).startswith("the kernel died: Kernel panic - not syncing: Fatal exception")


@pytest.mark.parametrize("line", [b"[    1.0] flood " + b"x" * 50 + b"\n", b"x" * 1000])
def test_each_byte_is_looked_at_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    looked = []
    clean = console_module._clean

    def look(printed: bytes) -> str:
        looked.append(len(printed))
        return clean(printed)

    monkeypatch.setattr(console_module, "_clean", look)
    console = Console(tmp_path / "console.log")
    printed = 0
    with console.path.open("wb", buffering=0) as log:
        for _ in range(100):
            printed += log.write(line * 20)
            assert not console.says("Server listening")
        log.write(b"\nServer listening")
        assert console.says("Server listening")
    assert sum(looked) < 1.5 * printed


def test_what_is_read_of_a_console_is_clean(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.path.write_bytes(b"one\r\n\x1b]0;Kernel panic - not syncing\x07two\xff\x9b\r\n")
    assert console.tail() == "one\ntwo\ufffd\ufffd"
    assert console.death() is None


def test_a_flood_ends_the_machine_and_fills_no_disk(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.limit = 1 << 18
    ended = []
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as source:
        pump = threading.Thread(
            target=console.fill,
            args=(source, console.path.open("wb", buffering=0), lambda: ended.append(True)),
        )
        pump.start()
        os.write(theirs, CASCADE.encode())
        assert console.death() is None
        for _ in range(100):  # the flood continues, and a full pipe must not block QEMU
            os.write(theirs, b"flood" * 2000)
        os.close(theirs)
        pump.join()
    assert ended == [True]
    assert console.size() < console.limit + 200
    assert console.path.read_text(encoding="utf-8").endswith("more than 256 KiB to its console]\n")
    lost = console.death()
    assert isinstance(lost, GuestLost)
    assert "KiB to its console (BUG: scheduling while atomic" in str(lost)
    assert lost.splat
