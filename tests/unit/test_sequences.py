# SPDX-License-Identifier: GPL-2.0-only
"""Random sequences of calls on a device in this process: only a correct device passes.

The device streams images of its whole state, and sometimes has new initial data.
"""

from __future__ import annotations

import errno
from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.errors import RuleBroken
from fixtures.guest import Answer
from fixtures.oracle import PRE_COPIES, StateMachine
from fixtures.oracle.deviations import UNSEEN, Mend
from fixtures.oracle.model import Model
from fixtures.session import READABLE
from fixtures.session.data_fd import PrecopyAnswer
from fixtures.uapi import PRECOPY_INFO_REINIT, Migration, PrecopyInfo, State
from suites.sequences import take
from suites.state_machine.test_sequence import Sequences

RULES = StateMachine(Migration.STOP_COPY | Migration.P2P | Migration.PRE_COPY)
RUNS = (State.RUNNING, State.RUNNING_P2P, *PRE_COPIES)
SEEDS = range(30)  # each for several sequences; at least one must catch a wrong device
SUCCESS = Answer(0)


def failed(name: str) -> Answer:
    return Answer(-1, getattr(errno, name))


class Stream:
    """The data fd of a session, and its data."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.data = b""  # data to read, or data written
        self.at = 0
        self.initial = 0  # where the initial data ends
        self.ended = False

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def save(self) -> None:
        self.data += self.device.contents
        self.device.changed = False

    def begin(self) -> None:
        self.save()
        self.initial = len(self.data)
        self.device.has_new_data = False

    def read(self, count: int) -> Answer:
        if self.ended:
            return failed("ENODEV")
        if not self.left:
            return self.at_the_end()
        data = self.data[self.at : self.at + count]
        self.at += len(data)
        return Answer(len(data), data=data)

    def at_the_end(self) -> Answer:
        return failed("ENOMSG") if self.device.now in PRE_COPIES else SUCCESS

    def write(self, data: bytes) -> Answer:
        self.data += data
        return Answer(len(data))

    def poll(self) -> int:
        return READABLE if self.left or self.device.now not in PRE_COPIES else 0

    def precopy_info(self, flags: int = 0) -> PrecopyAnswer:
        device = self.device
        if device.now not in PRE_COPIES:
            return PrecopyAnswer(failed("EINVAL"), PrecopyInfo(24, flags, 0, 0))
        if device.opted_in:
            flags = PRECOPY_INFO_REINIT if device.has_new_data else 0
        if device.opted_in and device.has_new_data:
            self.begin()
        elif device.changed:
            self.save()
        return PrecopyAnswer(SUCCESS, self.info(flags))

    def info(self, flags: int) -> PrecopyInfo:
        initial = max(self.initial - self.at, 0)
        return PrecopyInfo(24, flags, initial, 0 if initial else self.left)


class Device:
    """A session with a correct device; a wrong one has another ``stream``, for instance."""

    stream = Stream
    size = 600  # bytes of state

    def __init__(self) -> None:
        self.device = SimpleNamespace(firmware=SimpleNamespace(command=self.command))
        self.contents = bytes(self.size)
        self.begin_anew()

    def begin_anew(self) -> None:
        self.now = State.RUNNING
        self.opted_in = self.changed = self.has_new_data = False
        self.session: Stream | None = None

    def command(self, words: str) -> Answer:
        if self.now not in RUNS:
            return failed("EBUSY")
        if words != "reset":
            self.contents = bytes(byte ^ 1 for byte in self.contents)
            self.changed = True
            self.has_new_data |= words.startswith("reinit")
        return SUCCESS

    def set(self, seed: int) -> None:
        self.contents = seed.to_bytes(2, "big") * (self.size // 2)

    def get(self) -> bytes:
        return self.contents

    def set_state(self, wanted: int) -> tuple[Answer, Stream | None]:
        outcome = RULES.outcome(self.now, wanted)
        leaves = self.now is State.RESUMING and outcome.path
        if outcome.refused or (leaves and self.session and not self.load(self.session.data)):
            return failed("EINVAL"), None
        self.now = State(wanted)
        if outcome.ends:
            self.end()
        if outcome.opens:
            self.session = self.stream(self)
            if self.now in PRE_COPIES:
                self.session.begin()
        if self.now is State.STOP_COPY and outcome.path and self.session:
            self.session.save()
        return SUCCESS, self.session if outcome.opens else None

    def load(self, data: bytes) -> bool:
        """Load the last image of a stream; return whether it is complete."""
        if not data or len(data) % self.size:
            return False
        self.contents = data[-self.size :]
        return True

    def end(self) -> None:
        if self.session:
            self.session.ended = True
        self.session = None

    def state(self) -> State:
        return self.now

    def reset(self) -> Answer:
        self.now = State.RUNNING
        self.end()
        return SUCCESS

    def reopen(self) -> None:
        self.end()
        self.begin_anew()

    def close_data(self, stream: Stream) -> None:
        """Close a data fd; the session continues."""

    def opt_in(self) -> Answer:
        self.opted_in = True
        return SUCCESS

    def data_size(self) -> Answer:
        return SUCCESS


def run(device: Device, seeds: range, *known: str) -> Counter[str]:
    """Run sequences on ``device``; return how often each call was made."""
    notes: list[str] = []
    record: Any = SimpleNamespace(
        transcript=SimpleNamespace(restart=notes.append, note=notes.append)
    )
    counts: Counter[str] = Counter()
    fresh_model = partial(
        Model, RULES, known=lambda clause: clause in known, v2=True, look=device.get
    )
    session: Any = device
    for number in seeds:
        sequences = partial(Sequences, session, record, session, fresh_model, counts)
        take(sequences, number, shrinks=False)
    return counts


class ZeroForEnomsg(Stream):
    def at_the_end(self) -> Answer:
        return SUCCESS


class EnomsgForZero(Stream):
    def at_the_end(self) -> Answer:
        return failed("ENOMSG")


class EndsEarly(Stream):
    """Ends before the last byte."""

    def read(self, count: int) -> Answer:
        if self.ended or self.left > 1:
            return super().read(min(count, max(self.left - 1, 1)))
        return self.at_the_end()

    def poll(self) -> int:
        return READABLE if self.left > 1 or self.device.now not in PRE_COPIES else 0


class NeverFalls(Stream):
    def info(self, flags: int) -> PrecopyInfo:
        return PrecopyInfo(24, flags, self.initial, 0)


class NoReinit(Stream):
    """Does not mark new initial data."""

    def precopy_info(self, flags: int = 0) -> PrecopyAnswer:
        self.device.has_new_data = False
        return super().precopy_info(flags)


class ReinitStays(Stream):
    reported = False

    def info(self, flags: int) -> PrecopyInfo:
        if not self.device.opted_in:
            return super().info(flags)
        self.reported |= bool(flags)
        return super().info(PRECOPY_INFO_REINIT if self.reported else 0)


class DirtyBesideReinit(Stream):
    def info(self, flags: int) -> PrecopyInfo:
        info = super().info(flags)
        beside = self.device.opted_in and flags
        return PrecopyInfo(24, flags, info.initial_bytes, 7) if beside else info


class Unsaved(Stream):
    """The device's last change is missing in its STOP_COPY stream."""

    def save(self) -> None:
        if self.device.now is State.STOP_COPY and self.data:
            self.data += self.data[-self.device.size :]
        else:
            super().save()


