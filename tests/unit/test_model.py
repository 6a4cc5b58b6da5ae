# SPDX-License-Identifier: GPL-2.0-only
"""The model of random sequences: wrong answers that it must catch, and right ones.

A history is a list of calls with the device's answers. The device has every capability, unless the
history says otherwise.
"""

from __future__ import annotations

import ast
import errno
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.device import Driver, known_drivers
from fixtures.errors import RuleBroken
from fixtures.guest import Answer
from fixtures.oracle import StateMachine, deviations, model
from fixtures.oracle.model import Model
from fixtures.record import catalogue
from fixtures.session import READABLE
from fixtures.uapi import PRECOPY_INFO_REINIT, Migration, PrecopyInfo, State

STOP, RUNNING, ERROR = State.STOP, State.RUNNING, State.ERROR
STOP_COPY, RESUMING = State.STOP_COPY, State.RESUMING
PRE_COPY, PRE_COPY_P2P = State.PRE_COPY, State.PRE_COPY_P2P
ALL = Migration.STOP_COPY | Migration.P2P | Migration.PRE_COPY
REINIT = PRECOPY_INFO_REINIT
ENOMSG = "end-of-stream.pre-copy.enomsg"
ANNOUNCED = "in-flight-save.read.announced"
SUCCESS = Answer(0)


@dataclass
class Device:
    """A model, and the state that it sees in the device."""

    model: Model
    contents: bytes | None = b"the state"


Step = Callable[[Device], None]


def failed(name: str) -> Answer:
    return Answer(-1, getattr(errno, name))


def move(
    wanted: int, answer: Answer = SUCCESS, fd: bool | None = None, to: int | None = None
) -> Step:
    """Request a state; by default ``fd`` and the new state ``to`` are correct."""

    def step(device: Device) -> None:
        rules = device.model
        outcome = rules.fsm.outcome(rules.state, wanted)
        end = rules.state if answer.error else wanted
        gave = outcome.opens and not answer.error if fd is None else fd
        rules.requested(wanted, answer, gave, State(end if to is None else to))

    return step


def told(
    initial: int, dirty: int = 0, out: int | None = None, given: int = 0, answer: Answer = SUCCESS
) -> Step:
    """Query the estimates, with the flags ``given`` and ``out``; correct by default."""

    def step(device: Device) -> None:
        flags = (0 if device.model.opted_in else given) if out is None else out
        device.model.told(given, answer, PrecopyInfo(32, flags, initial, dirty))

    return step


def reinit(initial: int, dirty: int = 0) -> Step:
    return told(initial, dirty, out=REINIT)


def read(count: int, asked: int | None = None) -> Step:
    def step(device: Device) -> None:
        data = Answer(count, data=b"\x5a" * count)
        assert not device.model.was_read(count if asked is None else asked, data)

    return step


def no_data(name: str = "", then: Step | None = None) -> Step:
    """A read that returns 0, or the error ``name``; ``then`` is the query that the model needs."""

    def step(device: Device) -> None:
        answer = failed(name) if name else SUCCESS
        asks = device.model.was_read(4096, answer)
        assert asks is (then is not None)
        if then is not None:
            then(device)

    return step


def poll(events: int) -> Step:
    return lambda device: device.model.polled(events)


def write(count: int, answer: Answer | None = None) -> Step:
    """Write the next ``count`` bytes of the saved stream."""

    def step(device: Device) -> None:
        data = device.model.unwritten[:count]
        assert data
        device.model.was_written(data, Answer(len(data)) if answer is None else answer)

    return step


def needs(clause: str) -> Step:
    """The device must be mended because of the known deviation from ``clause``."""

    def step(device: Device) -> None:
        assert device.model.mend() == (clause, deviations.UNSEEN.get(clause, deviations.Mend.RESET))
        assert device.model.mend() is None

    return step


def holds(contents: bytes | None) -> Step:
    """From now on the device's state is ``contents``."""

    def step(device: Device) -> None:
        device.contents = contents

    return step


def changed(device: Device) -> None:
    device.model.changed()


def new_data(device: Device) -> None:
    device.model.new_initial_data()


def opt_in(device: Device) -> None:
    device.model.opted(SUCCESS)


def reset(device: Device) -> None:
    device.model.reset(SUCCESS, RUNNING)


def reopen(device: Device) -> None:
    device.model.reopened(RUNNING)


SAVED = [move(STOP_COPY), read(100), no_data(), move(RUNNING)]
LOADED = [*SAVED, holds(b"another"), move(RESUMING), write(60), write(60), holds(b"the state")]
ENDED = [move(PRE_COPY), told(100), read(100), no_data("ENOMSG")]
V2 = [opt_in, move(PRE_COPY), told(100)]

