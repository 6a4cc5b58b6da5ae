# SPDX-License-Identifier: GPL-2.0-only
"""The streams that are kept, and their names."""

from __future__ import annotations

import pytest

from fixtures.device import known_drivers
from fixtures.errors import NotThere
from fixtures.record import catalogue
from suites.data_transfer import kept


def test_every_stream_is_a_drivers_and_has_its_state() -> None:
    streams = list(kept.KEPT.glob("*/*"))
    assert len(streams) % 2 == 0
    for path in streams:
        assert path.parent.name in known_drivers()
        assert path.suffix in (kept.STREAM, kept.STATE)
        assert 0 < path.stat().st_size < 8192


def test_every_stream_has_its_behaviour() -> None:
    assert kept.names()
    for name in kept.names():
        assert kept.behaviour(name) in catalogue.behaviours()


@pytest.mark.parametrize(
    ("release", "earlier"), [("6.12.117", True), ("7.3.0-rc1", True), ("6.11.4", False)]
)
def test_which_streams_are_of_earlier_kernels(release: str, earlier: bool) -> None:
    assert kept.is_earlier("6.12-stop_copy", release) == earlier


def test_a_release_is_named_by_two_numbers() -> None:
    assert kept.series("7.3.4") == kept.series("7.3.0-rc2+") == "7.3"


def test_a_driver_without_the_stream() -> None:
    with pytest.raises(NotThere, match=r"no stream 6\.12-stop_copy of xe is kept"):
        kept.read(known_drivers()["xe"], "6.12-stop_copy")
