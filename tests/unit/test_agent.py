# SPDX-License-Identifier: GPL-2.0-only
"""The agent, driven through pipes on this host: it makes calls and never says an exception."""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.guest.answer import LONGEST
from fixtures.guest.guest import AGENT
from fixtures.record.transcript import LOST

FIONREAD, FIONBIO = 0x541B, 0x5421
# As over ssh: the source comes first, on the same line as the requests. /dev/kmsg is not for
# everybody's eyes, so that here the kernel's log is a file with nothing in it.
START = (
    "import sys; s = sys.stdin.buffer.read({}).replace(b'/dev/kmsg', b'/dev/null');"
    " exec(compile(s, 'agent', 'exec'))"
)


class Pipe:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def line(self, text: bytes) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(text + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def __call__(self, op: str, **request: Any) -> dict[str, Any]:
        return self.line(json.dumps({"op": op, **request}).encode())


@pytest.fixture
def agent() -> Iterator[Pipe]:
    source = AGENT.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-u", "-c", START.format(len(source))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(source)
    yield Pipe(process)
    process.stdin.close()
    process.wait(10)


def test_a_file_is_opened_read_and_closed(agent: Pipe, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fd = agent("open", path=str(path), flags=os.O_RDONLY)["ret"]
    assert base64.b64decode(agent("read", fd=fd, count=4)["data"]) == b"0123"
    assert agent("close", fd=fd)["ret"] == 0
    assert agent("close", fd=fd) == {
        "ret": -1,
        "errno": errno.EBADF,
        "call": 0,
        "log": [],
    }


def test_memory_that_cannot_be_written_can_be_read(agent: Pipe, tmp_path: Path) -> None:
    """FIONREAD copies a number out, FIONBIO copies one in."""
    os.mkfifo(tmp_path / "fifo")
    fd = agent("open", path=str(tmp_path / "fifo"), flags=os.O_RDWR)["ret"]
    number = base64.b64encode((1).to_bytes(4, "little")).decode()
    for writable, error in ((True, 0), (False, errno.EFAULT)):
        address = agent("memory", data=number, writable=writable)["ret"]
        assert 0 < address < 1 << 31
        assert agent("ioctl", fd=fd, request=FIONREAD, arg=address)["errno"] == error
        assert agent("ioctl", fd=fd, request=FIONBIO, arg=address)["errno"] == 0


def test_there_is_nothing_behind_the_memory(agent: Pipe, tmp_path: Path) -> None:
    (tmp_path / "fifo").touch()
    fd = agent("open", path=str(tmp_path / "fifo"), flags=os.O_RDWR)["ret"]
    part = base64.b64encode(b"\1\0").decode()  # of the 4 bytes that FIONBIO copies in
    address = agent("memory", data=part, writable=True)["ret"]
    assert agent("ioctl", fd=fd, request=FIONBIO, arg=address)["errno"] == errno.EFAULT


def test_a_call_that_blocks_is_begun_and_ended(agent: Pipe, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = agent("open", path=str(tmp_path / "fifo"), flags=os.O_RDONLY | os.O_NONBLOCK)["ret"]
    writer = agent("open", path=str(tmp_path / "fifo"), flags=os.O_WRONLY)["ret"]
    agent("fcntl", fd=reader, cmd=fcntl.F_SETFL, arg=0)
    begun = agent("begin", what={"op": "read", "fd": reader, "count": 4})["ret"]
    assert agent("end", begun=begun, timeout=10)["errno"] == errno.EINPROGRESS
    agent("write", fd=writer, data=base64.b64encode(b"abc").decode())
    ended = agent("end", begun=begun, timeout=5000)
    assert base64.b64decode(ended["data"]) == b"abc"


def test_a_signal_ends_a_read(agent: Pipe, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = agent("open", path=str(tmp_path / "fifo"), flags=os.O_RDWR)["ret"]
    answer = agent("read_signalled", fd=reader, count=4, after=50)
    assert (answer["ret"], answer["errno"]) == (-1, errno.EINTR)
    agent("write", fd=reader, data=base64.b64encode(b"abc").decode())
    # Long before the signal, however busy the host is.
    assert agent("read_signalled", fd=reader, count=4, after=5000)["ret"] == 3


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"not JSON", errno.EINVAL),
        (b"[]", errno.EINVAL),
        (b'{"op": "no_such_op"}', errno.ENOSYS),
        (b'{"op": "open"}', errno.EINVAL),
        (b'{"op": "open", "path": 7, "flags": "x"}', errno.EINVAL),
        (b'{"op": "read_file", "path": "/no/such/file"}', errno.ENOENT),
        (b'{"op": "write", "fd": 1, "data": "A"}', errno.EINVAL),
        (b'{"op": "ioctl", "fd": 0, "request": 15236, "arg": "AAAA"}', errno.ENOTTY),
    ],
)
def test_nonsense_is_answered_with_an_errno_and_survived(
    agent: Pipe, line: bytes, number: int
) -> None:
    answer = agent.line(line)
    assert (answer["ret"], answer["errno"]) == (-1, number)
    assert agent("hello")["ret"] == 0


def test_a_name_that_is_not_utf_8_can_be_answered(agent: Pipe, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff")).symlink_to(os.fsdecode(b"to\xfe"))
    assert agent("list", path=str(tmp_path))["names"] == ["a\\xff"]
    (tmp_path / "link").symlink_to(os.fsdecode(b"to\xfe"))
    assert agent("readlink", path=str(tmp_path / "link"))["target"] == "to\\xfe"


def test_a_file_without_an_end_is_not_read(agent: Pipe, tmp_path: Path) -> None:
    assert agent("read_file", path="/dev/zero")["errno"] == errno.EFBIG
    whole = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(whole)
    assert base64.b64decode(agent("read_file", path=str(tmp_path / "file"))["data"]) == whole


def test_the_longest_answers_are_no_longer_than_the_host_reads() -> None:
    agent = runpy.run_path(str(AGENT))
    log = 2 * agent["MOST_LOG"]  # at most, as JSON: each character of it may be escaped
    assert agent["MOST_FILE"] * 4 / 3 + log + (1 << 20) < LONGEST


def test_a_kernel_that_prints_without_end_does_not_keep_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = runpy.run_path(str(AGENT))
    log = agent["KernelLog"].__new__(agent["KernelLog"])
    log.fd = os.open("/dev/null", os.O_RDONLY)
    monkeypatch.setattr(os, "read", lambda fd, count: b"6,1,1000000,-;" + b"x" * 1000 + b"\n")
    lines = log.drain()
    monkeypatch.undo()
    os.close(log.fd)
    assert lines[-1] == LOST
    assert sum(map(len, lines)) < agent["MOST_LOG"] + 2000