# Histories that must be caught: the clause, and the history whose last answer breaks it.
WRONG: dict[str, tuple[str, list[Step]]] = {
    # The temporary end of the stream.
    "ENOMSG with initial_bytes unread": (
        ANNOUNCED,
        [move(PRE_COPY), told(1000), no_data("ENOMSG", told(1000))],
    ),
    "ENOMSG with a part of initial_bytes unread": (
        ANNOUNCED,
        [move(PRE_COPY), told(1000), read(100), no_data("ENOMSG", told(900))],
    ),
    "ENOMSG with dirty_bytes unread": (
        ANNOUNCED,
        [*ENDED, changed, told(0, 64), read(10), no_data("ENOMSG", told(0, 54))],
    ),
    "0 with initial_bytes unread": (
        ANNOUNCED,
        [move(PRE_COPY), told(1000), no_data("", told(1000))],
    ),
    "an error with initial_bytes unread": (
        ANNOUNCED,
        [move(PRE_COPY), told(1000), no_data("EIO")],
    ),
    "ENOMSG before anybody asked, with initial_bytes": (
        "precopy-info.end-of-stream",
        [move(PRE_COPY), no_data("ENOMSG", told(1000))],
    ),
    "0 for ENOMSG": (ENOMSG, [move(PRE_COPY), told(100), read(100), no_data()]),
    "0 for ENOMSG before anybody asked": (
        ENOMSG,
        [move(PRE_COPY), read(100), no_data("", told(0))],
    ),
    "ENODEV for ENOMSG": (ENOMSG, [move(PRE_COPY), told(100), read(100), no_data("ENODEV")]),
    "0 for ENOMSG in PRE_COPY_P2P": (
        "end-of-stream.pre-copy-p2p.enomsg",
        [move(PRE_COPY_P2P), told(100), read(100), no_data()],
    ),
    "0 for ENOMSG beside new initial data": (
        ENOMSG,
        [*V2, read(10), new_data, no_data("", reinit(602))],
    ),
    "poll says readable at the temporary end": (
        "end-of-stream.pre-copy.poll-end",
        [*ENDED, poll(READABLE)],
    ),
    "poll says readable where both estimates are 0": (
        "end-of-stream.pre-copy.poll-end",
        [*ENDED, changed, told(0, 64), read(64), told(0), poll(READABLE)],
    ),
    # The end of the stream in STOP_COPY.
    "ENOMSG in STOP_COPY": ("end-of-stream.stop-copy.zero", [move(STOP_COPY), no_data("ENOMSG")]),
    "EIO in STOP_COPY": ("end-of-stream.stop-copy.zero", [move(STOP_COPY), no_data("EIO")]),
    "ENOMSG at the end in STOP_COPY": (
        "end-of-stream.stop-copy.zero",
        [move(STOP_COPY), read(100), no_data(), no_data("ENOMSG")],
    ),
    "data behind the end": (
        "end-of-stream.stop-copy.zero",
        [move(STOP_COPY), read(100), no_data(), read(1)],
    ),
    "the end with initial_bytes unread": (
        "in-flight-save.read.stop-copy",
        [move(PRE_COPY), told(5000), move(STOP_COPY), no_data()],
    ),
    "the end with a part of new initial data unread": (
        "in-flight-save.read.stop-copy",
        [*V2, new_data, reinit(612), read(100), move(STOP_COPY), read(511), no_data()],
    ),
    "an empty stream": ("data-transfer.stop-copy", [move(STOP_COPY), no_data()]),
    "poll waits at the end": (
        "end-of-stream.stop-copy.poll",
        [move(STOP_COPY), read(100), no_data(), poll(0)],
    ),
    # Estimates.
    "initial_bytes starts at 0": (
        "precopy-info.initial-bytes.start",
        [move(PRE_COPY), told(0)],
    ),
    "dirty_bytes starts above 0": (
        "precopy-info.dirty-bytes.start",
        [move(PRE_COPY), told(100, 1)],
    ),
    "initial_bytes rises": (
        "precopy-info.initial-bytes.monotone",
        [move(PRE_COPY), told(1000), told(1001)],
    ),
    "initial_bytes rises after its end": (
        "precopy-info.initial-bytes.monotone",
        [*ENDED, told(50)],
    ),
    "initial_bytes falls by less than what is read": (
        "precopy-info.initial-bytes.falls",
        [move(PRE_COPY), told(1000), read(100), told(950)],
    ),
    "initial_bytes falls by more than what is read": (
        "precopy-info.initial-bytes.falls",
        [move(PRE_COPY), told(1000), read(100), told(850)],
    ),
    "initial_bytes falls without a read, and there is no more": (
        "precopy-info.initial-bytes.falls",
        [move(PRE_COPY), told(1000), read(100), no_data("ENOMSG", told(0))],
    ),
    "initial_bytes of new data falls by less than what is read": (
        "reinit.initial-bytes.falls",
        [*V2, new_data, reinit(612), read(100), told(550)],
    ),
    "initial_bytes of new data is over early": (
        "reinit.initial-bytes.falls",
        [*V2, new_data, reinit(612), read(100), no_data("ENOMSG", told(0))],
    ),
    "the ioctl fails in PRE_COPY": (
        "precopy-info.support",
        [move(PRE_COPY), told(0, answer=failed("EIO"))],
    ),
    "the ioctl returns more than 0": (
        "precopy-info.support",
        [move(PRE_COPY), told(100, answer=Answer(8))],
    ),
    "the ioctl fails in PRE_COPY_P2P": (
        "precopy-info.support-p2p",
        [move(PRE_COPY_P2P), told(0, answer=failed("EIO"))],
    ),
    "the ioctl succeeds in STOP_COPY": (
        "precopy-info.state.stop-copy",
        [move(STOP_COPY), told(100)],
    ),
    "the ioctl succeeds after the session": (
        "precopy-info.state.not-saving",
        [move(PRE_COPY), move(STOP), lambda device: device.model.old_told(SUCCESS)],
    ),
    # Flags.
    "flags are not echoed": (
        "precopy-info.flags.v1-echo",
        [move(PRE_COPY), told(100, given=0xDEADBEEF, out=0)],
    ),
    "flags are echoed after the opt-in": (
        "precopy-info.flags.v2-zero",
        [opt_in, move(PRE_COPY), told(100, given=0xDEADBEEF, out=0xDEADBEEF)],
    ),
    "flags are echoed after opt-in and reset": (
        "precopy-info.flags.v2-zero",
        [opt_in, reset, move(PRE_COPY), told(100, given=2, out=2)],
    ),
    "REINIT without the opt-in": (
        "reinit.opt-in",
        [move(PRE_COPY), told(100), new_data, reinit(9)],
    ),
    "REINIT after the last close": (
        "reinit.opt-in",
        [opt_in, reopen, move(PRE_COPY), told(100), new_data, reinit(9)],
    ),
    # New initial data.
    "no REINIT": ("reinit.flag", [*V2, new_data, told(100)]),
    "no REINIT back in PRE_COPY": (
        "reinit.flag",
        [*V2, move(PRE_COPY_P2P), new_data, told(100), move(PRE_COPY), told(100)],
    ),
    "no REINIT after an opt-in in PRE_COPY": (
        "reinit.flag",
        [move(PRE_COPY), told(100), new_data, opt_in, told(100)],
    ),
    "no REINIT the second time": ("reinit.flag", [*V2, new_data, reinit(612), new_data, told(612)]),
    "REINIT with dirty_bytes": ("reinit.dirty-bytes", [*V2, new_data, reinit(612, 777)]),
    "REINIT without initial_bytes": (
        "reinit.initial-bytes.covers",
        [*V2, read(100), new_data, reinit(0)],
    ),
    "REINIT twice": ("reinit.once", [*V2, new_data, reinit(612), reinit(612)]),
    "REINIT without new initial data": ("reinit.unasked", [*V2, reinit(100)]),
    "REINIT for what came up before the session": (
        "reinit.before-session",
        [opt_in, new_data, move(PRE_COPY), reinit(100)],
    ),
    "REINIT for what came up in an earlier session": (
        "reinit.before-session",
        [*V2, new_data, move(RUNNING), move(PRE_COPY), reinit(100)],
    ),
    "REINIT for what an earlier session has reported": (
        "reinit.unasked",
        [*V2, new_data, reinit(612), move(RUNNING), move(PRE_COPY), reinit(100)],
    ),
    # Reading, writing and loading.
    "a read gives more than was asked for": (
        "end-of-stream.chunking",
        [move(STOP_COPY), read(8, asked=7)],
    ),
    "a write takes more than it was given": (
        "data-transfer.segmentation",
        [*SAVED, move(RESUMING), write(7, Answer(8))],
    ),
    "a write takes nothing": (
        "data-transfer.segmentation",
        [*SAVED, move(RESUMING), write(7, SUCCESS)],
    ),
    "a write is refused": (
        "data-transfer.segmentation",
        [*SAVED, move(RESUMING), write(7, failed("EINVAL"))],
    ),
    "RESUMING is left without data": (
        "data-transfer.nothing",
        [*SAVED, move(RESUMING), move(STOP)],
    ),
    "RESUMING is left with a part": (
        "data-transfer.truncated",
        [*SAVED, move(RESUMING), write(99), move(STOP)],
    ),
    "leaving RESUMING fails into a state off the path": (
        "state-machine.failed-arc",
        [*SAVED, move(RESUMING), move(STOP, failed("EINVAL"), to=RUNNING)],
    ),
    "leaving RESUMING fails and gives a data_fd": (
        "state-machine.failed-arc",
        [*SAVED, move(RESUMING), move(STOP_COPY, failed("EINVAL"), fd=True)],
    ),
    "a whole stream is refused": (
        "data-transfer.stop-copy",
        [*LOADED, move(STOP, failed("EINVAL"))],
    ),
    "the state is lost": ("data-transfer.stop-copy", [*LOADED, holds(b"another"), move(STOP)]),
    "the state is lost after PRE_COPY": (
        "data-transfer.pre-copy",
        [
            *[move(PRE_COPY), told(40), read(50), move(STOP_COPY), read(50), no_data()],
            *[move(RUNNING), move(RESUMING), write(100), holds(b"another"), move(RUNNING)],
        ],
    ),
    "a change is lost": (
        "data-transfer.dirtied",
        [
            *[move(PRE_COPY), read(50), changed, holds(b"changed"), move(STOP_COPY), read(50)],
            *[no_data(), move(RESUMING), write(100), holds(b"the state"), move(STOP)],
        ],
    ),
    "new initial data is lost": (
        "reinit.nothing-lost",
        [
            *[*V2, new_data, reinit(612), holds(b"new"), move(STOP_COPY), read(700), no_data()],
            *[move(RESUMING), write(700), holds(b"the state"), move(STOP)],
        ],
    ),
    # The state machine.
    "a request fails": ("state-machine.arcs", [move(PRE_COPY, failed("EINVAL"))]),
    "a request returns more than 0": ("state-machine.arcs", [move(PRE_COPY, Answer(1))]),
    "a request leads elsewhere": ("state-machine.arcs", [move(STOP, to=State.RUNNING_P2P)]),
    "the same state is refused": ("state-machine.same", [move(RUNNING, failed("EINVAL"))]),
    "a request for ERROR succeeds": ("state-machine.error-requested", [move(ERROR)]),
    "a request for ERROR moves": (
        "state-machine.error-requested",
        [move(ERROR, failed("EINVAL"), to=ERROR)],
    ),
    "a state is made up": (
        "state-machine.no-such-state",
        [move(8, SUCCESS, to=RUNNING)],
    ),
    "back from STOP_COPY": (
        "state-machine.stop-copy-to-pre-copy",
        [move(STOP_COPY), move(PRE_COPY)],
    ),
    "ERROR is left by a request": (
        "state-machine.error.reset-only",
        [*SAVED, move(RESUMING), move(STOP, failed("EIO"), to=ERROR), move(RUNNING)],
    ),
    "no data_fd": ("state-machine.data-fd.given", [move(PRE_COPY, fd=False)]),
    "a second data_fd": ("state-machine.data-fd.given", [move(PRE_COPY), move(STOP_COPY, fd=True)]),
    "a refused request gives a data_fd": (
        "state-machine.data-fd.given",
        [move(STOP_COPY), move(PRE_COPY, failed("EINVAL"), fd=True)],
    ),
    "the state changes by itself": (
        "state-machine.no-async",
        [move(STOP), lambda device: device.model.stayed(RUNNING)],
    ),
    "an ended session gives data": (
        "state-machine.session.ended",
        [move(PRE_COPY), move(STOP), lambda device: device.model.old_read(Answer(1, data=b"x"))],
    ),
    "reset fails": (
        "state-machine.reset.running",
        [lambda device: device.model.reset(failed("EIO"), RUNNING)],
    ),
    "reset stays in STOP": (
        "state-machine.reset.running",
        [move(STOP), lambda device: device.model.reset(SUCCESS, STOP)],
    ),
    "the state outlives the last close": (
        "state-machine.reopen",
        [move(STOP), lambda device: device.model.reopened(STOP)],
    ),
    "the size is refused": (
        "feature.data-size.every-state",
        [lambda device: device.model.sized(failed("EINVAL"))],
    ),
    "the size comes with more than 0": (
        "feature.data-size.every-state",
        [lambda device: device.model.sized(Answer(16))],
    ),
    "the opt-in is refused": (
        "feature.precopy-info-v2.set",
        [lambda device: device.model.opted(failed("ENOTTY"))],
    ),
}

