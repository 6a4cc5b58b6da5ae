# SPDX-License-Identifier: GPL-2.0-only
"""A guest whose answer no agent gives is lost; an answer that no kernel gives is a deviation."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import uapi
from fixtures.device import Device
from fixtures.errors import CallBlocked, Deviation, GuestLost
from fixtures.guest import MOST_AT_ONCE, Answer, Guest, Request, operation, wire
from fixtures.guest import guest as guest_module
from fixtures.guest.line import Line
from fixtures.guest.made import NoAnswer, parse
from fixtures.guest.program import Program
from fixtures.record.transcript import Transcript
from fixtures.session import DataFd, Session, State, data_fd
from fixtures.session.session import GIVEN_FD
from tests.unit import local_agent
from tests.unit.local_agent import Agent, Channel, Sent, answer

Start = Callable[[Agent], Guest]
EIO = 5


@pytest.fixture
def start() -> Iterator[Start]:
    """A guest whose agent answers each program with a function's bytes."""
    ends: list[socket.socket] = []

    def make(agent: Agent) -> Guest:
        ours, theirs = socket.socketpair()
        ends.extend((ours, theirs))
        local_agent.serve(theirs, agent)
        guest = local_agent.guest_on(ours)
        guest.deadline = 5.0
        return guest

    yield make
    for end in ends:
        end.close()


def result(call: int = 0, error: int = 0, ret: int = 0, data: int = 0, log: int = 0) -> bytes:
    return wire.RESULT.pack(call, error, ret, data, log)


def framed(sent: Sent, payload: bytes) -> bytes:
    return wire.ANSWER.pack(len(payload), sent.number, 0, 0) + payload


READ = ("read", {"fd": 3, "count": 8})
CLOSE = ("close", {"fd": 3})
IOCTL = ("ioctl", {"fd": 3, "request": 1, "arg": bytes(8)})
LIST = ("list", {"path": "/"})


@pytest.mark.parametrize(
    ("call", "payload"),
    [
        (READ, b""),
        (READ, b"\0"),
        (READ, result()[:-1]),
        (READ, result(ret=-2, error=EIO)),
        (READ, result(ret=-1)),
        (READ, result(error=EIO)),
        (READ, result(ret=-1, error=wire.ERRNOS)),
        (READ, result(call=1)),
        (READ, result(call=1 << 31)),
        (READ, result(ret=1, data=2) + b"ab"),
        (READ, result(ret=1)),
        (READ, result(ret=1, data=(1 << 32) - 1)),
        (READ, result(log=1)),
        (CLOSE, result(data=1) + b"a"),
        (IOCTL, result()),
        (IOCTL, result(data=7) + bytes(7)),
        (("poll", {"fd": 3, "events": 1, "timeout": 0}), result()),
        (LIST, result(ret=3) + result(1, ret=19, data=19) + bytes(19) + result(1)),
        (LIST, result(ret=3) + result(1, ret=2, data=2) + bytes(2) + result(1)),
        (LIST, result(1) + result(0, ret=3)),
        (LIST, result(1)),
    ],
)
def test_an_answer_of_another_form_loses_the_guest(
    start: Start, call: tuple[str, dict[str, Any]], payload: bytes
) -> None:
    guest = start(lambda sent: framed(sent, payload))
    with pytest.raises(GuestLost, match=r"^the agent's answer is invalid: [ -~]+$"):
        guest.call(call[0], **call[1])
    assert guest.loss
    with pytest.raises(GuestLost):  # the machine is not used again
        guest.call("close", fd=3)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ((0, 3, 0, 0), "it is for program 3, but the last one was 2"),
        ((0, 1, 0, 0), "it is for program 1, which was answered"),
        ((0, 2, 2, 0), "it is for program 2, but the last one was 2"),
        (((1 << 32) - 1, 2, 0, 0), "it has 4294967295 bytes, but the limit is"),
        ((0, 2, 1, 0), "it has 0 bytes, but the limit is"),
        ((0, 2, 0, 22), "it rejects the program"),
    ],
)
def test_a_frame_that_is_no_answer_loses_the_guest(
    start: Start, head: tuple[int, ...], said: str
) -> None:
    guest = start(lambda sent: wire.ANSWER.pack(*head))
    with pytest.raises(GuestLost, match=f"^the agent's answer is invalid: {said}"):
        guest.call("close", fd=3)


