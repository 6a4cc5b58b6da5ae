# SPDX-License-Identifier: GPL-2.0-only
"""DMA logging: PROBE, and the arguments of START and REPORT."""

from __future__ import annotations

import operator

import pytest

from fixtures.errors import NotThere
from fixtures.session import Feature, Session, State, logged_page_size
from fixtures.session.session import UNMAPPED
from fixtures.uapi import (
    FEATURE_HEADER,
    LOGGING,
    DmaLoggingControl,
    DmaLoggingRange,
    DmaLoggingReport,
    Ioctl,
    Op,
)
from suites.dma_logging.calls import (
    BASE,
    GIB,
    MIB,
    PAGE,
    PAGE_OF_RANGES,
    RANGE,
    WORD,
    check_starts,
    ranges,
)

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")
HEADER = FEATURE_HEADER.size
START, REPORT = Feature.DMA_LOGGING_START, Feature.DMA_LOGGING_REPORT
CONTROL, REPORTED = DmaLoggingControl.layout.size, DmaLoggingReport.layout.size
FULL = (1 << 64) - PAGE  # the last page of all IOVAs
each_feature = pytest.mark.parametrize("feature", sorted(LOGGING), ids=NAME)
HINTS = [PAGE, 64 << 10, 2 * MIB]


@pytest.mark.clause("dma-logging.probe")
@each_feature
def test_each_feature_can_be_probed(session: Session, feature: Feature) -> None:
    for op in (Op.PROBE, Op.PROBE | feature.methods):
        assert not session.feature(op, feature).error


@pytest.mark.clause("dma-logging.probe")
def test_a_probe_starts_nothing(session: Session) -> None:
    session.feature(Op.PROBE | Op.SET, START, DmaLoggingControl.pack())
    check_starts(session)


@pytest.mark.clause("dma-logging.probe")
@pytest.mark.every_variant
def test_a_device_with_the_feature_can_log(session: Session) -> None:
    assert not session.start_logging(RANGE).error


@pytest.mark.clause("dma-logging.method")
@each_feature
def test_the_other_method_is_refused(session: Session, feature: Feature) -> None:
    other = Op.GET if feature.methods is Op.SET else Op.SET
    data = bytes(feature.data.layout.size) if feature.data else b""
    for op in (Op.PROBE | other, Op.PROBE | Op.GET | Op.SET, other):
        assert session.feature(op, feature, data).error == "EINVAL"


@pytest.mark.clause("dma-logging.absent")
@each_feature
def test_a_device_without_one_feature_has_none(session: Session, feature: Feature) -> None:
    for op in (Op.PROBE, feature.methods, Op.PROBE | feature.methods):
        assert session.feature(op, feature, bytes(REPORTED)).error == "ENOTTY"


@pytest.mark.clause("dma-logging.start.page-size")
@pytest.mark.parametrize("hint", HINTS)
def test_start_returns_the_page_size_that_the_device_selected(session: Session, hint: int) -> None:
    answer = session.start_logging(RANGE, page_size=hint)
    assert not answer.error
    selected = logged_page_size(answer)
    assert selected > 0
    assert selected & (selected - 1) == 0


@pytest.mark.clause("dma-logging.start.page-size")
def test_start_changes_nothing_else_of_the_structure(session: Session) -> None:
    answer = session.start_logging(RANGE)
    given = DmaLoggingControl.pack(page_size=logged_page_size(answer), num_ranges=1)
    assert answer.data[HEADER:] == given
    assert answer.more["memory"] == DmaLoggingRange.pack(iova=RANGE[0], length=RANGE[1])


