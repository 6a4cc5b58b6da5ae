# SPDX-License-Identifier: GPL-2.0-only
"""What a device must do, because the test is about that: to fail it is to deviate.

The same calls in :mod:`fixtures.session` arrange what a test stands on: where one of those fails,
the clause was not put to the test. Of the calls of a test, those that its clause speaks of are made
from here, as ``must.load(target, stream)``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fixtures.errors import Deviation
from fixtures.session import ArrangementFailed, Session, State, transfer

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def _judged(call: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """Return ``call``, of which a failure is the driver's."""

    @functools.wraps(call)
    def judged(*args: _Given.args, **kwargs: _Given.kwargs) -> _Returned:
        try:
            return call(*args, **kwargs)
        except ArrangementFailed as failed:
            raise Deviation(str(failed)) from failed

    return judged


move = _judged(Session.move)
start = _judged(Session.start)
arrive = _judged(transfer.arrive)
load = _judged(transfer.load)
save = _judged(transfer.save)
read_pre_copy = _judged(transfer.read_pre_copy)
read_stop_copy = _judged(transfer.read_stop_copy)


def migrate(session: Session) -> None:
    """Save a device, load what it sent into the same one, and set it running.

    Raises Deviation.
    """
    load(session, save(session))
    move(session, State.RUNNING)
