# SPDX-License-Identifier: GPL-2.0-only
"""pds with one mistake: the suites catch it, or its double's rules do."""

from __future__ import annotations

import pytest

from tests.vm.changed import PDS
from tests.vm.conftest import Caught

SUSPENDS = "\t\t\t\t\t\t  PDS_LM_SUSPEND_RESUME_TYPE_{});\n"
RESUMES = "\t\t\t\t\t\t PDS_LM_SUSPEND_RESUME_TYPE_{});\n"
ENTERS_LOOP = "\twhile (pds_vfio->state != VFIO_DEVICE_STATE_ERROR &&\n"
LEAVES_ERROR = (
    "\tif (pds_vfio->state == VFIO_DEVICE_STATE_ERROR &&\n"
    "\t    new_state == VFIO_DEVICE_STATE_RUNNING)\n"
    "\t\tpds_vfio->state = new_state;\n"
)
LOGS_NO_MORE = "\tpds_vfio_dirty_disable(pds_vfio, true);\n"
CLOSES = f"\tpds_vfio_put_save_file(pds_vfio);\n{LOGS_NO_MORE}\tmutex_unlock("


@pytest.mark.parametrize(
    ("old", "new", "clause", "rule"),
    [
        pytest.param(
            "\t\tif (err != -EAGAIN)\n\t\t\tbreak;\n",
            "\t\tif (err == -EAGAIN)\n\t\t\terr = 0;\n\t\tbreak;\n",
            "state-machine.activity.stopped",
            "SUSPEND FULL before P2P has ended",
            id="asks-once-whether-it-has-stopped",
        ),
        pytest.param(
            SUSPENDS.format("P2P"),
            SUSPENDS.format("FULL"),
            "state-machine.activity.p2p",
            "SUSPEND FULL before P2P",
            id="stops-before-it-ends-p2p",
        ),
        pytest.param(
            RESUMES.format("FULL"),
            RESUMES.format("P2P"),
            "state-machine.activity.running",
            None,
            id="never-resumes-dma",
        ),
        pytest.param(
            "\tsize = sizeof(union pds_lm_dev_state);\n",
            "\tsize = sizeof(union pds_lm_dev_state) / 2;\n",
            "data-transfer.stop-copy",
            "RESTORE: scatter list is 32768 bytes too short",
            id="half-a-buffer",
        ),
        pytest.param(
            "\terr = pds_client_unregister(pdsc, pds_vfio->client_id);\n",
            "\terr = 0;\n",
            "state-machine.reset.running",
            "driver unbound without CLIENT_UNREG",
            id="keeps-its-client",
        ),
        pytest.param(
            ENTERS_LOOP,
            LEAVES_ERROR + ENTERS_LOOP,
            "state-machine.error.reset-only",
            None,
            id="leaves-error-on-request",
        ),
        pytest.param(
            "\tlm_file->disabled = true;\n",
            "",
            "state-machine.error.session",
            None,
            id="an-end-of-stream-in-error",
        ),
        pytest.param(
            CLOSES,
            CLOSES.replace(LOGS_NO_MORE, ""),
            "dma-logging.close",
            "driver unbound without DIRTY_DISABLE",
            id="a-log-that-outlives-the-close",
        ),
    ],
)
def test_a_mistake_is_caught(
    caught: Caught, old: str, new: str, clause: str, rule: str | None
) -> None:
    done = caught(PDS, old, new, clause)
    assert rule is None or rule in done.output
