# SPDX-License-Identifier: GPL-2.0-only
"""xe with one mistake: the suites catch it, or its double's rules do."""

from __future__ import annotations

import pytest

from tests.vm.changed import XE
from tests.vm.conftest import Caught

CALLS = "\t\tret = xe_sriov_vfio_{}(xe_vdev->xe, xe_vdev->vfid);\n"


@pytest.mark.parametrize(
    ("old", "new", "clause", "rule"),
    [
        pytest.param(
            "\tret = xe_sriov_vfio_wait_flr_done(xe_vdev->xe, xe_vdev->vfid);\n",
            "\tret = 0;\n",
            "state-machine.reset.running",
            "FLR without WAIT_FLR",
            id="does-not-wait-for-a-reset",
        ),
        pytest.param(
            "\txe_vdev->vfid = pci_iov_vf_id(pdev) + 1;\n",
            "\txe_vdev->vfid = pci_iov_vf_id(pdev);\n",
            "data-transfer.stop-copy",
            "PAUSE of VF0",
            id="counts-functions-from-0",
        ),
        pytest.param(
            "\tmigf->disabled = true;\n",
            "",
            "state-machine.session.ended",
            None,
            id="reads-on-after-the-session",
        ),
        pytest.param(
            "\tmigf->disabled = true;\n",
            "",
            "state-machine.session.resuming-ended",
            "data_write of no migration",
            id="writes-on-after-the-session",
        ),
        pytest.param(
            CALLS.format("suspend_device"),
            "\t\tret = 0;\n",
            "state-machine.activity.p2p",
            None,
            id="never-pauses",
        ),
        pytest.param(
            CALLS.format("resume_device"),
            "\t\tret = 0;\n",
            "state-machine.activity.running",
            None,
            id="never-resumes",
        ),
        pytest.param(
            "\txe_vdev->mig_state = VFIO_DEVICE_STATE_RUNNING;\n}\n",
            "}\n",
            "state-machine.reset.running",
            None,
            id="keeps-its-state-in-a-reset",
        ),
    ],
)
def test_a_mistake_is_caught(
    caught: Caught, old: str, new: str, clause: str, rule: str | None
) -> None:
    done = caught(XE, old, new, clause)
    assert rule is None or rule in done.output
