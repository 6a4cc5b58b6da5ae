# SPDX-License-Identifier: GPL-2.0-only
"""Opens that fail in the device: each firmware command of an open fails in turn."""

from __future__ import annotations

import pytest

from fixtures.device.firmware import Firmware
from fixtures.errors import Deviation, NotThere
from fixtures.session import ArrangementFailed, Session, State
from suites import must

pytestmark = pytest.mark.any_api


@pytest.mark.clause("device.open.failed")
def test_it_fails_or_gives_a_device_that_migrates(session: Session, firmware: Firmware) -> None:
    session.close()
    firmware.clear_journal()
    session.open_again()
    faults = firmware.faults(firmware.commands())
    if not faults:
        raise NotThere("no firmware command of an open can fail")
    for fault in faults:
        session.close()
        firmware.cause(fault)
        try:
            must.open_again(session)
        except Deviation:
            session.close()
            must.open_again(session)
        if firmware.info()["failing"]:
            raise ArrangementFailed(f"an open does not always have its {fault.command}")
        assert must.state(session) is State.RUNNING, str(fault)
        must.migrate(session)
