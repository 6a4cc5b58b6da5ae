# SPDX-License-Identifier: GPL-2.0-only
"""The agent, compiled and run on this host: it makes calls, and survives invalid programs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.errors import GuestLost, NotThere
from fixtures.guest import Earlier, Guest, Request, operation, wire
from fixtures.guest import guest as guest_module
from fixtures.guest.operation import UFFDIO_COPY
from fixtures.guest.program import Program, Returned
from fixtures.guest.wire import Flag, Kind, Own
from fixtures.record.transcript import LOST
from fixtures.session import ArrangementFailed, DataFd
from fixtures.session.held import held
from fixtures.session.session import EventFd
from tests.unit import local_agent
from tests.unit.local_agent import receive
from tests.unit.tools import needs

pytestmark = needs("gcc")

FIONREAD, FIONBIO = 0x541B, 0x5421
GETPID = operation.GETPID


@pytest.fixture
def line(tmp_path: Path) -> Iterator[socket.socket]:
    """The line to a running agent."""
    process, end = local_agent.start(tmp_path)
    end.settimeout(10)
    yield end
    end.close()
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:  # a call blocks
        process.kill()
        process.wait()


@pytest.fixture
def guest(line: socket.socket) -> Guest:
    return local_agent.guest_on(line)


def opened(guest: Guest, path: Path | str, flags: int) -> int:
    answer = guest.call("open", path=str(path), flags=flags)
    assert not answer.error
    return answer.ret


@pytest.fixture
def fifo(guest: Guest, tmp_path: Path) -> int:
    """A descriptor of an empty pipe, in the agent."""
    os.mkfifo(tmp_path / "fifo")
    return opened(guest, tmp_path / "fifo", os.O_RDWR)


def test_it_says_where_it_runs(guest: Guest) -> None:
    told = guest.call("hello").more
    assert (told["release"], told["machine"]) == (os.uname().release, os.uname().machine)
    assert Path(f"/proc/{told['pid']}/comm").read_text(encoding="utf-8") == "vfio-agent\n"
    assert guest.release == told["release"]


def test_nothing_of_it_stays_behind(guest: Guest, tmp_path: Path) -> None:
    assert not (tmp_path / "vfio-agent").exists()


def test_it_makes_no_call_when_who_started_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_module, "SEEN", 0.1)
    words, theirs = os.pipe()
    process, end = local_agent.start(tmp_path, stderr=theirs)
    os.close(theirs)
    with end:
        guest = local_agent.guest_on(end)
        assert not guest.call("hello").error
        os.close(words)
        with pytest.raises(GuestLost):
            guest.call("hello")
        assert process.wait(10) == 0


def test_a_file_is_opened_read_and_closed(guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fd = opened(guest, path, os.O_RDWR)
    assert guest.call("read", fd=fd, count=4).data == b"0123"
    assert guest.call("pread", fd=fd, count=2, offset=7).data == b"78"
    assert guest.call("lseek", fd=fd, offset=0, whence=os.SEEK_END).ret == 10
    assert guest.call("pwrite", fd=fd, data=b"ab", offset=8).ret == 2
    assert guest.call("close", fd=fd).ret == 0
    closed = guest.call("close", fd=fd)
    assert (closed.ret, closed.error) == (-1, "EBADF")
    assert path.read_bytes() == b"01234567ab"


def test_a_read_in_parts(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = opened(guest, tmp_path / "file", os.O_RDONLY)
    answer = guest.call("readv", fd=fd, counts=(3, 1, 2))
    assert (answer.ret, answer.data) == (6, b"012345")
    answer = guest.call("readv", fd=fd, counts=(3, 100))
    assert (answer.ret, answer.data) == (4, b"6789")
    assert guest.call("readv", fd=-1, counts=(3, 100)).error == "EBADF"


def test_a_splice_gives_what_it_has_moved(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = opened(guest, tmp_path / "file", os.O_RDONLY)
    answer = guest.call("splice", fd=fd, count=4)
    assert (answer.ret, answer.data) == (4, b"0123")
    assert guest.call("splice", fd=-1, count=4).error == "EBADF"


@pytest.mark.parametrize("apart", [False, True])
def test_a_call_by_io_uring(guest: Guest, tmp_path: Path, apart: bool) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = opened(guest, tmp_path / "file", os.O_RDWR)
    answer = guest.call("ring_read", fd=fd, count=4, apart=apart)
    if answer.error in ("ENOSYS", "EPERM"):
        pytest.skip(f"this host has no io_uring: {answer.error}")
    assert (answer.ret, answer.data) == (4, b"0123")
    assert guest.call("ring_write", fd=fd, data=b"abc", apart=apart).ret == 3
    assert guest.call("ring_read", fd=fd, count=9, apart=apart).data == b"789"
    assert guest.call("ring_read", fd=fd, count=9, apart=apart).ret == 0
    assert (tmp_path / "file").read_bytes() == b"0123abc789"
    assert guest.call("ring_read", fd=-1, count=4, apart=apart).error == "EBADF"


@pytest.mark.parametrize("sent", [False, True])
def test_another_process_has_one_file(guest: Guest, tmp_path: Path, sent: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    fd = opened(guest, path, os.O_RDONLY)
    process = guest.call("share", fd=fd, sent=sent).ret
    assert [os.readlink(one) for one in Path(f"/proc/{process}/fd").iterdir()] == [str(path)]
    assert guest.call("read", fd=fd, count=4).data == b"0123"
    guest.call("close", fd=fd)
    again = guest.call("take_over", process=process, fd=fd).ret
    assert guest.call("read", fd=again, count=4).data == b"4567"
    assert guest.call("leave", process=process).ret == 0
    assert guest.call("leave", process=process).error == "ECHILD"
    assert not Path(f"/proc/{process}").exists()
    assert guest.call("read", fd=again, count=4).data == b"89"
    assert guest.call("share", fd=fd, sent=sent).error == "EBADF"


def test_a_file_is_mapped_or_not(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = opened(guest, tmp_path / "file", os.O_RDONLY)
    assert guest.call("map_file", fd=fd, length=4096).ret == 0
    assert guest.call("map_file", fd=-1, length=4096).error == "EBADF"


def test_a_call_is_made_while_no_file_can_be_opened(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    request = {"op": "open", "path": str(tmp_path / "file"), "flags": os.O_RDONLY}
    assert guest.call("without_files", what=request).error == "EMFILE"
    assert not guest.call("open", path=str(tmp_path / "file"), flags=os.O_RDONLY).error


def test_an_eventfd_is_readable_once_it_is_signalled(guest: Guest) -> None:
    event = EventFd(guest, guest.call("eventfd").ret)
    assert not event.signalled
    assert guest.call("write", fd=event.fd, data=(1).to_bytes(8, "little")).ret == 8
    assert event.signalled


def test_a_call_takes_the_result_of_an_earlier_one(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    told: list[tuple[str, object]] = []
    guest.on_answer = lambda op, fields, answer: told.append((op, fields.get("fd")))
    fd, data, ready, closed = guest.calls(
        Request("open", {"path": str(tmp_path / "file"), "flags": os.O_RDONLY}),
        Request("read", {"fd": Earlier(0), "count": 8}),
        Request("poll", {"fd": Earlier(0), "events": 1, "timeout": 0}),
        Request("close", {"fd": Earlier(0)}),
        stop=True,
    )
    assert (data.data, ready.more["revents"], closed.ret) == (b"abc", 1, 0)
    assert told == [("open", None), ("read", fd.ret), ("poll", fd.ret), ("close", fd.ret)]


def test_what_needs_the_result_of_a_call_that_failed_is_not_made(guest: Guest) -> None:
    answers = guest.calls(
        Request("open", {"path": "/no/such/file", "flags": 0}),
        Request("read", {"fd": Earlier(0), "count": 8}),
        stop=True,
    )
    assert [answer.error for answer in answers] == ["ENOENT"]
    with pytest.raises(TypeError, match="may be missing"):
        guest.calls(Request("read", {"fd": Earlier(0), "count": 8}))


def test_a_program_stops_at_the_first_failure_or_goes_on(guest: Guest) -> None:
    calls = [Request("close", {"fd": 999}), Request("close", {"fd": 998})]
    assert len(guest.calls(*calls)) == 2
    assert [answer.error for answer in guest.calls(*calls, stop=True)] == ["EBADF"]


def test_a_write_that_is_cut_short_ends_a_program_that_stops(guest: Guest, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "small")
    fd = opened(guest, tmp_path / "small", os.O_RDWR | os.O_NONBLOCK)
    size = guest.call("fcntl", fd=fd, cmd=1032, arg=0).ret  # F_GETPIPE_SZ
    part = Request("write", {"fd": fd, "data": bytes(size - 4096)})
    assert [answer.ret for answer in guest.calls(part, part, part, stop=True)] == [
        size - 4096,
        4096,
    ]


def test_more_requests_than_a_program_takes_are_several(guest: Guest) -> None:
    number = wire.MOST_CALLS * 2 + 7
    assert len(guest.calls(*[Request("close", {"fd": 999})] * number)) == number
    large = Request("write", {"fd": 999, "data": bytes(20 << 20)})
    assert [answer.error for answer in guest.calls(large, large, large)] == ["EBADF"] * 3


def test_what_is_looked_at_after_each_program_is_there_for_who_asks(
    guest: Guest, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"abcdefgh")
    fd = opened(guest, tmp_path / "file", os.O_RDONLY)
    told: list[str] = []
    guest.on_answer = lambda op, fields, answer: told.append(f"{op} {answer.ret}")
    where = Request("lseek", {"fd": fd, "offset": 0, "whence": os.SEEK_CUR})
    with guest.looking(lambda: where):
        programs = guest._programs
        assert guest.calls() == []
        assert guest.call("read", fd=fd, count=3).ret == 3
        assert guest.calls(where)[0].ret == 3
        assert guest._programs == programs + 1
        assert guest.calls(where)[0].ret == 3  # a look is kept for one call; the next asks again
        assert guest._programs == programs + 2
    assert told == ["read 3", "lseek 3", "lseek 3"]
    assert guest.call("read", fd=fd, count=8).data == b"defgh"
    assert told[3:] == ["read 5"]


def test_a_read_is_repeated_to_the_end(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(250)) * 10)
    fd = opened(guest, tmp_path / "file", os.O_RDONLY)
    told: list[str] = []
    guest.on_answer = lambda op, fields, answer: told.append(op)
    answers = guest.repeat(Request("read", {"fd": fd, "count": 1000}), 1 << 20)
    assert [answer.ret for answer in answers] == [1000, 1000, 500, 0]
    assert b"".join(answer.data for answer in answers) == bytes(range(250)) * 10
    assert told == ["read"] * 4


def test_a_read_is_not_repeated_beyond_the_room(guest: Guest) -> None:
    fd = opened(guest, "/dev/zero", os.O_RDONLY)
    answers = guest.repeat(Request("read", {"fd": fd, "count": 1 << 12}), 1 << 16)
    assert 12 <= len(answers) <= 17
    assert not guest.call("close", fd=fd).error


def test_memory_that_cannot_be_written_can_be_read(guest: Guest, fifo: int) -> None:
    """FIONREAD writes a number to the memory, FIONBIO reads one from it."""
    for writable, error in ((True, ""), (False, "EFAULT")):
        address = guest.memory((1).to_bytes(4, "little"), writable=writable).ret
        assert 0 < address < 1 << 31
        assert guest.call("ioctl", fd=fifo, request=FIONREAD, arg=address).error == error
        assert not guest.call("ioctl", fd=fifo, request=FIONBIO, arg=address).error


def test_there_is_nothing_behind_the_memory(guest: Guest, fifo: int) -> None:
    part = guest.memory(b"\1\0", writable=True).ret  # FIONBIO reads 4 bytes
    assert guest.call("ioctl", fd=fifo, request=FIONBIO, arg=part).error == "EFAULT"
    none = guest.memory(b"", writable=True).ret
    assert guest.call("ioctl", fd=fifo, request=FIONREAD, arg=none).error == "EFAULT"


def test_an_ioctl_is_given_a_structure_with_an_address(guest: Guest) -> None:
    """UFFDIO_COPY copies the page that its structure points to, and says how much it copied."""
    address = guest.address()
    fd = guest.call("hold", address=address).ret
    if fd < 0:
        pytest.skip("this host has no userfaultfd for calls of the kernel")
    given = struct.pack("=4Qq", address, 0, 4096, 0, 0)
    page = b"ab".ljust(4096, b"\0")
    answer = guest.call("ioctl_pointing", fd=fd, request=UFFDIO_COPY, arg=given, at=8, memory=page)
    assert not answer.error
    assert answer.data == struct.pack("=4Qq", address, 0, 4096, 0, 4096)
    assert answer.more["memory"] == page
    assert guest.call("copy", address=address, count=3).data == b"ab\0"
    again = guest.call("ioctl_pointing", fd=fd, request=UFFDIO_COPY, arg=given, at=8, memory=page)
    assert again.error == "EEXIST"


def test_a_call_that_blocks_is_begun_and_ended(guest: Guest, fifo: int) -> None:
    reading = guest.begin("read", fd=fifo, count=4)
    polling = guest.begin("poll", fd=fifo, events=4, timeout=1000)  # POLLOUT is ready
    assert reading.end(10).error == "EINPROGRESS"
    guest.call("write", fd=fifo, data=b"abc")
    assert reading.end(5000).data == b"abc"
    assert polling.end(5000).more == {"revents": 4}
    assert guest.call("end", begun=0, what="read", timeout=0, count=4).error == "EINVAL"


def test_a_call_that_has_ended_has_its_answer_each_time(guest: Guest, fifo: int) -> None:
    polling = guest.begin("poll", fd=fifo, events=4, timeout=1000)
    first = polling.end(5000)
    assert (first.ret, polling.end(5000)) == (1, first)


def test_there_is_a_limit_to_what_is_begun(guest: Guest, fifo: int) -> None:
    begun = [guest.begin("read", fd=fifo, count=1) for _ in range(wire.MOST_BEGUN)]
    more = guest.call("begin", what={"op": "read", "fd": fifo, "count": 1})
    assert more.error == "EAGAIN"
    guest.call("write", fd=fifo, data=bytes(wire.MOST_BEGUN))
    assert [one.end(5000).ret for one in begun] == [1] * wire.MOST_BEGUN


def test_a_call_is_held_where_it_copies(guest: Guest, fifo: int) -> None:
    data_fd = DataFd(guest, fifo)
    try:
        with held(guest) as page:
            writing = page.write(data_fd, 3)
            assert writing.end(10).error == "EINPROGRESS"
            page.release(b"abc")
            assert writing.end(5000).ret == 3
        with held(guest) as page:
            reading = page.read(data_fd, 2)
            page.release(b"")
            assert reading.end(5000).ret == 2
            assert page.content(3) == b"ab\0"
    except NotThere:
        pytest.skip("this host has no userfaultfd for calls of the kernel")


def test_a_call_that_copies_nothing_cannot_be_held(guest: Guest) -> None:
    try:
        with held(guest) as page, pytest.raises(ArrangementFailed, match="does not copy: -1 EBADF"):
            page.write(DataFd(guest, 999), 1)
    except NotThere:
        pytest.skip("this host has no userfaultfd for calls of the kernel")


def test_a_signal_ends_a_read(guest: Guest, fifo: int) -> None:
    answer = guest.call("read_signalled", fd=fifo, count=4, after=50)
    assert (answer.ret, answer.error) == (-1, "EINTR")
    guest.call("write", fd=fifo, data=b"abc")
    # It returns long before the signal, however busy the host is.
    assert guest.call("read_signalled", fd=fifo, count=4, after=5000).data == b"abc"


@pytest.mark.parametrize(
    ("op", "fields", "error"),
    [
        ("read_file", {"path": "/no/such/file"}, "ENOENT"),
        ("read_file", {"path": "/"}, "EISDIR"),
        ("write_file", {"path": "/no/such/file", "data": b"x"}, "ENOENT"),
        ("list", {"path": "/no/such/folder"}, "ENOENT"),
        ("list", {"path": "/dev/null"}, "ENOTDIR"),
        ("readlink", {"path": "/"}, "EINVAL"),
        ("ioctl", {"fd": 0, "request": 15236, "arg": b"\1\2\3"}, "ENOTTY"),
        ("run", {"argv": ["/no/such/program"]}, "ENOENT"),
        ("poll", {"fd": 0, "events": 1, "timeout": 1 << 62}, ""),
    ],
)
def test_a_failure_is_its_errno(
    guest: Guest, op: str, fields: dict[str, object], error: str
) -> None:
    if op == "poll":  # POLLOUT, which is always ready
        fields = fields | {"events": 4}
    answer = guest.call(op, **fields)
    assert answer.error == error
    if op == "ioctl":
        assert answer.data == b"\1\2\3"


def test_a_program_of_the_guest_is_run(guest: Guest) -> None:
    done = guest.call("run", argv=["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.ret, done.more["output"]) == (3, "out\nerr\n")
    ignored = guest.call("run", argv=["grep", "SigIgn", "/proc/self/status"])
    assert int(ignored.more["output"].split()[1], 16) & 1 << signal.SIGPIPE - 1 == 0
    killed = guest.call("run", argv=["sh", "-c", "kill -9 $$"])
    assert killed.ret == -signal.SIGKILL
    long = guest.call("run", argv=["sh", "-c", "seq 100000"])
    assert long.more["output"].endswith("99999\n100000\n")
    assert len(long.more["output"]) <= wire.MOST_OUTPUT


def test_a_name_that_is_not_utf_8_can_be_answered(guest: Guest, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / os.fsdecode(b"a\xff")).symlink_to(os.fsdecode(b"to\xfe"))
    (folder / "link").symlink_to(os.fsdecode(b"to\xfe"))
    assert guest.call("list", path=str(folder)).more["names"] == ["a\\xff", "link"]
    assert guest.call("readlink", path=str(folder / "link")).more["target"] == "to\\xfe"


def test_a_large_folder_is_listed(guest: Guest, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    names = [f"{number:04}-{'x' * 40}" for number in range(1500)]
    for name in names:
        (folder / name).touch()
    assert guest.call("list", path=str(folder)).more["names"] == names


def test_a_file_without_an_end_is_not_read(guest: Guest, tmp_path: Path) -> None:
    assert guest.call("read_file", path="/dev/zero").error == "EFBIG"
    whole = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(whole)
    assert guest.call("read_file", path=str(tmp_path / "file")).data == whole


def test_a_kernel_that_prints_without_end_does_not_keep_the_agent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    process, end = local_agent.start(tmp_path, str(log))
    guest = local_agent.guest_on(end)
    record = b"6,1,1000000,-;" + b"x" * (16384 - 15) + b"\n"  # the most that one read takes
    with log.open("ab") as file:
        file.write(record * 200)
    answer = guest.call("close", fd=999)
    assert answer.log[0] == f"[    1.000000] {'x' * (16384 - 15)}"
    assert answer.log[-1] == LOST
    assert wire.MOST_LOG < sum(map(len, answer.log)) < wire.MOST_LOG + 20000
    assert guest.call("close", fd=999).log == ()  # the rest is not reported later
    end.close()
    process.wait(10)


def test_lines_of_the_kernels_log_are_those_since_the_call_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"6,1,5,-;before the agent was there\n")
    process, end = local_agent.start(tmp_path, str(log))
    guest = local_agent.guest_on(end)
    with log.open("ab") as file:
        file.write(b"4,2,12345678901,-,caller=T7;mtty: \xff\x1b[2J\n SUBSYSTEM=vfio\n")
    answers = guest.calls(*[Request("close", {"fd": 999})] * 2)
    assert [answer.log for answer in answers] == [("[12345.678901] mtty: \ufffd",), ()]
    end.close()
    process.wait(10)


def test_what_was_done_is_told_though_a_call_blocks(guest: Guest, fifo: int) -> None:
    guest.deadline = 1.5
    told: list[str] = []
    lost: list[tuple[list[str], int | None]] = []
    guest.on_answer = lambda op, fields, answer: told.append(op)
    guest.on_loss = lambda requests, at, why: lost.append(([one.op for one in requests], at))
    with pytest.raises(GuestLost, match="read did not return within"):
        guest.calls(
            Request("close", {"fd": 999}),
            Request("lseek", {"fd": fifo, "offset": 0, "whence": 0}),
            Request("read", {"fd": fifo, "count": 1}),
            Request("close", {"fd": fifo}),
        )
    assert told == ["close", "lseek"]
    assert lost == [(["read", "close"], None)]


def carry_out(end: socket.socket, program: Program) -> list[tuple[int, int, int, bytes]]:
    """Return the results of the program's calls: number, errno, result, data."""
    end.sendall(program.encode(7))
    results = []
    while True:
        size, number, goes_on, error = wire.ANSWER.unpack(receive(end, wire.ANSWER.size))
        assert (number, error) == (7, 0)
        payload, at = receive(end, size), 0
        while at < len(payload):
            call, errno_, ret, length, log = wire.RESULT.unpack(payload, at)
            at += wire.RESULT.size
            results.append((call, errno_, ret, payload[at : at + length]))
            at += length + log
        if not goes_on:
            return results