# The same for less capable devices: their capabilities, and whether the kernel has the opt-in.
WRONG_OF_LESS: dict[str, tuple[Migration, bool, str, list[Step]]] = {
    "PRE_COPY without support": (
        Migration.STOP_COPY,
        True,
        "state-machine.unsupported",
        [move(PRE_COPY, fd=False)],
    ),
    "the opt-in without PRE_COPY": (
        Migration.STOP_COPY,
        True,
        "feature.precopy-info-v2.no-pre-copy",
        [opt_in],
    ),
    "the opt-in on an old kernel": (ALL, False, "feature.precopy-info-v2.unknown", [opt_in]),
}

# Histories that must be accepted.
RIGHT: dict[str, list[Step]] = {
    "a migration": [
        *[opt_in, move(PRE_COPY), told(100, given=0xDEADBEEF), read(60), told(40), read(40)],
        *[no_data("ENOMSG"), poll(0), changed, poll(READABLE), told(0, 80), read(80)],
        *[no_data("ENOMSG"), move(PRE_COPY_P2P), told(0), no_data("ENOMSG"), move(STOP_COPY)],
        *[told(0, answer=failed("EINVAL")), read(20), no_data(), no_data(), poll(READABLE)],
        *[move(STOP), move(RESUMING), holds(b"another"), write(1), write(200)],
        *[holds(b"the state"), move(RUNNING)],
    ],
    "a load into a device that changed": [*LOADED, move(PRE_COPY), told(100)],
    "a state that cannot be seen": [holds(None), *LOADED, holds(b"another"), move(STOP)],
    "nobody asked": [move(PRE_COPY), read(100), no_data("ENOMSG", told(0))],
    "dirty_bytes rose before the end": [
        *[move(PRE_COPY), told(100), read(100), changed, no_data("ENOMSG"), told(0, 80)],
    ],
    "dirty_bytes was above zero before anybody asked": [
        *[move(PRE_COPY), read(100), changed, no_data("ENOMSG", told(0, 80))],
    ],
    "dirty_bytes was an estimate": [
        *[*ENDED, changed, told(0, 64), read(10), no_data("ENOMSG", told(0)), told(0)],
    ],
    "dirty_bytes was too low": [*ENDED, changed, told(0, 64), read(80), no_data("ENOMSG"), told(0)],
    "the device woke poll by itself": [*ENDED, changed, no_data("ENOMSG"), poll(READABLE)],
    "an unread dirty rest": [*ENDED, changed, told(0, 64), move(STOP_COPY), read(10), no_data()],
    "PRE_COPY left early": [move(PRE_COPY), told(100), move(STOP_COPY), read(150), no_data()],
    "PRE_COPY given up": [move(PRE_COPY), told(100), move(RUNNING), move(PRE_COPY), told(120)],
    "new initial data": [
        *[*V2, read(10), new_data, reinit(602), read(2), told(600), read(600), told(0)],
        *[no_data("ENOMSG"), new_data, reinit(700), move(STOP_COPY), read(800), no_data()],
    ],
    "two pieces of new initial data in one answer": [
        *[*V2, new_data, new_data, reinit(1200), told(1200)],
    ],
    "new initial data in PRE_COPY_P2P": [
        *[*V2, move(PRE_COPY_P2P), new_data, told(100), move(PRE_COPY), reinit(612), told(612)],
    ],
    "new initial data told in PRE_COPY_P2P": [*V2, move(PRE_COPY_P2P), new_data, reinit(612)],
    "new initial data without the opt-in": [
        *[move(PRE_COPY), told(100), new_data, told(100), read(100), told(0, 528), opt_in],
        *[told(0, 528)],
    ],
    "new initial data before the opt-in": [
        *[move(PRE_COPY), told(100), new_data, told(100), opt_in, reinit(612), told(612)],
    ],
    "new initial data while the first is on its way": [
        *[opt_in, move(PRE_COPY), new_data, told(100), told(100)],
    ],
    "new initial data before the session": [opt_in, new_data, move(PRE_COPY), told(612)],
    "new initial data of a session that ended": [
        *[*V2, new_data, move(RUNNING), move(PRE_COPY), told(612), told(612)],
    ],
    "ENOMSG, and new initial data right after it": [
        *[opt_in, move(PRE_COPY), read(100), new_data, no_data("ENOMSG", reinit(528))],
    ],
    "RESUMING is not left without data": [
        *[*SAVED, move(RESUMING), move(STOP, failed("EINVAL")), write(200), move(STOP)],
    ],
    "RESUMING fails on the path": [
        *[*SAVED, move(RESUMING), write(9), move(RUNNING, failed("EINVAL"), to=STOP)],
        *[move(RESUMING), write(200), move(STOP)],
    ],
    "RESUMING fails into ERROR": [
        *[*SAVED, move(RESUMING), move(STOP, failed("EIO"), to=ERROR)],
        *[move(RUNNING, failed("EINVAL"), to=ERROR), reset, move(STOP)],
    ],
    "refused requests": [
        *[move(STOP_COPY), move(PRE_COPY, failed("EINVAL")), move(ERROR, failed("EINVAL"))],
        *[move(99, failed("EINVAL"), to=STOP_COPY), read(1)],
    ],
    "old data fds": [
        *[move(PRE_COPY), move(STOP), lambda device: device.model.old_read(failed("ENODEV"))],
        *[lambda device: device.model.old_told(failed("EINVAL")), move(STOP_COPY)],
        lambda device: device.model.old_told(failed("ENODEV")),
    ],
    "an opt-in that is over": [opt_in, reopen, move(PRE_COPY), told(100, given=0xDEADBEEF)],
}