@pytest.mark.parametrize(
    ("call", "results", "expected"),
    [
        (READ, [(2, 0, b"ab")], Answer(2, data=b"ab")),
        (READ, [(-1, 11, b"")], Answer(-1, 11)),
        (IOCTL, [(0, 0, b"\1" * 8)], Answer(0, data=b"\1" * 8)),
        (IOCTL, [(-1, 22, bytes(8))], Answer(-1, 22, bytes(8))),
        (
            ("run", {"argv": ["x"]}),
            [(9, 0, b"\1\0\0\0x" + bytes(wire.MOST_OUTPUT - 1))],
            Answer(-9, more={"output": "x"}),
        ),
        (
            ("end", {"begun": 0, "what": "read", "timeout": 1, "count": 8}),
            [(-1, 115, b"")],
            Answer(-1, 115),
        ),
        (
            ("failing", {"nth": 1, "what": {"op": "close", "fd": 3}}),
            [(5, 0, b""), (1, 0, b""), (0, 0, b""), (2, 0, b"0\n")],
            Answer(0, more={"injected": True}),
        ),
    ],
)
def test_an_answer_is_taken(
    start: Start,
    call: tuple[str, dict[str, Any]],
    results: list[tuple[int, int, bytes]],
    expected: Answer,
) -> None:
    assert start(lambda sent: answer(sent, *results)).call(call[0], **call[1]) == expected


def test_text_is_clean_once_it_is_an_answer(start: Start) -> None:
    said = b"\x1b]0;owned\x07\x1b[2J text\xe2\x80\xae\n"
    taken = start(lambda sent: answer(sent, log=said)).call("close", fd=3)
    assert taken.log == (" text\\u202e",)
    entry = struct.pack("<QqHB", 1, 1, 24, 0) + b"\xc2\x9b\0\0\0"
    listing = result(ret=3) + result(1, ret=len(entry), data=len(entry)) + entry + result(1)
    named = start(lambda sent: framed(sent, listing)).call("list", path="/")
    assert named.more == {"names": ["\\x9b"]}
    assert Answer(3, data=b"\x1b[2Ja\xff").text == "a\ufffd"


def test_an_answer_that_comes_bit_by_bit_has_no_more_time(start: Start) -> None:
    def trickle(sent: Sent) -> bytes:
        time.sleep(0.2)
        return b"x"

    guest = start(trickle)
    guest.deadline = 0.5
    nothing = wire.PROGRAM.pack(*(0,) * 7)
    for _ in range(10):  # for each, the agent sends one more byte
        guest.line.sendall(nothing)
    began = time.monotonic()
    with pytest.raises(CallBlocked, match="close did not return"):
        guest.call("close", fd=3)
    assert time.monotonic() - began < 2


def test_an_answer_to_what_was_interrupted_is_passed_over(start: Start) -> None:
    guest = start(lambda sent: wire.ANSWER.pack(24, 1, 0, 0) + result() + answer(sent))
    guest.interrupted = True
    assert guest.call("close", fd=3).ret == 0


CLOSES = [Request("close", {"fd": fd}) for fd in (3, 4, 5)]


@pytest.mark.parametrize("calls", [[0], [0, 1], [1], [2], []])
def test_answers_to_a_part_of_the_calls_lose_the_guest(start: Start, calls: list[int]) -> None:
    guest = start(lambda sent: framed(sent, b"".join(result(call) for call in calls)))
    with pytest.raises(GuestLost, match="was not made"):
        guest.calls(*CLOSES)


@pytest.mark.parametrize("calls", [[1], [2], [0, 2]])
def test_an_agent_that_falls_silent_after_a_part_loses_the_guest(
    start: Start, calls: list[int]
) -> None:
    told = b"".join(result(call) for call in calls)
    guest = start(lambda sent: wire.ANSWER.pack(len(told), sent.number, 1, 0) + told)
    guest.deadline = 0.1
    lost: list[int] = []
    guest.on_loss = lambda requests, at, why: lost.append(len(requests))
    with pytest.raises(CallBlocked):
        guest.calls(*CLOSES)
    assert isinstance(guest.loss, CallBlocked)
    assert len(lost) == 1


