# SPDX-License-Identifier: GPL-2.0-only
"""The temporary end of stream, in PRE_COPY: ENOMSG, poll, and the data that follows."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.guest import Answer
from fixtures.plugin.recorder import Recorder
from fixtures.session import READABLE, DataFd, Session, State
from fixtures.session.transfer import read_pre_copy
from suites.calls import announced_changes, ask, ask_for_changes
from suites.contents import CHANGED

pytestmark = pytest.mark.any_api

AT_ONCE = 500  # milliseconds; a read that does not block has returned by then


@pytest.fixture
def at_end(pre_copy: DataFd) -> DataFd:
    """The data fd of a device in PRE_COPY, read to its temporary end."""
    read_pre_copy(pre_copy)
    return pre_copy


@pytest.fixture
def tells_of_changes(at_end: DataFd, firmware: Firmware) -> DataFd:
    """The same, for a device that reports changes of its state in PRE_COPY."""
    announced_changes(at_end, firmware)
    read_pre_copy(at_end)
    return at_end


def read_at_once(data_fd: DataFd) -> Answer:
    """Read; the answer is EINPROGRESS if the read blocks."""
    return data_fd.begin_read(4096).end(AT_ONCE)


@pytest.mark.clause("end-of-stream.pre-copy.enomsg")
def test_a_read_gives_enomsg(at_end: DataFd, record: Recorder) -> None:
    answer = read_at_once(at_end)
    record.errno("end_of_stream.pre_copy.read", answer)
    assert answer.error == "ENOMSG"


@pytest.mark.clause("end-of-stream.pre-copy-p2p.enomsg")
def test_a_read_in_pre_copy_p2p_gives_enomsg(
    session: Session, pre_copy: DataFd, record: Recorder
) -> None:
    session.move(State.PRE_COPY_P2P)
    read_pre_copy(pre_copy)
    answer = read_at_once(pre_copy)
    record.errno("end_of_stream.pre_copy_p2p.read", answer)
    assert answer.error == "ENOMSG"


@pytest.mark.clause("end-of-stream.pre-copy.goes-on")
def test_reading_goes_on_when_the_state_has_changed(
    tells_of_changes: DataFd, firmware: Firmware
) -> None:
    for _ in range(3):
        firmware.dirty(CHANGED)
        told = ask_for_changes(tells_of_changes).dirty_bytes
        more, _ = tells_of_changes.read_on()
        assert 0 < told <= len(more)


@pytest.mark.clause("end-of-stream.pre-copy.poll-data")
def test_poll_says_that_there_is_data(pre_copy: DataFd) -> None:
    while ask(pre_copy).initial_bytes:
        assert pre_copy.poll(AT_ONCE) & READABLE
        assert pre_copy.read(1 << 20).ret > 0


@pytest.mark.clause("end-of-stream.pre-copy.poll-end")
def test_poll_does_not_say_that_there_is_data(at_end: DataFd, record: Recorder) -> None:
    events = at_end.poll()
    record.behaviour("end_of_stream.pre_copy.poll", "readable" if events & READABLE else "quiet")
    assert events & READABLE == 0


@pytest.mark.clause("end-of-stream.pre-copy.poll-wakes")
def test_poll_wakes_when_there_is_more(
    tells_of_changes: DataFd, firmware: Firmware, record: Recorder
) -> None:
    waiting = tells_of_changes.begin_poll(4 * AT_ONCE)
    if not waiting.end(1).error:
        raise NotThere("this poll does not wait; see end-of-stream.pre-copy.poll-end")
    firmware.dirty(CHANGED)
    woken = waiting.end(AT_ONCE)
    if woken.error:
        ask_for_changes(tells_of_changes)
        late = waiting.end(AT_ONCE)
        record.behaviour(
            "end_of_stream.pre_copy.poll_wakes", "never" if late.error else "when_asked"
        )
    else:
        record.behaviour("end_of_stream.pre_copy.poll_wakes", "unasked")
    assert not woken.error
    assert tells_of_changes.read(4096).ret > 0
