# SPDX-License-Identifier: GPL-2.0-only
"""A VMM saves its virtual machine to a file, and loads it from there."""

from __future__ import annotations

import pytest

from fixtures.vmm import Pair
from suites.vmm.checks import has, quiet, runs
from suites.vmm.conftest import Join, NextDevice, StartSide

pytestmark = pytest.mark.usefixtures("at_length")
SEED = 10


@pytest.mark.clause("vmm.file")
def test_a_virtual_machine_runs_on_from_a_file(pair: Pair) -> None:
    state = pair.source.set_state(SEED)
    path = pair.save()
    assert pair.load(path) == "completed"
    pair.destination.vmm.do("cont")
    has(pair.destination, state)
    runs(pair.destination)
    quiet(pair.source, pair.destination)


@pytest.mark.clause("vmm.file.cut")
def test_a_file_that_is_cut_is_refused(
    pair: Pair, start_side: StartSide, next_device: NextDevice, join: Join
) -> None:
    state = pair.source.set_state(SEED)
    path = pair.save()
    assert pair.load(pair.cut(path)) == "failed"
    pair.destination.vmm.stop()
    again = join(pair.source, start_side("second", next_device(pair.destination.device)))
    assert again.load(path) == "completed"
    again.destination.vmm.do("cont")
    has(again.destination, state)
    runs(again.destination)