# Known deviations: the clause, and a history with only that deviation.
KNOWN: dict[str, tuple[str, list[Step]]] = {
    "0 for ENOMSG": (ENOMSG, [move(PRE_COPY), told(100), read(100), no_data(), no_data()]),
    "0 for ENOMSG before anybody asked": (
        ENOMSG,
        [move(PRE_COPY), read(100), no_data("", told(0))],
    ),
    "0 for ENOMSG in PRE_COPY_P2P": (
        "end-of-stream.pre-copy-p2p.enomsg",
        [move(PRE_COPY_P2P), told(100), read(100), no_data()],
    ),
    "poll says readable": ("end-of-stream.pre-copy.poll-end", [*ENDED, poll(READABLE)]),
    "ENOMSG with dirty_bytes unread": (
        ANNOUNCED,
        [*ENDED, changed, told(0, 64), no_data("ENOMSG", told(0, 64)), read(64)],
    ),
    "initial_bytes rises in PRE_COPY_P2P": (
        "precopy-info.initial-bytes.monotone",
        [move(PRE_COPY_P2P), told(24), read(20), told(1000), read(996), told(4)],
    ),
    "RESUMING is left without data": (
        "data-transfer.nothing",
        [*SAVED, move(RESUMING), move(STOP)],
    ),
    "RESUMING is left with a part": (
        "data-transfer.truncated",
        [*SAVED, move(RESUMING), write(99), move(RUNNING), move(PRE_COPY), told(100)],
    ),
    "STOP_COPY cannot be left before the end of the stream": (
        "state-machine.arcs",
        [
            move(STOP_COPY),
            read(8),
            move(RUNNING, failed("EIO")),
            needs("state-machine.arcs"),
            reset,
        ],
    ),
    "the state outlives the last close": (
        "state-machine.reopen",
        [move(RESUMING), lambda device: device.model.reopened(RESUMING), reset],
    ),
}

