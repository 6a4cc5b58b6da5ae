# SPDX-License-Identifier: GPL-2.0-only
"""A guest that answers what no agent does is lost; what no kernel answers is a deviation."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from fixtures.errors import CallBlocked, Deviation, GuestLost
from fixtures.guest import MOST_AT_ONCE, Answer, Guest, Request
from fixtures.guest.answer import LONGEST, NoAnswer, longest, parse
from fixtures.guest.line import Line
from fixtures.session import DataFd, Session, State, data_fd, uapi
from fixtures.session.session import GIVEN_FD


class Host:
    slowness = 1.0
    ssh: Any = None

    def death(self) -> None:
        return None

    def fault(self) -> None:
        return None

    def inquest(self) -> None:
        return None


class Channel:
    """A paramiko channel that is a socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.send, self.recv, self.settimeout = end.send, end.recv, end.settimeout
        self.close = end.close

    def recv_stderr(self, count: int) -> bytes:
        return b"Killed\n"[:count]


Agent = Callable[[dict[str, Any]], bytes]
Start = Callable[[Agent], Guest]


@pytest.fixture
def start() -> Iterator[Start]:
    """A guest whose agent answers each request with the bytes that a function returns."""
    ends: list[socket.socket] = []

    def make(agent: Agent) -> Guest:
        ours, theirs = socket.socketpair()
        ends.extend((ours, theirs))

        def serve() -> None:
            with contextlib.suppress(OSError):  # the host has hung up
                for line in theirs.makefile("rb"):
                    theirs.sendall(agent(json.loads(line)))

        threading.Thread(target=serve, daemon=True).start()
        guest = Guest.__new__(Guest)
        guest._host, guest.deadline, guest.ends = Host(), 5.0, math.inf
        guest._channel = guest._answers = Line(cast(Any, Channel(ours)))
        guest._nth = guest._calls = 0
        guest.loss, guest.interrupted = None, False
        guest.on_answer = lambda *_: None
        guest.on_loss = lambda *_: None
        return guest

    yield make
    for end in ends:
        end.close()


def answer(request: dict[str, Any], **other: Any) -> bytes:
    """Return the line that answers ``request``, but for what is ``other``."""
    usual = {"ret": 0, "errno": 0, "call": request["call"], "log": []}
    return json.dumps(usual | other).encode() + b"\n"


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


READ = ("read", {"fd": 3, "count": 8})
IOCTL = ("ioctl", {"fd": 3, "request": 1, "arg": bytes(8)})


@pytest.mark.parametrize(
    ("call", "other"),
    [
        (READ, {"ret": "0"}),
        (READ, {"ret": math.nan}),
        (READ, {"ret": True}),
        (READ, {"ret": 1 << 70}),
        (READ, {"ret": -2, "errno": 5}),
        (("open", {"path": "/", "flags": 0}), {"ret": 1 << 40}),
        (READ, {"ret": -1}),
        (READ, {"errno": 5}),
        (READ, {"errno": "x"}),
        (READ, {"errno": 1 << 20, "ret": -1}),
        (READ, {"log": "abc"}),
        (READ, {"log": [1]}),
        (READ, {"call": None}),
        (READ, {"call": 99}),
        (READ, {"data": "%%%"}),
        (READ, {"data": base64_of(b"ab"), "ret": 1}),
        (READ, {"ret": 0}),
        (READ, {"data": "", "more": 1}),
        (("close", {"fd": 3}), {"data": ""}),
        (IOCTL, {}),
        (IOCTL, {"data": base64_of(bytes(7))}),
        (("poll", {"fd": 3}), {}),
        (("poll", {"fd": 3}), {"revents": -1}),
        (("list", {"path": "/"}), {"names": "abc"}),
        (("readlink", {"path": "/"}), {"target": None}),
        (("race", {}), {"counts": {"read": ["0"]}}),
        (("failing", {"nth": 1, "what": {"op": "close", "fd": 3}}), {"injected": 1}),
    ],
)
def test_an_answer_of_another_form_loses_the_guest(
    start: Start, call: tuple[str, dict[str, Any]], other: dict[str, Any]
) -> None:
    guest = start(lambda request: answer(request, **other))
    with pytest.raises(GuestLost, match=r"^the agent's answer is none: "):
        guest.call(call[0], **call[1])
    assert guest.loss
    with pytest.raises(GuestLost):  # the machine is not used again
        guest.call("close", fd=3)


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"[]\n",
        b"\n",
        b'{"call": 1}\n',
        b"[" * 100000 + b"\n",
        b'{"ret": ' + b"9" * 5000 + b', "errno": 0, "call": 1, "log": []}\n',
        b'{"ret": 0, "errno": 0, "call": 1, "log": ["\xff"]}\n',
        b'{"ret": 0, "errno": 0, "call": 1, "log": ["\\ud800"]}\n',
        b'{"ret": 0, "errno": 0, "call": 1, "log": [], "\x1b]0;x": 1}\n',
    ],
)
def test_a_line_that_is_no_answer_loses_the_guest(start: Start, line: bytes) -> None:
    guest = start(lambda request: line)
    with pytest.raises(GuestLost, match=r"^the agent's answer is none: [ -~]+$"):
        guest.call("close", fd=3)


