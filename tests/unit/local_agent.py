# SPDX-License-Identifier: GPL-2.0-only
"""The agent on this host, and agents with wrong answers: guests for unit tests."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fixtures.guest import Guest, build, wire
from fixtures.guest.line import Line


class Host:
    """A host with a guest that prints nothing."""

    slowness = 1.0
    ssh: Any = None
    port: int | None = None
    line: str | None = None

    def connect(self) -> socket.socket:
        raise NotImplementedError

    def begun(self) -> int:
        return 0

    def begun_last(self) -> int:
        return 0

    def death(self) -> None:
        return None

    def splat(self) -> None:
        return None

    def deaf(self) -> None:
        return None

    def inquest(self) -> None:
        return None


class Channel:
    """A paramiko channel made from a socket."""

    def __init__(self, end: socket.socket, words: bytes = b"Killed\n") -> None:
        self._end = end
        self._words = words
        self.send, self.recv, self.settimeout = end.send, end.recv, end.settimeout
        self.close = end.close
        self.has_ended = False

    def exit_status_ready(self) -> bool:
        return self.has_ended

    def recv_stderr(self, count: int) -> bytes:
        return self._words[:count]


def start(
    folder: Path, log: str = "/dev/null", stderr: int | None = None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the agent, and return it with the host's end of its line.

    The file ``log`` replaces /dev/kmsg, which not every user may read. The agent removes its own
    program file. ``stderr`` receives its error messages.
    """
    program = folder / build.NAME
    program.write_bytes(build.agent().read_bytes())
    program.chmod(0o700)
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [str(program), "", log],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=stderr,
        )
    return process, ours


def guest_on(end: socket.socket) -> Guest:
    """Return a guest with the agent at the other end of ``end``."""
    return Guest(Host(), Line(cast(Any, Channel(end))))


@dataclass(frozen=True)
class Call:
    """A call as it arrives; ``args`` are the transferred numbers, ``data`` the memory.

    The memory begins at the first argument that is an address.
    """

    nr: int
    args: tuple[int, ...]
    data: bytes
    size: int  # bytes of the memory that the answer returns


@dataclass(frozen=True)
class Sent:
    """A program as it arrives."""

    number: int
    calls: tuple[Call, ...]


Result = tuple[int, int, bytes]  # a call's return value, its errno, and its data
Results = Iterable[Result]
Agent = Callable[[Sent], bytes]


def answer(sent: Sent, *results: Result, log: bytes = b"", **other: Any) -> bytes:
    """Return the frame that answers ``sent`` with ``results`` for its first calls.

    The other calls succeed, and change nothing.
    """
    rest = [(0, 0, bytes(call.size)) for call in sent.calls[len(results) :]]
    payload = b"".join(
        wire.RESULT.pack(number, error, ret, len(data), len(log)) + data + log
        for number, (ret, error, data) in enumerate([*results, *rest])
    )
    fields = {"size": len(payload), "number": sent.number, "goes_on": 0, "error": 0} | other
    return wire.ANSWER.pack(*fields.values()) + payload


def receive(end: socket.socket, size: int) -> bytes:
    """Return the next ``size`` bytes.

    Raises EOFError if the other end closes first.
    """
    data = b""
    while len(data) < size:
        part = end.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def serve(end: socket.socket, agent: Agent) -> None:
    """Answer the programs that arrive at ``end`` as ``agent`` does, in a thread."""

    def run() -> None:
        first = True
        with suppress(OSError, EOFError):  # the host has closed the line
            while True:
                about = wire.PROGRAM.unpack(receive(end, wire.PROGRAM.size))
                sent = _sent(about, receive(end, about[0]))
                # The first program asks the agent for the guest's name.
                end.sendall(answer(sent) if first else agent(sent))
                first = False

    threading.Thread(target=run, daemon=True).start()


def _sent(about: tuple[Any, ...], body: bytes) -> Sent:
    _, number, count, patches, *_ = about
    memory = body[count * wire.CALL.size + patches * wire.PATCH.size :]
    calls = []
    for at in range(count):
        nr, _, _, _, _, size, *rest = wire.CALL.unpack(body, at * wire.CALL.size)
        kinds, args = rest[:8], tuple(rest[8:])
        places = (arg for kind, arg in zip(kinds, args, strict=False) if kind == wire.Kind.MEMORY)
        calls.append(Call(nr, args, memory[next(places, len(memory)) :], size))
    return Sent(number, tuple(calls))
