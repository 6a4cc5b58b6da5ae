# SPDX-License-Identifier: GPL-2.0-only
"""Incomplete and invalid streams.

A device may refuse them at the write, and must refuse them at the latest when RESUMING is left. An
assertion names the streams that a device accepts.
"""

from __future__ import annotations

import operator

import pytest

from fixtures.device import Driver
from fixtures.device.driver import StreamFormat
from fixtures.errors import NotThere
from fixtures.oracle import StateMachine
from fixtures.session import Session, State
from fixtures.session.transfer import read_pre_copy, save
from suites import must
from suites.contents import Contents
from suites.data_transfer import bad_streams
from suites.data_transfer.bad_streams import Spoil

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("name")
CASES = [
    pytest.param(spoil, marks=pytest.mark.clause(f"data-transfer.{kind}"), id=spoil.__name__)
    for kind, spoils in bad_streams.BY_CLAUSE.items()
    for spoil in spoils
]
ENDS = [State.STOP, State.RUNNING]


def writes(session: Session, stream: bytes) -> bool:
    """Move a device to RESUMING and write ``stream``; return whether all of it was accepted."""
    data_fd = session.start(State.RESUMING)
    return not data_fd.write_on(stream).error


def refuses_to_leave(session: Session, state: State = State.STOP) -> bool:
    """Return whether a device in RESUMING refuses to go to ``state``."""
    answer, _ = session.set_state(state)
    after = session.state()
    # "must fail the SET_STATE ioctl and optionally go to the ERROR state"
    allowed = (State.RESUMING, State.ERROR) if answer.error else (state,)
    assert after in allowed, f"leaving RESUMING led to {after.name}"
    return bool(answer.error)


def refuses(session: Session, stream: bytes) -> bool:
    """Return whether a device refuses ``stream``, at the write or when RESUMING is left."""
    return not writes(session, stream) or refuses_to_leave(session)


def taken(session: Session, streams: dict[str, bytes]) -> list[str]:
    """Return the names of the ``streams`` that a device accepts."""
    found = []
    for name, stream in streams.items():
        forget(session)
        if not refuses(session, stream):
            found.append(name)
    return found


def said(what: str, names: list[str]) -> str:
    """Return an assertion's message; it ends so that no message is the beginning of another."""
    return f"{what}: {', '.join(names)}."


def check_refuses_all(session: Session, streams: dict[str, bytes]) -> None:
    """Check that a device refuses each of ``streams``."""
    takes = taken(session, streams)
    assert not takes, said("taken", takes)


def forget(session: Session) -> None:
    """Make a device and its driver forget earlier streams: some drivers check less after them."""
    session.reset()
    session.reopen()


@pytest.mark.clause("data-transfer.nothing")
@pytest.mark.parametrize("state", ENDS, ids=NAME)
def test_resuming_is_not_left_without_data(session: Session, state: State) -> None:
    session.start(State.RESUMING)
    assert session.set_state(state)[0].error


@pytest.mark.clause("data-transfer.nothing")
def test_what_was_saved_before_does_not_stand_in_for_data(session: Session) -> None:
    save(session)
    session.start(State.RESUMING)
    assert session.set_state(State.STOP)[0].error


@pytest.mark.parametrize("spoil", CASES)
def test_a_bad_stream_is_refused(source: Contents, target: Contents, spoil: Spoil) -> None:
    assert refuses(target.session, spoil(save(source.session)))


@pytest.mark.clause("data-transfer.truncated")
def test_a_stream_of_pre_copy_alone_is_refused(
    source: Contents, target: Contents, fsm: StateMachine
) -> None:
    """The source was lost before it reached STOP_COPY."""
    fsm.need(State.PRE_COPY)
    cut = read_pre_copy(source.session.start(State.PRE_COPY))
    assert refuses(target.session, cut)


@pytest.mark.clause("data-transfer.truncated")
def test_a_stream_that_is_cut_at_a_header_is_refused(
    source: Contents, target: Contents, form: StreamFormat
) -> None:
    check_refuses_all(target.session, bad_streams.cuts(form, save(source.session)))


@pytest.mark.clause("data-transfer.corrupted")
def test_one_wrong_field_of_a_header_is_noticed(
    source: Contents, target: Contents, form: StreamFormat
) -> None:
    check_refuses_all(target.session, bad_streams.wrong_fields(form, save(source.session)))


@pytest.mark.clause("data-transfer.refused.leaving")
def test_resuming_is_not_left_after_a_write_that_was_refused(
    source: Contents, target: Contents
) -> None:
    refused, left = 0, []
    sent = source.glance()
    for name, stream in bad_streams.every_kind(save(source.session)).items():
        # When hisi_acc starts to run it rings a doorbell for each queue in the stream: here none.
        for state in ENDS if name == "zeros" else [State.STOP]:
            forget(target.session)
            target.set(seed=3)
            held = target.glance()
            if writes(target.session, stream):
                break
            refused += 1
            if not refuses_to_leave(target.session, state):
                left.append(f"{name} to {state.name}: {_holds(target, held, sent)}")
    if not refused:
        raise NotThere("this driver accepts writes of bad data; it checks when RESUMING is left")
    assert not left, said("left", left)


def _holds(target: Contents, held: bytes, sent: bytes) -> str:
    """Return a word for the state of a device that has left RESUMING."""
    now = target.glance()
    if not target.seen:
        return "left"
    return "loaded" if now == sent else "kept" if now == held else "neither"


@pytest.mark.clause("data-transfer.refused.after-good")
@pytest.mark.parametrize("then", ["at once", "reset", "reopened"])
def test_what_is_refused_is_refused_after_a_good_stream(
    source: Contents, target: Contents, driver: Driver, then: str
) -> None:
    session, good = target.session, save(source.session)
    bad = _with_a_bad_beginning(driver, good)
    taken_at_first = taken(session, bad)  # other tests judge these
    takes = []
    for name, stream in bad.items():
        session.reset()
        must.load(session, good)
        must.move(session, State.STOP if then == "at once" else State.RUNNING)
        if then == "reset":
            session.reset()
        elif then == "reopened":
            session.reopen()
        if not refuses(session, stream) and name not in taken_at_first:
            takes.append(name)
    assert not takes, said("taken", takes)


def _with_a_bad_beginning(driver: Driver, good: bytes) -> dict[str, bytes]:
    """Return, by name, bad streams with a bad beginning.

    A driver accepts them if it checks the beginning only until it has seen a good one.
    """
    kinds = bad_streams.every_kind(good)
    found = {name: kinds[name] for name in ("inverted_beginning", "zeros")}
    if driver.stream:
        wrong = bad_streams.wrong_fields(driver.stream, good)
        found |= {name: stream for name, stream in wrong.items() if name.endswith("1 inverted")}
    return found


@pytest.mark.clause("data-transfer.refused.reset")
def test_a_reset_recovers_from_a_bad_stream(source: Contents, target: Contents) -> None:
    stream = save(source.session)
    for number, spoilt in enumerate(bad_streams.every_kind(stream).values()):
        forget(target.session)
        target.set(seed=number)
        target.differs(source)
        refuses(target.session, spoilt)
        assert not target.session.reset().error
        assert target.session.state() is State.RUNNING
        must.load(target.session, stream)
        must.move(target.session, State.STOP)
        assert target.get() == source.get()
