# SPDX-License-Identifier: GPL-2.0-only
"""What a lab costs the job's own process: 50 workers, 500 steps, none of them a real one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from fixtures.kernel.spec import DebianSpec, Spec
from fixtures.paths import CHECKOUT
from fixtures.progress import Progress
from tests.cluster.test_hosts import Hosts
from tests.cluster.test_workers import wait_for
from workflows import cluster
from workflows.cluster import connection
from workflows.cluster.workers import Ask, Cluster, Order, present
from workflows.runner import submitted
from workflows.step import Selection, Stage, StepResult

pytestmark = pytest.mark.long

WORKERS, STEPS = 50, 500
TAKES = 20.0  # seconds of each step
MOST = 0.05  # of a processor, for the job's own process


class Sleep:
    """A step that only takes its time."""

    def describe(self, address: str) -> None:
        pass

    def refuses(self, told: object) -> str:
        return ""

    def admit(self, told: Mapping[str, object]) -> dict[str, str]:
        return dict.fromkeys(told, "")

    def check(self, spec: Spec) -> None:
        pass

    def label(self, order: Order, host: str) -> str:
        return order.name

    def make(self, ask: Ask, host: str, order: Order) -> StepResult:
        ask(time.sleep, TAKES)
        return StepResult(Stage.NOT_MADE, problem=host)


def test_many_workers_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip(
        "distributed", reason="pip install -r requirements-cluster.txt"
    )

    def apart(_modules: object, client: object, _text: str, workers: int) -> Cluster:
        return Cluster(distributed, client, workers, Sleep())

    monkeypatch.setattr(connection, "_apart", apart)
    hosts = Hosts(tmp_path)
    argv = [sys.executable, "-m", "tests.cluster.many", str(WORKERS), hosts.url]
    many = subprocess.Popen(argv, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    try:
        with cluster.runner(hosts.url, Progress()) as runner:
            assert isinstance(runner, Cluster)
            wait_for(lambda: len(present(runner._client)) == WORKERS)
            steps = [(DebianSpec(str(n), "7.3"), str(n)) for n in range(STEPS)]
            began, used = time.monotonic(), time.process_time()
            with submitted(runner, steps, Selection()) as pending:
                made_by = {one.result().problem for one in pending}
            share = (time.process_time() - used) / (time.monotonic() - began)
        assert len(made_by) == WORKERS
        print(f"{WORKERS} workers, {STEPS} steps of {TAKES:.0f} s: {share:.1%} of a processor")
        assert share < MOST
    finally:
        many.terminate()
        hosts.close()
