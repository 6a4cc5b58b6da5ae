# SPDX-License-Identifier: GPL-2.0-only
"""A signal to the task whose state request waits for the device."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import NotThere
from fixtures.oracle import StateMachine
from fixtures.session import ArrangementFailed, Session, State
from suites.calls import SOON
from suites.state_machine.checks import check_works
from suites.state_machine.settled import settled

pytestmark = pytest.mark.any_api

A_WHILE = 100  # milliseconds; a request that has not ended by then waits


def commands(session: Session, firmware: Firmware, arc: tuple[State, State]) -> list[str]:
    """Make the arc, and return the firmware's commands in it.

    Raises NotThere if the arc opens a data fd, and ArrangementFailed if it fails.
    """
    begin, end = arc
    settled(session, begin)
    firmware.clear_journal()
    answer, given = session.set_state(end)
    if answer.error:
        raise ArrangementFailed(f"the device does not go to {end.name}: {answer.error}")
    if given is not None:
        raise NotThere("this arc opens a data fd, which a call in another thread does not return")
    made = dict.fromkeys(firmware.commands())
    holdable = firmware.holdable()
    return [command for command in made if command in holdable]


@pytest.mark.clause("state-machine.signal")
def test_the_state_tells_what_became_of_it(
    session: Session, firmware: Firmware, arc: tuple[State, State], fsm: StateMachine
) -> None:
    begin, end = arc
    path = fsm.outcome(begin, end).path or ()
    waited = False
    for command in commands(session, firmware, arc):
        session.reset()
        settled(session, begin)
        firmware.hold(command)
        request = session.begin_state(end)
        if request.end(A_WHILE).error != "EINPROGRESS":  # a save in the background
            firmware.release(command)
            continue
        waited = True
        request.interrupt()
        answer = request.end(A_WHILE)
        firmware.release(command)
        if answer.error == "EINPROGRESS":
            answer = request.end(SOON)
        assert answer.error in ("", "EINTR"), command
        state = session.state()
        if answer.error:
            assert state in (begin, *path, State.ERROR), command
        else:
            assert state is end, command
        assert not session.reset().error
        check_works(session)
    if not waited:
        raise NotThere("a request for this arc waits for no firmware command")
