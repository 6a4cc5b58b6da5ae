# SPDX-License-Identifier: GPL-2.0-only
"""Opens that fail in the device: each firmware command of an open fails in turn."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import GuestError, GuestLost, NotThere
from fixtures.session import Session, State
from suites import must

pytestmark = pytest.mark.any_api


@pytest.mark.clause("device.open.failed")
def test_it_fails_or_gives_a_device_that_migrates(session: Session, firmware: Firmware) -> None:
    session.close()
    firmware.clear_journal()
    session.open_again()
    commands = [line.split()[0] for line in firmware.journal()]
    if not any(firmware.failures(command) for command in commands):
        raise NotThere("no firmware command of an open can fail")
    for number, command in enumerate(commands):
        for failure in firmware.failures(command):
            session.close()
            firmware.fail(
                command, failure.status, commands[:number].count(command), late=failure.late
            )
            if not opens(session):
                session.open_again()
            assert session.state() is State.RUNNING, f"{command} failed with {failure}"
            must.migrate(session)


def opens(session: Session) -> bool:
    """Open the device that was closed; return whether that succeeded."""
    try:
        session.open_again()
    except GuestLost:
        raise
    except GuestError:
        session.close()
        return False
    return True
