# SPDX-License-Identifier: GPL-2.0-only
"""mlx5's page tracker with one mistake: the suites catch it, or its double's rules do."""

from __future__ import annotations

import pytest

from tests.vm.changed import MLX5
from tests.vm.conftest import Caught

DESTROYS_CQ = "\tmlx5_core_destroy_cq(mdev, &cq->mcq);\n"
FREES_CQ = "\tmlx5_frag_buf_free(mdev, &cq->buf.frag_buf);\n"


@pytest.mark.parametrize(
    ("old", "new", "clause", "rule"),
    [
        pytest.param(
            "dirty_address_high) << 32;",
            "dirty_address_high) << 31;",
            "dma-logging.report.written",
            None,
            id="half-an-address",
        ),
        pytest.param(
            "\tqp->recv_buf.next_rq_offset = ix * qp->max_msg_size;\n",
            "",
            "dma-logging.report.written",
            None,
            id="posts-the-last-buffer-again",
        ),
        pytest.param(
            "\t\tmlx5_cq_set_ci(&cq->mcq);\n",
            "",
            "dma-logging.report.written",
            "overflows",
            id="never-gives-a-completion-back",
        ),
        pytest.param(
            "rnr_retry, 7); /* Infinite",
            "rnr_retry, 1); /* Infinite",
            "dma-logging.report.written",
            None,
            id="gives-up-while-no-buffer-is-posted",
        ),
        pytest.param(
            "\tif (tracker->status == MLX5_PAGE_TRACK_STATE_ERROR)\n\t\ttracker->is_err = true;\n",
            "",
            "dma-logging.failed-report",
            None,
            id="takes-an-error-for-the-end",
        ),
        pytest.param(
            "\tmlx5vf_cmd_destroy_tracker(mdev, tracker->id);\n",
            "",
            "dma-logging.stop",
            "is used by 1 objects",
            id="keeps-its-tracker",
        ),
        pytest.param(
            DESTROYS_CQ + FREES_CQ,
            FREES_CQ + DESTROYS_CQ,
            "dma-logging.stop",
            "a queue's buffer is freed while a queue uses it",
            id="frees-what-the-adapter-uses",
        ),
        pytest.param(
            "err_cq:\n\tmlx5vf_destroy_cq(mdev, &tracker->cq);\n",
            "err_cq:\n",
            "dma-logging.failed-start",
            "is used by 1 objects",
            id="keeps-its-cq-after-a-failure",
        ),
    ],
)
def test_a_mistake_is_caught(
    caught: Caught, old: str, new: str, clause: str, rule: str | None
) -> None:
    done = caught(MLX5, old, new, clause)
    assert rule is None or rule in done.output