def test_a_guest_that_is_lost_as_a_device_is_opened_has_a_transcript(start: Start) -> None:
    guest = start(lambda sent: b"")
    guest.deadline = 0.1
    transcript = Transcript()
    guest.on_answer, guest.on_loss = transcript.add, transcript.add_lost
    device = Device("0000:01:00.1", None, "/dev/vfio/devices/vfio0")
    with pytest.raises(CallBlocked):
        Session(guest, device, "cdev")
    assert transcript.lines[0].startswith("open('/dev/iommu', 2) = ? (open did not return")
    assert "BIND_IOMMUFD, {argsz=16" in transcript.lines[2]


@pytest.mark.parametrize(
    "answers", [[], [(0, 0, b""), (0, 0, b"")], [(2, 0, b"ab")] * 1001], ids=["none", "on", "many"]
)
def test_a_read_that_was_repeated_otherwise_than_it_may_be_loses_the_guest(
    start: Start, answers: list[tuple[int, int, bytes]]
) -> None:
    payload = b"".join(result(0, e, ret, len(data)) + data for ret, e, data in answers)
    guest = start(lambda sent: framed(sent, payload))
    with pytest.raises(GuestLost, match="read was made"):
        DataFd(guest, 3).read_on(8)


def test_a_program_ends_by_a_status_that_there_is(start: Start) -> None:
    output = bytes(wire.MOST_OUTPUT + 4)
    guest = start(lambda sent: answer(sent, (0x7F, 0, output)))
    with pytest.raises(GuestLost, match="a program ended with 0x7f"):
        guest.call("run", argv=["true"])


def test_answers_that_go_on_for_ever_lose_the_guest(start: Start) -> None:
    def agent(sent: Sent) -> bytes:
        payload = result(error=9, ret=-1) * 1000
        return (wire.ANSWER.pack(len(payload), sent.number, 1, 0) + payload) * 100

    with pytest.raises(GuestLost, match="bytes, but the limit is"):
        start(agent).call("close", fd=3)


