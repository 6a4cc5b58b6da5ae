# SPDX-License-Identifier: GPL-2.0-only
"""How a cluster gives its workers steps, without Dask; and runs that come from other hosts."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from fixtures.errors import RunError
from fixtures.kernel.spec import DebianSpec, Spec
from fixtures.record import model
from tests.unit.test_jobs import results
from workflows import step
from workflows.cluster import apart, workers
from workflows.cluster.apart import Apart
from workflows.cluster.away import Delivery
from workflows.cluster.call import Call, LinkLost, Lost
from workflows.cluster.host import Host, job
from workflows.cluster.workers import Ask, Cluster, Order, Unable
from workflows.step import Selection, Stage, StepResult

KERNEL = DebianSpec("debian:7.3", "7.3")


class Client:
    """What a cluster needs of a Dask client; ``there`` are its workers, by address."""

    id = "client"

    def __init__(self, *names: str) -> None:
        self.status = "running"
        self.there = {name: {"name": name} for name in names}
        self.scheduler = self

    def subscribe_topic(self, *_: object) -> None:
        pass

    def identity(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1
        return {"workers": dict(self.there)}

    def sync(self, call: Callable[..., Any], **options: object) -> Any:
        return call(**options)


class Trip:
    """A way to other hosts; ``do`` makes a step."""

    def __init__(self, do: Callable[[Ask, str], StepResult]) -> None:
        self._do = do
        self.asked: list[str] = []
        self.votes: list[list[str]] = []

    def describe(self, address: str) -> object:
        if address == "silent":
            raise TimeoutError
        return address

    def refuses(self, told: object) -> str:
        return "it is old" if told == "old" else ""

    def admit(self, told: Mapping[str, object]) -> dict[str, str]:
        self.votes.append(sorted(told))
        return {name: "it is odd" if name == "odd" else "" for name in told}

    def check(self, spec: Spec) -> None:
        pass

    def label(self, order: Order, host: str) -> str:
        return order.name

    def make(self, ask: Ask, host: str, order: Order) -> StepResult:
        self.asked.append(f"{order.name} on {host}")
        return self._do(ask, order.name)


def cluster(client: Client, do: Callable[[Ask, str], StepResult]) -> tuple[Cluster, Trip]:
    trip = Trip(do)
    return Cluster(None, client, len(client.there), trip), trip


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "POLL", 0.02)
    monkeypatch.setattr(workers, "NO_WORKERS", 0.2)
    monkeypatch.setattr(workers, "TO_CONNECT", 0.1)


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


DONE = StepResult(Stage.JUDGED)


def test_only_workers_that_said_what_they_are_are_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made, trip = cluster(Client("silent", "old", "odd", "a"), lambda *_: DONE)
    pending = [made.submit(KERNEL, Selection(), str(n)) for n in range(3)]
    assert [one.result() for one in pending] == [DONE] * 3
    assert trip.asked == ["0 on a", "1 on a", "2 on a"]
    said = capsys.readouterr().err
    assert "silent is not used: TimeoutError\n" in said
    assert "odd is not used: it is odd\n" in said
    assert "old is not used: it is old\n" in said
    assert trip.votes == [["a", "odd"]]
    made.close()


def test_a_worker_may_come_while_others_are_refused() -> None:
    client = Client("odd")
    made, trip = cluster(client, lambda *_: DONE)
    pending = made.submit(KERNEL, Selection(), "it")
    time.sleep(0.1)
    client.there = {**client.there, "a": {"name": "a"}}
    assert pending.result() is DONE
    assert trip.asked == ["it on a"]
    made.close()


def test_without_workers_it_says_what_was_wrong_with_those() -> None:
    made, _ = cluster(Client("odd"), lambda *_: DONE)
    found = made.submit(KERNEL, Selection(), "it").result()
    assert found.stage is Stage.NOT_MADE
    assert found.problem == "for 0 s there has been no worker to use; odd: it is odd"
    made.close()


@pytest.mark.parametrize("workers_go", [False, True])
def test_a_job_ends_if_the_scheduler_goes_while_a_step_is_between_two_calls(
    workers_go: bool,
) -> None:
    client, begun, go_on = Client("a"), threading.Event(), threading.Event()

    def do(_ask: Ask, _name: str) -> StepResult:
        begun.set()
        go_on.wait(10)
        raise Lost("a is gone")

    made, _ = cluster(client, do)
    first, second = (made.submit(KERNEL, Selection(), name) for name in ("first", "second"))
    assert begun.wait(10)
    if workers_go:
        client.there = {}
        wait_for(lambda: not made._known)
    client.status = "closed"
    for one in (first, second):
        assert one.result().problem == "the cluster has lost its scheduler"
    go_on.set()


def test_a_step_that_is_cancelled_between_two_calls_goes_no_further() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def do(ask: Ask, name: str) -> StepResult:
        if name == "first":
            begun.set()
            go_on.wait(10)
            ask(print)  # raises: a client that cannot submit would raise AttributeError
        return DONE

    made, trip = cluster(Client("a"), do)
    first, second = (made.submit(KERNEL, Selection(), name) for name in ("first", "second"))
    assert begun.wait(10)
    first.cancel()
    go_on.set()
    assert second.result() is DONE
    assert trip.asked == ["first on a", "second on a"]
    assert not first.promise.done()
    made.close()


def test_a_step_that_no_host_can_make(capsys: pytest.CaptureFixture[str]) -> None:
    full = StepResult(Stage.NOT_MADE, problem="the disk is full")

    def do(_ask: Ask, _name: str) -> StepResult:
        raise Unable("the disk is full", full)

    made, trip = cluster(Client("a", "b"), do)
    assert made.submit(KERNEL, Selection(), "it").result() is full
    assert len(trip.asked) == 2
    assert capsys.readouterr().err.count("is not used: the disk is full") == 2
    made.close()


def test_a_worker_that_was_lost_and_is_there_is_asked_again() -> None:
    lost = [True]

    def do(_ask: Ask, _name: str) -> StepResult:
        if lost:
            lost.clear()
            raise Lost("the worker died")
        return DONE

    made, trip = cluster(Client("a"), do)
    assert made.submit(KERNEL, Selection(), "it").result() is DONE
    assert trip.asked == ["it on a"] * 2
    assert len(trip.votes) == 2
    made.close()


def test_a_link_that_breaks_often_is_not_held_against_the_step() -> None:
    breaks = iter(range(workers.TRIES + 2))

    def do(_ask: Ask, _name: str) -> StepResult:
        if next(breaks, None) is not None:
            raise LinkLost("the cluster has lost it")
        return DONE

    made, _ = cluster(Client("a"), do)
    assert made.submit(KERNEL, Selection(), "it").result() is DONE
    made.close()


def test_a_scheduler_may_be_away_for_a_moment() -> None:
    client = Client("a")
    made, _ = cluster(client, lambda *_: DONE)
    assert made.submit(KERNEL, Selection(), "first").result() is DONE
    client.status = "connecting"
    time.sleep(0.05)
    client.status = "running"
    assert made.submit(KERNEL, Selection(), "second").result() is DONE
    made.close()


class Asked:
    """A future of Dask that comes late, or with an error."""

    def __init__(self, *outcomes: object, status: str = "pending") -> None:
        self._outcomes = list(outcomes)
        self.status = status
        self.cancelled = False

    def add_done_callback(self, call: Callable[[object], object]) -> None:
        call(self)

    def result(self, timeout: float) -> object:
        if not self._outcomes:
            time.sleep(0.01)
            raise TimeoutError
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def cancel(self) -> None:
        self.cancelled = True


class KilledWorker(Exception):
    pass


def call(asked: Asked) -> Call:
    distributed = SimpleNamespace(scheduler=SimpleNamespace(KilledWorker=KilledWorker))
    return Call(distributed, SimpleNamespace(submit=lambda *_, **__: asked), "a", b"")


def test_the_result_of_a_call_may_come_late() -> None:
    asked = Asked(TimeoutError(), TimeoutError(), "it")
    assert call(asked).result() == "it"
    assert not asked.cancelled


@pytest.mark.parametrize(
    ("raised", "error"),
    [(KilledWorker(), Lost), (CancelledError(), LinkLost), (ValueError("x"), ValueError)],
)
def test_what_a_call_raises(raised: Exception, error: type[Exception]) -> None:
    with pytest.raises(error):
        call(Asked(raised)).result()


def test_a_timeout_of_the_function_is_its_own() -> None:
    with pytest.raises(TimeoutError):
        call(Asked(TimeoutError(), status="error")).result()


def test_a_call_is_ended_while_its_result_does_not_come() -> None:
    asked = Asked()
    waiting = call(asked)
    threading.Timer(0.1, waiting.end, [Lost("a is gone")]).start()
    with pytest.raises(Lost, match="a is gone"):
        waiting.result()
    assert asked.cancelled


# Which hosts judge together


def told(qemu: str, suites: str = "") -> Host:
    mine = job()
    return Host(suites or mine.suites, mine.commit, mine.dask, {"QEMU": qemu})


@pytest.fixture
def _dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "1")


@pytest.mark.usefixtures("_dask")
def test_the_first_ones_that_are_told_decide() -> None:
    trip = Apart("tcp://x:1", cast("Any", None))
    assert trip.refuses(told("7", "edited")).startswith("its suites")
    assert trip.refuses(MemoryError()) == "it does not say what it is"
    assert trip.refuses(told("8")) == ""
    assert trip.admit({"a": told("8"), "b": told("7"), "c": told("7")}) == {
        "a": "its QEMU is 8, not 7",
        "b": "",
        "c": "",
    }
    assert trip.admit({"d": told("8"), "e": told("8")})["e"] == "its QEMU is 8, not 7"


# Runs of other hosts


def delivery(*names: str, stage: Stage = Stage.JUDGED, complete: bool = True) -> Delivery:
    """Return a delivery of runs that are called ``names``."""
    text = yaml.safe_dump(model.as_data(results()) | {"complete": complete}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in names:
            about = tarfile.TarInfo(f"{name}/results.yaml")
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text))
    return Delivery(stage, "", packed.getvalue(), Path("/a"), Path("/b"))


def test_runs_are_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    first = apart._unpacked(delivery("20261128-190000-x"), tmp_path, "Berlin")
    (tmp_path / "latest").symlink_to("nothing")
    late = delivery("20261128-181500-y", "20261128-181501-z")  # by the clock of a host elsewhere
    both = apart._unpacked(late, tmp_path, "far away")
    assert list(both)[:1] == list(first)
    assert [path.name[-1] for path in both] == ["x", "y", "z"]
    assert StepResult(Stage.JUDGED, both).host == "far away"
    assert StepResult(Stage.JUDGED, first).host == "Berlin"
    assert step.judged(tmp_path) == StepResult(Stage.JUDGED, both)


def test_runs_that_are_here_are_left_out(tmp_path: Path) -> None:
    apart._unpacked(delivery("20261128-190000-x"), tmp_path, "a")
    apart._unpacked(delivery("20261128-190000-x", "20261128-190500-y"), tmp_path, "a")
    assert [path.name[-1] for path in step.runs_in(tmp_path)] == ["x", "y"]
    apart._unpacked(delivery("20261128-190000-x"), tmp_path, "b")  # of the same second
    assert len(step.runs_in(tmp_path)) == 3


@pytest.mark.parametrize(
    "bad",
    [
        delivery("20261128-190000-x", complete=False),
        Delivery(Stage.JUDGED, "", b"nonsense", Path("/a"), Path("/b")),
        delivery("../../outside"),
    ],
)
def test_a_delivery_without_what_it_says_is_no_result(tmp_path: Path, bad: Delivery) -> None:
    folder = tmp_path / "a" / "step"
    folder.mkdir(parents=True)
    with pytest.raises(RunError):
        apart._unpacked(bad, folder, "host")
    assert not (tmp_path / "outside").exists()
    assert list(folder.glob(".incoming*")) == []
