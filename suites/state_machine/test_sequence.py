# SPDX-License-Identifier: GPL-2.0-only
"""Random sequences of calls; each answer is compared with the model's.

Hypothesis draws the sequences from a seed, and shrinks a failing one to the shortest that fails.
The seed is printed; ``--model-seed`` draws the same sequences again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from fixtures.device import Driver
from fixtures.kernel import Kernel
from fixtures.oracle import PRE_COPIES, StateMachine
from fixtures.oracle.deviations import INSTEAD, UNSEEN, Mend
from fixtures.oracle.model import Model
from fixtures.plugin.recorder import Recorder
from fixtures.plugin.run import Abilities, Run
from fixtures.session import DataFd, Session, State
from suites.contents import Contents
from suites.sequences import take

pytestmark = pytest.mark.any_api

OF_A_VARIANT = 4  # a device's variant runs this many times fewer steps
COUNTS = st.sampled_from([1, 7, 100, 4096, 1 << 20])
REQUESTS = st.sampled_from([*State, *State, len(State), 0xFFFFFFFF])
# The states of a migration, requested often enough that sessions begin and complete.
WAYS = st.sampled_from([State.PRE_COPY, State.PRE_COPY_P2P, State.STOP_COPY, State.RESUMING])
# States in which a device may change. Some doubles accept changes in other states too.
RUNS = PRE_COPIES | {State.RUNNING, State.RUNNING_P2P}
EVENTS = st.sampled_from(
    [
        "ask_data_size",  # Hypothesis draws the first one most often
        "change_state",
        "bring_up_new_initial_data",
        "opt_in",
        "reset",
        "close_data_fd",
        "close_and_open",
    ]
)


class Sequences(RuleBasedStateMachine):
    """The calls of a sequence; all sequences use the same device."""

    def __init__(
        self,
        session: Session,
        record: Recorder,
        contents: Contents | None,
        fresh_model: Callable[[], Model],
        counts: Counter[str],
    ) -> None:
        """``contents`` is None if the device's state cannot be seen.

        ``counts`` has the number of steps and other events, over all sequences.
        """
        super().__init__()
        self.session = session
        self.record = record
        self.contents = contents
        self.fresh_model = fresh_model
        self.counts = counts
        self.model = fresh_model()
        self.data_fd: DataFd | None = None
        self.old: DataFd | None = None  # the data fd of a saving session that has ended
        self.saw_the_state = False  # in this step

    @initialize(opts_in=st.booleans())
    def open_anew(self, opts_in: bool) -> None:
        """Begin with a device as it is after an open, with or without the opt-in."""
        self.reset()
        if self.session.device.firmware is not None:
            self.session.device.firmware.command("reset")
        # A driver may keep its last save: save once, so that all sequences begin alike.
        self.request(State.STOP_COPY)
        self.reset()
        self.close_and_open()
        self.record.transcript.restart("a sequence begins")
        self.model = self.fresh_model()
        if opts_in:
            self.opt_in()

    @rule(wanted=REQUESTS)
    def request(self, wanted: int) -> None:
        had_saving = self.model.saving is not None
        self.counts["loads"] += self.model.state is State.RESUMING and self.model.is_whole
        answer, given = self.session.set_state(wanted)
        self.model.requested(wanted, answer, given is not None, self._state())
        self._session_went_on(had_saving, given)
        self._mend()

    @precondition(lambda self: self.model.saving is None)
    @rule(wanted=WAYS)
    def migrate(self, wanted: State) -> None:
        self.request(wanted)

    @rule(what=EVENTS)
    def happens(self, what: str) -> None:
        """Do something that is not part of a session, and rare during one."""
        getattr(self, what)()

    def reset(self) -> None:
        had_saving = self.model.saving is not None
        answer = self.session.reset()
        self.model.reset(answer, self._state())
        self._session_went_on(had_saving, None)
        self._mend()

    def close_and_open(self) -> None:
        self.session.reopen()
        self.model.reopened(self._state())
        self.data_fd = self.old = None
        if self.model.state is not State.RUNNING:  # a known deviation of the driver
            self.reset()
        self._mend()

    def close_data_fd(self) -> None:
        if self.data_fd is not None:
            self.session.close_data(self.data_fd)
            self.data_fd = None

    def opt_in(self) -> None:
        self.model.opted(self.session.opt_in())

    def ask_data_size(self) -> None:
        self.model.sized(self.session.data_size())

    def change_state(self) -> None:
        """Let the device change: all of its state if changes are not tracked, otherwise a part."""
        if self.model.state is State.RUNNING and self.contents is not None:
            self.counts["changes"] += 1
            self.contents.set(seed=self.counts["changes"])
        elif self._firmware_obeys("dirty 64"):
            self.model.changed()

    def bring_up_new_initial_data(self) -> None:
        if self._firmware_obeys("reinit 512"):
            self.model.new_initial_data()

    @precondition(lambda self: self.model.state in PRE_COPIES)
    @rule(anew=st.booleans())
    def change_in_pre_copy(self, anew: bool) -> None:
        if anew:
            self.bring_up_new_initial_data()
        else:
            self.change_state()

    @precondition(lambda self: self.data_fd is not None and self.model.saving is not None)
    @rule(flags=st.sampled_from([0, 1, 0xDEADBEEF, 0xFFFFFFFF]))
    def ask(self, flags: int) -> None:
        assert self.data_fd is not None
        asked = self.data_fd.precopy_info(flags=flags)
        self.model.told(flags, asked.answer, asked.info)

    @precondition(lambda self: self.data_fd is not None and self.model.saving is not None)
    @rule(count=COUNTS)
    def read(self, count: int) -> None:
        """Read; in STOP_COPY repeat up to ``count`` bytes, since more data may be in flight.

        The next steps depend on where the stream ends, and a seed must always give the same steps.
        """
        assert self.data_fd is not None
        left = count
        while left > 0:
            answer = self.data_fd.read(left)
            if self.model.was_read(left, answer):
                self.ask(0)
            if answer.ret <= 0 or self.model.state is not State.STOP_COPY:
                break
            left -= answer.ret

    @precondition(lambda self: self.data_fd is not None and self.model.saving is not None)
    @rule()
    def save(self) -> None:
        """Read to the end of the stream."""
        assert self.model.saving is not None
        if self.model.state is not State.STOP_COPY:
            self.request(State.STOP_COPY)
        while not self.model.saving.at_end:
            self.read(1 << 20)

    @precondition(lambda self: self.data_fd is not None and self.model.saving is not None)
    @rule()
    def poll(self) -> None:
        assert self.data_fd is not None
        self.model.polled(self.data_fd.poll())

    @precondition(lambda self: self.old is not None)
    @rule(reads=st.booleans())
    def use_old(self, reads: bool) -> None:
        assert self.old is not None
        if reads:
            self.model.old_read(self.old.read(4096))
        else:
            self.model.old_told(self.old.precopy_info().answer)

    @precondition(lambda self: self.data_fd is not None and self.model.unwritten)
    @rule(count=COUNTS)
    def write(self, count: int) -> None:
        assert self.data_fd is not None
        data = self.model.unwritten[:count]
        self.model.was_written(data, self.data_fd.write(data))
        self._session_went_on(had_saving=False, given=None)
        self._mend()

    @precondition(lambda self: self.model.whole is not None and self.model.saving is None)
    @rule(then=st.sampled_from([State.STOP, State.RUNNING, State.PRE_COPY]))
    def load(self, then: State) -> None:
        """Load the stream that was saved last, or the rest of it."""
        if self.data_fd is None or self.model.written is None:
            if self.model.state in (State.RESUMING, State.ERROR):
                self.reset()
            self.request(State.RUNNING)
            self.change_state()  # otherwise it might have the stream's state without loading it
            self.request(State.RESUMING)
        while self.model.unwritten:
            self.write(1 << 16)
        self.request(then)

    @invariant()
    def nothing_else_changed_the_state(self) -> None:
        self.counts["steps"] += 1
        if not self.saw_the_state:
            self.model.stayed(self._state())
        self.saw_the_state = False

    def _firmware_obeys(self, change: str) -> bool:
        """Give a running device's firmware a command; return whether it exists and succeeds."""
        firmware = self.session.device.firmware
        runs = self.model.state in RUNS
        return firmware is not None and runs and not firmware.command(change).error

    def _mend(self) -> None:
        """After a known deviation that leaves the device unusable, make it usable again."""
        needed = self.model.mend()
        if needed is None:
            return
        clause, mend = needed
        self.record.transcript.note(f"{clause}: after this known deviation, {mend.value}")
        self.counts[clause] += 1
        self.reset()
        if mend is Mend.SAVE:
            self.request(State.STOP_COPY)
            self.reset()

    def _state(self) -> State:
        """Return the state; the check at the end of the step need not read it again."""
        self.saw_the_state = True
        return self.session.state()

    def _session_went_on(self, had_saving: bool, given: DataFd | None) -> None:
        """Keep the data fd of the current session, and of the saving session before it."""
        ended = self.model.saving is None and self.model.written is None
        if (ended or given is not None) and self.data_fd is not None:
            if had_saving:
                self.old = self.data_fd
            self.data_fd = None
        if given is not None:
            self.data_fd = given


