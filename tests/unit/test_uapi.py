# SPDX-License-Identifier: GPL-2.0-only
"""The description of the uAPI: it matches the kernel's, and all output is made from it."""

from __future__ import annotations

import errno
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest

from fixtures import layout, uapi
from fixtures.guest import Answer
from fixtures.layout import (
    FD,
    HEX,
    OLDEST,
    S32,
    U32,
    U64,
    UNMERGED,
    Flags,
    Since,
    Structure,
    Values,
)
from fixtures.record import strace
from fixtures.uapi import (
    DmaLoggingControl,
    FeatureHeader,
    Ioctl,
    MigState,
    Op,
    PrecopyInfo,
    RegionInfo,
    State,
)
from tests.unit.test_reproducer import Calls, made_of
from tests.unit.tools import needs

HEADER = Path("/usr/include/linux/vfio.h")
STRUCTURES = [
    one
    for one in vars(uapi).values()
    if isinstance(one, type) and issubclass(one, Structure) and one is not Structure
]

# ---- It equals the kernel's ----


def since(structure: type[Structure]) -> Since:
    """Return the release that added the first user of ``structure``."""
    users = [one for one in uapi.constants().values() if uapi.structure_of(one) is structure]
    return min((one.since for one in users), default=OLDEST)


def path(structure: type[Structure], field: layout.Field) -> str:
    """Return the C name of ``field``, with a prefix if it is in an embedded header."""
    inherited = any(field in getattr(base, "fields", ()) for base in structure.__bases__)
    return f"header.{field.name}" if inherited else field.name


def facts() -> dict[Since, dict[str, int]]:
    """Return C expressions and their values, by the release that first defines them."""
    found: dict[Since, dict[str, int]] = {}
    for name, one in uapi.constants().items():
        found.setdefault(one.since, {})[name] = int(one)
    for structure in STRUCTURES:
        for field in structure.fields:
            known = found.setdefault(max(since(structure), field.since), {})
            known[f"offsetof(struct {structure.c}, {path(structure, field)})"] = field.offset
            member = f"((struct {structure.c} *)0)->{path(structure, field)}"
            known[f"sizeof({member})"] = field.width
        # >=, because a later release may extend the structure: argsz covers that.
        size = structure.layout.size
        known[f"sizeof(struct {structure.c}) >= {size}"] = 1
    found.pop(UNMERGED)
    return found


FACTS = facts()


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> tuple[Since, dict[str, int]]:
    """The release of the system's headers, and their values for these expressions."""
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}: install linux-libc-dev")
    lines = [
        "#include <stddef.h>",
        "#include <stdio.h>",
        "#include <linux/version.h>",
        "#include <linux/vfio.h>",
        "#if __has_include(<linux/iommufd.h>)",
        "#include <linux/iommufd.h>",
        "#endif",
        "int main(void)\n{",
        'printf("%d %d\\n", LINUX_VERSION_CODE >> 16, LINUX_VERSION_CODE >> 8 & 0xff);',
    ]
    for release, known in FACTS.items():
        version = f"KERNEL_VERSION({release.major}, {release.minor}, 0)"
        for question in known:
            # If a constant exists earlier than described, the description is wrong.
            early = f" || defined({question})" if question.isidentifier() else ""
            lines += [
                f"#if LINUX_VERSION_CODE >= {version}{early}",
                f'printf("%lld %s\\n", (long long)({question}), "{question}");',
                "#endif",
            ]
    folder = tmp_path_factory.mktemp("header")
    (folder / "facts.c").write_text("\n".join([*lines, "}\n"]), encoding="utf-8")
    subprocess.run(["gcc", "-o", "facts", "facts.c"], cwd=folder, check=True)
    done = subprocess.run([folder / "facts"], capture_output=True, encoding="utf-8", check=False)
    first, *answers = done.stdout.splitlines()
    pairs = (line.split(" ", 1) for line in answers)
    return Since(*map(int, first.split())), {question: int(number) for number, question in pairs}


@needs("gcc")
@pytest.mark.parametrize("release", FACTS, ids=lambda release: f"{release.major}.{release.minor}")
def test_the_kernels_header_says_the_same(
    header: tuple[Since, dict[str, int]], release: Since
) -> None:
    have, answers = header
    found = {question: answers[question] for question in FACTS[release] if question in answers}
    if release > have and not found:
        pytest.skip(f"{HEADER} is of {have.major}.{have.minor}: install a newer linux-libc-dev")
    assert release <= have, f"the header has these already: {', '.join(found)}"
    assert found == FACTS[release]


