# SPDX-License-Identifier: GPL-2.0-only
"""DMA logging: what the device wrote is what REPORT gives. A lost page corrupts the guest."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.session import Feature, Session, State, logged, logged_page_size
from fixtures.session.transfer import Arrived
from fixtures.uapi import DmaLoggingReport, Op
from suites.dma_logging.calls import BASE, GIB, MIB, PAGE, RANGE, WORD, ranges, report

pytestmark = pytest.mark.any_api

LARGE = 2 * MIB
BITS_OF_A_PAGE = PAGE * 8
RUNS = (State.RUNNING, State.PRE_COPY)


def page(number: int) -> int:
    """Return the IOVA of a page of RANGE."""
    return BASE + number * PAGE


def pages(*numbers: int) -> set[int]:
    return {page(number) for number in numbers}


def write(firmware: Firmware, *numbers: int) -> None:
    """Let the device write to pages of RANGE."""
    firmware.write(*((page(number), 1) for number in numbers))


@pytest.mark.clause("dma-logging.report.written")
@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([0], id="first"),
        pytest.param([RANGE[1] // PAGE - 1], id="last"),
        pytest.param([62, 63, 64, 65, 127, 128], id="edges-of-words"),
        pytest.param([7, 8, 100, 5000, 16383], id="here-and-there"),
    ],
)
def test_the_pages_that_the_device_wrote_are_reported(
    logging: Session, firmware: Firmware, numbers: list[int]
) -> None:
    write(firmware, *numbers)
    assert report(logging, *RANGE) == pages(*numbers)


@pytest.mark.clause("dma-logging.report.written")
@pytest.mark.parametrize("length", [1, PAGE, PAGE + 1, 200 * PAGE])
@pytest.mark.parametrize("offset", [0, 1, PAGE - 1])
def test_each_page_of_a_long_write_is_reported(
    logging: Session, firmware: Firmware, offset: int, length: int
) -> None:
    firmware.write((page(60) + offset, length))
    last = 60 + (offset + length - 1) // PAGE
    assert report(logging, *RANGE) == pages(*range(60, last + 1))


@pytest.mark.clause("dma-logging.report.written")
def test_pages_over_the_edges_of_the_bitmaps_pages_are_reported(
    session: Session, firmware: Firmware
) -> None:
    """Bits over three pages: at whichever address the bitmap lies, two edges are in it."""
    count = 3 * BITS_OF_A_PAGE
    assert not session.start_logging((BASE, count * PAGE)).error
    firmware.write((BASE, count * PAGE))
    assert report(session, BASE, count * PAGE) == pages(*range(count))


@pytest.mark.clause("dma-logging.report.written")
def test_pages_of_a_large_range_are_reported(session: Session, firmware: Firmware) -> None:
    count = 4 * GIB // PAGE
    assert not session.start_logging((BASE, 4 * GIB)).error
    numbers = [0, BITS_OF_A_PAGE - 1, BITS_OF_A_PAGE, count // 2, count - 1]
    write(firmware, *numbers)
    assert report(session, BASE, 4 * GIB) == pages(*numbers)


@pytest.mark.clause("dma-logging.report.written")
@pytest.mark.parametrize("count", [2, 8, 9, 40])
def test_pages_of_each_range_are_reported(session: Session, firmware: Firmware, count: int) -> None:
    given = ranges(count)
    assert not session.start_logging(*given).error
    firmware.write(*((iova + number % WORD * PAGE, 1) for number, (iova, _) in enumerate(given)))
    for number, (iova, length) in enumerate(given):
        assert report(session, iova, length) == {iova + number % WORD * PAGE}


@pytest.mark.clause("dma-logging.report.written")
@pytest.mark.parametrize("arrived", RUNS, indirect=True, ids=lambda state: state.name)
def test_pages_are_reported_in_states_in_which_the_device_runs(
    session: Session, firmware: Firmware, arrived: Arrived
) -> None:
    assert not session.start_logging(RANGE).error
    write(firmware, 3)
    assert report(session, *RANGE) == pages(3)


@pytest.mark.clause("dma-logging.report.written")
@pytest.mark.parametrize("state", [State.RUNNING_P2P, State.STOP, State.STOP_COPY])
def test_pages_are_reported_when_the_device_has_stopped(
    logging: Session, firmware: Firmware, state: State
) -> None:
    """The last report of a migration is made then."""
    write(firmware, 3, 64)
    logging.set_state(state)
    assert report(logging, *RANGE) == pages(3, 64)


@pytest.mark.clause("dma-logging.quiet")
@pytest.mark.parametrize("state", [State.RUNNING_P2P, State.STOP, State.STOP_COPY])
def test_a_device_that_does_not_run_writes_nothing(
    logging: Session, firmware: Firmware, state: State
) -> None:
    logging.set_state(state)
    assert firmware.try_write(page(3), 1).error == "EBUSY"
    assert report(logging, *RANGE) == set()


@pytest.mark.clause("dma-logging.report.clears")
def test_a_page_is_reported_once(logging: Session, firmware: Firmware) -> None:
    for number in (5, 64, 5, 6):
        write(firmware, number, number)
        assert report(logging, *RANGE) == pages(number)
        assert report(logging, *RANGE) == set()


@pytest.mark.clause("dma-logging.report.clears")
def test_what_was_written_before_a_stop_is_forgotten(logging: Session, firmware: Firmware) -> None:
    write(firmware, 5)
    assert not logging.stop_logging().error
    write(firmware, 6)
    assert not logging.start_logging(RANGE).error
    assert report(logging, *RANGE) == set()
    write(firmware, 7)
    assert report(logging, *RANGE) == pages(7)


@pytest.mark.clause("dma-logging.report.bits.added")
def test_bits_are_added_to_those_of_the_bitmap(logging: Session, firmware: Firmware) -> None:
    write(firmware, 3, 64)
    answer = logging.report_logging(page(0), 128 * PAGE, bitmap=b"\x01" + bytes(14) + b"\x80")
    assert not answer.error
    assert logged(answer) == pages(0, 3, 64, 127)


@pytest.mark.clause("dma-logging.report.range")
@pytest.mark.parametrize("unit", [WORD, 8 * WORD, BITS_OF_A_PAGE // 8], ids=lambda unit: f"{unit}")
def test_only_pages_of_the_range_are_reported_and_cleared(
    logging: Session, firmware: Firmware, unit: int
) -> None:
    """The ranges begin and end where words of the device's bitmap do."""
    write(firmware, 0, unit - 1, unit, 2 * unit - 1, 2 * unit)
    assert report(logging, page(unit), unit * PAGE) == pages(unit, 2 * unit - 1)
    assert report(logging, *RANGE) == pages(0, unit - 1, 2 * unit)


