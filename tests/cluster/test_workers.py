# SPDX-License-Identifier: GPL-2.0-only
"""Steps beside each other, by Dask distributed, with workers on loopback; no step is a real one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.paths import CHECKOUT
from tests.cluster.work import SELECTION, spec, work
from workflows import premerge, unfinished
from workflows.cluster import connection
from workflows.cluster.shared import Shared
from workflows.runner import submitted
from workflows.step import Stage

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _private(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def logged(folder: Path) -> list[list[str]]:
    path = folder / "log"
    return (
        [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        if path.exists()
        else []
    )


def is_there(process_id: int) -> bool:
    try:
        return (
            Path(f"/proc/{process_id}/stat")
            .read_text(encoding="utf-8")
            .rpartition(")")[2]
            .split()[0]
            != "Z"
        )
    except OSError:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def dask() -> None:
    pytest.importorskip("distributed", reason="pip install -r requirements-cluster.txt")


@pytest.mark.usefixtures("dask")
def test_steps_are_beside_each_other_in_order_and_one_for_each_worker(tmp_path: Path) -> None:
    names = [f"k{number}" for number in range(5)]
    steps = [(spec(name, tmp_path), name) for name in names]
    with (
        unfinished.noted_in([tmp_path]),
        connection.on_this_host(2, Shared(work)) as made,
        submitted(made, steps, SELECTION) as pending,
    ):
        found = [one.result() for one in pending]
    assert [one.problem for one in found] == [f"{name} of ['mtty']" for name in names]
    running, most = 0, 0
    for what, *_ in logged(tmp_path):
        running += 1 if what == "begins" else -1
        most = max(most, running)
    assert most == 2
    begun = [name for what, name, _ in logged(tmp_path) if what == "begins"]
    assert begun[:2] in (["k0", "k1"], ["k1", "k0"])
    assert sorted(begun) == names
    assert len({worker for *_, worker in logged(tmp_path)}) == 2
    assert str(os.getpid()) not in {worker for *_, worker in logged(tmp_path)}


@pytest.mark.usefixtures("dask")
@pytest.mark.parametrize("name", ["dies-once", "dies-once-with-its-worker"])
def test_a_step_that_dies_is_made_again(tmp_path: Path, name: str) -> None:
    with unfinished.noted_in([tmp_path]), connection.on_this_host(2, Shared(work)) as made:
        first = made.submit(spec(name, tmp_path), SELECTION, "first")
        second = made.submit(spec("k", tmp_path), SELECTION, "second")
        assert first.result().problem == "first of ['mtty']"
        assert second.result().problem == "second of ['mtty']"
    begun = [name for what, name, _ in logged(tmp_path) if what == "begins"]
    assert begun.count(name) == 2


@pytest.mark.usefixtures("dask")
def test_a_step_that_all_workers_die_of_is_not_made(tmp_path: Path) -> None:
    with unfinished.noted_in([tmp_path]), connection.on_this_host(1, Shared(work)) as made:
        found = made.submit(spec("dies", tmp_path), SELECTION, "it").result()
    assert (found.stage, found.problem) == (Stage.NOT_MADE, "3 workers died of this step")
    assert len(logged(tmp_path)) == 3


@pytest.mark.usefixtures("dask")
def test_what_is_cancelled_does_not_begin_and_what_runs_ends_with_the_job(tmp_path: Path) -> None:
    steps = [(spec(name, tmp_path), name) for name in ("sleeps", "never")]
    with unfinished.noted_in([tmp_path]), connection.on_this_host(1, Shared(work)) as made:
        with submitted(made, steps, SELECTION):
            wait_for(lambda: any(line[0] == "child" for line in logged(tmp_path)))
        began = time.monotonic()
    assert time.monotonic() - began < 30
    (child,) = [int(line[1]) for line in logged(tmp_path) if line[0] == "child"]
    wait_for(lambda: not is_there(child), 30)
    assert "never" not in [name for _, name, _ in logged(tmp_path)]


KILLED = """
import pathlib, sys
from tests.cluster.work import SELECTION, spec, work
from workflows import unfinished
from workflows.cluster import connection
from workflows.cluster.shared import Shared
if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    with unfinished.noted_in([folder]), connection.on_this_host(1, Shared(work)) as made:
        made.submit(spec("sleeps", folder), SELECTION, "it").result()
"""


def sleeping_job(folder: Path, **options: Any) -> tuple[subprocess.Popen[str], int]:
    """Start a job, with ``options`` of Popen; return it, and the process its step waits for."""
    (folder / "job.py").write_text(KILLED, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{CHECKOUT}:{os.environ.get('PYTHONPATH', '')}"}
    argv = [sys.executable, str(folder / "job.py"), str(folder)]
    job = subprocess.Popen(argv, env=environment, encoding="utf-8", **options)
    wait_for(lambda: any(line[0] == "child" for line in logged(folder)))
    (child,) = [int(line[1]) for line in logged(folder) if line[0] == "child"]
    return job, child


@pytest.mark.usefixtures("dask")
def test_nothing_is_left_of_a_job_that_is_killed(tmp_path: Path) -> None:
    job, child = sleeping_job(tmp_path)
    (worker,) = [int(line[2]) for line in logged(tmp_path) if line[0] == "begins"]
    job.kill()
    job.wait()
    wait_for(lambda: not is_there(worker) and not is_there(child), 10)


@pytest.mark.usefixtures("dask")
def test_ctrl_c_is_for_the_job_alone(tmp_path: Path) -> None:
    """A terminal sends it to all processes of the job."""
    job, child = sleeping_job(
        tmp_path, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    os.killpg(job.pid, signal.SIGINT)
    said, _ = job.communicate(timeout=30)
    assert (job.returncode, said) == (0, "")
    wait_for(lambda: not is_there(child), 10)


@pytest.mark.usefixtures("dask")
def test_a_pre_merge_says_the_same(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tree has no kernel, so that workers find out at once that it does not build."""
    monkeypatch.setattr("workflows.command.CHECKOUT", tmp_path)
    asked = [f"--tree={tree}", "--series=base..topic", "--drivers=mtty"]
    said = []
    for more in ([], ["--cluster=local:2"]):
        assert premerge.main([*asked, *more]) == 2
        (folder,) = (tmp_path / "results" / "premerge").iterdir()
        said.append((folder / "premerge.yaml").read_text(encoding="utf-8"))
        shutil.rmtree(folder)
    assert "does not build" in said[0]
    assert said[1] == said[0]
