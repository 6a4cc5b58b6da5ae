# SPDX-License-Identifier: GPL-2.0-only
"""A VMM saves its virtual machine to a file, and loads it from there."""

from __future__ import annotations

import pytest

from fixtures.errors import Deviation
from fixtures.vmm import Pair, Side
from suites.vmm.checks import has, quiet, runs
from suites.vmm.conftest import NextDevice, StartSide

pytestmark = pytest.mark.usefixtures("at_length")
SEED = 10
NEW_SEED = 20  # of the states that a saved virtual machine replaces


def loads(side: Side, path: str) -> None:
    """Load the file ``path``, and let the virtual machine run on.

    Raises Deviation if it is not loaded.
    """
    if (ended := side.load(path)) != "completed":
        side.vmm.listen()
        why = "; ".join(side.vmm.complaints)
        raise Deviation(f"the file is not loaded at the {side.vmm.name} ({ended}): {why}")
    side.vmm.do("cont")


@pytest.mark.clause("vmm.file")
def test_a_virtual_machine_runs_on_from_a_file(pair: Pair) -> None:
    state = pair.source.set_state(SEED)
    loads(pair.destination, pair.source.save())
    has(pair.destination, state)
    runs(pair.destination)
    quiet(pair.source, pair.destination)


@pytest.mark.clause("vmm.file.cut")
def test_a_file_that_is_cut_is_refused(
    pair: Pair, start_side: StartSide, next_device: NextDevice
) -> None:
    state = pair.source.set_state(SEED)
    path = pair.source.save()
    assert pair.destination.load(pair.source.cut(path)) == "failed"
    pair.destination.vmm.stop()
    again = start_side("second", next_device(pair.destination.device))
    loads(again, path)
    has(again, state)
    runs(again)


@pytest.mark.clause("vmm.two-devices")
def test_two_devices_of_a_virtual_machine_run_on_from_a_file(
    start_side: StartSide, next_device: NextDevice
) -> None:
    source = start_side("source", None, None)
    states = [source.set_state(SEED + number, number) for number in range(2)]
    path = source.save()
    source.vmm.stop()
    second = start_side("second", *map(next_device, source.devices))
    for number in range(2):
        second.set_state(NEW_SEED + number, number)
    loads(second, path)
    for number, state in enumerate(states):
        has(second, state, number)
    runs(second)
    quiet(source, second)


@pytest.mark.clause("vmm.two-devices.p2p")
def test_no_device_is_stopped_before_both_are_without_p2p(start_side: StartSide) -> None:
    source = start_side("source", None, None)
    source.save()
    changes = source.changes()
    stops = next(n for n, (_, state) in enumerate(changes) if state in ("STOP", "STOP_COPY"))
    without_p2p = {name for name, state in changes[:stops] if state.endswith("_P2P")}
    assert without_p2p == {device.name for device in source.devices}
    quiet(source)
