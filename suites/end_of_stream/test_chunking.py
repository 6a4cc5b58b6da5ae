# SPDX-License-Identifier: GPL-2.0-only
"""The size of reads does not change the stream."""

from __future__ import annotations

import pytest

from fixtures.oracle import StateMachine
from fixtures.session import Session, State
from suites import must

pytestmark = pytest.mark.any_api

ONE_BY_ONE = 600  # bytes, more than any stream's headers have


def stream_of(session: Session, before: tuple[State, ...], count: int) -> bytes:
    """Return the whole stream, without a VFIO_MIG_GET_PRECOPY_INFO in PRE_COPY.

    That call makes virtio copy its state again if the last copy is more than a second old, and
    reads of a few bytes take that long on a slow machine.
    """
    if not before:
        return must.save(session, count=count)
    data_fd = session.start(before[0])
    data, _ = data_fd.read_on(count)
    must.move(session, State.STOP_COPY)
    return data + must.read_stop_copy(data_fd, count)


@pytest.mark.every_variant
@pytest.mark.clause("end-of-stream.chunking")
@pytest.mark.parametrize("before", [(), (State.PRE_COPY,)], ids=["STOP_COPY", "PRE_COPY"])
def test_the_stream_is_the_same_in_reads_of_any_size(
    session: Session, fsm: StateMachine, before: tuple[State, ...]
) -> None:
    fsm.need(*before)
    if session.device.firmware is not None:
        session.device.firmware.make_small()
    streams = []
    for count in (1 << 20, 4096, 7):
        streams.append(stream_of(session, before, count))
        session.reset()
    assert streams[0]
    assert streams == [streams[0]] * len(streams)


@pytest.mark.clause("end-of-stream.chunking")
def test_the_stream_is_the_same_byte_by_byte(session: Session) -> None:
    whole = must.save(session)
    session.reset()
    data_fd = session.start(State.STOP_COPY)
    stream = b"".join(data_fd.read(1).data for _ in range(min(ONE_BY_ONE, len(whole))))
    assert stream + must.read_stop_copy(data_fd) == whole