UNALIGNED = [(0, 1), (0, 10), (1, 1), (1, 63), (3, 130), (8, 64), (60, 8), (100, 28)]


@pytest.mark.clause("dma-logging.report.range.unaligned")
@pytest.mark.parametrize(("first", "count"), UNALIGNED)
def test_a_range_may_begin_and_end_at_any_page(
    logging: Session, firmware: Firmware, first: int, count: int
) -> None:
    every, inside = set(range(256)), set(range(first, first + count))
    firmware.write((BASE, len(every) * PAGE))
    found = report(logging, page(first), count * PAGE)
    rest = report(logging, *RANGE)
    assert pages(*every) <= found | rest  # none is lost
    assert found == pages(*inside)
    assert rest == pages(*(every - inside))


@pytest.mark.clause("dma-logging.report.range.unaligned")
def test_the_end_of_a_range_can_be_reported_alone(logging: Session, firmware: Firmware) -> None:
    last = RANGE[1] // PAGE - 1
    write(firmware, last - 3, last)
    assert report(logging, page(last - 3), 4 * PAGE) == pages(last - 3, last)


@pytest.mark.clause("dma-logging.report.granularity")
@pytest.mark.parametrize("page_size", [2 * PAGE, 64 << 10, LARGE, 1 << 30])
def test_a_larger_page_is_reported_if_a_part_of_it_was_written(
    logging: Session, firmware: Firmware, page_size: int
) -> None:
    numbers = [0, 1, 17, 511, 512, 5000, 16383]
    write(firmware, *numbers)
    expected = {BASE + number * PAGE // page_size * page_size for number in numbers}
    assert report(logging, *RANGE, page_size) == expected
    assert report(logging, *RANGE) == set()


@pytest.mark.clause("dma-logging.report.granularity")
@pytest.mark.parametrize("selected", [64 << 10, LARGE])
def test_all_of_the_devices_page_is_reported_in_smaller_pages(
    session: Session, firmware: Firmware, selected: int
) -> None:
    """At least what was written, and at most the pages of the selected size that it is in."""
    length = WORD * selected
    answer = session.start_logging((BASE, length), page_size=selected)
    assert not answer.error
    unit = logged_page_size(answer)
    written = {BASE + 5 * selected, BASE + 7 * selected + 3 * PAGE}
    firmware.write(*((iova, 1) for iova in written))
    found = report(session, BASE, length)
    assert written <= found
    assert {iova // unit for iova in found} == {iova // unit for iova in written}
    assert report(session, BASE, length) == set()


@pytest.mark.clause("dma-logging.report.across")
def test_a_report_of_several_ranges_has_the_pages_of_each(
    session: Session, firmware: Firmware
) -> None:
    (first, _), (last, length) = given = ranges(2)
    assert not session.start_logging(*given).error
    firmware.write((first, 1), (last, 1))
    assert report(session, first, last + length - first) == {first, last}


@pytest.mark.clause("dma-logging.report.bitmap-unwritable")
def test_a_bitmap_that_cannot_be_written_is_an_error(logging: Session, firmware: Firmware) -> None:
    write(firmware, 3)
    bitmap = logging.memory(bytes(8), writable=False)
    fields = {"iova": BASE, "length": WORD * PAGE, "page_size": PAGE, "bitmap": bitmap}
    answer = logging.feature(Op.GET, Feature.DMA_LOGGING_REPORT, DmaLoggingReport.pack(**fields))
    assert answer.error == "EFAULT"


@pytest.mark.clause("dma-logging.report.bitmap-unwritable")
def test_a_bitmap_that_ends_in_no_memory_is_an_error(logging: Session, firmware: Firmware) -> None:
    """It has room for the first words, and none for the page that was written."""
    last = RANGE[1] // PAGE - 1
    write(firmware, last)
    fields = {"iova": BASE, "length": RANGE[1], "page_size": PAGE}
    data = DmaLoggingReport.pack(bitmap=logging.memory(bytes(16)), **fields)
    assert logging.feature(Op.GET, Feature.DMA_LOGGING_REPORT, data).error == "EFAULT"