def test_ctrl_c_in_an_answer_loses_none_of_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head of an answer arrives before Ctrl-C, and the rest after it."""
    sent: list[Sent] = []

    def agent(program: Sent) -> bytes:
        sent.append(program)
        if len(sent) == 1:
            return answer(program)[:20]
        return answer(sent[0])[20:] + answer(program, (5, 0, b"")) if program.calls else b""

    guest = start(agent)
    read = guest.line._channel.recv
    parts = [0]

    def interrupted(count: int) -> bytes:
        parts[0] += 1
        if parts[0] == 2:
            raise KeyboardInterrupt
        return read(count)

    monkeypatch.setattr(guest.line._channel, "recv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        guest.call("close", fd=3)
    assert guest.interrupted
    assert guest.call("close", fd=4).ret == 5


def test_answers_that_go_on_are_put_together(start: Start) -> None:
    def agent(sent: Sent) -> bytes:
        first, second = result(ret=1), result(1, ret=2)
        return wire.ANSWER.pack(24, sent.number, 1, 0) + first + framed(sent, second)

    closes = [Request("close", {"fd": 3})] * 2
    assert [one.ret for one in start(agent).calls(*closes)] == [1, 2]


def test_an_agent_that_ends_says_why(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_module, "SEEN", 0.1)
    guest = start(lambda sent: b"")
    guest.line._channel._end.shutdown(socket.SHUT_RD)  # type: ignore[attr-defined]
    with pytest.raises(GuestLost, match=r"the agent is gone \(Killed\)"):
        guest.call("close", fd=3)


@pytest.fixture
def silent() -> Iterator[tuple[Line, Channel, socket.socket]]:
    """A line over a port, its agent's channel, and the agent's end of the port."""
    (port, theirs), (unused, _) = socket.socketpair(), socket.socketpair()
    channel = Channel(unused)
    line = Line(cast(Any, channel), port)
    line.until = time.monotonic() + 5
    with theirs:
        yield line, channel, theirs
    line.close()


def test_bytes_go_over_the_port(silent: tuple[Line, Channel, socket.socket]) -> None:
    line, _, agent = silent
    line.sendall(b"program")
    assert agent.recv(99) == b"program"
    agent.sendall(b"an answer")
    assert line.read(9) == b"an answer"


def test_an_agent_that_has_ended_is_gone_though_its_port_is_open(
    silent: tuple[Line, Channel, socket.socket],
) -> None:
    line, channel, agent = silent
    agent.sendall(b"last")
    channel.has_ended = True
    began = time.monotonic()
    assert line.read(9) == b"last"
    with pytest.raises(BrokenPipeError):
        line.sendall(bytes(1 << 24))  # more than fits in the port
    assert time.monotonic() - began < 2


def test_a_port_that_is_silent_takes_no_more_time_than_it_has(
    silent: tuple[Line, Channel, socket.socket],
) -> None:
    line, _, _ = silent
    line.until = time.monotonic() + 0.3
    with pytest.raises(TimeoutError):
        line.read(1)


PORT_KNOWS = [
    # The answers received, the port's last call, then the calls reported as answered and as lost.
    (0, 2, [], ["read", "lseek", "close"], 2),
    (1, 2, ["read"], ["lseek", "close"], 1),
    (2, 2, ["read", "lseek"], ["close"], 0),
    (1, None, ["read"], ["lseek", "close"], None),
]


@pytest.mark.parametrize(("came", "begun", "answered", "lost", "at"), PORT_KNOWS)
def test_a_guest_is_lost_in_the_call_that_was_begun_last(
    start: Start,
    came: int,
    begun: int | None,
    answered: list[str],
    lost: list[str],
    at: int | None,
) -> None:
    def agent(sent: Sent) -> bytes:
        told = b"".join(result(call) for call in range(came))
        return wire.ANSWER.pack(len(told), sent.number, 1, 0) + told if told else b""

    guest = start(agent)
    guest.deadline = 0.2
    counts = iter([5, 5 if begun is None else 8])
    guest._host.begun = lambda: next(counts)  # type: ignore[method-assign]
    guest._host.begun_last = lambda: begun or 0  # type: ignore[method-assign]
    told: list[str] = []
    went: list[tuple[list[str], int | None]] = []
    guest.on_answer = lambda op, fields, answer: told.append(op)
    guest.on_loss = lambda requests, at, why: went.append(([one.op for one in requests], at))
    with pytest.raises(CallBlocked, match=f"{lost[at or 0]} did not return"):
        guest.calls(
            Request("read", {"fd": 3, "count": 8}),
            Request("lseek", {"fd": 3, "offset": 0, "whence": 0}),
            Request("close", {"fd": 3}),
        )
    assert (told, went) == (answered, [(lost, at)])


PARSED = Program()
for _op, _fields in (READ, IOCTL, CLOSE, ("read_file", {"path": "/"})):
    operation.add(PARSED, _op, _fields, [])
PARSED.call(operation.CLOSE, 3, thread=1, flags=wire.Flag.COUNTED)
A_RESULT = st.builds(
    lambda head, data, log: wire.RESULT.pack(*head, len(data), len(log)) + data + log,
    st.tuples(
        st.integers(0, 9) | st.integers(0, (1 << 32) - 1),
        st.integers(0, 5) | st.integers(0, (1 << 32) - 1),
        st.integers(-2, 9) | st.integers(-(1 << 63), (1 << 63) - 1),
    ),
    st.binary(max_size=9),
    st.binary(max_size=20),
)


@given(st.lists(A_RESULT).map(b"".join) | st.binary())
def test_whatever_arrives_is_an_answer_or_none(payload: bytes) -> None:
    with suppress(NoAnswer):
        for call, one in parse(payload, PARSED):
            assert call < len(PARSED)
            assert one.ret >= 0 or one.errno
            assert all(line.isprintable() for line in one.log)


def reads(count: int) -> Agent:
    return lambda sent: answer(sent, (count, 0, bytes(min(count, sent.calls[0].size))))


def writes(count: int) -> Agent:
    return lambda sent: answer(sent, (count, 0, b""))


@pytest.mark.parametrize(
    ("agent", "act", "said"),
    [
        (reads(9), lambda fd: fd.read(8), "read() of 8 bytes returned 9"),
        (reads(9), lambda fd: fd.pread(8, 0), "pread() of 8 bytes returned 9"),
        (writes(0), lambda fd: fd.write_on(b"abc"), "write() took 0 of 3 bytes"),
        (writes(4), lambda fd: fd.write_on(b"abc"), "write() of 3 bytes returned 4"),
        (writes(4), lambda fd: fd.pwrite(b"abc", 0), "pwrite() of 3 bytes returned 4"),
        (
            lambda sent: answer(sent, (-1, 12, bytes(8))),
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
    assert guest.loss is None  # the machine is fine


def test_a_read_that_was_begun_returns_no_more_than_it_may(start: Start) -> None:
    def agent(sent: Sent) -> bytes:
        data = b"" if sent.calls[0].nr == operation.READ else bytes(8)
        return answer(sent, (9 if data else 0, 0, data))

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

    def agent(sent: Sent) -> bytes:
        asked.append(sent.calls[0].args[2])
        return reads(0)(sent)

    DataFd(start(agent), 3).read(1 << 63)
    assert asked == [MOST_AT_ONCE]


def open_session(guest: Guest, *fds: int) -> Session:
    session = Session.__new__(Session)
    session._guest, session._fds, session.device_fd = guest, list(fds), fds[-1]
    return session


def in_state(state: int, fd: int) -> Agent:
    structure = uapi.FEATURE_HEADER.pack(16, 0) + struct.pack("=Ii", state, fd)
    return lambda sent: answer(sent, (0, 0, structure))


def test_a_state_that_does_not_exist_is_a_deviation(start: Start) -> None:
    with pytest.raises(Deviation, match="reports device_state 8, which does not exist"):
        open_session(start(in_state(8, -1)), 5).state()
    assert open_session(start(in_state(2, -1)), 5).state() is State.RUNNING


@pytest.mark.parametrize("fd", [0, 2, 5])
def test_a_data_fd_that_is_another_file_is_a_deviation(start: Start, fd: int) -> None:
    session = open_session(start(in_state(3, fd)), 4, 5)
    with pytest.raises(Deviation, match=f"data_fd={fd}"):
        session.set_state(State.STOP_COPY)
    assert session._fds == [4, 5]  # closing it would close the other file


def fails_with(fd: int) -> Agent:
    structure = uapi.FEATURE_HEADER.pack(16, 0) + struct.pack("=Ii", 3, fd)
    return lambda sent: answer(sent, (-1, 14, structure))


def test_a_data_fd_of_a_request_that_failed_is_a_deviation(start: Start) -> None:
    with pytest.raises(Deviation, match="the state 3 was refused, but gave data_fd=7"):
        open_session(start(fails_with(7)), 5).set_state(State.STOP_COPY)


@pytest.mark.parametrize("fd", [-1, GIVEN_FD], ids=["none", "untouched"])
def test_a_request_that_failed_gives_no_data_fd(start: Start, fd: int) -> None:
    answered, data_fd = open_session(start(fails_with(fd)), 5).set_state(State.STOP_COPY)
    assert answered.error == "EFAULT"
    assert data_fd is None


def test_a_data_fd_that_the_kernel_left_alone_is_not_minus_one(start: Start) -> None:
    sent = []

    def agent(program: Sent) -> bytes:
        sent.append(program.calls[0].data)
        return answer(program, (0, 0, program.calls[0].data))

    answered, data_fd = open_session(start(agent), 5).set_state(State.STOP)
    assert data_fd is None
    assert sent == [answered.data]
    assert uapi.MIG_STATE.unpack_from(answered.data, uapi.FEATURE_HEADER.size) == (
        State.STOP,
        GIVEN_FD,
    )


@pytest.mark.parametrize("on", ["device", "data fd"])
def test_an_ioctl_that_returns_a_positive_number_is_a_deviation(start: Start, on: str) -> None:
    guest = start(lambda sent: answer(sent, (1, 0, sent.calls[0].data)))
    calls: dict[str, Callable[[], object]] = {
        "device": open_session(guest, 5).opt_in,
        "data fd": DataFd(guest, 3).precopy_info,
    }
    with pytest.raises(Deviation, match="the ioctl returned 1, which is neither 0 nor -1"):
        calls[on]()
