# SPDX-License-Identifier: GPL-2.0-only
"""Threads that race on one device."""

from __future__ import annotations

import errno
from collections.abc import Mapping

import pytest

from fixtures.device import Driver
from fixtures.kernel import Kernel
from fixtures.plugin.recorder import Recorder
from fixtures.plugin.run import Run
from fixtures.session import Session, State
from suites import must
from suites.race.errnos import LEGAL

THREADS = 4

# Calls to leave out if the driver is known to deviate: they would kill its kernel, or wait for ever
# with a lock. A clause, and the parametrized test that shows it if others deviate in other ways.
DEADLY = {
    "write": ("state-machine.session.resuming-ended", None),
    "reset": ("state-machine.failed-arc.again", None),
    "read": (
        "race.session-end",
        "suites/race/test_held.py::test_the_session_ends_beside_a_read[{}-any-reset]",
    ),
}


@pytest.mark.processors(2)
@pytest.mark.any_api
@pytest.mark.clause("race.calls")
def test_threads_that_race_on_one_device(
    session: Session, driver: Driver, kernel: Kernel, run: Run, record: Recorder
) -> None:
    known = driver.expected(kernel.release, kernel.features)
    deadly = {
        name
        for name, (clause, test) in DEADLY.items()
        if any(
            one.clause == clause and (test is None or one.names_test(test.format(driver.name)))
            for one in known
        )
    }
    record.transcript.note(f"calls left out as deadly: {', '.join(sorted(deadly)) or 'none'}")
    raced = session.race(run.asked.stress_seconds, run.asked.model_seed, THREADS, deadly)
    counts = raced.more["counts"]
    for name, errors in sorted(counts.items()):
        said = ", ".join(
            f"{errno.errorcode.get(int(number), number) if int(number) else 'success'} {count}"
            for number, count in sorted(errors.items())
        )
        record.transcript.note(f"{name}: {said}")
    assert raced.ret == 0, f"{raced.ret} threads are stuck"
    try:
        _judge(session, counts)
    finally:
        if session.device.firmware is not None:
            # A reset in the middle of an arc breaks rules of the firmware; no driver is to blame.
            session.device.firmware.reset()


def _judge(session: Session, counts: Mapping[str, Mapping[str, int]]) -> None:
    illegal = {
        (name, number)
        for name, errors in counts.items()
        for number in errors
        if int(number) not in LEGAL | ({errno.EFAULT} if name == "write" else set())
    }
    assert illegal == set()
    assert not session.reset().error
    assert session.state() is State.RUNNING
    must.migrate(session)