@pytest.mark.every_variant
@pytest.mark.clause("state-machine.sequence")
def test_every_answer_in_a_random_sequence_is_as_the_rules_say(
    session: Session,
    fsm: StateMachine,
    abilities: Abilities,
    driver: Driver,
    variant: str,
    kernel: Kernel,
    record: Recorder,
    run: Run,
) -> None:
    contents = Contents(session, driver)
    counts: Counter[str] = Counter()
    fresh_model = partial(
        Model,
        fsm,
        known=lambda clause: driver.deviates(clause, kernel.release, kernel.features),
        v2="precopy_info_v2" in abilities.features,
        look=contents.get if contents.seen else lambda: None,
    )
    seen = contents if contents.seen else None
    sequences = partial(Sequences, session, record, seen, fresh_model, counts)
    steps = run.asked.model_steps // OF_A_VARIANT if variant else run.asked.model_steps
    used = run.asked.model_seed
    while counts["steps"] < steps:
        try:
            with session.looking_at_the_state():
                take(sequences, used)
        except Exception as failure:
            failure.add_note(f"repeat these sequences: --model-seed={used} --driver={driver.name}")
            raise
        used += 1
    record.transcript.note(f"{counts['steps']} steps; seeds {run.asked.model_seed} to {used - 1}")
    for clause in sorted({*UNSEEN, *INSTEAD} & set(counts)):
        record.transcript.note(f"{clause}: excused {counts[clause]} times, as a known deviation")
