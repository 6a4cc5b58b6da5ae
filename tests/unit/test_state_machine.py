# SPDX-License-Identifier: GPL-2.0-only
"""The oracle's state machine, compared with the text, for every set of capabilities."""

from __future__ import annotations

import pytest

from fixtures.oracle import SAVING, StateMachine, every_arc
from fixtures.oracle.state_machine import ARCS
from fixtures.uapi import Migration, State

STOP_COPY_ONLY = Migration.STOP_COPY
P2P = Migration.STOP_COPY | Migration.P2P
PRE_COPY = Migration.STOP_COPY | Migration.PRE_COPY
ALL = Migration.STOP_COPY | Migration.P2P | Migration.PRE_COPY

# Paths that the kernel's comments state, or that only one reading of the rules allows. Each line
# has the old state, the states in between, and the requested state.
PATHS = {
    STOP_COPY_ONLY: """
        RESUMING STOP RUNNING
        RESUMING STOP STOP_COPY
        RUNNING STOP
        RUNNING STOP RESUMING
        RUNNING STOP STOP_COPY
        STOP RUNNING
        STOP STOP_COPY
        STOP_COPY STOP RESUMING
        STOP_COPY STOP RUNNING
    """,
    P2P: """
        RESUMING STOP RUNNING_P2P
        RESUMING STOP RUNNING_P2P RUNNING
        RUNNING RUNNING_P2P STOP
        RUNNING RUNNING_P2P STOP STOP_COPY
        RUNNING_P2P STOP RESUMING
        STOP RUNNING_P2P RUNNING
        STOP_COPY STOP RUNNING_P2P RUNNING
    """,
    PRE_COPY: """
        PRE_COPY RUNNING STOP
        PRE_COPY RUNNING STOP RESUMING
        PRE_COPY STOP_COPY
        RESUMING STOP RUNNING PRE_COPY
        RUNNING STOP STOP_COPY
        STOP RUNNING PRE_COPY
    """,
    ALL: """
        PRE_COPY PRE_COPY_P2P STOP_COPY
        PRE_COPY RUNNING RUNNING_P2P
        PRE_COPY RUNNING RUNNING_P2P STOP
        PRE_COPY RUNNING RUNNING_P2P STOP RESUMING
        PRE_COPY_P2P RUNNING_P2P RUNNING
        PRE_COPY_P2P RUNNING_P2P STOP
        PRE_COPY_P2P RUNNING_P2P STOP RESUMING
        RESUMING STOP RUNNING_P2P PRE_COPY_P2P
        RESUMING STOP RUNNING_P2P RUNNING PRE_COPY
        RUNNING RUNNING_P2P PRE_COPY_P2P
        RUNNING RUNNING_P2P STOP STOP_COPY
        RUNNING_P2P RUNNING PRE_COPY
        RUNNING_P2P STOP STOP_COPY
        STOP RUNNING_P2P PRE_COPY_P2P
        STOP RUNNING_P2P RUNNING PRE_COPY
    """,
}


@pytest.mark.parametrize(
    ("capabilities", "line"),
    [
        (capabilities, line.split())
        for capabilities, lines in PATHS.items()
        for line in lines.strip().splitlines()
    ],
    ids=lambda value: "|".join(value) if isinstance(value, list) else str(int(value)),
)
def test_paths_that_are_spelt_out(capabilities: Migration, line: list[str]) -> None:
    begin, *path = (State[name] for name in line)
    assert StateMachine(capabilities).outcome(begin, path[-1]).path == tuple(path)


@pytest.mark.parametrize("capabilities", PATHS, ids=int)
def test_every_supported_state_is_reached_but_pre_copy_from_stop_copy(
    capabilities: Migration,
) -> None:
    machine = StateMachine(capabilities)
    refused = {
        (begin, end)
        for begin in machine.states
        for end in machine.states
        if machine.outcome(begin, end).refused
    }
    pre_copies = {State.PRE_COPY, State.PRE_COPY_P2P} & set(machine.states)
    assert refused == {(State.STOP_COPY, state) for state in pre_copies}


@pytest.mark.parametrize("capabilities", PATHS, ids=int)
def test_what_is_no_state_of_the_device_is_refused(capabilities: Migration) -> None:
    machine = StateMachine(capabilities)
    missing = [state for state in State if state not in machine.states]
    for begin in machine.states:
        for wanted in (*missing, 8, 0xFFFFFFFF):
            assert machine.outcome(begin, wanted).refused
    assert all(machine.outcome(State.ERROR, state).refused for state in State)


def test_a_session_opens_on_entering_and_goes_on_inside_the_saving_group() -> None:
    machine = StateMachine(ALL)
    for begin in machine.states:
        for end in machine.states:
            outcome = machine.outcome(begin, end)
            if outcome.path:
                inside = begin in SAVING and end in SAVING
                has_session = {State.RESUMING} | SAVING
                assert outcome.opens is (end in has_session and not inside)
                assert outcome.ends is (begin in has_session and not inside)


def test_a_driver_implements_what_passes_an_unsupported_state() -> None:
    assert set(StateMachine(ALL).arcs) == set(ARCS)
    # vfio_mig_get_next_state() reduces paths such as RUNNING -> RUNNING_P2P -> STOP to these.
    without_p2p = {
        (State.RUNNING, State.STOP),
        (State.STOP, State.RUNNING),
        (State.PRE_COPY, State.STOP_COPY),
    }
    own = set(StateMachine(PRE_COPY).arcs)
    assert own - set(ARCS) == without_p2p
    assert own & set(ARCS) == {
        (State.STOP_COPY, State.STOP),
        (State.RESUMING, State.STOP),
        (State.PRE_COPY, State.RUNNING),
        (State.RUNNING, State.PRE_COPY),
        (State.STOP, State.STOP_COPY),
        (State.STOP, State.RESUMING),
    }
    assert set(every_arc()) == set(ARCS) | without_p2p
    assert every_arc()[: len(ARCS)] == ARCS
