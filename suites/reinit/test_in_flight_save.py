# SPDX-License-Identifier: GPL-2.0-only
"""Reading and polling while a save is in flight: data is announced but not available yet."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import pytest

from fixtures.device.double import StatusName
from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.guest import Answer
from fixtures.oracle import StateMachine
from fixtures.plugin.recorder import Recorder, word
from fixtures.session import READABLE, ArrangementFailed, DataFd, Session, State
from suites.calls import SOON, WAYS_TO_END, ask
from suites.reinit.calls import CHUNK, Arrive, the_rest

pytestmark = pytest.mark.any_api

A_WHILE = 50  # milliseconds; a call that has not returned by then waits
LATER = 2 * SOON  # a poll's timeout, beyond SOON: a poll that times out finds data without a wakeup
COUNT = 1 << 20  # bytes
# Recorded behaviours.
READ, NONBLOCKING_READ = "in_flight_save.read", "in_flight_save.nonblocking_read"


@dataclass(frozen=True)
class InFlight:
    """A session with a held save; ``before`` is the data that was read before it."""

    session: Session
    data_fd: DataFd
    firmware: Firmware
    before: bytes


@pytest.fixture
def fail_with() -> StatusName | None:
    """The status with which the save fails when it is released; None: it succeeds."""
    return None


@pytest.fixture
def in_flight(
    request: pytest.FixtureRequest,
    session: Session,
    saves: Firmware,
    fail_with: StatusName | None,
    fsm: StateMachine,
) -> InFlight:
    """A save in flight; earlier data on the stream is read. The parameter names the save.

    start: the first one, when PRE_COPY begins; dirty, reinit: one for changes, or new initial data,
    that VFIO_MIG_GET_PRECOPY_INFO has just announced; stop_copy: the last one, which is the only
    one of a device without PRE_COPY.
    """

    def hold() -> None:
        saves.hold_save()
        if fail_with:
            saves.fail_save(fail_with)

    if request.param == "stop_copy" and not fsm.has(State.PRE_COPY):
        hold()
        return InFlight(session, session.start(State.STOP_COPY), saves, b"")
    fsm.need(State.PRE_COPY)
    if request.param == "start":
        hold()
        data_fd = session.start(State.PRE_COPY)
        before = data_fd.read(COUNT).data if data_fd.poll() else b""
        return InFlight(session, data_fd, saves, before)
    if request.param == "reinit" and session.opt_in().error:
        raise NotThere("the opt-in fails on this kernel; 7.3 has VFIO_PRECOPY_INFO_REINIT")
    data_fd = session.start(State.PRE_COPY)
    before, _ = data_fd.read_on()
    if request.param == "dirty":
        saves.dirty(CHUNK)
    elif request.param == "reinit":
        saves.reinit(CHUNK)
    hold()
    if request.param == "stop_copy":
        session.move(State.STOP_COPY)
    else:
        info = ask(data_fd)
        if info.initial_bytes + info.dirty_bytes < CHUNK:
            raise ArrangementFailed("the changes are not announced")
    return InFlight(session, data_fd, saves, before)


def at(*when: str) -> pytest.MarkDecorator:
    """Run the test with a save in flight of each of these kinds."""
    return pytest.mark.parametrize("in_flight", when, indirect=True)


def check_that_a_read_waits(in_flight: InFlight) -> str:
    """Read while the save is held, then release it; return the behaviour's word."""
    reading = in_flight.data_fd.begin_read(COUNT)
    early = reading.end(A_WHILE)
    in_flight.firmware.release_save()
    if early.error != "EINPROGRESS":
        return word(READ, early)
    answer = reading.end(SOON)
    return "waits" if answer.ret > 0 else word(READ, answer)


def nonblocking_read(in_flight: InFlight) -> Answer:
    """Read with O_NONBLOCK while the save is held; EINPROGRESS if that waits all the same."""
    in_flight.data_fd.set_nonblocking()
    reading = in_flight.data_fd.begin_read(COUNT)
    answer = reading.end(SOON)
    if answer.error == "EINPROGRESS":
        in_flight.firmware.release_save()
        reading.end(SOON)
    return answer


