# SPDX-License-Identifier: GPL-2.0-only
"""QEMU starts with only the rights that it needs."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures import process
from fixtures.errors import BootError, QemuCrashed, RunError
from fixtures.machine.machine import STATUS, WRAPPER, Machine, qemu_version
from fixtures.plugin.machines import Machines

SANDBOX = "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs for the wrapper, which only record their arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    note = f'echo "$(basename "$0") $*" >> {tmp_path}/calls'
    for name, body in {
        "id": "echo $UID_OF_THE_USER",
        "stat": "echo 108",
        "chown": note,
        "setpriv": f"""
            case "$*" in "--pdeathsig KILL -- {WRAPPER} "*) shift 3; exec "$@";; esac
            {note}
            case "$*" in *$REFUSED*) exit 1;; *qemu-system*) exit 139;; esac""",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def start(programs: Path, user: int, accelerator: str = "tcg", refused: str = "none") -> list[str]:
    """Let the wrapper start QEMU, and return the calls that it made."""
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "TMPDIR": str(programs.parent),
        "ACCELERATOR": accelerator,
        "UID_OF_THE_USER": str(user),
        "REFUSED": refused,
        "QEMU_STATUS": str(programs.parent / "status"),
    }
    done = subprocess.run([WRAPPER, "-m", "512M"], env=environment, check=False)
    assert done.returncode == 139
    assert (programs.parent / "status").read_text(encoding="utf-8") == "139\n"
    return (programs.parent / "calls").read_text(encoding="utf-8").splitlines()


def test_a_users_qemu_is_in_the_sandbox(programs: Path) -> None:
    assert start(programs, 1000) == [
        f"setpriv --pdeathsig KILL -- qemu-system-x86_64 {SANDBOX} -m 512M"
    ]


@pytest.mark.parametrize(
    ("accelerator", "groups"), [("tcg", "--clear-groups"), ("kvm", "--groups=108")]
)
def test_roots_qemu_is_another_users(programs: Path, accelerator: str, groups: str) -> None:
    tried, *given, run = start(programs, 0, accelerator)
    words = run.split()
    (user,) = (word.partition("=")[2] for word in words if word.startswith("--reuid"))
    assert int(user) > 1000
    assert {f"--regid={user}", groups, "--no-new-privs"} < set(words)
    only_to_read = "-all,+dac_read_search"
    assert {f"--bounding-set={only_to_read}", f"--ambient-caps={only_to_read}"} < set(words)
    assert run.endswith(f"--pdeathsig KILL -- qemu-system-x86_64 {SANDBOX} -m 512M")
    assert tried.endswith("-- true")
    assert given == [
        f"chown {user} /proc/self/fd/1 /proc/self/fd/2",
        f"chown -R {user} {programs.parent}",
    ]


@pytest.mark.parametrize(
    ("refused", "rights"),
    [
        ("dac_read", "--no-new-privs --bounding-set=-all --inh-caps=-all "),
        ("-all", ""),
    ],
)
def test_where_root_may_not_become_another_user_it_has_what_it_may_give_up(
    programs: Path, refused: str, rights: str
) -> None:
    *_, run = start(programs, 0, refused=refused)
    assert run == f"setpriv {rights}--pdeathsig KILL -- qemu-system-x86_64 {SANDBOX} -m 512M"


def test_a_qemu_that_does_not_run_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "qemu"
    broken.write_text("#!/bin/sh\necho libx.so.1: no such file >&2; exit 127\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(process, "need", lambda _: str(broken))
    with pytest.raises(RunError, match=f"^{broken} does not run: libx.so.1: no such file$"):
        qemu_version()


@pytest.mark.parametrize(
    ("status", "kind"),
    [("134", QemuCrashed), ("139", QemuCrashed), ("1", BootError), ("0", BootError)],
)
def test_a_qemu_that_crashes_is_told_from_one_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, kind: type[BootError]
) -> None:
    (tmp_path / STATUS).parent.mkdir(exist_ok=True)
    (tmp_path / STATUS).write_text(f"{status}\n", encoding="utf-8")
    made = object.__new__(Machine)
    ended = subprocess.Popen(["true"])
    ended.wait()
    console = SimpleNamespace(path=tmp_path, tail=lambda: "the last words")
    for name, value in {"_process": ended, "_private": tmp_path, "console": console}.items():
        monkeypatch.setattr(made, name, value, raising=False)
    failure = made._failure("it ended")
    assert type(failure) is kind
    assert "the last words" in str(failure)


@pytest.mark.parametrize(("error", "boots"), [(QemuCrashed("x"), 2), (BootError("x"), 1)])
def test_the_first_machine_is_tried_again_if_qemu_crashed(
    monkeypatch: pytest.MonkeyPatch, error: BootError, boots: int
) -> None:
    machines, booted = Machines(SimpleNamespace()), []  # type: ignore[arg-type]

    def boot(*_: object) -> None:
        machines._booted += 1
        booted.append(machines._booted)
        if len(booted) == 1:
            raise error

    monkeypatch.setattr(machines, "_boot", boot)
    with contextlib.suppress(BootError):
        machines.boot(*[SimpleNamespace()] * 3)  # type: ignore[arg-type]
    assert len(booted) == boots
