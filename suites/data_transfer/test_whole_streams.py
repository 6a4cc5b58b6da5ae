# SPDX-License-Identifier: GPL-2.0-only
"""A whole stream, from one device of a driver to another."""

from __future__ import annotations

import pytest

from fixtures.errors import NotThere
from fixtures.oracle import StateMachine
from fixtures.plugin.recording import Recorder
from fixtures.session import Session, State, stop_copy_length
from fixtures.session.transfer import load, read_pre_copy, read_stop_copy, save
from suites.data_transfer.conftest import Contents

pytestmark = pytest.mark.any_api

CHANGED = 64  # bytes of its state that the device changes
WAYS = {
    "PRE_COPY": (State.PRE_COPY,),
    "PRE_COPY_P2P": (State.PRE_COPY_P2P,),
    "both": (State.PRE_COPY, State.PRE_COPY_P2P),
}


def migrates(source: Contents, target: Contents, stream: bytes, count: int = 1 << 16) -> bool:
    """Load ``stream`` into the target, and tell whether its state is the source's then."""
    load(target.session, stream, count)
    target.session.move(State.STOP)
    same = target.get() == source.get()
    target.session.move(State.RUNNING)
    return same and target.get() == source.get()


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.stop-copy")
def test_stop_copy_alone_carries_the_whole_state(source: Contents, target: Contents) -> None:
    assert target.get() != source.get()
    assert migrates(source, target, save(source.session))


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.pre-copy")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_pre_copy_and_stop_copy_carry_the_whole_state(
    source: Contents, target: Contents, machine: StateMachine, way: tuple[State, ...]
) -> None:
    machine.need(*way)
    assert target.get() != source.get()
    assert migrates(source, target, save(source.session, *way))


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.dirtied")
def test_what_changes_in_pre_copy_arrives(source: Contents, target: Contents) -> None:
    data_fd = source.session.start(State.PRE_COPY)
    stream = b""
    for round_ in range(3):
        change(source, round_)
        stream += read_pre_copy(data_fd)
    change(source, 3)  # nobody reads this before STOP_COPY
    source.session.move(State.STOP_COPY)
    assert migrates(source, target, stream + read_stop_copy(data_fd))


def change(contents: Contents, round_: int) -> None:
    """Have the device change some of its state."""
    firmware = contents.session.device.firmware
    if firmware is None:
        contents.set(seed=100 + round_)
    elif firmware.command(f"dirty {CHANGED}").error:
        raise NotThere("this firmware changes nothing by itself")


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.early")
@pytest.mark.parametrize("part", [0.0, 0.3, 1.0], ids=["nothing", "some", "all"])
def test_leaving_pre_copy_early_loses_nothing(
    source: Contents, target: Contents, part: float
) -> None:
    data_fd = source.session.start(State.PRE_COPY)
    wanted = int(part * data_fd.precopy_info().info.initial_bytes)
    stream = data_fd.read(wanted).data if wanted else b""
    source.session.move(State.STOP_COPY)
    assert migrates(source, target, stream + read_stop_copy(data_fd))


@pytest.mark.clause("data-transfer.running")
def test_a_loaded_device_can_be_saved_and_loaded_again(source: Contents, target: Contents) -> None:
    assert migrates(source, target, save(source.session))
    back = save(target.session)
    source.session.reset()
    source.set(seed=3)
    assert migrates(target, source, back)


@pytest.mark.clause("data-transfer.same-again")
def test_a_loaded_device_gives_the_stream_that_it_got(source: Contents) -> None:
    # The same device: a stream may say where on its adapter a device has its queues.
    stream = save(source.session)
    source.session.reset()
    source.set(seed=3)
    load(source.session, stream)
    source.session.move(State.STOP)
    assert save(source.session) == stream


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.segmentation")
@pytest.mark.parametrize("count", [7, 4096, 1 << 20])
def test_the_sizes_of_the_writes_do_not_matter(
    source: Contents, target: Contents, count: int
) -> None:
    if source.session.device.firmware is not None:
        source.session.device.firmware.make_small()
    assert migrates(source, target, save(source.session), count)


@pytest.mark.clause("data-transfer.data-size")
@pytest.mark.parametrize("way", [(), (State.PRE_COPY,)], ids=["STOP_COPY", "PRE_COPY"])
def test_the_estimate_is_not_less_than_what_is_sent(
    source: Contents, machine: StateMachine, way: tuple[State, ...], record: Recorder
) -> None:
    machine.need(*way)
    session = source.session
    estimate = stop_copy_length(session.data_size())
    sent = len(_stop_copy(session, way))
    relation = "less" if estimate < sent else "more" if estimate > sent else "exact"
    if not way:
        record.behaviour("data_transfer.data_size", relation)
    assert estimate >= sent


def _stop_copy(session: Session, way: tuple[State, ...]) -> bytes:
    """Return what a device sends in STOP_COPY, after ``way``."""
    if not way:
        return save(session)
    data_fd = session.start(way[0])
    read_pre_copy(data_fd)
    session.move(State.STOP_COPY)
    return read_stop_copy(data_fd)
