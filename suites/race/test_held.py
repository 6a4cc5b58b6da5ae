# SPDX-License-Identifier: GPL-2.0-only
"""Two calls at once must end like two calls in sequence; the first one is held while it copies.

The order does not depend on timing: the first call makes all checks that precede its copy before
the second call begins, and continues after the copy when the second one is in progress.
"""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.guest import Answer, Guest, Pending
from fixtures.session import ArrangementFailed, DataFd, Session, State
from fixtures.session.held import MOST, HeldPage, held
from fixtures.session.transfer import save
from suites import must
from suites.calls import ASKED_AGAIN, SOON, WAYS_TO_END
from suites.race.errnos import LEGAL

pytestmark = pytest.mark.any_api

A_WHILE = 100  # milliseconds; a call that has not returned by then waits for the held one


def up_to_the_last_byte(session: Session, stream: bytes) -> DataFd:
    """Return the data fd of a device in RESUMING that has got all but the last byte of ``stream``.

    Raises ArrangementFailed. A device that refuses the stream deviates: it may have been reset.
    """
    data_fd = session.start(State.RESUMING)
    wrote = data_fd.write_on(stream[:-1])
    assert not wrote.error, "the stream is refused"
    return data_fd


def both(first: Pending, second: Pending, page: HeldPage, data: bytes) -> tuple[Answer, Answer]:
    """Return the answers of two calls; the first is held until the second is in progress."""
    second.end(A_WHILE)
    page.release(data)
    ended = first.end(SOON)
    if ended.error == "EINPROGRESS":
        first.interrupt()  # or the device could not be removed, either
    return ended, second.end(SOON)


@pytest.mark.clause("race.two-writes")
def test_two_writes_at_the_end_of_the_stream(session: Session, guest: Guest) -> None:
    stream = save(session)
    session.move(State.RUNNING)
    data_fd = up_to_the_last_byte(session, stream)
    in_turn = [data_fd.write(stream[-1:]).error for _ in range(2)]
    session.reset()
    data_fd = up_to_the_last_byte(session, stream)
    with held(guest) as page:
        first = page.write(data_fd, 1)
        second = data_fd.begin_write(stream[-1:])
        at_once = [answer.error for answer in both(first, second, page, stream[-1:])]
    assert sorted(at_once) == sorted(in_turn), "they do not end as one after the other"
    assert not session.reset().error
    assert session.state() is State.RUNNING


@pytest.mark.clause("race.two-reads")
def test_two_reads_share_the_stream(session: Session, guest: Guest) -> None:
    length = len(save(session))
    session.move(State.RUNNING)
    data_fd = session.start(State.STOP_COPY)
    with held(guest) as page:
        first = page.read(data_fd, min(MOST, length // 2))
        second = data_fd.begin_read(length)
        read, other = both(first, second, page, b"")
        assert not read.error
        assert not other.error
        begins = page.content(read.ret)
    rest = must.read_stop_copy(data_fd)
    assert len(begins + other.data + rest) == length, "bytes were returned twice, or not at all"
    assert takes(session, begins + other.data + rest) or takes(session, other.data + begins + rest)


def takes(session: Session, stream: bytes) -> bool:
    """Return whether the device can be loaded with ``stream`` and set running."""
    session.reset()
    wrote = session.start(State.RESUMING).write_on(stream)
    return not wrote.error and not session.set_state(State.RUNNING)[0].error


@pytest.mark.clause("race.session-end")
@pytest.mark.parametrize("how", WAYS_TO_END)
def test_the_session_ends_beside_a_write(session: Session, guest: Guest, how: str) -> None:
    stream = save(session)
    session.move(State.RUNNING)
    data_fd = up_to_the_last_byte(session, stream)
    with held(guest) as page:
        first = page.write(data_fd, 1)
        wrote, ended = both(first, WAYS_TO_END[how](session), page, stream[-1:])
    check_that_it_goes_on(session, how, wrote, ended)


@pytest.mark.clause("race.session-end")
@pytest.mark.parametrize("how", WAYS_TO_END)
def test_the_session_ends_beside_a_read(session: Session, guest: Guest, how: str) -> None:
    data_fd = session.start(State.STOP_COPY)
    with held(guest) as page:
        first = page.read(data_fd, MOST)
        read, ended = both(first, WAYS_TO_END[how](session), page, b"")
    check_that_it_goes_on(session, how, read, ended)


@pytest.mark.clause("race.query")
@pytest.mark.parametrize("how", WAYS_TO_END)
def test_the_session_ends_beside_a_query(session: Session, firmware: Firmware, how: str) -> None:
    query = firmware.word("query")
    data_fd = session.start(State.PRE_COPY)
    data_fd.read_on()
    data_fd.wait(ASKED_AGAIN)
    firmware.clear_journal()
    firmware.hold(query, after=True)
    asking = data_fd.begin_precopy_info()
    early = asking.end(A_WHILE)
    if early.error != "EINPROGRESS":
        raise ArrangementFailed(f"the query is not held: {early.error or 'success'}")
    ending = WAYS_TO_END[how](session)
    ending.end(A_WHILE)
    firmware.release(query)
    check_that_it_goes_on(session, how, asking.end(SOON), ending.end(SOON))


def check_that_it_goes_on(session: Session, how: str, beside: Answer, ended: Answer) -> None:
    """Check that a call during the session's end succeeded or was refused; the device works."""
    assert beside.errno in LEGAL
    assert ended.error != "EINPROGRESS", "the call that ends the session does not return"
    assert ended.errno in LEGAL
    if how == "close":
        session.reopen()
    assert not session.reset().error
    assert session.state() is State.RUNNING
    if session.device.firmware is not None and how == "reset":
        # The write may reach a device that was reset meanwhile: discard the violations.
        session.device.firmware.reset()
    must.migrate(session)