def test_threads_begin_at_once_and_each_has_a_program_of_its_own(line: socket.socket) -> None:
    program = Program()
    pipe = program.scratch(8)
    made = program.call(22, pipe, out=(pipe, 8))  # pipe()
    first = program.put(b"a" * 100)
    for thread, fill in ((1, b"a"), (2, b"b")):
        text = program.put(fill * 50)
        for _ in range(20):
            program.call(operation.WRITE, Returned(made), text, 0, thread=thread)
    raced = program.call(Own.RACE, 0, 1000)
    results = carry_out(line, program)
    assert first is not None
    assert [ret for call, _, ret, _ in results if call == raced] == [0]
    threads = {call for call, *_ in results} - {made, raced}
    assert len(threads) == 40


def test_a_race_goes_on_for_its_time_and_counts(line: socket.socket) -> None:
    program = Program()
    counted = program.call(operation.CLOSE, 999, thread=1, flags=Flag.COUNTED)
    program.call(GETPID, thread=2, flags=Flag.COUNTED)
    raced = program.call(Own.RACE, 200, 1000)
    began = time.monotonic()
    results = {call: (ret, data) for call, _, ret, data in carry_out(line, program)}
    assert 0.2 <= time.monotonic() - began < 2
    assert results[raced][0] == 0
    number, times = wire.COUNT.unpack(results[counted][1])
    assert (number, times > 100) == (errno.EBADF, True)