@pytest.mark.parametrize(
    ("call", "other", "expected"),
    [
        (READ, {"ret": 2, "data": base64_of(b"ab")}, Answer(2, data=b"ab")),
        (READ, {"ret": -1, "errno": 11}, Answer(-1, 11)),
        (IOCTL, {"data": base64_of(b"\1" * 8)}, Answer(0, data=b"\1" * 8)),
        (IOCTL, {"ret": -1, "errno": 22}, Answer(-1, 22, bytes(8))),
        (("run", {"argv": ["x"]}), {"ret": -9, "output": "x"}, Answer(-9, more={"output": "x"})),
        (("end", {"begun": 0, "what": "read"}), {"ret": -1, "errno": 115}, Answer(-1, 115)),
        (
            ("failing", {"nth": 1, "what": {"op": "close", "fd": 3}}),
            {"injected": True},
            Answer(0, more={"injected": True}),
        ),
    ],
)
def test_an_answer_is_taken(
    call: tuple[str, dict[str, Any]], other: dict[str, Any], expected: Answer
) -> None:
    assert parse(answer({"call": 4}, **other), 4, *call) == expected
    assert parse(answer({"call": 3}, **other), 4, *call) is None  # an earlier one, interrupted


def test_text_is_clean_once_it_is_an_answer() -> None:
    said = answer({"call": 1}, log=["\x1b]0;owned\x07\x1b[2J text\n# forged\u202e"])
    taken = parse(said, 1, "close", {"fd": 3})
    assert taken
    assert taken.log == (" text\\x0a# forged\\u202e",)
    named = parse(answer({"call": 1}, names=["\x9b"]), 1, "list", {"path": "/"})
    assert named
    assert named.more == {"names": ["\\x9b"]}
    assert Answer(3, data=b"\x1b[2Ja\xff").text == "a\ufffd"


def test_a_line_is_not_read_beyond_the_longest_answer(start: Start) -> None:
    assert longest("close", {}) == LONGEST
    assert longest("read", {"count": 1 << 62}) == longest("end", {}) < 2 * MOST_AT_ONCE
    assert longest("read", {"count": 1 << 20}) > LONGEST + (1 << 20) * 4 // 3
    guest = start(lambda request: b"x" * (LONGEST + 2))
    with pytest.raises(GuestLost, match=f"longer than {LONGEST} bytes"):
        guest.call("close", fd=3)


def test_an_answer_that_comes_bit_by_bit_has_no_more_time(start: Start) -> None:
    def trickle(request: dict[str, Any]) -> bytes:
        time.sleep(0.2)
        return b"x"

    guest = start(trickle)
    guest.deadline = 0.5
    for _ in range(20):  # each has the agent say one byte more
        guest._channel.sendall(b"{}\n")
    began = time.monotonic()
    with pytest.raises(CallBlocked, match="close did not return"):
        guest.call("close", fd=3)
    assert time.monotonic() - began < 2


def test_lines_that_arrive_together_are_taken_apart(start: Start) -> None:
    kept: list[dict[str, Any]] = []

    def both(request: dict[str, Any]) -> bytes:
        kept.append(request)
        return b"".join(map(answer, kept)) if len(kept) == 2 else b""

    guest = start(both)
    assert len(guest.calls(Request("close", {"fd": 3}), Request("close", {"fd": 4}))) == 2


def test_an_agent_that_ends_says_why(start: Start) -> None:
    guest = start(lambda request: b"")
    guest._channel._channel._end.shutdown(socket.SHUT_RD)  # type: ignore[attr-defined]
    with pytest.raises(GuestLost, match=r"the agent is gone \(Killed\)"):
        guest.call("close", fd=3)


def reads(count: int) -> Agent:
    data = base64_of(bytes(count))
    return lambda request: answer(request, ret=count, data=data)


def writes(count: int) -> Agent:
    return lambda request: answer(request, ret=count)


@pytest.mark.parametrize(
    ("agent", "act", "said"),
    [
        (reads(9), lambda fd: fd.read(8), "read() of 8 bytes returned 9"),
        (reads(9), lambda fd: fd.pread(8, 0), "pread() of 8 bytes returned 9"),
        (writes(0), lambda fd: fd.write_on(b"abc"), "write() took 0 of 3 bytes"),
        (writes(4), lambda fd: fd.write_on(b"abc"), "write() of 3 bytes returned 4"),
        (writes(4), lambda fd: fd.pwrite(b"abc", 0), "pwrite() of 3 bytes returned 4"),
        (
            lambda request: answer(request, ret=-1, errno=12),
            lambda fd: fd.poll(),
            "poll() failed with ENOMEM",
        ),
    ],
)
def test_what_no_driver_may_return_is_a_deviation(
    start: Start, agent: Agent, act: Callable[[DataFd], Any], said: str
) -> None:
    guest = start(agent)
    with pytest.raises(Deviation) as deviation:
        act(DataFd(guest, 3))
    assert str(deviation.value) == said
    assert guest.loss is None  # nothing is wrong with the machine


