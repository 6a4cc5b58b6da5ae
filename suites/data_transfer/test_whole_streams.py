# SPDX-License-Identifier: GPL-2.0-only
"""Whole streams, from one device of a driver to another."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from fixtures.device import Driver
from fixtures.device.double import SetupName
from fixtures.device.firmware import Firmware, need
from fixtures.errors import NotThere
from fixtures.oracle import StateMachine
from fixtures.plugin.recorder import Recorder
from fixtures.plugin.run import Run
from fixtures.session import ArrangementFailed, Session, State, stop_copy_length
from fixtures.session.transfer import read_stop_copy, save, to_stop_copy
from suites import must
from suites.calls import ask
from suites.contents import Contents

pytestmark = pytest.mark.any_api

MIB = 1 << 20  # bytes
PAGE = 4096
COPIES = 16  # of a state, in two devices, two drivers and the agent, and what else the guest needs
LARGE = [2 * MIB - PAGE, 2 * MIB, 2 * MIB + PAGE, 8 * MIB + PAGE, 64 * MIB]
LARGE_NAMES = ["2 MiB less a page", "2 MiB", "2 MiB and a page", "8 MiB and a page", "64 MiB"]
LARGEST_BUFFER = 8 * MIB  # MAX_CHUNK_SIZE in drivers/vfio/pci/mlx5/main.c
LARGE_CHUNKS = 20 * MIB  # a state of more than one chunk
WAYS = {
    "PRE_COPY": (State.PRE_COPY,),
    "PRE_COPY_P2P": (State.PRE_COPY_P2P,),
    "both": (State.PRE_COPY, State.PRE_COPY_P2P),
}


def migrates(source: Contents, target: Contents, stream: bytes, count: int = 1 << 16) -> bool:
    """Load ``stream`` into the target; return whether its state is then the source's."""
    must.load(target.session, stream, count)
    must.move(target.session, State.STOP)
    same = target.get() == source.get()
    must.move(target.session, State.RUNNING)
    return same and target.get() == source.get()


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.stop-copy")
def test_stop_copy_alone_carries_the_whole_state(source: Contents, target: Contents) -> None:
    target.differs(source)
    assert migrates(source, target, must.save(source.session))


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.pre-copy")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_pre_copy_and_stop_copy_carry_the_whole_state(
    source: Contents, target: Contents, fsm: StateMachine, way: tuple[State, ...]
) -> None:
    fsm.need(*way)
    target.differs(source)
    assert migrates(source, target, must.save(source.session, *way))


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.dirtied")
def test_what_changes_in_pre_copy_arrives(source: Contents, target: Contents) -> None:
    data_fd = source.session.start(State.PRE_COPY)
    stream = b""
    for round_ in range(3):
        source.change(round_)
        stream += must.read_pre_copy(data_fd)
    source.change(3)  # nobody reads this before STOP_COPY
    must.move(source.session, State.STOP_COPY)
    assert migrates(source, target, stream + must.read_stop_copy(data_fd))


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.early")
@pytest.mark.parametrize("part", [0.0, 0.3, 1.0], ids=["nothing", "some", "all"])
def test_leaving_pre_copy_early_loses_nothing(
    source: Contents, target: Contents, part: float
) -> None:
    data_fd = source.session.start(State.PRE_COPY)
    wanted = int(part * ask(data_fd).initial_bytes)
    stream = b""
    while len(stream) < wanted:
        more = data_fd.read(wanted - len(stream))
        assert more.ret > 0
        stream += more.data
    must.move(source.session, State.STOP_COPY)
    assert migrates(source, target, stream + must.read_stop_copy(data_fd))


@pytest.mark.clause("data-transfer.running")
def test_a_loaded_device_can_be_saved_and_loaded_again(source: Contents, target: Contents) -> None:
    assert migrates(source, target, must.save(source.session))
    back = must.save(target.session)
    source.session.reset()
    source.set(seed=3)
    assert migrates(target, source, back)


@pytest.mark.clause("data-transfer.same-again")
def test_a_loaded_device_gives_the_stream_that_it_got(source: Contents) -> None:
    # The same device: a stream may contain the position of the device's queues on its adapter.
    stream = save(source.session)
    source.session.reset()
    source.set(seed=3)
    must.load(source.session, stream)
    must.move(source.session, State.STOP)
    assert must.save(source.session) == stream


