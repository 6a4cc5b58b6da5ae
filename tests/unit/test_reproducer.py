# SPDX-License-Identifier: GPL-2.0-only
"""Reproducers: standalone programs from recorded calls."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.guest import Answer
from fixtures.record.call import Call
from fixtures.record.catalogue import Clause
from fixtures.record.model import DEVIATES
from fixtures.record.reproducer.about import About
from fixtures.record.reproducer.render import MOST_DATA, reproducers
from fixtures.record.results import Collector, Learnt
from fixtures.record.transcript import Transcript
from fixtures.session import READABLE
from fixtures.uapi import (
    FEATURE_HEADER,
    MIG_STATE,
    PRECOPY_INFO,
    DmaLoggingControl,
    DmaLoggingRange,
    DmaLoggingReport,
    Feature,
    Ioctl,
    Op,
    State,
)
from tests.unit.tools import needs

MDEV = "c5b2e0f4-0000-4000-8000-000000000001"
VF = "0000:01:00.1"
STRANGE = 'a "quoted" \\ backslash, */ and ??/ and \x1b and é'


class Calls(Transcript):
    """A handwritten transcript; its fds are numbered from 4."""

    def made(self, op: str, answer: Answer, **request: Any) -> None:
        self.add(op, request, answer)

    def ioctl(
        self, fd: int, request: int, arg: int | bytes, after: bytes = b"", *, ret: int = 0
    ) -> None:
        data = b"" if isinstance(arg, int) else after or arg
        answer = Answer(ret, data=data) if ret >= 0 else Answer(-1, -ret, data)
        self.made("ioctl", answer, fd=fd, request=int(request), arg=arg)

    def open(self, path: str, fd: int) -> None:
        self.made("open", Answer(fd), path=path, flags=os.O_RDWR)

    def open_by_group(self, name: str = MDEV, bus: str = "mdev", fd: int = 4) -> int:
        link = f"/sys/bus/{bus}/devices/{name}/iommu_group"
        self.made("readlink", Answer(0, more={"target": f"../../{fd}"}), path=link)
        self.open("/dev/vfio/vfio", fd)
        self.open(f"/dev/vfio/{fd}", fd + 1)
        self.ioctl(fd + 1, Ioctl.VFIO_GROUP_SET_CONTAINER, struct.pack("=i", fd))
        self.ioctl(fd, Ioctl.VFIO_SET_IOMMU, 3)
        self.ioctl(fd + 1, Ioctl.VFIO_GROUP_GET_DEVICE_FD, name.encode() + b"\0", ret=fd + 2)
        return fd + 2

    def open_by_cdev(self, name: str = MDEV, bus: str = "mdev", fd: int = 4) -> int:
        nodes = f"/sys/bus/{bus}/devices/{name}/vfio-dev"
        self.made("list", Answer(0, more={"names": ["vfio7"]}), path=nodes)
        self.open("/dev/iommu", fd)
        self.open("/dev/vfio/devices/vfio7", fd + 1)
        given, then = struct.pack("=IIiI", 16, 0, fd, 0), struct.pack("=IIiI", 16, 0, fd, 1)
        self.ioctl(fd + 1, Ioctl.VFIO_DEVICE_BIND_IOMMUFD, given, then)
        given, then = struct.pack("=III", 12, 0, 0), struct.pack("=III", 12, 0, 2)
        self.ioctl(fd, Ioctl.IOMMU_IOAS_ALLOC, given, then)
        attach = struct.pack("=III", 12, 0, 2)
        self.ioctl(fd + 1, Ioctl.VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach)
        return fd + 1

    def set_state(self, device: int, state: State, data_fd: int = -1) -> None:
        header = FEATURE_HEADER.pack(16, Op.SET | Feature.MIG_DEVICE_STATE)
        given, then = MIG_STATE.pack(state, -1), MIG_STATE.pack(state, data_fd)
        self.ioctl(device, Ioctl.VFIO_DEVICE_FEATURE, header + given, header + then)

    def precopy_info(self, fd: int, flags: int, after: int, tail: bytes = b"") -> None:
        argsz = PRECOPY_INFO.size + len(tail)
        given, then = PRECOPY_INFO.pack(argsz, flags, 0, 0), PRECOPY_INFO.pack(argsz, after, 168, 0)
        self.ioctl(fd, Ioctl.VFIO_MIG_GET_PRECOPY_INFO, given + tail, then + tail)

    def read(self, fd: int, data: bytes) -> None:
        self.made("read", Answer(len(data), data=data), fd=fd, count=1 << 16)

    def write(self, fd: int, data: bytes) -> None:
        self.made("write", Answer(len(data)), fd=fd, data=data)

    def command(self, words: str, ret: int | None = None) -> None:
        path = f"/sys/kernel/debug/vfio-double/qat/{VF}/control"
        answer = Answer(len(words)) if ret is None else Answer(-1, ret)
        self.made("write_file", answer, path=path, data=words.encode())


def about(**more: Any) -> About:
    clause = Clause(level="MUST", text="The flags come back.", source="struct vfio_precopy_info")
    given: dict[str, Any] = {
        "test": "suites/x/test_x.py::test_it[mtty]",
        "clauses": {"precopy-info.flags": clause},
        "found": "assert 2 == 0",
        "release": "7.3.4",
        "driver": "mtty",
        "realization": "software",
        "file": "test_it",
    }
    return About(**(given | more))


def made_of(calls: Calls, **more: Any) -> tuple[str, str]:
    """Return the sources in C and in Python."""
    made = reproducers(calls.calls, about(**more))
    return made["c"], made["py"]


def compiled(tmp_path: Path, source: str) -> Path:
    """Compile a reproducer, with all warnings as errors."""
    (tmp_path / "r.c").write_text(source, encoding="utf-8")
    argv = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", "r", "r.c"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stderr}\n{source}"
    return tmp_path / "r"


def pre_copy(calls: Calls, device: int, data_fd: int = 9) -> int:
    calls.set_state(device, State.PRE_COPY, data_fd)
    return data_fd


def group() -> Calls:
    calls = Calls()
    calls.precopy_info(pre_copy(calls, calls.open_by_group()), 0, 2)
    return calls


def cdev() -> Calls:
    calls = Calls()
    calls.precopy_info(pre_copy(calls, calls.open_by_cdev()), 0xDEADBEEF, 2)
    return calls


def log(calls: Calls, device: int) -> None:
    """Calls whose structures have addresses."""
    request = int(Ioctl.VFIO_DEVICE_FEATURE)
    control = DmaLoggingControl.pack(page_size=4096, num_ranges=1)
    start = FEATURE_HEADER.pack(32, Op.SET | Feature.DMA_LOGGING_START) + control
    ranges = DmaLoggingRange.pack(iova=0x1000, length=0x40000)
    answer = Answer(0, data=start, more={"memory": ranges})
    calls.made(
        "ioctl_pointing", answer, fd=device, request=request, arg=start, at=24, memory=ranges
    )
    header = FEATURE_HEADER.pack(40, Op.GET | Feature.DMA_LOGGING_REPORT)
    report = header + DmaLoggingReport.pack(iova=0x1000, length=0x40000, page_size=4096)
    answer = Answer(0, data=report, more={"memory": b"\x39" + bytes(7)})
    calls.made(
        "ioctl_pointing", answer, fd=device, request=request, arg=report, at=32, memory=bytes(8)
    )
    calls.made("memory", Answer(0x8000), data=bytes(8), writable=False)
    fields = {"iova": 0x1000, "length": 0x40000, "page_size": 4096, "bitmap": 0x8000}
    calls.ioctl(device, request, header + DmaLoggingReport.pack(**fields), ret=-errno.EFAULT)


def everything() -> Calls:
    """All calls of the agent, with all forms of arguments."""
    calls = Calls()
    calls.command("reset")
    calls.command("grant sym", errno.EINVAL)
    calls.command("hold SAVE_VHCA_STATE")
    device = calls.open_by_group(VF, "pci")
    stream = pre_copy(calls, device)
    calls.precopy_info(stream, 1, 1, b"\xa5" * 4000)
    calls.precopy_info(stream, 1, 1, bytes(range(40)))
    calls.ioctl(stream, Ioctl.VFIO_MIG_GET_PRECOPY_INFO, 1, ret=-errno.EFAULT)
    calls.ioctl(stream, 0x3BFF, bytes(24), ret=-errno.ENOTTY)
    calls.ioctl(stream, 0x3BFF, b'\x01"\\??/\0', ret=-errno.ENOTTY)
    header = FEATURE_HEADER.pack(16, Op.GET | Feature.MIG_DATA_SIZE)
    calls.ioctl(device, Ioctl.VFIO_DEVICE_FEATURE, header + bytes(8), header + b"\xff" * 8)
    header = FEATURE_HEADER.pack(16, Op.GET | Feature.MIGRATION)
    calls.ioctl(device, Ioctl.VFIO_DEVICE_FEATURE, header + bytes(8), header + b"\7" + bytes(7))
    calls.ioctl(device, Ioctl.VFIO_DEVICE_FEATURE, FEATURE_HEADER.pack(8, 77), ret=-errno.ENOTTY)
    calls.ioctl(device, Ioctl.VFIO_DEVICE_RESET, 0)
    for address, data, writable in ((0x1000, b"\x20" * 8, False), (0x2000, b"", True)):
        calls.made("memory", Answer(address), data=data, writable=writable)
        calls.ioctl(stream, Ioctl.VFIO_MIG_GET_PRECOPY_INFO, address, ret=-errno.EFAULT)
    calls.command("state 4096 7")
    calls.read(stream, b"x" * 300)
    calls.made("read", Answer(-1, errno.ENOMSG), fd=stream, count=1)
    calls.made("pread", Answer(-1, errno.ESPIPE), fd=stream, count=1, offset=3)
    calls.made("pwrite", Answer(-1, errno.ESPIPE), fd=stream, data=b"\0a", offset=3)
    calls.made("lseek", Answer(-1, errno.ESPIPE), fd=stream, offset=-1, whence=os.SEEK_END)
    calls.made("fcntl", Answer(0o100000), fd=stream, cmd=fcntl.F_GETFL, arg=0)
    calls.made("fcntl", Answer(0), fd=stream, cmd=fcntl.F_SETFL, arg=os.O_NONBLOCK)
    calls.made("poll", Answer(1, more={"revents": READABLE}), fd=stream, events=READABLE, timeout=0)
    calls.made("wait", Answer(0), milliseconds=1100)
    calls.made("read_signalled", Answer(-1, errno.EINTR), fd=stream, count=8, after=100)
    calls.made("readv", Answer(5, data=b"abcde"), fd=stream, counts=(2, 8))
    calls.made("splice", Answer(-1, errno.EINVAL), fd=stream, count=4096)
    calls.made("map_file", Answer(-1, errno.ENODEV), fd=stream, length=4096)
    calls.made("ring_read", Answer(3, data=b"abc"), fd=stream, count=8, apart=False)
    calls.made("ring_read", Answer(-1, errno.EINVAL), fd=stream, count=8, apart=True)
    calls.made("ring_write", Answer(-1, errno.EBADF), fd=stream, data=b"abc", apart=True)
    for number, sent in enumerate((False, True)):
        calls.made("share", Answer(4711), fd=stream, sent=sent)
        calls.made("take_over", Answer(50 + number), process=4711, fd=stream)
        calls.made("leave", Answer(0), process=4711)
        calls.made("close", Answer(0), fd=50 + number)
    calls.made("memory", Answer(0x7000), data=bytes(8), writable=True)
    calls.made("read_to", Answer(-1, errno.EFAULT), fd=stream, address=0x7000, count=64)
    log(calls, device)
    state = FEATURE_HEADER.pack(16, Op.SET | Feature.MIG_DEVICE_STATE) + MIG_STATE.pack(1, -1)
    what = {"op": "ioctl", "fd": device, "request": int(Ioctl.VFIO_DEVICE_FEATURE), "arg": state}
    calls.made("without_files", Answer(-1, errno.EMFILE, state), what=what)
    calls.made("eventfd", Answer(40))
    calls.made("arm_irq", Answer(0), fd=device, index=2, eventfd=40)
    calls.made("close", Answer(0), fd=40)
    calls.made("fcntl", Answer(41), fd=device, cmd=fcntl.F_DUPFD_CLOEXEC, arg=0)
    calls.made("close", Answer(0), fd=41)
    calls.made("begin", Answer(0), what={"op": "read", "fd": stream, "count": 64})
    calls.made("end", Answer(-1, errno.EINPROGRESS), begun=0, what="read", timeout=10)
    calls.made("interrupt", Answer(0), begun=0)
    poll = {"op": "poll", "fd": stream, "events": READABLE, "timeout": 9}
    calls.made("begin", Answer(1), what=poll)
    calls.made("end", Answer(0, more={"revents": 0}), begun=1, what="poll", timeout=1000)
    folder = f"/sys/kernel/debug/vfio-double/qat/{VF}"
    calls.made("read_file", Answer(3, data=b"a=1"), path=f"{folder}/info")
    calls.made("read_file", Answer(3, data=b"bad"), path=f"{folder}/violations")
    calls.made("close", Answer(0), fd=stream)
    other = calls.open_by_cdev("0000:01:00.2", "pci", fd=20)
    calls.set_state(other, State.RESUMING, 9)
    calls.write(9, b"x" * 300)
    calls.write(9, b"x" * 100 + b"yz" + b"x" * 100)
    calls.write(9, bytes(range(256)))
    calls.write(9, b"")
    for address, op, data in ((0x3000, "write_from", b"\5"), (0x5000, "read_to", b"")):
        begun = address >> 12
        calls.made("hold", Answer(30), address=address)
        what = {"op": op, "fd": 9, "address": address, "count": 1}
        calls.made("begin", Answer(begun), what=what)
        calls.made("poll", Answer(1, more={"revents": 1}), fd=30, events=1, timeout=2000)
        calls.made("release", Answer(0), fd=30, address=address, data=data)
        calls.made("end", Answer(1), begun=begun, what=op, timeout=5000)
        calls.made("copy", Answer(0, data=b"\5"), address=address, count=1)
        calls.made("close", Answer(0), fd=30)
        calls.made("unmap", Answer(0), address=address)
    reset = {"op": "ioctl", "fd": other, "request": int(Ioctl.VFIO_DEVICE_RESET), "arg": 0}
    calls.made("begin", Answer(9), what=reset)
    calls.made("end", Answer(0), begun=9, what="ioctl", timeout=5000)
    calls.made("begin", Answer(10), what={"op": "close", "fd": other})
    calls.made("end", Answer(0), begun=10, what="close", timeout=5000)
    return calls


CASES = {"group": group, "cdev": cdev, "everything": everything}


def test_what_would_be_mostly_data_is_not_made() -> None:
    calls = Calls()
    device = calls.open_by_cdev(VF, "pci")
    calls.set_state(device, State.RESUMING, 9)
    calls.write(9, bytes(MOST_DATA // 2))
    assert reproducers(calls.calls, about())
    calls.write(9, bytes(MOST_DATA // 2 + 1))
    assert reproducers(calls.calls, about()) == {}


def apart() -> Iterator[Calls]:
    """Each call of ``everything``, alone with the calls that it needs."""
    before: list[Call] = []  # what makes memory, begins a call, or holds it
    for call in everything().calls:
        before.append(call)
        if call.op in ("memory", "begin", "hold", "poll", "release") and len(before) < 5:
            continue
        calls = Calls()
        device = calls.open_by_cdev(VF, "pci")
        for number, fd in enumerate((9, 11)):
            calls.set_state(device, (State.PRE_COPY, State.RESUMING)[number], fd)
        calls.calls += before
        yield calls
        before = []


@needs("gcc")
def test_each_call_alone_has_all_that_it_needs(tmp_path: Path) -> None:
    argv = ["gcc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    sources = []
    for number, calls in enumerate(apart()):
        sources.append(tmp_path / f"{number}.c")
        sources[-1].write_text(made_of(calls)[0], encoding="utf-8")
    assert len(sources) > 30
    done = subprocess.run([*argv, *map(str, sources)], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


@needs("gcc")
@pytest.mark.parametrize("name", CASES)
def test_the_c_compiles_without_a_warning(tmp_path: Path, name: str) -> None:
    source, _ = made_of(CASES[name]())
    program = compiled(tmp_path, source)
    done = subprocess.run([program], capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert "DEVICE" in done.stdout


@pytest.mark.parametrize("name", CASES)
def test_the_python_compiles_and_knows_every_name_that_it_uses(tmp_path: Path, name: str) -> None:
    _, source = made_of(CASES[name]())
    script = tmp_path / "r.py"
    script.write_text(source, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=E9,F", str(script)]
    done = subprocess.run(ruff, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{source}"
    done = subprocess.run([sys.executable, "-I", script], capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert "DEVICE" in done.stdout


def test_the_calls_come_in_order_with_names_for_fds_and_numbers() -> None:
    for source in made_of(group()):
        _, _, body = source.rpartition("usage: ")
        # Each call is printed when it is made; a comment has its recorded answer.
        told = re.findall(r"call\(\s*\"((?:\\.|[^\"\\])*)", body)
        assert [line.replace("\\", "").partition(",")[0] for line in told] == [
            'open("/dev/vfio/vfio"',
            "open(DEVICE's group",
            "ioctl(group",
            "ioctl(container",
            "ioctl(group",
            "ioctl(device",
            "ioctl(data_fd",
        ]
        assert "VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE" in body
        assert "VFIO_DEVICE_STATE_PRE_COPY" in body
        assert MDEV not in re.sub(r"(#|\*).*", "", body)


def test_it_says_what_failed_and_which_call_was_the_last() -> None:
    for source in made_of(group()):
        text = re.sub(r"\s+(\*|#) ", " ", source)
        assert "precopy-info.flags (MUST): The flags come back. [struct vfio_precopy_info]" in text
        assert "Seen on Linux 7.3.4, driver mtty" in text
        assert "found: assert 2 == 0" in text
        last = text[
            text.index("The last call, after which the test failed. 7: ioctl(9, VFIO_MIG") :
        ]
        assert "= 0 {argsz=24, flags=0x2, initial_bytes=168, dirty_bytes=0}" in last
        assert "VFIO_DEVICE_FEATURE" not in last


def test_memory_that_an_ioctl_is_given_is_made_again() -> None:
    for source in made_of(everything()):
        assert "ioctl(data_fd, VFIO_MIG_GET_PRECOPY_INFO, 8 bytes that cannot be written)" in source
        assert "ioctl(data_fd, VFIO_MIG_GET_PRECOPY_INFO, 0 bytes that end in no memory)" in source


@needs("gcc")
def test_memory_that_a_structure_points_to_is_made_again_and_compared(tmp_path: Path) -> None:
    calls = Calls()
    log(calls, calls.open_by_group())
    c, python = made_of(calls)
    assert ".dma_logging_report.bitmap = (unsigned long)pointed" in c
    assert "rest(pointed, pointed_then7, sizeof(pointed_then7));" in c
    assert "rest(content(pointed, 8), b'9\\x00\\x00\\x00\\x00\\x00\\x00\\x00')" in python
    for source in (c, python):
        assert "0x8000" not in source.rpartition("usage: ")[2].replace("bitmap=0x8000", "")
        assert "8 bytes that cannot be written" in re.sub(r'"\s+"', "", source)
    compiled(tmp_path, c)


def test_memory_that_a_structure_points_to_is_in_the_transcript() -> None:
    calls = Calls()
    log(calls, 6)
    assert "num_ranges=1, __reserved=0, ranges=[{iova=0x1000, length=0x40000}]}) = 0" in str(calls)
    assert "page_size=4096, bitmap=[bits none of 64]}) = 0 {argsz=40," in str(calls)
    assert "page_size=4096, bitmap=[bits 0, 3-5 of 64]}" in str(calls)


def test_what_the_calls_answered_is_what_is_compared() -> None:
    c, python = made_of(group())
    assert 'field("flags", arg.precopy_info.flags, 0x2);' in c
    assert 'field("initial_bytes", arg.precopy_info.initial_bytes, 168);' in c
    assert 'fields(arg, "=IIQQ", argsz=24, flags=0x2, initial_bytes=168, dirty_bytes=0)' in python
    assert "-1, ENOTTY" in made_of(everything())[0]


@needs("gcc")
def test_text_that_could_end_a_comment_or_a_string_does_not(tmp_path: Path) -> None:
    clause = Clause(level="MUST", text=STRANGE, source=STRANGE)
    calls = group()
    calls.made("read", Answer(-1, errno.EIO), fd=9, count=3)
    calls.made("run", Answer(0, more={"output": ""}), argv=[STRANGE])
    c, python = made_of(calls, clauses={"odd": clause}, found=STRANGE, test=STRANGE)
    compiled(tmp_path, c)
    compile(python, "r.py", "exec")
    assert "\x1b" not in c + python


@needs("gcc")
def test_a_stream_that_is_written_back_is_not_copied_into_the_source(tmp_path: Path) -> None:
    stream = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(128))
    calls = Calls()
    device = calls.open_by_group()
    saving = pre_copy(calls, device)
    calls.read(saving, stream[:3000])
    calls.read(saving, stream[3000:])
    calls.made("close", Answer(0), fd=saving)
    calls.set_state(device, State.RESUMING, 9)
    calls.write(9, stream[:2048])
    calls.write(9, stream[2048:2500] + b"?" + stream[2501:])
    c, python = made_of(calls)
    assert "write(data_fd, read1 + 0, 2048)" in c
    assert "os.write, data_fd, read1[0:2048])" in python
    assert "read1[2048:2500] + b'?' + read1[2501:4096]" in python
    assert len(c) < 2 * len(made_of(group())[0])
    assert "scratch" not in c  # no unused buffer
    compiled(tmp_path, c)


def test_a_read_goes_on_where_the_device_is_not_as_fast_as_it_was() -> None:
    calls = Calls()
    saving = pre_copy(calls, calls.open_by_group())
    calls.read(saving, b"x" * 300)
    calls.made("read", Answer(-1, errno.ENOMSG), fd=saving, count=1)
    calls.read(saving, b"y" * 30)
    c, python = made_of(calls)
    assert "read_on(data_fd, scratch, 65536, 300)" in c
    assert "read_on, data_fd, 65536, 300)" in python
    assert "answered(read(data_fd, scratch, 65536), 30, 0)" in c  # the last read counts
    parts = [part for part in python.split("\n\n\n") if part.startswith("def read_on(")]
    found: dict[str, Any] = {"os": os}
    exec(parts[0], found)
    ours, theirs = os.pipe()
    os.write(theirs, b"x" * 24)
    writer = threading.Timer(0.1, os.write, (theirs, b"y" * 300))
    writer.start()
    assert found["read_on"](ours, 1 << 16, 300) == b"x" * 24 + b"y" * 276
    writer.join()


@needs("gcc")
def test_bytes_that_were_not_read_are_in_the_source(tmp_path: Path) -> None:
    data = hashlib.sha512(b"other").digest() * 3
    calls = Calls()
    calls.set_state(calls.open_by_group(), State.RESUMING, 9)
    calls.write(9, data)
    c, python = made_of(calls)
    compiled(tmp_path, c)
    found = re.findall(r"0x[0-9a-f]{2}", c[c.index("given7[192] = {") :][: 8 * 192])
    assert bytes(int(one, 16) for one in found[:192]) == data
    assert data[:40].hex() in python


def test_the_contents_of_reads_are_compared_but_not_on_hardware() -> None:
    calls = group()
    calls.read(9, b"data")
    assert "contents(" in made_of(calls)[0]
    assert all("contents(" not in one for one in made_of(calls, realization="hardware"))


def test_every_device_is_an_argument() -> None:
    calls = group()
    calls.open_by_cdev("0000:01:00.2", "pci", fd=20)
    c, python = made_of(calls)
    for source in (c, python):
        assert "DEVICE1 DEVICE2" in source
        assert "device2" in source
    assert "cdev_of(name[1])" in c


def test_which_function_a_double_was_is_said() -> None:
    calls = Calls()
    pre_copy(calls, calls.open_by_group(VF, "pci"))
    assert f"It was DEVICE {VF}; take one with the" in made_of(calls, realization="double")[0]
    assert VF not in made_of(calls)[0].partition("#include")[0]


def test_how_a_device_was_made_is_left_out_and_its_firmwares_commands_are_not() -> None:
    calls = Calls()
    calls.made("run", Answer(0, more={"output": ""}), argv=["modprobe", "mtty"])
    calls.made(
        "write_file", Answer(4), path=f"/sys/bus/pci/devices/{VF}/driver_override", data=b"x"
    )
    calls.command("state 4096 7")
    calls.open_by_group(VF, "pci")
    calls.command("dirty 5")
    for source in made_of(calls):
        assert "modprobe" not in source
        assert "driver_override" not in source
        assert source.index("state 4096 7") < source.index("open(DEVICE")
        assert source.index("open(DEVICE") < source.index("dirty 5")
        assert "needs the firmware to do" in source


def test_a_complaint_of_the_kernel_is_looked_for() -> None:
    for source in made_of(group(), splat="WARNING: "):
        assert 'kernel_said(kmsg, "WARNING: ")' in source or 'kernel_said("WARNING: ")' in source
    assert all("kernel_said" not in source for source in made_of(group()))


@pytest.mark.parametrize("opened", [group, cdev])
def test_a_device_is_seen_to_run_before_it_is_used(opened: Callable[[], Calls]) -> None:
    for source in made_of(opened()):
        _, _, body = source.rpartition("usage: ")
        assert body.count("must_run(device)") == 1
        assert body.index("must_run(device)") < body.index("PRE_COPY")


def test_without_an_open_device_there_is_nothing_to_reproduce() -> None:
    calls = Calls()
    calls.made("run", Answer(0, more={"output": ""}), argv=["modprobe", "mtty"])
    assert reproducers(calls.calls, about()) == {}


def test_a_node_is_that_of_the_device_that_has_it_at_the_time() -> None:
    calls = Calls()
    first, second = MDEV, MDEV.replace("1", "2")
    for device in (first, second):
        fd = calls.open_by_cdev(device)
        calls.ioctl(fd, Ioctl.VFIO_DEVICE_RESET, 0)
        for one in (fd, fd - 1):
            calls.made("close", Answer(0), fd=one)
    c, _ = made_of(calls)
    assert c.index("cdev_of(name[0])") < c.index("cdev_of(name[1])")


@needs("gcc")
def test_what_only_a_double_could_tell_is_not_said_to_be_reproduced(tmp_path: Path) -> None:
    path = f"/sys/kernel/debug/vfio-double/qat/{VF}/violations"
    calls = Calls()
    calls.made("read_file", Answer(3, data=b"bad"), path=path)
    calls.open_by_cdev(VF, "pci")
    c, python = made_of(calls)
    (tmp_path / "r.py").write_text(python, encoding="utf-8")
    for program in ([compiled(tmp_path, c)], [sys.executable, tmp_path / "r.py"]):
        argv = [*map(str, program), "no-such-device"]
        done = subprocess.run(argv, capture_output=True, encoding="utf-8")
        assert done.returncode == 2
        assert "not tried: this is about what a device double saw" in done.stdout


class TestRestart:
    """Calls before ``restart`` are dropped, except for those that later ones need."""

    def test_calls_on_what_is_closed_are_dropped(self) -> None:
        calls = group()
        for fd in (9, 6, 5, 4):
            calls.made("close", Answer(0), fd=fd)
        calls.restart("another example")
        calls.precopy_info(pre_copy(calls, calls.open_by_group()), 1, 3)
        c, _ = made_of(calls)
        assert c.count("\n\tcall(") == 7
        assert ".flags = 0x1" in c
        assert str(calls).count("VFIO_MIG_GET_PRECOPY_INFO") == 2
        assert "# another example" in str(calls)

    def test_what_opened_what_is_open_still_stays(self) -> None:
        calls = Calls()
        device = calls.open_by_cdev()
        calls.precopy_info(pre_copy(calls, device), 0, 2)
        calls.made("close", Answer(0), fd=9)
        calls.restart("another example")
        calls.ioctl(device, Ioctl.VFIO_DEVICE_RESET, 0)
        c, _ = made_of(calls)
        assert "open(cdev_of(name[0]), O_RDWR)" in c
        assert "VFIO_DEVICE_ATTACH_IOMMUFD_PT" in c
        assert "VFIO_DEVICE_RESET" in c
        assert "PRECOPY_INFO" not in c

    def test_what_the_firmware_was_told_before_the_device_was_opened_stays(self) -> None:
        calls = Calls()
        calls.command("reset")
        calls.command("state 4096 7")
        device = calls.open_by_cdev(VF, "pci")
        calls.command("dirty 5")
        calls.restart("another example")
        calls.ioctl(device, Ioctl.VFIO_DEVICE_RESET, 0)
        c, _ = made_of(calls)
        assert "state 4096 7" in c
        assert "dirty 5" not in c


def test_the_reproducers_lie_below_the_run(tmp_path: Path) -> None:
    results = Collector.begin(tmp_path, "x")
    learnt = Learnt(
        test="suites/x/test_x.py::test_it[mtty-0x1]",
        driver="mtty",
        realization="software",
        clauses=("precopy-info.flags.v1-echo",),
        verdict=DEVIATES,
        reproducers={"c": "int main(void) { }\n", "py": "pass\n"},
    )
    results.add(learnt)
    folder = results.folder / "reproducers"
    name = "suites_x_test_x.py_test_it[mtty-0x1]"
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.c", f"{name}.py"]
    assert (folder / f"{name}.py").read_text(encoding="utf-8") == "pass\n"
