# SPDX-License-Identifier: GPL-2.0-only
"""A save or a load that is given up in the middle of the stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.session import Session, State
from fixtures.session.transfer import save
from suites.contents import Contents
from suites.data_transfer.loads import check_loads

pytestmark = pytest.mark.any_api

PARTS: dict[str, Callable[[bytes], bytes]] = {
    "a_byte": lambda stream: stream[:1],
    "half": lambda stream: stream[: len(stream) // 2],
    "all_but_a_byte": lambda stream: stream[:-1],
}
WAYS: dict[str, Callable[[Session], object]] = {"reset": Session.reset, "close": Session.reopen}


@pytest.mark.clause("data-transfer.given-up")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_the_next_stream_is_loaded_from_its_beginning(
    source: Contents,
    target: Contents,
    part: Callable[[bytes], bytes],
    way: Callable[[Session], object],
) -> None:
    target.differs(source)
    stream = save(source.session)
    assert not target.session.start(State.RESUMING).write_on(part(stream)).error
    way(target.session)
    check_loads(target, stream, source)


@pytest.mark.clause("data-transfer.given-up")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_stream_is_loaded_after_a_part_of_another_was_read(
    source: Contents, target: Contents, way: Callable[[Session], object]
) -> None:
    target.differs(source)
    stream = save(source.session)
    read = target.session.start(State.STOP_COPY).read(len(stream) // 2)
    assert not read.error
    way(target.session)
    check_loads(target, stream, source)
