# SPDX-License-Identifier: GPL-2.0-only
"""The byte counts of VFIO_MIG_GET_PRECOPY_INFO once there is new initial data."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.session import DataFd, Session, State
from fixtures.uapi import PRECOPY_INFO_REINIT, PrecopyInfo
from suites.calls import ask
from suites.reinit.calls import CHUNK, reported, the_rest

pytestmark = pytest.mark.any_api

DIRTY = 3000  # bytes
BIG = 16384  # bytes; larger than a last image without changes, with the driver's records


def ask_for_reinit(data_fd: DataFd) -> PrecopyInfo:
    """Call VFIO_MIG_GET_PRECOPY_INFO; assert that it reports new initial data."""
    info = ask(data_fd)
    assert info.flags & PRECOPY_INFO_REINIT
    return info


@pytest.mark.clause("reinit.initial-bytes.covers")
@pytest.mark.parametrize("unread", ["all", "a part", "nothing"])
def test_initial_bytes_are_what_is_to_be_read(
    reinits: Firmware, started: DataFd, unread: str
) -> None:
    if unread == "a part":
        assert started.read(1000).ret == 1000
    elif unread == "nothing":
        started.read_on()
    assert bool(ask(started).initial_bytes) == (unread != "nothing")
    reinits.reinit(CHUNK)
    info = ask_for_reinit(started)
    assert info.initial_bytes >= CHUNK
    data, _ = started.read_on()
    assert len(data) == info.initial_bytes


@pytest.mark.clause("reinit.initial-bytes.covers")
def test_two_chunks_of_one_report_are_both_covered(reinits: Firmware, drained: DataFd) -> None:
    reinits.reinit(CHUNK)
    reinits.reinit(CHUNK)
    info = ask_for_reinit(drained)
    assert info.initial_bytes >= CHUNK
    assert not reported(drained)
    data, _ = drained.read_on()
    assert len(data) == info.initial_bytes


@pytest.mark.clause("reinit.initial-bytes.covers")
def test_each_of_three_unread_chunks_is_covered(reinits: Firmware, drained: DataFd) -> None:
    for _ in range(3):
        reinits.reinit(CHUNK)
        covered = ask_for_reinit(drained).initial_bytes
        assert covered >= CHUNK
        assert ask(drained).initial_bytes == covered
    data, _ = drained.read_on()
    assert len(data) == covered


@pytest.mark.clause("reinit.initial-bytes.dirty")
def test_changes_that_the_stream_does_not_have_yet_count_as_initial(
    reinits: Firmware, drained: DataFd
) -> None:
    reinits.dirty(DIRTY)
    reinits.reinit(CHUNK)
    info = ask_for_reinit(drained)
    assert info.initial_bytes >= DIRTY + CHUNK
    data, _ = drained.read_on()
    assert len(data) == info.initial_bytes


@pytest.mark.clause("reinit.initial-bytes.dirty")
def test_changes_that_are_on_the_stream_and_unread_count_as_initial(
    reinits: Firmware, drained: DataFd
) -> None:
    reinits.dirty(DIRTY)
    ask(drained)
    pending = ask(drained).dirty_bytes
    assert pending >= DIRTY
    assert drained.read(1000).ret == 1000
    reinits.reinit(CHUNK)
    info = ask_for_reinit(drained)
    assert info.initial_bytes >= pending - 1000 + CHUNK
    data, _ = drained.read_on()
    assert len(data) == info.initial_bytes


@pytest.mark.clause("reinit.initial-bytes.falls")
@pytest.mark.parametrize("drain", [False, True], ids=["with-unread-data", "alone"])
def test_initial_bytes_fall_to_zero_by_what_is_read(
    reinits: Firmware, started: DataFd, drain: bool
) -> None:
    if drain:
        started.read_on()
    else:
        started.read(ask(started).initial_bytes - CHUNK)
    reinits.reinit(CHUNK)
    left = ask_for_reinit(started).initial_bytes
    while left:
        taken = started.read(1500).ret
        assert taken > 0
        left -= taken
        info = ask(started)
        assert (info.initial_bytes, info.dirty_bytes) == (left, 0)


@pytest.mark.clause("reinit.dirty-bytes")
@pytest.mark.parametrize("changes", ["none", "in the device", "on the stream"])
def test_dirty_bytes_are_zero_with_the_flag(
    reinits: Firmware, drained: DataFd, changes: str
) -> None:
    if changes != "none":
        reinits.dirty(DIRTY)
    if changes == "on the stream":
        ask(drained)
        assert ask(drained).dirty_bytes >= DIRTY
    reinits.reinit(CHUNK)
    assert ask_for_reinit(drained).dirty_bytes == 0


@pytest.mark.clause("reinit.dirty-bytes.after")
def test_changes_after_the_new_initial_data_are_dirty_bytes(
    reinits: Firmware, drained: DataFd
) -> None:
    reinits.reinit(CHUNK)
    ask_for_reinit(drained)
    drained.read_on()
    reinits.dirty(DIRTY)
    info = ask(drained)
    assert info.flags == info.initial_bytes == 0
    assert info.dirty_bytes >= DIRTY


@pytest.mark.clause("reinit.readiness")
def test_a_vmm_that_waits_for_zero_initial_bytes_has_the_new_initial_data(
    opted_in: Session, reinits: Firmware, started: DataFd
) -> None:
    read_until_ready(started)
    for _ in range(2):
        reinits.reinit(BIG)
        assert ask_for_reinit(started).initial_bytes
        assert read_until_ready(started) >= BIG
    opted_in.move(State.STOP_COPY)
    assert len(the_rest(started)) < BIG


def read_until_ready(data_fd: DataFd) -> int:
    """Read until initial_bytes is zero, like a VMM that waits for this before STOP_COPY.

    Returns the number of bytes read.
    """
    taken = 0
    while ask(data_fd).initial_bytes:
        got = data_fd.read(BIG)
        assert got.ret > 0
        taken += got.ret
    return taken