class TakesAnything(Device):
    def load(self, data: bytes) -> bool:
        super().load(data)
        return True


class LoadsNothing(Device):
    def load(self, data: bytes) -> bool:
        return bool(data) and not len(data) % self.size


class StreamsOn(Stream):
    """A session's data is still readable after its end."""

    def read(self, count: int) -> Answer:
        self.ended = False
        return super().read(count)


WRONG: dict[str, tuple[type[Stream] | type[Device], set[str]]] = {
    "0 for ENOMSG": (
        ZeroForEnomsg,
        {"end-of-stream.pre-copy.enomsg", "end-of-stream.pre-copy-p2p.enomsg"},
    ),
    "ENOMSG in STOP_COPY": (EnomsgForZero, {"end-of-stream.stop-copy.zero"}),
    "a short stream": (
        EndsEarly,
        {"in-flight-save.read.announced", "precopy-info.end-of-stream", "data-transfer.stop-copy"},
    ),
    "estimates that do not fall": (
        NeverFalls,
        {
            "precopy-info.initial-bytes.falls",
            "reinit.initial-bytes.falls",
            "precopy-info.end-of-stream",
        },
    ),
    "no REINIT": (NoReinit, {"reinit.flag"}),
    "REINIT that stays": (ReinitStays, {"reinit.once"}),
    "dirty_bytes beside REINIT": (DirtyBesideReinit, {"reinit.dirty-bytes"}),
    "a change that is lost": (Unsaved, {"data-transfer.dirtied", "reinit.nothing-lost"}),
    "a part of a stream that is loaded": (
        TakesAnything,
        {"data-transfer.nothing", "data-transfer.truncated"},
    ),
    "a stream that is not loaded": (
        LoadsNothing,
        {"data-transfer.stop-copy", "data-transfer.pre-copy", "data-transfer.dirtied"},
    ),
    "a session that does not end": (StreamsOn, {"state-machine.session.ended"}),
}


def test_a_right_device_passes() -> None:
    counts = run(Device(), range(4))
    assert counts["loads"] > 10


@pytest.mark.parametrize(("what", "clauses"), WRONG.values(), ids=WRONG)
def test_a_wrong_device_is_caught(what: type[Stream] | type[Device], clauses: set[str]) -> None:
    device = what() if issubclass(what, Device) else Device()
    if issubclass(what, Stream):
        device.stream = what
    with pytest.raises(RuleBroken) as found:
        run(device, SEEDS)
    assert found.value.clause in clauses


class StopsAtARefusal(Device):
    """A request for what is no state stops it: every later request fails, until a reset."""

    stopped = False

    def set_state(self, wanted: int) -> tuple[Answer, Stream | None]:
        if self.stopped:
            return failed("EIO"), None
        self.stopped = wanted not in PRE_COPIES and RULES.outcome(self.now, wanted).refused
        return super().set_state(wanted)

    def reset(self) -> Answer:
        self.stopped = False
        return super().reset()

    def begin_anew(self) -> None:
        self.stopped = False
        super().begin_anew()


REFUSALS = [clause for clause, mend in UNSEEN.items() if mend is Mend.RESET]


def test_a_device_that_a_refusal_stops_is_reset_if_that_is_known() -> None:
    counts = run(StopsAtARefusal(), range(4), *REFUSALS)
    assert counts["state-machine.no-such-state"] > 10
    assert counts["loads"] > 5
    with pytest.raises(RuleBroken):
        run(StopsAtARefusal(), SEEDS)


def test_a_known_deviation_does_not_hide_another() -> None:
    class Both(ZeroForEnomsg):
        def poll(self) -> int:
            return 0

    device = Device()
    device.stream = Both
    with pytest.raises(RuleBroken) as found:
        run(device, SEEDS, "end-of-stream.pre-copy.enomsg", "end-of-stream.pre-copy-p2p.enomsg")
    assert found.value.clause == "end-of-stream.stop-copy.poll"
