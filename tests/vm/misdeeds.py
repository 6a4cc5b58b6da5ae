# SPDX-License-Identifier: GPL-2.0-only
"""A suite that kills the kernel, or worse. test_survival.py runs it in a copy of this checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.guest import Guest, memory
from fixtures.session import Session, State

CONTROL = "/sys/kernel/debug/vfio-misbehave"
WORDS = os.environ["MISDEEDS"].split(",")
# A file that exists if a misdeed must happen only once.
ONCE = Path(os.environ["MISDEEDS_ONCE"]) if "MISDEEDS_ONCE" in os.environ else None


@pytest.mark.any_api
@pytest.mark.parametrize(
    "word",
    [pytest.param(word, marks=pytest.mark.clause(f"misdeeds.{word}")) for word in WORDS],
    scope="class",
)
class TestMisdeed:
    def test_it(self, guest: Guest, session: Session, word: str) -> None:
        assert session.state() is State.RUNNING
        began = memory.forget(guest) if word == "leak" else None
        if ONCE:
            if not ONCE.exists():
                return
            ONCE.unlink()
        if word == "fail":
            pytest.fail("without evidence from the kernel")
        guest.call("write_file", path=CONTROL, data=word.encode())
        assert session.state() is State.RUNNING
        if began is not None:
            memory.check(guest, began)


@pytest.mark.any_api
@pytest.mark.clause("misdeeds.after")
@pytest.mark.parametrize("number", range(len(WORDS)))
def test_the_others_still_run(session: Session, number: int) -> None:
    assert session.state() is State.RUNNING
