# SPDX-License-Identifier: GPL-2.0-only
"""A driver whose stream has another format than that of earlier releases: the kept streams tell."""

from __future__ import annotations

import pytest

from tests.vm.changed import MTTY
from tests.vm.conftest import Caught


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        pytest.param(
            "#define MTTY_MAJOR_VER 1",
            "#define MTTY_MAJOR_VER 2",
            "data-transfer.kept.loads",
            id="another-version",
        ),
        pytest.param(
            "&migf->data.ports[i], sizeof(struct serial_port));",
            "&migf->data.ports[mdev_state->nr_ports - 1 - i], sizeof(struct serial_port));",
            "data-transfer.kept.never-wrong",
            id="ports-in-another-order",
        ),
    ],
)
def test_a_change_of_the_format_is_caught(caught: Caught, old: str, new: str, clause: str) -> None:
    caught(MTTY, old, new, clause)
