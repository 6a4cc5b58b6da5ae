# SPDX-License-Identifier: GPL-2.0-only
"""Workers that a job starts by ssh, on the hosts of a file: ``CLUSTER=ssh:hosts.txt``.

Each line of the file is a host as ssh knows it, and its checkout of this project, if that is
elsewhere than here. All connections go through ssh's tunnels, from loopback to loopback. There,
other users of a host could give orders, too: so TLS is used, with keys of this job, which a worker
gets by its standard input. A worker ends with its ssh, and ssh with the job.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fixtures import process, untrusted
from fixtures.errors import SpecError
from fixtures.paths import CHECKOUT, named

_AGAIN = 10.0  # seconds until a lost host is tried again
_OPTIONS = (
    *("-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
)


@dataclass(frozen=True)
class SshHost:
    """A host with a checkout; ``address`` is as ssh takes it."""

    address: str
    checkout: str


def hosts(file: str) -> list[SshHost]:
    """Return the hosts of ``file``.

    Raises SpecError if it cannot be read, or names none.
    """
    path = named(file)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise SpecError(f"CLUSTER=ssh:{file}: {why}; it has a host in each line") from error
    found: list[SshHost] = []
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quotation that does not end
            words = [""] * 3
        if not words:
            continue
        if len(words) > 2 or words[0].startswith("-"):
            raise SpecError(
                f"CLUSTER=ssh:{file}: line {number}: is not HOST, or HOST and its checkout"
            )
        if words[0] in (one.address for one in found):
            raise SpecError(f"CLUSTER=ssh:{file}: line {number}: {words[0]} is named twice")
        found.append(SshHost(words[0], words[1] if len(words) == 2 else str(CHECKOUT)))
    if not found:
        raise SpecError(f"CLUSTER=ssh:{file}: names no host; it has one in each line")
    return found


@dataclass
class Started:
    """The workers that were started; ``said`` is the last line of each host."""

    said: dict[str, str] = field(default_factory=dict)


@contextmanager
def started(those: Sequence[SshHost], port: int, keys: dict[str, str]) -> Iterator[Started]:
    """Keep a worker on each of ``those`` while the block runs, for the scheduler at ``port``.

    Raises SpecError if ssh is not installed.
    """
    program = os.environ.get("SSH") or "ssh"
    try:
        command = [*shlex.split(program), *_OPTIONS]
    except ValueError as error:
        raise SpecError(f"SSH={program}: {error}") from error
    if not process.find(command[0]):
        raise SpecError(f"CLUSTER=ssh: needs {command[0]}, which is not installed")
    told, over = Started(), threading.Event()
    running: list[threading.Thread] = []
    try:
        for one in those:
            keep = threading.Thread(target=_keep, args=(one, command, port, keys, told, over))
            keep.start()
            running.append(keep)
        yield told
    finally:
        over.set()
        for keep in running:
            keep.join()


def _keep(
    host: SshHost,
    command: Sequence[str],
    port: int,
    keys: dict[str, str],
    told: Started,
    over: threading.Event,
) -> None:
    """Run a worker on ``host`` until it is ``over``; one that is lost is started again."""
    while not over.is_set():
        # The scheduler's port there; the worker's port here, and there.
        theirs, ours, own = _free_ports(3)
        tunnels = ["-R", f"127.0.0.1:{theirs}:127.0.0.1:{port}"]
        tunnels += ["-L", f"127.0.0.1:{ours}:127.0.0.1:{own}"]
        worker = [".venv/bin/python", "-m", "workflows.cluster.worker"]
        worker += [f"tls://127.0.0.1:{theirs}", f"--name={host.address}", f"--port={own}"]
        worker += [f"--reached-at=tls://127.0.0.1:{ours}", "--keys"]
        there = f"cd {_quoted(host.checkout)} && exec {shlex.join(worker)}"
        child = subprocess.Popen(
            process.until_we_die([*command, *tunnels, "--", host.address, there]),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C ends the job, which then ends this
        )
        reader = threading.Thread(target=_read, args=(child, host.address, told), daemon=True)
        reader.start()
        try:
            assert child.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(f"{json.dumps(keys)}\n")
                child.stdin.flush()
            while child.poll() is None and not over.wait(0.5):
                pass
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(process.GRACE)
        finally:
            process.kill_group(child)
        over.wait(_AGAIN)


def _read(child: subprocess.Popen[str], address: str, told: Started) -> None:
    """Show what ssh, and the worker, say."""
    assert child.stderr is not None
    with child.stderr as lines:
        for line in lines:
            text = untrusted.clean_line(line.rstrip("\n"))
            told.said[address] = text
            sys.stderr.write(f"[{address}] {text}\n")
            sys.stderr.flush()


def _quoted(folder: str) -> str:
    """Return ``folder`` for a shell there, which knows what ~ is."""
    home, slash, rest = folder.partition("/")
    return f"~{slash}{shlex.quote(rest)}" if home == "~" and rest else shlex.quote(folder)


def _free_ports(number: int) -> list[int]:
    """Return ports that are free here now, and with some luck on the other host, too."""
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(number)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]
