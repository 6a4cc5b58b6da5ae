# SPDX-License-Identifier: GPL-2.0-only
"""Transcripts look like strace's output."""

from __future__ import annotations

import errno
import struct

import pytest

from fixtures.errors import GuestLost
from fixtures.guest import Answer, Request
from fixtures.paths import AGENT
from fixtures.record import strace
from fixtures.record.transcript import LOST, Transcript
from fixtures.uapi import Feature, Ioctl, Op


def test_precopy_info_is_decoded() -> None:
    given = struct.pack("=IIQQ", 24, 0xDEADBEEF, 0, 0)
    answer = Answer(0, data=struct.pack("=IIQQ", 24, 0, 168, 0))
    request = {"fd": 7, "request": Ioctl.VFIO_MIG_GET_PRECOPY_INFO.value, "arg": given}
    assert strace.show("ioctl", request, answer) == (
        "ioctl(7, VFIO_MIG_GET_PRECOPY_INFO, {argsz=24, flags=0xdeadbeef, initial_bytes=0,"
        " dirty_bytes=0}) = 0 {argsz=24, flags=0x0, initial_bytes=168, dirty_bytes=0}"
    )


def test_a_feature_and_an_error_are_named() -> None:
    given = struct.pack("=II", 8, Op.SET | Feature.MIG_PRECOPY_INFOv2)
    request = {"fd": 6, "request": Ioctl.VFIO_DEVICE_FEATURE.value, "arg": given}
    shown = strace.show("ioctl", request, Answer(-1, errno.ENOTTY, given))
    assert shown.startswith(
        "ioctl(6, VFIO_DEVICE_FEATURE, {argsz=8, flags=SET|MIG_PRECOPY_INFOv2})"
    )
    assert shown.endswith("= -1 ENOTTY (Inappropriate ioctl for device)")


def test_an_ioctl_that_was_begun_is_shown_when_it_begins_and_when_it_ends() -> None:
    given = struct.pack("=IIQQ", 24, 0, 0, 0)
    what = {"op": "ioctl", "fd": 7, "request": Ioctl.VFIO_MIG_GET_PRECOPY_INFO.value, "arg": given}
    begun = strace.show("begin", {"what": what}, Answer(0))
    assert begun.startswith("ioctl(7, VFIO_MIG_GET_PRECOPY_INFO, {argsz=24, ")
    assert begun.endswith("} <unfinished ...>")
    ended = strace.show("end", {"begun": 0, "what": "ioctl", "timeout": 50}, Answer(0, data=given))
    assert ended == "<... ioctl resumed>, waited for 50 ms = 0"


def test_what_cannot_be_decoded_is_shown_as_it_is() -> None:
    request = {"fd": 6, "request": Ioctl.VFIO_MIG_GET_PRECOPY_INFO.value, "arg": b"\1\2"}
    assert "0102" in strace.show("ioctl", request, Answer(-1, errno.EFAULT, b"\1\2"))


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: drivers/vfio/vfio_main.c:1 at x+0x1/0x2",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "Oops: general protection fault",
        "DMAR: [DMA Read] Request device [00:02.0] fault addr 0x1000",
    ],
)
def test_a_splat_is_noticed(line: str) -> None:
    transcript = Transcript()
    transcript.add("close", {"fd": 3}, Answer(0, log=("[    1.0] mtty: fine", f"[    1.0] {line}")))
    assert [splat.headline for splat in transcript.take_splats()] == [line]
    assert transcript.take_splats() == []


def test_calls_that_went_with_the_guest_are_in_the_transcript() -> None:
    transcript = Transcript()
    asked = [
        Request("readlink", {"path": "/sys/bus/pci/devices/0000:03:00.1/iommu_group"}),
        Request("close", {"fd": 6}),
        Request("close", {"fd": 5}),
    ]
    transcript.add_lost(asked, None, GuestLost("the kernel died"))
    assert transcript.lines == [
        "readlink('/sys/bus/pci/devices/0000:03:00.1/iommu_group') = ? (the kernel died)",
        "close(6) = ? (sent with the one before)",
        "close(5) = ? (sent with the one before)",
    ]
    assert [(call.op, call.answer.ret) for call in transcript.calls] == [
        ("close", 0),
        ("close", -1),
    ]
    transcript.restart("from here")  # uses the call that opened each fd


def test_calls_before_the_one_that_the_guest_went_with_were_made() -> None:
    transcript = Transcript()
    asked = [Request("close", {"fd": fd}) for fd in (6, 5, 4)]
    transcript.add_lost(asked, 1, GuestLost("the kernel died"))
    assert transcript.lines == [
        "close(6) = ? (made; its answer was lost)",
        "close(5) = ? (the kernel died)",
    ]
    assert [call.answer.ret for call in transcript.calls] == [0, -1]


def test_the_agents_word_for_lost_lines_is_known() -> None:
    transcript = Transcript()
    transcript.add("close", {"fd": 3}, Answer(0, log=(LOST,)))
    assert transcript.overran
    assert LOST in AGENT.read_text(encoding="utf-8")


def test_a_register_is_shown_with_its_content() -> None:
    offset = 1 << 40 | 8
    read = strace.show(
        "pread", {"fd": 6, "count": 4, "offset": offset}, Answer(4, data=b"\3\0\0\0")
    )
    assert read == "pread(6, 4, 0x10000000008) = 4 (03 00 00 00)"
    wrote = strace.show("pwrite", {"fd": 6, "data": b"\6\0\0\0", "offset": offset}, Answer(4))
    assert wrote == "pwrite(6, 06 00 00 00, 0x10000000008) = 4"


def test_a_region_is_decoded() -> None:
    given = struct.pack("=IIIIQQ", 32, 0, 1, 0, 0, 0)
    answer = Answer(0, data=struct.pack("=IIIIQQ", 48, 0xB, 1, 0, 0x3000, 1 << 40))
    request = {"fd": 6, "request": Ioctl.VFIO_DEVICE_GET_REGION_INFO.value, "arg": given}
    assert strace.show("ioctl", request, answer).endswith(
        "= 0 {argsz=48, flags=READ|WRITE|CAPS, index=1, cap_offset=0, size=0x3000,"
        " offset=0x10000000000}"
    )
