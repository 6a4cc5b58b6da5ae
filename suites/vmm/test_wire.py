# SPDX-License-Identifier: GPL-2.0-only
"""A migration that is damaged on the wire, and the next one, which is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.plugin.recorder import Recorder
from fixtures.vmm import Damage, Migrated, Pair, VmmDescription, Way, Wire
from suites.vmm.checks import DONE, arrived, has, runs, word
from suites.vmm.conftest import Join, NextDevice, StartSide

pytestmark = pytest.mark.usefixtures("at_length")
SEED = 11
OpenWire = Callable[[Damage], tuple[Wire, Way]]


def migrate(pair: Pair, open_wire: OpenWire, damage: Damage) -> tuple[bytes, Migrated]:
    """Migrate with ``damage`` on the way; return the source's state, and how it ended."""
    state = pair.source.set_state(SEED)
    wire, way = open_wire(damage)
    pair.begin(way=way)
    ended = pair.end()
    assert wire.damaged
    return state, ended


@pytest.mark.clause("vmm.wire.cut")
def test_a_source_whose_connection_breaks_runs_on(
    pair: Pair, open_wire: OpenWire, migrate_again: Callable[[bytes], None]
) -> None:
    state, ended = migrate(pair, open_wire, Damage.CUT)
    assert ended.source == "failed"
    assert ended.destination == "failed"
    migrate_again(state)


@pytest.mark.clause("vmm.wire.changed")
def test_devices_can_be_used_again_after_data_that_has_changed(
    pair: Pair,
    open_wire: OpenWire,
    start_side: StartSide,
    next_device: NextDevice,
    join: Join,
    vmm: VmmDescription,
    record: Recorder,
) -> None:
    state, ended = migrate(pair, open_wire, Damage.CHANGE)
    record.behaviour(f"vmm.{vmm.name}.changed", word(pair, ended, state))
    if ended.source != DONE.source:
        runs(pair.source)
        has(pair.source, state)
    for side in (pair.source, pair.destination):
        side.vmm.stop()
    devices = next_device(pair.source.device), next_device(pair.destination.device)
    again = join(start_side("source", devices[0]), start_side("second", devices[1]))
    state = again.source.set_state(SEED)
    again.begin()
    arrived(again, again.end(), state)