# Histories that a known deviation does not excuse: the known clause, then as in WRONG.
BESIDE_KNOWN: dict[str, tuple[str, str, list[Step]]] = {
    "ENODEV for ENOMSG": (
        ENOMSG,
        ENOMSG,
        [move(PRE_COPY), told(100), read(100), no_data("ENODEV")],
    ),
    "0 with initial_bytes unread": (
        ENOMSG,
        ANNOUNCED,
        [move(PRE_COPY), told(1000), no_data("", told(1000))],
    ),
    "0 before anybody asked, with initial_bytes": (
        ENOMSG,
        "precopy-info.end-of-stream",
        [move(PRE_COPY), no_data("", told(1000))],
    ),
    "0 in PRE_COPY_P2P": (
        ENOMSG,
        "end-of-stream.pre-copy-p2p.enomsg",
        [move(PRE_COPY_P2P), told(100), read(100), no_data()],
    ),
    "0, and poll says readable": (
        ENOMSG,
        "end-of-stream.pre-copy.poll-end",
        [move(PRE_COPY), told(100), read(100), no_data(), poll(READABLE)],
    ),
    "poll reports an error": (
        "end-of-stream.pre-copy.poll-end",
        "end-of-stream.pre-copy.poll-end",
        [*ENDED, poll(READABLE | 8)],
    ),
    "ENOMSG with initial_bytes unread": (
        ANNOUNCED,
        ANNOUNCED,
        [move(PRE_COPY), told(1000), no_data("ENOMSG", told(1000))],
    ),
    "0 with dirty_bytes unread": (
        ANNOUNCED,
        ANNOUNCED,
        [*ENDED, changed, told(0, 64), no_data("", told(0, 64))],
    ),
    "initial_bytes rises in PRE_COPY": (
        "precopy-info.initial-bytes.monotone",
        "precopy-info.initial-bytes.monotone",
        [move(PRE_COPY), told(24), told(1000)],
    ),
    "initial_bytes rises in PRE_COPY_P2P, after PRE_COPY": (
        "precopy-info.initial-bytes.monotone",
        "precopy-info.initial-bytes.monotone",
        [move(PRE_COPY), told(24), move(PRE_COPY_P2P), told(1000)],
    ),
    "initial_bytes rises, and then does not fall": (
        "precopy-info.initial-bytes.monotone",
        "precopy-info.initial-bytes.falls",
        [move(PRE_COPY_P2P), told(24), told(1000), read(100), told(600)],
    ),
    "RESUMING is left with more than 0": (
        "data-transfer.truncated",
        "data-transfer.truncated",
        [*SAVED, move(RESUMING), write(99), move(STOP, Answer(7))],
    ),
    "RESUMING is left with a part, for another state": (
        "data-transfer.truncated",
        "state-machine.arcs",
        [*SAVED, move(RESUMING), write(99), move(STOP, to=RUNNING)],
    ),
    "a whole stream gives another state": (
        "data-transfer.truncated",
        "data-transfer.stop-copy",
        [*LOADED, holds(b"another"), move(STOP)],
    ),
    "STOP_COPY cannot be left, with another errno": (
        "state-machine.arcs",
        "state-machine.arcs",
        [move(STOP_COPY), move(RUNNING, failed("EBUSY"))],
    ),
    "STOP_COPY cannot be left at the end of the stream": (
        "state-machine.arcs",
        "state-machine.arcs",
        [move(STOP_COPY), read(8), no_data(), move(RUNNING, failed("EIO"))],
    ),
    "STOP_COPY cannot be left, and becomes STOP": (
        "state-machine.arcs",
        "state-machine.arcs",
        [move(STOP_COPY), move(RUNNING, failed("EIO"), to=STOP)],
    ),
    "another arc fails": (
        "state-machine.arcs",
        "state-machine.arcs",
        [move(STOP, failed("EIO"))],
    ),
    "a write fails after a load that was given up": (
        deviations.LEFT_OVER,
        "data-transfer.segmentation",
        [*SAVED, move(RESUMING), write(9), reset, move(RESUMING), write(9, failed("EINVAL"))],
    ),
    "a request fails after one that was refused": (
        "state-machine.no-such-state",
        "state-machine.arcs",
        [move(99, failed("EINVAL")), move(STOP, failed("EIO"))],
    ),
    "a refused request changes the state": (
        "state-machine.no-such-state",
        "state-machine.no-such-state",
        [move(99, failed("EINVAL"), to=STOP)],
    ),
    "the device is opened in a state of its own": (
        "state-machine.reopen",
        "state-machine.reopen",
        [move(RESUMING), lambda device: device.model.reopened(STOP)],
    ),
}