def test_a_thread_that_is_stuck_is_told(line: socket.socket) -> None:
    program = Program()
    pipe = program.scratch(8)
    program.call(22, pipe, out=(pipe, 8))
    number = program.put(bytes(8))
    program.call(operation.READ, 3, number, 1, thread=1)
    raced = program.call(Own.RACE, 0, 100)
    # The pipe's ends are 4 and 5: the standard files and the log come first.
    program._calls[1] = program._calls[1]._replace(args=(4, number, 1, 0, 0, 0))
    assert (raced, 0, 1, b"") in carry_out(line, program)


@pytest.mark.parametrize(
    "fields",
    [
        {"out": 1 << 20},
        {"out": 8, "out_size": (1 << 32) - 4},
        {"thread": wire.MOST_THREADS},
        {"kinds": 9},
        {"kinds": Kind.MEMORY, "arg": 1 << 20},
        {"kinds": Kind.RESULT, "arg": 0},
        {"kinds": Kind.WORD, "arg": 14},
        {"flags": Flag.COUNTED},
        {"nr": Own.RACE, "thread": 1},
    ],
    ids=str,
)
def test_a_call_that_makes_no_sense_is_not_made(
    line: socket.socket, fields: dict[str, int]
) -> None:
    get = fields.get
    call = wire.CALL.pack(
        get("nr", GETPID),
        get("flags", 0),
        get("thread", 0),
        1,
        get("out", 0),
        get("out_size", 0),
        *(get("kinds", 0), *(0,) * 7),
        *(get("arg", 0), *(0,) * 5),
    )
    line.sendall(wire.PROGRAM.pack(len(call) + 16, 1, 1, 0, 16, 16, 0) + call + bytes(16))
    assert wire.ANSWER.unpack(receive(line, wire.ANSWER.size)) == (0, 1, 0, errno.EINVAL)


