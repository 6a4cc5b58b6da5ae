# SPDX-License-Identifier: GPL-2.0-only
"""Ways to spoil a stream, by the clause that they test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fixtures.device.driver import StreamFormat

Spoil = Callable[[bytes], bytes]


def half(stream: bytes) -> bytes:
    return stream[: len(stream) // 2]


def all_but_a_byte(stream: bytes) -> bytes:
    return stream[:-1]


def a_byte(stream: bytes) -> bytes:
    return stream[:1]


def inverted_beginning(stream: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in stream[:16]) + stream[16:]


def twice(stream: bytes) -> bytes:
    return stream + stream


def much_too_many(stream: bytes) -> bytes:
    return stream + b"\xa5" * (1 << 16)


def halves_exchanged(stream: bytes) -> bytes:
    middle = len(stream) // 2
    return stream[middle:] + stream[:middle]


def zeros(stream: bytes) -> bytes:
    return bytes(len(stream))


def ones(stream: bytes) -> bytes:
    return b"\xff" * len(stream)


# Wrong beginnings come first: hisi_acc checks the beginning of streams only until one was right.
BY_CLAUSE: dict[str, tuple[Spoil, ...]] = {
    "corrupted": (inverted_beginning,),
    "reordered": (halves_exchanged,),
    "foreign": (zeros, ones),
    "truncated": (half, all_but_a_byte, a_byte),
    "oversized": (twice, much_too_many),
}


def every_kind(stream: bytes) -> dict[str, bytes]:
    """Return, by name, ``stream`` spoilt in each way that does not depend on its format."""
    return {spoil.__name__: spoil(stream) for spoils in BY_CLAUSE.values() for spoil in spoils}


def cuts(form: StreamFormat, stream: bytes) -> dict[str, bytes]:
    """Return, by name, ``stream`` cut before, in and behind each header."""
    found = {}
    length = sum(form.header.values())
    for number, at in enumerate(_headers(form, stream), 1):
        found[f"before header {number}"] = stream[:at]
        found[f"in header {number}"] = stream[: at + length // 2]
        found[f"behind header {number}"] = stream[: at + length]
    return {name: cut for name, cut in found.items() if 0 < len(cut) < len(stream)}


def wrong_fields(form: StreamFormat, stream: bytes) -> dict[str, bytes]:
    """Return, by name, ``stream`` with one wrong field of one header, for each checked field."""
    found = {}
    for number, header in enumerate(_headers(form, stream), 1):
        fields = _fields(form, stream, header)
        optional = form.optional is not None and fields[form.optional][1] & 1
        for name, (at, was) in fields.items():
            if name in form.may_differ or (optional and name != form.length):
                continue
            length = form.header[name]
            for how, wrong in (("inverted", ~was), ("one more", was + 1)):
                value = (wrong % (1 << 8 * length)).to_bytes(length, "little")
                spoilt = stream[:at] + value + stream[at + length :]
                found[f"{name} of header {number} {how}"] = spoilt
    return found


def _headers(form: StreamFormat, stream: bytes) -> Iterator[int]:
    """Yield the offset of each header of ``stream``."""
    at, length = 0, sum(form.header.values())
    while at + length <= len(stream):
        yield at
        if form.length is None:
            return
        at += length + _fields(form, stream, at)[form.length][1]


def _fields(form: StreamFormat, stream: bytes, at: int) -> dict[str, tuple[int, int]]:
    """Return offset and value of each field of the header at ``at``, by the field's name."""
    found = {}
    for name, length in form.header.items():
        found[name] = (at, int.from_bytes(stream[at : at + length], "little"))
        at += length
    return found