@pytest.mark.clause("in-flight-save.read.start")
@at("start")
def test_a_read_waits_for_the_first_data(in_flight: InFlight) -> None:
    assert check_that_a_read_waits(in_flight) == "waits"


@pytest.mark.clause("in-flight-save.read.announced")
@at("dirty", "reinit")
def test_a_read_waits_for_what_was_announced(in_flight: InFlight, record: Recorder) -> None:
    seen = check_that_a_read_waits(in_flight)
    record.behaviour(READ, seen)
    assert seen == "waits"


@pytest.mark.clause("in-flight-save.read.stop-copy")
@at("stop_copy")
def test_a_read_waits_in_stop_copy(in_flight: InFlight) -> None:
    assert check_that_a_read_waits(in_flight) == "waits"


@pytest.mark.clause("in-flight-save.nonblocking.start")
@at("start")
def test_a_nonblocking_read_does_not_give_the_end_of_the_stream_at_its_start(
    in_flight: InFlight,
) -> None:
    in_flight.data_fd.set_nonblocking()
    answer = in_flight.data_fd.read(COUNT)
    assert word(NONBLOCKING_READ, answer) == "EAGAIN"


@pytest.mark.clause("in-flight-save.nonblocking.announced")
@at("dirty", "reinit")
def test_a_nonblocking_read_does_not_give_the_end_of_the_stream_for_what_was_announced(
    in_flight: InFlight, record: Recorder
) -> None:
    in_flight.data_fd.set_nonblocking()
    answer = in_flight.data_fd.read(COUNT)
    record.errno(NONBLOCKING_READ, answer)
    assert word(NONBLOCKING_READ, answer) == "EAGAIN"


@pytest.mark.clause("in-flight-save.nonblocking.stop-copy")
@at("stop_copy")
def test_a_nonblocking_read_does_not_give_the_end_of_the_stream_in_stop_copy(
    in_flight: InFlight,
) -> None:
    assert nonblocking_read(in_flight).error == "EAGAIN"


@pytest.mark.clause("in-flight-save.nonblocking.later")
@at("dirty", "reinit", "stop_copy")
def test_a_nonblocking_reader_gets_the_data_by_polling(in_flight: InFlight) -> None:
    assert nonblocking_read(in_flight).error != "EINPROGRESS"
    polling = in_flight.data_fd.begin_poll(LATER)
    in_flight.firmware.release_save()
    assert polling.end(SOON).ret == 1
    assert in_flight.data_fd.read(COUNT).ret > 0


@pytest.mark.clause("in-flight-save.poll.waits")
@at("start", "dirty", "reinit", "stop_copy")
def test_poll_does_not_call_readable_what_is_not_there_yet(in_flight: InFlight) -> None:
    assert in_flight.data_fd.poll() == 0


@pytest.mark.clause("in-flight-save.poll.wakes")
@at("start", "dirty", "stop_copy")
def test_poll_returns_when_the_data_comes(in_flight: InFlight) -> None:
    polling = in_flight.data_fd.begin_poll(LATER)
    if polling.end(A_WHILE).error != "EINPROGRESS":
        raise NotThere("this poll does not wait; see in-flight-save.poll.waits")
    in_flight.firmware.release_save()
    polled = polling.end(SOON)
    assert polled.ret == 1
    assert polled.more["revents"] & READABLE


@pytest.mark.clause("in-flight-save.signal")
@at("start", "dirty", "reinit", "stop_copy")
def test_a_signal_ends_a_read_that_waits(in_flight: InFlight) -> None:
    answer = in_flight.data_fd.read_signalled(COUNT, after=100)
    check_waited(answer)
    assert answer.error == "EINTR"


