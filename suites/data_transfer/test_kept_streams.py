# SPDX-License-Identifier: GPL-2.0-only
"""Streams that the drivers of other kernels saved."""

from __future__ import annotations

import pytest

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.kernel import Kernel
from fixtures.plugin.recorder import Recorder
from fixtures.session import Session
from suites.contents import Contents
from suites.data_transfer import kept
from suites.data_transfer.loads import loaded_by

pytestmark = pytest.mark.any_api


@pytest.fixture(params=kept.names())
def name(request: pytest.FixtureRequest) -> str:
    """The name of a stream that is kept."""
    return str(request.param)


@pytest.fixture
def stream(driver: Driver, name: str) -> kept.Kept:
    """That stream, and the state of its device."""
    return kept.read(driver, name)


@pytest.fixture
def contents(session: Session, driver: Driver) -> Contents:
    """The state of the device that loads it."""
    found = Contents(session, driver)
    if not found.seen:
        raise NotThere("the state of this device is not visible; that of mtty and the doubles is")
    return found


@pytest.mark.clause("data-transfer.kept.loads")
def test_a_stream_of_an_earlier_kernel_is_loaded(
    stream: kept.Kept,
    name: str,
    kernel: Kernel,
    session: Session,
    contents: Contents,
    record: Recorder,
) -> None:
    if not kept.is_earlier(name, kernel.release):
        raise NotThere(f"{kernel.release} is earlier than the kernel that saved {name}")
    word = loaded_by(session, contents, stream).word
    record.behaviour(kept.behaviour(name), word)
    assert word != "refused"


@pytest.mark.clause("data-transfer.kept.never-wrong")
def test_a_stream_of_another_kernel_is_loaded_as_it_was_or_refused(
    stream: kept.Kept, session: Session, contents: Contents
) -> None:
    assert loaded_by(session, contents, stream).word != "wrong"