# Known deviations that the answer does not show: the clause, and a history with only that one.
UNSEEN: dict[str, tuple[str, list[Step]]] = {
    "ERROR is refused": ("state-machine.error-requested", [move(ERROR, failed("EINVAL"))]),
    "a number is refused": ("state-machine.no-such-state", [move(99, failed("EINVAL"))]),
    "a state is refused": ("state-machine.unsupported", [move(PRE_COPY, failed("EINVAL"))]),
    "a reset gives a load up": (
        deviations.LEFT_OVER,
        [move(STOP_COPY), read(1000), no_data(), move(RESUMING), write(1), reset],
    ),
    "a close gives a load up": (
        deviations.LEFT_OVER,
        [
            *[move(STOP_COPY), read(1000), no_data(), move(RESUMING), write(999)],
            lambda device: device.model.reopened(RUNNING),
        ],
    ),
    "a reset gives a save up": (deviations.LEFT_OVER, [move(STOP_COPY), read(1), reset]),
    "a session that could not be left takes no more": (
        deviations.LEFT_OVER,
        [
            *[move(STOP_COPY), read(1000), no_data(), move(RESUMING), write(999)],
            *[move(STOP, failed("EIO")), write(1, failed("ENODEV"))],
        ],
    ),
}


def play(
    steps: list[Step],
    known: Collection[str] = (),
    capabilities: Migration = ALL,
    v2: bool = True,
) -> None:
    """Play a history; raises RuleBroken."""
    device = Device(Model(StateMachine(capabilities), lambda clause: clause in known, v2))
    device.model.look = lambda: device.contents
    for step in steps:
        step(device)


