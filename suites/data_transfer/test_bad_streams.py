# SPDX-License-Identifier: GPL-2.0-only
"""Streams that are not whole, or not right: refused by write, or by leaving RESUMING."""

from __future__ import annotations

import operator

import pytest

from fixtures.session import Session, State
from fixtures.session.transfer import load, save
from suites.data_transfer.conftest import Contents

pytestmark = pytest.mark.any_api

NAME = operator.attrgetter("__name__")


def half(stream: bytes) -> bytes:
    return stream[: len(stream) // 2]


def all_but_a_byte(stream: bytes) -> bytes:
    return stream[:-1]


def a_byte(stream: bytes) -> bytes:
    return stream[:1]


def inverted_beginning(stream: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in stream[:16]) + stream[16:]


def a_byte_too_many(stream: bytes) -> bytes:
    return stream + b"\0"


def twice(stream: bytes) -> bytes:
    return stream + stream


def much_too_many(stream: bytes) -> bytes:
    return stream + b"\xa5" * (1 << 16)


def halves_exchanged(stream: bytes) -> bytes:
    middle = len(stream) // 2
    return stream[middle:] + stream[:middle]


def zeros(stream: bytes) -> bytes:
    return bytes(len(stream))


def ones(stream: bytes) -> bytes:
    return b"\xff" * len(stream)


BAD = {
    "truncated": [half, all_but_a_byte, a_byte],
    "corrupted": [inverted_beginning],
    "oversized": [a_byte_too_many, twice, much_too_many],
    "reordered": [halves_exchanged],
    "foreign": [zeros, ones],
}
CASES = [
    pytest.param(spoil, marks=pytest.mark.clause(f"data-transfer.{kind}"), id=spoil.__name__)
    for kind, spoils in BAD.items()
    for spoil in spoils
]
ALL = [spoil for spoils in BAD.values() for spoil in spoils]


def is_refused(session: Session, stream: bytes) -> bool:
    """Tell whether a device in RUNNING refuses ``stream``, by write or by leaving RESUMING."""
    data_fd = session.start(State.RESUMING)
    if data_fd.write_on(stream).error:
        return True
    answer, _ = session.set_state(State.STOP)
    if answer.error:
        assert session.state() in (State.RESUMING, State.ERROR)
    return bool(answer.error)


@pytest.mark.clause("data-transfer.nothing")
@pytest.mark.parametrize("state", [State.STOP, State.RUNNING], ids=operator.attrgetter("name"))
def test_resuming_is_not_left_without_data(session: Session, state: State) -> None:
    session.start(State.RESUMING)
    assert session.set_state(state)[0].error


@pytest.mark.clause("data-transfer.nothing")
def test_what_was_saved_before_does_not_stand_in_for_data(session: Session) -> None:
    save(session)
    session.start(State.RESUMING)
    assert session.set_state(State.STOP)[0].error


@pytest.mark.parametrize("spoil", CASES)
def test_a_bad_stream_is_refused(source: Contents, target: Contents, spoil: object) -> None:
    assert callable(spoil)
    assert is_refused(target.session, spoil(save(source.session)))


@pytest.mark.clause("data-transfer.refused.reset")
@pytest.mark.parametrize("spoil", ALL, ids=NAME)
def test_a_reset_recovers_from_a_bad_stream(
    source: Contents, target: Contents, spoil: object
) -> None:
    assert callable(spoil)
    stream = save(source.session)
    is_refused(target.session, spoil(stream))
    assert not target.session.reset().error
    assert target.session.state() is State.RUNNING
    load(target.session, stream)
    target.session.move(State.STOP)
    assert target.get() == source.get()