@pytest.mark.every_variant
@pytest.mark.clause("data-transfer.segmentation")
@pytest.mark.parametrize("count", [7, 4096, 1 << 20])
def test_the_sizes_of_the_writes_do_not_matter(
    source: Contents, target: Contents, count: int
) -> None:
    if source.session.device.firmware is not None:
        source.session.device.firmware.make_small()
    assert migrates(source, target, must.save(source.session), count)


@pytest.mark.clause("data-transfer.large")
@pytest.mark.parametrize("size", LARGE, ids=LARGE_NAMES)
def test_a_large_state_arrives(source: Contents, target: Contents, size: int, run: Run) -> None:
    """The sizes are those at which a driver's buffers, lists of pages, or chunks change."""
    if size * COPIES > run.asked.machine.memory * MIB:
        raise NotThere(f"a state of {size // MIB} MiB needs a guest with 1 GiB (MEMORY=1024)")
    for seed, contents in enumerate((source, target)):
        firmware = contents.session.device.firmware
        if firmware is None or firmware.command(f"state {size} {seed}").error:
            raise NotThere(f"this device's state is never {size} bytes long")
        contents.session.reopen()  # a driver may have asked for the size by now
    stream = must.save(source.session)
    must.load(target.session, stream, count=1 << 20)
    must.move(target.session, State.STOP)
    # Compared outside the assert: pytest takes hours to show the difference of so many bytes.
    same = must.save(target.session) == stream
    assert same


@pytest.mark.clause("data-transfer.large")
@pytest.mark.parametrize("grown", [False, True], ids=["always", "at the end"])
def test_chunks_larger_than_a_drivers_buffers_arrive(
    firmware: Firmware,
    session: Session,
    open_variant: Callable[..., Session],
    *,
    grown: bool,
) -> None:
    """A driver makes its buffers before STOP_COPY, and hears only then how much there is."""
    chunks = firmware.setup("large_chunks")
    saving = open_variant(*(firmware.setup("chunks") if grown else chunks))
    source = saving.device.firmware
    assert source is not None
    source.set_state(LARGE_CHUNKS, seed=1)
    saving.reopen()
    data_fd = saving.start(State.PRE_COPY)
    saving.settle()
    if grown:
        source.obey(*chunks)
    source.dirty(LARGE_CHUNKS)
    must.move(saving, State.STOP_COPY)
    stream = must.read_stop_copy(data_fd)
    if max(images(source)) <= LARGEST_BUFFER:
        raise ArrangementFailed("no image was larger than the driver's buffers")
    must.load(session, stream, count=1 << 20)
    must.move(session, State.STOP)
    assert firmware.same_state(source)


def images(firmware: Firmware) -> list[int]:
    """Return the lengths of the images that were saved."""
    found = re.findall(r"actual_image_size=(\d+)", "\n".join(firmware.journal()))
    return [int(length) for length in found]


@pytest.mark.clause("data-transfer.grown")
@pytest.mark.parametrize("setup", [None, "refuses_short"], ids=["cut off", "refused"])
def test_a_state_that_grows_after_its_size_was_asked(
    firmware: Firmware,
    session: Session,
    driver: Driver,
    open_variant: Callable[..., Session],
    setup: SetupName | None,
) -> None:
    need(driver, "announce")
    saving = open_variant(*(firmware.setup(setup) if setup else ()))
    source = saving.device.firmware
    assert source is not None
    source.set_state(source.sizes.large, seed=1)
    saving.reopen()
    saving.move(State.STOP)
    source.announce(source.sizes.large // 2)
    answer, data_fd = saving.set_state(State.STOP_COPY)
    if answer.error or data_fd is None:
        return
    stream, end = data_fd.read_on(1 << 16)
    if end.error:
        return
    must.load(session, stream)
    must.move(session, State.STOP)
    same = firmware.state() == source.state()
    assert same


@pytest.mark.clause("data-transfer.data-size")
@pytest.mark.parametrize("way", [(), (State.PRE_COPY,)], ids=["STOP_COPY", "PRE_COPY"])
def test_the_estimate_is_not_less_than_what_is_sent(
    source: Contents, fsm: StateMachine, way: tuple[State, ...], record: Recorder
) -> None:
    fsm.need(*way)
    session = source.session
    estimate = stop_copy_length(session.data_size())
    data_fd, _ = to_stop_copy(session, *way)
    sent = len(read_stop_copy(data_fd))
    relation = "less" if estimate < sent else "more" if estimate > sent else "exact"
    if not way:
        record.behaviour("data_transfer.data_size", relation)
    assert estimate >= sent