# ---- An addition is one edit ----


class Color(Flags, prefix="VFIO_COLOR_"):
    RED = 1, Since(99, 1)
    GREEN = 2, Since(99, 1)


class Shape(Values, prefix="VFIO_SHAPE_"):
    ROUND = 4, Since(99, 1)


class Paint(Structure, c="vfio_device_feature_paint"):
    """A structure that all headers lack."""

    color: Annotated[U32, Color]
    shape: Annotated[U32, Shape]
    brush_fd: Annotated[S32, FD]
    layers: U32
    where: Annotated[U64, HEX]


class PaintInfo(Structure, c="vfio_paint_info"):
    argsz: U32
    flags: Annotated[U32, Color]
    wet: Annotated[U64, HEX]


@pytest.fixture
def more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A future feature, and a future ioctl."""
    features: dict[str, Any] = {
        one.name: (one.value, one.methods, one.data, one.since) for one in uapi.Feature
    }
    features["PAINT"] = 99, Op.GET | Op.SET, Paint, Since(99, 1)
    ioctls: dict[str, Any] = {one.name: (one.value, one.argument, one.since) for one in Ioctl}
    ioctls["VFIO_PAINT_GET_INFO"] = 0x3BFE, PaintInfo, Since(99, 1)
    functional: Any = uapi.Features
    monkeypatch.setattr(uapi, "Feature", functional("Feature", features))
    functional = uapi.Ioctls
    monkeypatch.setattr(uapi, "Ioctl", functional("Ioctl", ioctls))
    for one in (Color, Shape):
        monkeypatch.setattr(uapi, one.__name__, one, raising=False)


def feature(number: int, op: Op, data: bytes) -> bytes:
    return FeatureHeader.pack(argsz=8 + len(data), flags=op | number) + data


START = feature(6, Op.SET, DmaLoggingControl.pack(page_size=4096, num_ranges=2, ranges=0xABC000))
PAINTS = [
    feature(99, Op.SET, Paint.pack(color=0xB, shape=4, brush_fd=4, layers=3, where=1 << 63)),
    feature(99, Op.SET, Paint.pack(color=0x3, shape=5, brush_fd=4, layers=3, where=1 << 62)),
]


def program() -> Calls:
    calls = Calls()
    device = calls.open_by_cdev()
    calls.ioctl(device, Ioctl.VFIO_DEVICE_FEATURE, START, ret=-errno.EINVAL)
    calls.ioctl(device, Ioctl.VFIO_DEVICE_FEATURE, *PAINTS)
    calls.ioctl(device, 0x3BFE, PaintInfo.pack(flags=1), PaintInfo.pack(flags=3, wet=0x700))
    return calls


@pytest.mark.usefixtures("more")
def test_what_is_added_is_decoded_in_a_transcript() -> None:
    lines = program().lines
    assert lines[-3].startswith(
        "ioctl(5, VFIO_DEVICE_FEATURE, {argsz=32, flags=SET|DMA_LOGGING_START, page_size=4096,"
        " num_ranges=2, __reserved=0, ranges=0xabc000}) = -1 EINVAL"
    )
    assert lines[-2] == (
        "ioctl(5, VFIO_DEVICE_FEATURE, {argsz=32, flags=SET|PAINT, color=RED|GREEN|0x8,"
        " shape=ROUND, brush_fd=4, layers=3, where=0x8000000000000000}) = 0 {argsz=32,"
        " flags=SET|PAINT, color=RED|GREEN, shape=5, brush_fd=4, layers=3,"
        " where=0x4000000000000000}"
    )
    assert lines[-1] == (
        "ioctl(5, VFIO_PAINT_GET_INFO, {argsz=16, flags=RED, wet=0x0})"
        " = 0 {argsz=16, flags=RED|GREEN, wet=0x700}"
    )


@needs("gcc")
@pytest.mark.usefixtures("more")
def test_what_is_added_is_in_the_reproducer_in_c(tmp_path: Path) -> None:
    source, _ = made_of(program())
    words = re.sub(r"\s+", " ", source)
    assert (
        ".flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,"
        " .dma_logging_control.page_size = 4096, .dma_logging_control.num_ranges = 2,"
        " .dma_logging_control.ranges = 0xabc000, };" in words
    )
    assert (
        ".paint.color = VFIO_COLOR_RED | VFIO_COLOR_GREEN | 0x8, .paint.shape = VFIO_SHAPE_ROUND,"
        " .paint.brush_fd = iommufd, .paint.layers = 3, .paint.where = 0x8000000000000000ULL, };"
    ) in words
    assert 'field("shape", arg.feature.paint.shape, 5);' in words
    assert 'field_hex("where", arg.feature.paint.where, 0x4000000000000000);' in words
    assert 'field("flags", arg.paint_info.flags, VFIO_COLOR_RED | VFIO_COLOR_GREEN);' in words
    # The source defines names that the headers lack.
    assert "#define VFIO_DEVICE_FEATURE_PAINT 99 struct vfio_device_feature_paint { __u32" in words
    assert "#define VFIO_PAINT_GET_INFO _IO(';', 254) struct vfio_paint_info { __u32" in words
    assert "define VFIO_DEVICE_FEATURE_DMA_LOGGING_START" not in source
    (tmp_path / "r.c").write_text(source, encoding="utf-8")
    argv = ["gcc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "r.c"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stderr}\n{source}"


@pytest.mark.usefixtures("more")
def test_what_is_added_is_in_the_reproducer_in_python(tmp_path: Path) -> None:
    _, source = made_of(program())
    words = re.sub(r"\s+", " ", source)
    assert (
        'arg = structure( "=IIQIIQ", argsz=32,'
        " flags=VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,"
        " page_size=4096, num_ranges=2, __reserved=0, ranges=0xabc000, )" in words
    )
    assert (
        "color=VFIO_COLOR_RED | VFIO_COLOR_GREEN, shape=5, brush_fd=iommufd, layers=3,"
        ' where=0x4000000000000000, in_hex=["where"], )' in words
    )
    assert "VFIO_DEVICE_FEATURE_PAINT = 0x63" in source
    assert "VFIO_SHAPE_ROUND = 4" in source
    script = tmp_path / "r.py"
    script.write_text(source, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=E9,F", str(script)]
    done = subprocess.run(ruff, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{source}"


# ---- The description's functions ----


def test_a_structure_is_packed_by_name_and_unpacked_by_attribute() -> None:
    given = PrecopyInfo.pack(flags=3, dirty_bytes=7)
    assert given == struct.pack("=IIQQ", 24, 3, 0, 7)
    assert PrecopyInfo.unpack(b"??" + given, 2) == PrecopyInfo(24, 3, 0, 7)
    assert MigState.pack(device_state=State.STOP, data_fd=-1) == struct.pack("=Ii", 1, -1)
    assert RegionInfo.pack(argsz=99, index=9)[:12] == struct.pack("=III", 99, 0, 9)


def test_a_field_that_a_structure_lacks_is_refused() -> None:
    with pytest.raises(TypeError, match="struct vfio_precopy_info has no bytes"):
        PrecopyInfo.pack(bytes=1)


@pytest.mark.parametrize(
    ("request_", "given", "shown"),
    [
        # Bits without a name, and bytes after the fields, are shown too.
        (
            Ioctl.VFIO_DEVICE_FEATURE,
            feature(1, Op.GET, struct.pack("=Q", 0x102)),
            "{argsz=16, flags=GET|MIGRATION, flags=P2P|0x100}",
        ),
        (
            Ioctl.VFIO_DEVICE_GET_REGION_INFO,
            RegionInfo.pack(flags=0x18) + b"\1\2",
            "{argsz=32, flags=CAPS|0x10, index=0, cap_offset=0, size=0x0, offset=0x0, and 0102}",
        ),
        (
            Ioctl.VFIO_DEVICE_GET_INFO,
            uapi.DeviceInfo.pack(flags=3, num_regions=9),
            "{argsz=24, flags=RESET|PCI, num_regions=9, num_irqs=0, cap_offset=0, pad=0}",
        ),
        (Ioctl.VFIO_GROUP_SET_CONTAINER, struct.pack("=i", 4), "{4}"),
        (Ioctl.VFIO_GROUP_GET_DEVICE_FD, b"0000:01:00.1\0", "{0000:01:00.1}"),
        (Ioctl.VFIO_GROUP_GET_DEVICE_FD, b"\xff\0", "ff00"),
    ],
)
def test_what_an_ioctl_is_given_is_decoded_whole(request_: int, given: bytes, shown: str) -> None:
    call = strace.show("ioctl", {"fd": 6, "request": request_, "arg": given}, Answer(0, data=given))
    assert call == f"ioctl(6, {uapi.ioctl_name(request_)}, {shown}) = 0"
