# SPDX-License-Identifier: GPL-2.0-only
"""A data fd that outlives its device.

Only KASAN sees an access to the freed device: freed memory mostly keeps its content.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device import Device
from fixtures.session import DataFd, Session, State
from fixtures.session.transfer import Arrived
from suites.state_machine.test_data_fd import on_opening

pytestmark = pytest.mark.any_api

SOME = 1 << 12  # bytes


def check_it_is_dead(data_fd: DataFd, state: State) -> None:
    """Check that no data passes through the data fd, which was opened for ``state``."""
    data_fd.poll()
    if state is State.RESUMING:
        assert data_fd.write(bytes(SOME)).error
    else:
        assert data_fd.read(SOME).ret <= 0
        assert data_fd.precopy_info().error


@pytest.mark.clause("state-machine.removed.session")
@pytest.mark.parametrize("functions_go", [False, True], ids=["unbound", "gone"])
@on_opening
def test_a_data_fd_outlives_its_device(
    session: Session,
    arrived: Arrived,
    remove_device: Callable[[Device, bool], None],
    functions_go: bool,
) -> None:
    data_fd = arrived.data_fd
    assert data_fd is not None
    session.close_device(keep=data_fd)
    remove_device(session.device, functions_go)
    check_it_is_dead(data_fd, arrived.state)
    session.close_data(data_fd)