@pytest.mark.parametrize(
    "head",
    [
        (0, 1, wire.MOST_CALLS + 1, 0, 0, 0, 0),
        (0, 1, 0, 0, 0, wire.MOST_MEMORY + 1, 0),
        ((1 << 32) - 1, 1, 0, 0, (1 << 32) - 1, 0, 0),
        (0, 1, (1 << 32) - 1, (1 << 32) - 1, 0, 0, 0),
        (7, 1, 0, 0, 8, 8, 0),
        (16, 1, 0, 0, 16, 8, 0),
    ],
)
def test_a_program_longer_than_the_limit_is_refused(
    line: socket.socket, head: tuple[int, ...]
) -> None:
    line.sendall(wire.PROGRAM.pack(*head))
    assert wire.ANSWER.unpack(receive(line, wire.ANSWER.size)) == (0, 1, 0, errno.EINVAL)
    with pytest.raises(EOFError):  # the start of the next program is unknown
        receive(line, 1)


@pytest.mark.parametrize("seed", range(6))
def test_the_agent_bears_any_form_of_program(tmp_path: Path, seed: int) -> None:
    """All but the numbers of the calls are random: a random call might be reboot()."""
    chance = random.Random(seed)
    for number in range(25):
        process, end = local_agent.start(tmp_path)
        calls = b"".join(
            wire.CALL.pack(
                GETPID,
                chance.choice([0, 0, chance.getrandbits(8)]) & ~Flag.TRY & ~Flag.ON,
                chance.choice([0, 0, chance.getrandbits(5)]),
                1,
                chance.choice([0, 0, chance.getrandbits(chance.choice([3, 32]))]),
                chance.choice([0, 8, chance.getrandbits(chance.choice([5, 32]))]),
                *(chance.choice([0, 0, 0, 1, 2, 3, 200]) for _ in range(8)),
                *(chance.getrandbits(chance.choice([2, 5, 64])) for _ in range(6)),
            )
            for _ in range(chance.randrange(8))
        )
        patches = bytes(chance.choice([0, 0, 8, 16]))
        data = chance.randbytes(chance.randrange(64))
        head = [
            len(calls) + len(patches) + len(data),
            number,
            len(calls) // wire.CALL.size,
            len(patches) // 8,
            len(data),
            max(0, len(data) + chance.choice([0, 64, -1])),
            chance.choice([0, chance.getrandbits(32)]),
        ]
        if chance.random() < 0.4:
            head[chance.randrange(7)] = chance.getrandbits(chance.choice([3, 32]))
        end.sendall(wire.PROGRAM.pack(*head) + calls + patches + data)
        end.shutdown(socket.SHUT_WR)
        end.settimeout(10)
        with contextlib.suppress(ConnectionResetError):  # it has not read everything
            while end.recv(1 << 16):
                pass
        end.close()
        assert process.wait(10) in (0, 1), head


def test_the_header_is_one_description_for_both_ends() -> None:
    """The compiler's layout of a structure is the one that struct packs."""
    header = wire.header()
    sizes = {"__u8": 1, "__u32": 4, "__s64": 8, "__u64": 8}
    for frame in wire.FRAMES:
        body = header.partition(f"struct {frame.name} {{\n")[2].partition("}")[0]
        total = 0
        for member in body.splitlines():
            kind, name = member.strip(";\t ").split()
            count = int(name.partition("[")[2].rstrip("]") or 1)
            total += sizes[kind] * count
        assert total == frame.size
    assert struct.calcsize("<q") == 8
    assert fcntl.F_GETFL == 3