def caught(clause: str, steps: list[Step], *known: str) -> None:
    """Check that the last step breaks ``clause``, and earlier steps do not."""
    with pytest.raises(RuleBroken) as found:
        play(steps, known)
    assert found.value.clause == clause
    play(steps[:-1], known)


@pytest.mark.parametrize(("clause", "steps"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_caught(clause: str, steps: list[Step]) -> None:
    caught(clause, steps)


@pytest.mark.parametrize(
    ("capabilities", "v2", "clause", "steps"), WRONG_OF_LESS.values(), ids=WRONG_OF_LESS
)
def test_a_wrong_answer_of_a_device_that_can_do_less_is_caught(
    capabilities: Migration, v2: bool, clause: str, steps: list[Step]
) -> None:
    with pytest.raises(RuleBroken, match=f"^{clause}: "):
        play(steps, (), capabilities, v2)


@pytest.mark.parametrize("steps", RIGHT.values(), ids=RIGHT)
def test_a_right_history_is_accepted(steps: list[Step]) -> None:
    play(steps)


@pytest.mark.parametrize(("clause", "steps"), KNOWN.values(), ids=KNOWN)
def test_a_known_deviation_is_accepted_where_it_is_known(clause: str, steps: list[Step]) -> None:
    play(steps, {clause})
    with pytest.raises(RuleBroken, match=f"^{clause}: "):
        play(steps)


@pytest.mark.parametrize(("clause", "steps"), UNSEEN.values(), ids=UNSEEN)
def test_a_device_is_mended_after_a_known_deviation_alone(clause: str, steps: list[Step]) -> None:
    capabilities = Migration.STOP_COPY | Migration.P2P

    def healthy(device: Device) -> None:
        assert device.model.mend() is None

    play([*steps[:-1], healthy, steps[-1], needs(clause)], {clause}, capabilities)
    play([*steps, healthy], capabilities=capabilities)


def test_a_whole_stream_leaves_nothing_behind() -> None:
    def healthy(device: Device) -> None:
        assert device.model.mend() is None

    play([*LOADED, move(RUNNING), healthy], {deviations.LEFT_OVER})
    play([*LOADED, reset, healthy], {deviations.LEFT_OVER})
    play([*SAVED, healthy], {deviations.LEFT_OVER})
    play([move(STOP_COPY), reset, healthy], {deviations.LEFT_OVER})


def test_every_unseen_deviation_is_played() -> None:
    assert {clause for clause, _ in UNSEEN.values()} == set(deviations.UNSEEN)


@pytest.mark.parametrize(("known", "clause", "steps"), BESIDE_KNOWN.values(), ids=BESIDE_KNOWN)
def test_a_known_deviation_excuses_nothing_else(known: str, clause: str, steps: list[Step]) -> None:
    caught(clause, steps, known)


def test_a_refused_opt_in_of_a_device_that_can_do_less_is_accepted() -> None:
    def refused(name: str) -> Step:
        return lambda device: device.model.opted(failed(name))

    play([refused("EINVAL")], capabilities=Migration.STOP_COPY)
    play([refused("ENOTTY"), move(PRE_COPY), told(100, given=1)], v2=False)


def test_a_device_without_pre_copy_need_not_know_the_ioctl() -> None:
    no_ioctl = failed("ENOTTY")
    steps = [move(STOP_COPY), told(0, answer=no_ioctl)]
    ended = [*steps, move(STOP), lambda device: device.model.old_told(no_ioctl)]
    play(ended, capabilities=Migration.STOP_COPY)
    with pytest.raises(RuleBroken):
        play(steps)


def judged() -> set[str]:
    """Return the clauses that the model's source names."""
    source = ast.parse(Path(model.__file__).read_text(encoding="utf-8"))
    words = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant)}
    return {name for name in catalogue.clauses() if name in words}


def test_every_clause_that_the_model_judges_has_a_wrong_answer() -> None:
    less = {clause for _, _, clause, _ in WRONG_OF_LESS.values()}
    assert judged() == {clause for clause, _ in WRONG.values()} | less


def test_known_deviations_are_of_clauses_that_the_model_judges() -> None:
    assert set(deviations.INSTEAD) <= judged()
    assert {clause for clause, _ in KNOWN.values()} == set(deviations.INSTEAD)


@pytest.mark.parametrize("driver", known_drivers().values(), ids=known_drivers())
def test_what_drivers_do_instead_is_known(driver: Driver) -> None:
    expected = {one.clause for one in driver.expectations}
    assert expected & judged() <= {*deviations.INSTEAD, *deviations.UNSEEN}