def test_a_read_that_was_begun_returns_no_more_than_it_may(start: Start) -> None:
    def agent(request: dict[str, Any]) -> bytes:
        return answer(request) if request["op"] == "begin" else reads(9)(request)

    with pytest.raises(Deviation, match="returned 9"):
        DataFd(start(agent), 3).begin_read(8).end(100)


def test_a_stream_without_an_end_is_a_deviation(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_fd, "LONGEST_STREAM", 1000)
    with pytest.raises(Deviation, match="the stream has no end after 1024 bytes"):
        DataFd(start(reads(64)), 3).read_on(64)


def test_a_device_cannot_have_a_read_take_all_memory(start: Start) -> None:
    asked = []

    def agent(request: dict[str, Any]) -> bytes:
        asked.append(request["count"])
        return reads(0)(request)

    DataFd(start(agent), 3).read(1 << 63)
    assert asked == [MOST_AT_ONCE]


def open_session(guest: Guest, *fds: int) -> Session:
    session = Session.__new__(Session)
    session._guest, session._fds, session.device_fd = guest, list(fds), fds[-1]
    return session


def in_state(state: int, fd: int) -> Agent:
    structure = uapi.FEATURE_HEADER.pack(16, 0) + struct.pack("=Ii", state, fd)
    return lambda request: answer(request, data=base64_of(structure))


def test_a_state_that_does_not_exist_is_a_deviation(start: Start) -> None:
    with pytest.raises(Deviation, match="reports device_state 8, which does not exist"):
        open_session(start(in_state(8, -1)), 5).state()
    assert open_session(start(in_state(2, -1)), 5).state() is State.RUNNING


@pytest.mark.parametrize("fd", [0, 2, 5])
def test_a_data_fd_that_is_another_file_is_a_deviation(start: Start, fd: int) -> None:
    session = open_session(start(in_state(3, fd)), 4, 5)
    with pytest.raises(Deviation, match=f"data_fd={fd}"):
        session.set_state(State.STOP_COPY)
    assert session._fds == [4, 5]  # it is not closed in that file's place


def fails_with(fd: int) -> Agent:
    structure = uapi.FEATURE_HEADER.pack(16, 0) + struct.pack("=Ii", 3, fd)
    return lambda request: answer(request, ret=-1, errno=14, data=base64_of(structure))


def test_a_data_fd_of_a_request_that_failed_is_a_deviation(start: Start) -> None:
    with pytest.raises(Deviation, match="the state 3 was refused, and came with data_fd=7"):
        open_session(start(fails_with(7)), 5).set_state(State.STOP_COPY)


@pytest.mark.parametrize("fd", [-1, GIVEN_FD], ids=["none", "untouched"])
def test_a_request_that_failed_gives_no_data_fd(start: Start, fd: int) -> None:
    answered, data_fd = open_session(start(fails_with(fd)), 5).set_state(State.STOP_COPY)
    assert answered.error == "EFAULT"
    assert data_fd is None


def test_a_data_fd_that_the_kernel_left_alone_is_not_minus_one(start: Start) -> None:
    sent = []

    def agent(request: dict[str, Any]) -> bytes:
        sent.append(base64.b64decode(request["arg"]))
        return answer(request, data=request["arg"])

    answered, data_fd = open_session(start(agent), 5).set_state(State.STOP)
    assert data_fd is None
    assert sent == [answered.data]
    assert uapi.MIG_STATE.unpack_from(answered.data, 8) == (State.STOP, GIVEN_FD)


@pytest.mark.parametrize("on", ["device", "data fd"])
def test_an_ioctl_that_returns_a_positive_number_is_a_deviation(start: Start, on: str) -> None:
    guest = start(lambda request: answer(request, ret=1, data=request["arg"]))
    calls: dict[str, Callable[[], object]] = {
        "device": open_session(guest, 5).opt_in,
        "data fd": DataFd(guest, 3).precopy_info,
    }
    with pytest.raises(Deviation, match="the ioctl returned 1, which is neither 0 nor -1"):
        calls[on]()


def test_an_error_names_the_part_that_is_wrong() -> None:
    with pytest.raises(NoAnswer, match=r"^ret: "):
        parse(answer({"call": 1}, ret="x"), 1, "close", {})
    with pytest.raises(NoAnswer, match=r"^list is answered without names$"):
        parse(answer({"call": 1}), 1, "list", {})