@pytest.mark.clause("in-flight-save.signal.nothing-lost")
@at("start", "dirty", "stop_copy")
def test_nothing_is_lost_by_a_read_that_a_signal_ended(in_flight: InFlight, arrive: Arrive) -> None:
    check_waited(in_flight.data_fd.read_signalled(COUNT, after=100))
    in_flight.firmware.release_save()
    stream = in_flight.before
    if in_flight.session.state() == State.PRE_COPY:
        stream += in_flight.data_fd.read_on()[0]
        in_flight.session.move(State.STOP_COPY)
    stream += the_rest(in_flight.data_fd)
    assert arrive(stream) == in_flight.firmware.state()


@pytest.mark.clause("in-flight-save.fails")
@at("start", "dirty", "stop_copy")
@pytest.mark.parametrize(
    "fail_with",
    ["internal_error", "bad_resource_state", "no_answer"],
    ids=["internal", "resource-state", "no-answer"],
)
def test_a_read_that_waits_ends_without_data_when_the_save_fails(
    in_flight: InFlight, fail_with: StatusName
) -> None:
    reading = in_flight.data_fd.begin_read(COUNT)
    early = reading.end(A_WHILE)
    in_flight.firmware.release_save()
    in_flight.data_fd.precopy_info()  # waits for the failure in PRE_COPY, if the read did not
    check_waited(early)
    answer = reading.end(SOON)
    assert answer.error not in ("", "EINPROGRESS")


@pytest.mark.clause("in-flight-save.session-end")
@at("start", "dirty", "stop_copy")
@pytest.mark.parametrize("how", WAYS_TO_END)
@pytest.mark.parametrize("fail_with", [None, "internal_error"], ids=["succeeds", "fails"])
def test_a_read_that_waits_ends_with_its_session(in_flight: InFlight, how: str) -> None:
    session = in_flight.session
    reading = in_flight.data_fd.begin_read(COUNT)
    early = reading.end(A_WHILE)
    ending = WAYS_TO_END[how](session)
    ending.end(A_WHILE)
    in_flight.firmware.release_save()
    ended = ending.end(SOON)
    if ended.error == "EINPROGRESS":
        reading.interrupt()  # or the device could not be removed, either
    check_waited(early)
    answer = reading.end(SOON)
    assert ended.error != "EINPROGRESS", "the call that ends the session does not return"
    assert answer.error != "EINPROGRESS", "the read does not return"
    if how == "close":
        session.reopen()
    assert not session.reset().error
    assert session.state() is State.RUNNING


@pytest.mark.clause("in-flight-save.session-end")
@pytest.mark.parametrize("state", [State.STOP, State.RUNNING], ids=operator.attrgetter("name"))
def test_a_read_that_waits_ends_with_its_session_before_it_hears_of_a_failure(
    session: Session, saves: Firmware, state: State, fsm: StateMachine
) -> None:
    """The save that ends PRE_COPY fails, and the work that would wake the reader is cancelled."""
    fsm.need(State.PRE_COPY)
    data_fd = session.start(State.PRE_COPY)
    data_fd.read_on()
    saves.hold_save()
    saves.fail_save("internal_error")
    saves.overtake()
    ending = session.begin_state(state)
    if ending.end(A_WHILE).error != "EINPROGRESS":
        raise NotThere("this device saves nothing as it leaves PRE_COPY")
    reading = data_fd.begin_read(COUNT)
    early = reading.end(A_WHILE)
    saves.release_save()
    assert ending.end(SOON).error != "EINPROGRESS", "the call that ends the session does not return"
    check_waited(early)
    answer = reading.end(SOON)
    assert answer.error != "EINPROGRESS", "the read does not return"
    assert not session.reset().error
    assert session.state() is State.RUNNING


def check_waited(answer: Answer) -> None:
    """Raise NotThere if the read gave ENOMSG: it did not wait, so waiting cannot be tested."""
    if answer.error == "ENOMSG":
        raise NotThere("this read does not wait; see in-flight-save.read.announced")
