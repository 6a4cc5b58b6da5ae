# SPDX-License-Identifier: GPL-2.0-only
"""Calls that the test's clause requires to succeed: if one fails, the driver deviates.

The same calls in :mod:`fixtures.session` only arrange a test: if one of those fails, the clause was
not tested. A test makes the calls that its clause covers from here, as in
``must.load(target, stream)``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fixtures.errors import Deviation, GuestError, GuestLost
from fixtures.session import ArrangementFailed, Session, State, transfer

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def _judged(call: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """Return ``call`` with its ArrangementFailed turned into a Deviation of the driver."""

    @functools.wraps(call)
    def judged(*args: _Given.args, **kwargs: _Given.kwargs) -> _Returned:
        try:
            return call(*args, **kwargs)
        except ArrangementFailed as failed:
            raise Deviation(str(failed)) from failed

    return judged


state = _judged(Session.state)
move = _judged(Session.move)
start = _judged(Session.start)
arrive = _judged(transfer.arrive)
load = _judged(transfer.load)
save = _judged(transfer.save)
read_pre_copy = _judged(transfer.read_pre_copy)
read_stop_copy = _judged(transfer.read_stop_copy)


def open_again(session: Session) -> None:
    """Open the device that was closed.

    Raises Deviation.
    """
    try:
        session.open_again()
    except GuestLost:
        raise
    except GuestError as error:
        raise Deviation(str(error)) from error


def migrate(session: Session) -> None:
    """Save a device, load its stream into the same device, and set it running.

    Raises Deviation.
    """
    load(session, save(session))
    move(session, State.RUNNING)
