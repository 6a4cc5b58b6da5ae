# SPDX-License-Identifier: GPL-2.0-only
"""Parts of the suites: damaged streams, calls that must succeed, a UART."""

from __future__ import annotations

from typing import cast

import pytest
from pydantic import ValidationError

from fixtures.device import known_drivers
from fixtures.device.driver import StreamFormat
from fixtures.errors import Deviation
from fixtures.guest import Answer
from fixtures.session import ArrangementFailed, Session, State
from fixtures.session.region import Region
from fixtures.session.uart import DATA, FCR, IER, LCR, LSR, Uart
from fixtures.uapi import RegionFlag
from suites import must
from suites.data_transfer import bad_streams

RECORDS = StreamFormat.model_validate(
    {"header": {"length": 2, "flags": 1, "tag": 1}, "length": "length", "may-differ": ("flags",)}
)
ONE_HEADER = StreamFormat.model_validate({"header": {"magic": 2, "version": 1}})
TWO_RECORDS = b"\x03\x00\x00\x01abc" + b"\x01\x00\x00\xffd"


def test_every_field_of_every_header_is_wrong_once_by_itself() -> None:
    wrong = bad_streams.wrong_fields(RECORDS, TWO_RECORDS)
    assert wrong == {
        "length of header 1 inverted": b"\xfc\xff\x00\x01abc" + TWO_RECORDS[7:],
        "length of header 1 one more": b"\x04\x00\x00\x01abc" + TWO_RECORDS[7:],
        "tag of header 1 inverted": b"\x03\x00\x00\xfeabc" + TWO_RECORDS[7:],
        "tag of header 1 one more": b"\x03\x00\x00\x02abc" + TWO_RECORDS[7:],
        "length of header 2 inverted": TWO_RECORDS[:7] + b"\xfe\xff\x00\xffd",
        "length of header 2 one more": TWO_RECORDS[:7] + b"\x02\x00\x00\xffd",
        "tag of header 2 inverted": TWO_RECORDS[:7] + b"\x01\x00\x00\x00d",
        "tag of header 2 one more": TWO_RECORDS[:7] + b"\x01\x00\x00\x00d",
    }


def test_what_is_passed_over_may_have_any_tag() -> None:
    form = RECORDS.model_copy(update={"optional": "flags"})
    stream = b"\x03\x00\x01\x01abc" + TWO_RECORDS[7:]
    wrong = bad_streams.wrong_fields(form, stream)
    assert [name for name in wrong if "header 1" in name] == [
        "length of header 1 inverted",
        "length of header 1 one more",
    ]
    assert len(wrong) == 6


def test_a_stream_is_cut_at_every_header() -> None:
    assert bad_streams.cuts(RECORDS, TWO_RECORDS) == {
        "in header 1": TWO_RECORDS[:2],
        "behind header 1": TWO_RECORDS[:4],
        "before header 2": TWO_RECORDS[:7],
        "in header 2": TWO_RECORDS[:9],
        "behind header 2": TWO_RECORDS[:11],
    }


def test_a_stream_with_one_header_has_no_other() -> None:
    stream = b"ma\x01 and the rest, which looks like nothing"
    assert list(bad_streams.cuts(ONE_HEADER, stream)) == ["in header 1", "behind header 1"]
    assert len(bad_streams.wrong_fields(ONE_HEADER, stream)) == 4


def test_every_bad_stream_is_another_one() -> None:
    stream = bytes(range(1, 201))
    spoilt = [stream, *bad_streams.every_kind(stream).values()]
    assert len(set(spoilt)) == len(spoilt) > 8


def test_a_field_that_no_header_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="header has no field size"):
        StreamFormat.model_validate({"header": {"length": 2}, "length": "size"})


def test_the_drivers_that_check_a_header_say_what_is_in_it() -> None:
    described = {name for name, driver in known_drivers().items() if driver.stream}
    assert described >= {"mtty", "mlx5", "virtio", "hisi_acc"}


def test_what_must_be_done_and_fails_is_a_deviation() -> None:
    class Refusing(Session):
        def __init__(self) -> None:
            pass

        def set_state(self, state: int) -> tuple[Answer, None]:
            return Answer(-1, 22), None

    assert issubclass(Deviation, AssertionError)
    for call in (must.move, must.start, must.arrive):
        with pytest.raises(Deviation, match="the device does not go to STOP: EINVAL"):
            call(Refusing(), State.STOP)
    with pytest.raises(ArrangementFailed, match="the device does not go to STOP: EINVAL"):
        Refusing().move(State.STOP)


class Port:
    """A session with a 16550 at the start of its device fd, like mtty."""

    def __init__(self) -> None:
        self.registers = bytearray(8)
        self.fifo: list[int] = []
        self.divisor = bytearray(2)

    def write_bytes(self, *writes: tuple[int, int]) -> list[Answer]:
        return [self._write(*one) for one in writes]

    def read_bytes(self, *offsets: int) -> list[Answer]:
        return [self._read(offset) for offset in offsets]

    def _write(self, offset: int, value: int) -> Answer:
        if self.registers[LCR] & 0x80 and offset in (DATA, IER):
            self.divisor[offset] = value
        elif offset == DATA:
            self.fifo.append(value)
        elif offset == FCR:
            self.fifo.clear()
        else:
            self.registers[offset] = value
        return Answer(1)

    def _read(self, offset: int) -> Answer:
        if self.registers[LCR] & 0x80 and offset in (DATA, IER):
            return Answer(1, data=bytes(self.divisor[offset : offset + 1]))
        if offset == DATA:
            return Answer(1, data=bytes([self.fifo.pop(0)]))
        if offset == LSR:
            return Answer(1, data=bytes([bool(self.fifo)]))
        return Answer(1, data=bytes(self.registers[offset : offset + 1]))


def uart() -> tuple[Port, Uart]:
    port = Port()
    return port, Uart(cast(Session, port), Region(0, RegionFlag(3), 8, 0, None))


@pytest.mark.parametrize("divisor", [False, True])
def test_whatever_a_uart_holds_is_seen(divisor: bool) -> None:
    port, one = uart()
    one.set(5, divisor=divisor)
    seen = one.get()
    assert one.get() == seen, "looking changes it"
    parts = [port.divisor] if divisor else [port.fifo, port.registers]
    for part in parts:
        for at in range(len(part)):
            if part is port.registers and at in (DATA, FCR, LSR, 6):
                continue  # no register of its own
            was, part[at] = part[at], part[at] ^ 1
            assert one.get() != seen, f"{at} of {part}"
            part[at] = was


def test_every_seed_gives_a_uart_another_state() -> None:
    _, one = uart()
    seen = set()
    for seed in range(32):
        one.set(seed, divisor=seed % 2 == 0)
        seen.add(one.get())
    assert len(seen) == 32
