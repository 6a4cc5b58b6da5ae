# SPDX-License-Identifier: GPL-2.0-only
"""The beginning of an arc whose firmware commands are counted."""

from __future__ import annotations

from fixtures.session import Session, State
from fixtures.session.transfer import Arrived, arrive


def settled(session: Session, state: State) -> Arrived:
    """Take a device to ``state``, and wait for a save that this may have begun in the background.

    Otherwise the save's command would be counted for the next arc.
    """
    arrived = arrive(session, state)
    session.settle()
    return arrived
