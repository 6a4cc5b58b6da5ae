# SPDX-License-Identifier: GPL-2.0-only
"""Threads that open devices of one container, or of one address space, and close them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device import Device
from fixtures.guest import Guest
from fixtures.session import Session, State
from fixtures.session.together import together
from suites import must

ROUNDS = 8


@pytest.mark.processors(2)
@pytest.mark.clause("race.opens")
def test_devices_are_opened_and_closed_at_once(
    session: Session, guest: Guest, api: str, make_device: Callable[[], Device]
) -> None:
    session.close()
    devices = [session.device, make_device()]
    with together(guest, devices, api) as shared:
        for last in reversed(range(ROUNDS)):
            opened = shared.open_all()
            assert [one.error for one in opened] == [""] * len(devices)
            sessions = shared.sessions(opened)
            assert [one.state() for one in sessions] == [State.RUNNING] * len(devices)
            if not last:
                for one in sessions:
                    must.migrate(one)
            assert not any(one.error for one in shared.close_all(sessions))