@pytest.mark.clause("dma-logging.start.ranges")
@pytest.mark.parametrize("count", [1, 2, PAGE_OF_RANGES - 1, PAGE_OF_RANGES])
def test_as_many_ranges_as_fit_into_a_page_are_accepted(session: Session, count: int) -> None:
    given = ranges(count)
    assert not session.start_logging(*given).error
    for one in (given[0], given[count // 2], given[-1]):
        assert not session.report_logging(*one).error


@pytest.mark.clause("dma-logging.start.ranges")
def test_ranges_may_be_adjacent_and_in_any_order(session: Session) -> None:
    length = WORD * PAGE
    given = [(BASE + number * length, length) for number in (2, 0, 1)]
    assert not session.start_logging(*given).error


@pytest.mark.clause("dma-logging.start.no-range")
def test_no_range_is_refused(session: Session) -> None:
    assert session.start_logging().error == "EINVAL"
    check_starts(session)


@pytest.mark.clause("dma-logging.start.bad-ranges")
@pytest.mark.parametrize(
    "given",
    [
        pytest.param([RANGE, RANGE], id="the-same-twice"),
        pytest.param([RANGE, (BASE + RANGE[1] - PAGE, 2 * PAGE)], id="overlapping"),
        pytest.param([RANGE, (BASE - PAGE, 2 * PAGE)], id="overlapping-before"),
        pytest.param([(BASE - PAGE, 4 * GIB), RANGE], id="one-in-the-other"),
        pytest.param([(FULL, 2 * PAGE)], id="wrapping"),
        pytest.param([RANGE, (PAGE, FULL)], id="wrapping-to-0"),
        pytest.param([(BASE + 1, PAGE)], id="unaligned-beginning"),
        pytest.param([(BASE, PAGE + 512)], id="unaligned-length"),
    ],
)
def test_ranges_that_cannot_be_are_refused(session: Session, given: list[tuple[int, int]]) -> None:
    assert session.start_logging(*given).error in ("EINVAL", "EOVERFLOW")
    check_starts(session)


@pytest.mark.clause("dma-logging.start.too-many")
@pytest.mark.parametrize("count", [PAGE_OF_RANGES + 1, 4 * PAGE_OF_RANGES])
def test_more_ranges_can_be_tried(session: Session, count: int) -> None:
    answer = session.start_logging(*ranges(count))
    assert answer.error in ("", "E2BIG")
    if not answer.error:
        assert not session.stop_logging().error
    check_starts(session)


@pytest.mark.clause("dma-logging.bad-pointer")
@pytest.mark.parametrize("there", [None, 0, 1], ids=["nowhere", "none-there", "one-there"])
def test_ranges_that_are_not_there_are_refused(session: Session, there: int | None) -> None:
    at = UNMAPPED
    if there is not None:
        at = session.memory(DmaLoggingRange.pack(iova=BASE, length=PAGE) * there)
    data = DmaLoggingControl.pack(page_size=PAGE, num_ranges=2, ranges=at)
    assert session.feature(Op.SET, START, data).error == "EFAULT"
    check_starts(session)


@pytest.mark.clause("dma-logging.bad-pointer")
@pytest.mark.parametrize(
    ("feature", "there"), [(START, 0), (START, CONTROL - 8), (REPORT, 0), (REPORT, REPORTED - 8)]
)
def test_a_structure_that_ends_in_no_memory_is_refused(
    session: Session, feature: Feature, there: int
) -> None:
    assert feature.data is not None
    argsz = HEADER + feature.data.layout.size
    asked = FEATURE_HEADER.pack(argsz, feature.methods | feature) + bytes(there)
    answer = session.ioctl(Ioctl.VFIO_DEVICE_FEATURE, session.memory(asked))
    assert answer.error == "EFAULT"
    check_starts(session)


@pytest.mark.clause("dma-logging.bad-pointer")
def test_a_start_that_cannot_be_answered_is_undone(session: Session) -> None:
    at = session.memory(DmaLoggingRange.pack(iova=BASE, length=PAGE))
    data = DmaLoggingControl.pack(page_size=PAGE, num_ranges=1, ranges=at)
    asked = FEATURE_HEADER.pack(HEADER + CONTROL, Op.SET | START) + data
    answer = session.ioctl(Ioctl.VFIO_DEVICE_FEATURE, session.memory(asked, writable=False))
    assert answer.error == "EFAULT"
    check_starts(session)


@pytest.mark.clause("dma-logging.argsz")
@pytest.mark.parametrize(("feature", "size"), [(START, CONTROL), (REPORT, REPORTED)])
def test_a_short_argsz_is_refused(session: Session, feature: Feature, size: int) -> None:
    for argsz in (0, HEADER - 1, HEADER, HEADER + size - 1):
        answer = session.feature(feature.methods, feature, b"\xa5" * size, argsz=argsz)
        assert answer.error == "EINVAL"
        assert answer.data[HEADER:] == b"\xa5" * size
    check_starts(session)


@pytest.mark.clause("dma-logging.argsz")
def test_a_long_argsz_is_accepted(session: Session) -> None:
    more = b"\xa5" * 100
    at = session.memory(DmaLoggingRange.pack(iova=BASE, length=PAGE * WORD))
    data = DmaLoggingControl.pack(page_size=PAGE, num_ranges=1, ranges=at)
    answer = session.feature(Op.SET, START, data + more)
    assert not answer.error
    assert answer.data[HEADER + CONTROL :] == more
    fields = {"iova": BASE, "length": PAGE * WORD, "page_size": PAGE}
    data = DmaLoggingReport.pack(bitmap=session.memory(bytes(8)), **fields)
    answer = session.feature(Op.GET, REPORT, data + more)
    assert not answer.error
    assert answer.data[HEADER:] == data + more


@pytest.mark.clause("dma-logging.report.page-size")
@pytest.mark.parametrize("page_size", [1 << shift for shift in (12, 13, 16, 21, 26, 30, 40)])
def test_a_page_size_of_any_power_of_two_is_accepted(logging: Session, page_size: int) -> None:
    assert not logging.report_logging(*RANGE, page_size).error


@pytest.mark.clause("dma-logging.report.page-size.small")
@pytest.mark.parametrize("page_size", [1, 512, 2048])
def test_a_page_size_below_that_of_the_kernel_is_accepted(logging: Session, page_size: int) -> None:
    assert not logging.report_logging(BASE, WORD * PAGE, page_size).error


@pytest.mark.clause("dma-logging.report.page-size.other")
@pytest.mark.parametrize("page_size", [0, 3, PAGE - 1, PAGE + 1, 3 * PAGE, (1 << 64) - 1])
def test_a_page_size_that_is_no_power_of_two_is_refused(logging: Session, page_size: int) -> None:
    answer = logging.report_logging(*RANGE, page_size, bytes(2048))
    assert answer.error == "EINVAL"
    assert answer.more["memory"] == bytes(2048)


@pytest.mark.clause("dma-logging.report.wrapping")
@pytest.mark.parametrize(("iova", "length"), [(FULL, 2 * PAGE), (BASE, FULL), (PAGE, FULL)])
def test_a_range_that_wraps_is_refused(logging: Session, iova: int, length: int) -> None:
    answer = logging.report_logging(iova, length, 1 << 40, bytes(8))
    assert answer.error in ("EINVAL", "EOVERFLOW")


@pytest.mark.clause("dma-logging.report.bits")
@pytest.mark.parametrize("bitmap", [b"\xff" * 2048, b"\xa5" * 2048], ids=["all", "some"])
def test_bits_that_were_set_before_stay(logging: Session, bitmap: bytes) -> None:
    answer = logging.report_logging(*RANGE, bitmap=bitmap)
    assert not answer.error
    assert answer.more["memory"] == bitmap


@pytest.mark.clause("dma-logging.report.quiet")
def test_a_device_that_wrote_nothing_has_no_bits(logging: Session) -> None:
    answer = logging.report_logging(*RANGE, bitmap=bytes(4096))
    assert not answer.error
    assert answer.more["memory"] == bytes(4096)
    assert logging.state() is State.RUNNING


@pytest.mark.clause("dma-logging.report.across")
def test_a_report_of_several_ranges_at_once_succeeds(session: Session) -> None:
    given = ranges(2)
    if session.start_logging(*given).error:
        raise NotThere("this device logs one range at a time")
    (first, _), (last, length) = given
    assert not session.report_logging(first, last + length - first).error
