# SPDX-License-Identifier: GPL-2.0-only
"""Workers of other hosts, on loopback: each has a checkout and a cache of its own.

What they make is no real step, but for one test, whose tree has no kernel.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures import paths
from fixtures.errors import SpecError
from fixtures.git import git
from fixtures.kernel.spec import RefSpec
from fixtures.paths import CHECKOUT
from fixtures.progress import Progress
from tests.cluster import work
from tests.cluster.test_workers import is_there, wait_for
from workflows import cluster, premerge, step
from workflows.cluster import away, connection, workers
from workflows.runner import Pending, submitted
from workflows.step import Selection, Stage, StepResult

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not list((paths.cache() / "rootfs").glob("*")), reason="the guest's root is not made yet"
    ),
]

PYTHON = Path(sys.executable)
SELECTION = Selection(("mtty",))
ROOTFS = paths.cache() / "rootfs"  # of this user; a test has other caches


def hard_link(old: str, new: str) -> None:
    os.link(old, new, follow_symlinks=False)


class Hosts:
    """A scheduler, and workers that a test starts and ends."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", **environment: str) -> None:
        self.folder = folder
        self.url = ""
        self._environment = os.environ | environment
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start_scheduler(address)

    def _start(self, argv: list[str], place: Path, **more: str) -> subprocess.Popen[bytes]:
        with (self.folder / "output").open("ab") as output:
            started = subprocess.Popen(
                argv, cwd=place, env=self._environment | more, stdout=output, stderr=output
            )
        self._processes.append(started)
        return started

    def _start_scheduler(self, address: str) -> subprocess.Popen[bytes]:
        file = self.folder / "scheduler.json"
        where = ["--host", address, "--port", "0", "--no-dashboard"]
        argv = [str(PYTHON.parent / "dask"), "scheduler", *where, "--scheduler-file", str(file)]
        started = self._start(argv, self.folder)
        wait_for(file.exists, 60)
        (self.url,) = re.findall(r"t(?:cp|ls)://[\d.:]+", file.read_text(encoding="utf-8"))[:1]
        return started

    def checkout(self, name: str) -> Path:
        """Return a copy of this checkout."""
        place = self.folder / f"checkout-{name}"
        listed = git(CHECKOUT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for one in filter(None, listed.split("\0")):
            if (CHECKOUT / one).exists():
                (place / one).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / one, place / one)
        return place

    def cache(self, name: str) -> Path:
        """Return the cache of a worker; it has the guest's root, which takes minutes to make."""
        place = self.folder / name
        if not place.exists():
            (place / "vfio-conformance").mkdir(parents=True)
            into = place / "vfio-conformance/rootfs"
            shutil.copytree(ROOTFS, into, symlinks=True, copy_function=hard_link)
        return place

    def worker(
        self, name: str, place: Path, address: str = "", within: Sequence[str] = (), **more: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker called ``name``, with an address of its own; ``within`` is a command."""
        address = address or f"127.0.0.{2 + len(self._processes)}"
        argv = [*within, str(PYTHON), "-m", "workflows.cluster.worker", self.url]
        argv += [f"--name={name}", f"--host={address}"]
        return self._start(argv, place, XDG_CACHE_HOME=str(self.cache(name)), **more)

    def become(self, name: str, what: str) -> None:
        """Let each step of the worker ``name`` end in another way."""
        (self.cache(name) / "become").write_text(what, encoding="utf-8")

    def log(self) -> list[list[str]]:
        """Return the host, process and subject of each step that began."""
        path = self.folder / "log"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return [line.split(maxsplit=3)[1:] for line in text.splitlines()]

    def sleeper(self) -> int | None:
        """Return the process id of a program that a step runs, once there is one."""
        path = self.folder / "sleeper"
        return int(path.read_text(encoding="utf-8") or 0) if path.exists() else None

    def close(self) -> None:
        """End all processes."""
        for one in self._processes:
            one.send_signal(signal.SIGCONT)
            one.terminate()
        for one in self._processes:
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    pytest.importorskip("distributed", reason="pip install -r requirements-cluster.txt")
    folder = tmp_path / "hosts"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(step, "STEPS", tmp_path / "steps")
    monkeypatch.setattr(away, "carry_out", work.delivery)
    made = Hosts(folder)
    yield made
    made.close()


@pytest.fixture
def two(hosts: Hosts) -> Hosts:
    """Two hosts, a and b, whose checkouts are the same."""
    place = hosts.checkout("all")
    hosts.worker("a", place)
    hosts.worker("b", place)
    return hosts


def the_steps(tree: Path) -> list[tuple[RefSpec, str]]:
    """Return the steps of a base and three patches."""
    commits = git(tree, "rev-list", "--reverse", "three").split()
    return [(RefSpec.of_commit(tree, one), f"step {n}") for n, one in enumerate(commits)]


def run(hosts: Hosts, tree: Path) -> list[StepResult]:
    with (
        cluster.runner(hosts.url, Progress()) as runner,
        submitted(runner, the_steps(tree), SELECTION) as pending,
    ):
        return [one.result() for one in pending]


def wait_for_workers(hosts: Hosts, number: int) -> None:
    output = hosts.folder / "output"
    wait_for(lambda: output.read_text(encoding="utf-8").count("works for") >= number)


def test_hosts_share_the_steps_and_none_is_made_twice(
    two: Hosts, tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wait_for_workers(two, 2)
    before = git(tree, "for-each-ref")
    found = run(two, tree)
    assert [one.stage for one in found] == [Stage.JUDGED] * len(the_steps(tree))
    assert all(one.results and one.results.complete for one in found)
    assert {one.host for one in found} == {"a", "b"}
    subjects = [subject for *_, subject in two.log()]
    wanted = git(tree, "log", "--format=%s", "three").splitlines()
    assert sorted(subjects) == sorted(wanted)
    assert {name for name, *_ in two.log()} == {"a", "b"}
    assert git(tree, "for-each-ref") == before
    again = run(two, tree)
    assert [one.folder for one in again] == [one.folder for one in found]
    assert len(two.log()) == len(subjects)
    assert "[step 0] already judged" in capfd.readouterr().err


def test_a_worker_that_is_killed_is_replaced(two: Hosts, tree: Path) -> None:
    two.become("a", "dead")
    wait_for_workers(two, 2)
    found = run(two, tree)
    assert [one.stage for one in found] == [Stage.JUDGED] * len(found)
    subjects = [subject for *_, subject in two.log()]
    assert len(subjects) == len(found) + 1


def test_a_step_goes_to_another_host_where_the_disk_is_full(
    two: Hosts, tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    two.become("a", "full")
    wait_for_workers(two, 2)
    found = run(two, tree)
    assert [one.stage for one in found] == [Stage.JUDGED] * len(found)
    assert {one.host for one in found} == {"b"}
    assert "a is not used: no space left" in capfd.readouterr().err


def test_no_host_is_left(two: Hosts, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "NO_WORKERS", 3.0)
    two.become("a", "full")
    two.become("b", "full")
    wait_for_workers(two, 2)
    found = run(two, tree)
    assert {one.stage for one in found} == {Stage.NOT_MADE}
    assert "no space left" in found[0].problem


@pytest.fixture
def asleep(two: Hosts) -> Hosts:
    """Two hosts, whose steps do not end."""
    two.become("a", "asleep")
    two.become("b", "asleep")
    wait_for_workers(two, 2)
    return two


@contextmanager
def begun(hosts: Hosts, tree: Path) -> Iterator[Pending]:
    """Begin a step of a job that ends with the block."""
    (first, *_) = the_steps(tree)
    with cluster.runner(hosts.url, Progress()) as runner:
        pending = runner.submit(first[0], SELECTION, first[1])
        wait_for(lambda: bool(hosts.sleeper()))
        yield pending


def test_all_workers_go(asleep: Hosts, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "NO_WORKERS", 3.0)
    with begun(asleep, tree) as pending:
        for one in asleep._processes[1:]:
            one.terminate()
        began = time.monotonic()
        found = pending.result()
    assert found.stage is Stage.NOT_MADE
    assert found.problem == "for 3 s there has been no worker to use"
    assert time.monotonic() - began < 30
    wait_for(lambda: not is_there(asleep.sleeper() or 0), 10)


def test_the_scheduler_goes(asleep: Hosts, tree: Path) -> None:
    with begun(asleep, tree) as pending:
        asleep.scheduler.kill()
        found = pending.result()
    assert found.stage is Stage.NOT_MADE
    assert found.problem.startswith("the cluster has lost its scheduler")
    wait_for(lambda: not is_there(asleep.sleeper() or 0), 30)


JOB = """
import sys
from pathlib import Path
from fixtures.kernel.spec import RefSpec
from fixtures.progress import Progress
from tests.cluster import work
from workflows import cluster, step
from workflows.cluster import apart
from workflows.step import Selection
apart.away.carry_out = work.delivery
url, tree, commit, steps = sys.argv[1:]
step.STEPS = Path(steps)
with cluster.runner(url, Progress()) as runner:
    spec = RefSpec.of_commit(Path(tree), commit)
    runner.submit(spec, Selection(("mtty",)), "it").result()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_runs_on_a_worker_after_its_job(asleep: Hosts, tree: Path, number: int) -> None:
    base = git(tree, "rev-parse", "base").strip()
    argv = [sys.executable, "-c", JOB, asleep.url, str(tree), base, str(asleep.folder / "steps")]
    job = subprocess.Popen(argv, cwd=CHECKOUT)
    wait_for(lambda: bool(asleep.sleeper()))
    job.send_signal(number)
    job.wait(30)
    wait_for(lambda: not is_there(asleep.sleeper() or 0), 10)
    assert [one.poll() for one in asleep._processes] == [None] * 3  # they wait for the next job


def edited(place: Path) -> None:
    (place / "suites/new.py").write_text("# another suite\n", encoding="utf-8")


@pytest.fixture
def other_qemu(hosts: Hosts) -> str:
    """A PATH with another QEMU, by what it says."""
    place = hosts.folder / "bin"
    place.mkdir()
    real = shutil.which("qemu-system-x86_64")
    program = place / "qemu-system-x86_64"
    program.write_text(
        f"#!/bin/sh\n[ $1 != --version ] || exec echo QEMU emulator version 99.1.2\n"
        f'exec {real} "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return f"{place}:{os.environ['PATH']}"


def test_hosts_that_differ_are_refused_by_name(
    hosts: Hosts, tree: Path, other_qemu: str, capfd: pytest.CaptureFixture[str]
) -> None:
    same, other = hosts.checkout("same"), hosts.checkout("edited")
    edited(other)
    hosts.worker("a", same)
    hosts.worker("b", same)
    hosts.worker("edited", other)
    hosts.worker("newer", same, PATH=other_qemu)
    wait_for_workers(hosts, 4)
    found = run(hosts, tree)
    assert [one.stage for one in found] == [Stage.JUDGED] * len(found)
    assert {name for name, *_ in hosts.log()} <= {"a", "b"}
    said = capfd.readouterr().err
    assert re.search(r"edited is not used: its suites .*are not those of this job", said)
    assert re.search(r"newer is not used: its QEMU is 99\.1\.2, not \d", said)


def test_with_none_but_an_edited_host_nothing_is_made(
    hosts: Hosts, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "NO_WORKERS", 3.0)
    place = hosts.checkout("edited")
    edited(place)
    hosts.worker("a", place)
    wait_for_workers(hosts, 1)
    found = run(hosts, tree)
    assert {one.stage for one in found} == {Stage.NOT_MADE}
    assert found[0].problem.startswith("for 3 s there has been no worker to use; a: its suites")


HERE, THERE = "10.213.0.1", "10.213.0.2"  # the ends of a link to another network namespace
SPACE = "vfio-conformance-test"


@pytest.fixture
def _certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Certificates that Dask finds by its variables; all processes of a test share them."""
    dask: Any = pytest.importorskip("dask", reason="pip install -r requirements-cluster.txt")
    made = importlib.import_module("distributed").Security.temporary()
    texts = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    variables = {"CA_FILE": "ca"}
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        variables |= {f"{role}__CERT": "cert", f"{role}__KEY": "key"}
    with monkeypatch.context() as patched:
        for variable, name in variables.items():
            patched.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{variable}", str(tmp_path / name))
        dask.config.refresh()
        yield
    dask.config.refresh()


@pytest.fixture
def link() -> Iterator[str]:
    """The name of a link to another network namespace."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("needs root, and ip")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        ip("netns", "add", SPACE)
        ip("link", "add", "vfiotest0", "type", "veth", "peer", "name", "vfiotest1", "netns", SPACE)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made: {error.stderr.decode().strip()}")
    try:
        ip("address", "add", f"{HERE}/24", "dev", "vfiotest0")
        ip("link", "set", "vfiotest0", "up")
        for words in (f"address add {THERE}/24 dev vfiotest1", "link set vfiotest1 up"):
            ip("-n", SPACE, *words.split())
        ip("-n", SPACE, "link", "set", "lo", "up")
        yield "vfiotest0"
    finally:
        ip("netns", "delete", SPACE)


@pytest.mark.usefixtures("_certificates")
def test_the_late_result_of_a_lost_host_is_dropped(
    tree: Path,
    tmp_path: Path,
    link: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its link is down for longer than the scheduler waits; orders go by TLS."""
    monkeypatch.setattr(step, "STEPS", tmp_path / "steps")
    monkeypatch.setattr(away, "carry_out", work.delivery)
    folder = tmp_path / "hosts"
    folder.mkdir()
    hosts = Hosts(folder, f"tls://{HERE}", DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="5s")
    try:
        assert hosts.url.startswith("tls://")
        place = hosts.checkout("all")
        hosts.become("far", "slow")
        hosts.worker("far", place, THERE, ["ip", "netns", "exec", SPACE])
        wait_for_workers(hosts, 1)
        with cluster.runner(hosts.url.replace("tls", "tcp"), Progress()) as runner:
            (first, *_) = the_steps(tree)
            pending = runner.submit(first[0], SELECTION, first[1])
            wait_for(lambda: bool(hosts.log()))
            hosts.worker("near", place, HERE)
            subprocess.run(["ip", "link", "set", link, "down"], check=True)
            found = pending.result()
            assert (found.stage, found.host) == (Stage.JUDGED, "near")
            subprocess.run(["ip", "link", "set", link, "up"], check=True)
            time.sleep(work.SLOW)
            assert found.folder is not None
            assert {one.name for one in found.folder.parent.iterdir()} == {found.folder.name}
        assert [name for name, *_ in hosts.log()] == ["far", "near"]
    finally:
        hosts.close()


@pytest.fixture
def far_by_ssh(tmp_path: Path, link: str) -> Iterator[dict[str, str]]:
    """A host called far that ssh reaches, with a checkout and a cache; yields SSH and its cache."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if not sshd or not shutil.which("ssh"):
        pytest.skip("needs ssh and sshd")
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(keygen, check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress {THERE}\nPort 2222\nHostKey {tmp_path}/host\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nPidFile none\nPermitRootLogin yes\n"
        f"SetEnv XDG_CACHE_HOME={tmp_path}/hosts/far\n",
        encoding="utf-8",
    )
    (tmp_path / "ssh_config").write_text(
        f"Host gone\n  Port 9\nHost far gone\n  HostName {THERE}\n  Port 2222\n"
        f"  IdentityFile {tmp_path}/user\n"
        "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n",
        encoding="utf-8",
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    argv = ["ip", "netns", "exec", SPACE, sshd, "-D", "-f", str(tmp_path / "sshd_config")]
    serving = subprocess.Popen(argv)
    yield {"SSH": f"ssh -F {tmp_path}/ssh_config"}
    serving.terminate()
    serving.wait()


def test_workers_by_ssh(
    hosts: Hosts, tree: Path, far_by_ssh: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH", far_by_ssh["SSH"])
    place = hosts.checkout("far")
    (place / ".venv").symlink_to(PYTHON.parent.parent)
    hosts.cache("far")
    file = hosts.folder / "hosts.txt"
    file.write_text(f"far {place}  # a host\n", encoding="utf-8")
    hosts.url = f"ssh:{file}"
    found = run(hosts, tree)
    assert [one.stage for one in found] == [Stage.JUDGED] * len(found)
    assert {one.host for one in found} == {"far"}
    hosts.become("far", "asleep")
    with cluster.runner(hosts.url, Progress()) as runner:
        commit = git(tree, "rev-parse", "topic").strip()
        runner.submit(RefSpec.of_commit(tree, commit), SELECTION, "it")
        wait_for(lambda: bool(hosts.sleeper()))
    wait_for(lambda: not is_there(hosts.sleeper() or 0), 10)


def test_no_host_is_reached_by_ssh(
    far_by_ssh: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH", far_by_ssh["SSH"])
    monkeypatch.setattr(connection, "_TO_START", 5)
    file = tmp_path / "hosts.txt"
    file.write_text("gone\n", encoding="utf-8")
    with (
        pytest.raises(
            SpecError, match=r"no host has a worker: gone: ssh: connect to host .*refused"
        ),
        cluster.runner(f"ssh:{file}", Progress()),
    ):
        pass


def test_without_certificates_it_is_this_host_alone() -> None:
    pytest.importorskip("distributed", reason="pip install -r requirements-cluster.txt")
    with (
        pytest.raises(SpecError, match=r"CLUSTER=tcp://10.2.3.4:5: without certificates"),
        cluster.runner("tcp://10.2.3.4:5", Progress()),
    ):
        pass


def listening(process_id: int) -> set[str]:
    """Return the addresses at which a process, and its children, can be reached."""
    table = subprocess.run(["ss", "-Hltnp"], capture_output=True, encoding="utf-8", check=True)
    lines = [line.split() for line in table.stdout.splitlines() if f"pid={process_id}," in line]
    return {words[3].rpartition(":")[0] for words in lines}


@pytest.mark.skipif(not shutil.which("ss"), reason="needs ss")
def test_without_certificates_a_worker_listens_on_loopback_only(hosts: Hosts) -> None:
    argv = [sys.executable, "-m", "workflows.cluster.worker", hosts.url]
    worker = hosts._start(argv, CHECKOUT, XDG_CACHE_HOME=str(hosts.cache("a")))
    wait_for_workers(hosts, 1)
    assert listening(worker.pid) == {"127.0.0.1"}
    argv = [*argv, "--host=0.0.0.0"]
    refused = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, encoding="utf-8")
    assert refused.returncode == 2
    assert "--host=0.0.0.0: without certificates it must be of loopback" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_waits_for_its_scheduler_ends(number: int, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="pip install -r requirements-cluster.txt")
    argv = [sys.executable, "-m", "workflows.cluster.worker", "tcp://127.0.0.1:9"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    worker = subprocess.Popen(argv, cwd=CHECKOUT, env=environment)
    time.sleep(4)
    assert worker.poll() is None
    worker.send_signal(number)
    assert worker.wait(10) == 0


def test_a_worker_whose_ssh_ended_ends(tmp_path: Path) -> None:
    distributed = pytest.importorskip(
        "distributed", reason="pip install -r requirements-cluster.txt"
    )
    made = distributed.Security.temporary()
    keys = {"tls_ca_file": made.tls_ca_file, "tls_worker_cert": made.tls_worker_cert}
    keys["tls_worker_key"] = made.tls_worker_key
    argv = [sys.executable, "-m", "workflows.cluster.worker", "tls://127.0.0.1:9", "--keys"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run(
        argv,
        cwd=CHECKOUT,
        env=environment,
        input=f"{json.dumps(keys)}\n".encode(),
        timeout=30,
        check=True,
    )


def test_the_kind_of_most_hosts_is_used_also_if_another_comes_first(
    hosts: Hosts, tree: Path, other_qemu: str
) -> None:
    same = hosts.checkout("same")
    hosts.worker("newer", same, PATH=other_qemu)
    wait_for_workers(hosts, 1)
    hosts.worker("a", same)
    hosts.worker("b", same)
    wait_for_workers(hosts, 3)
    assert {one.host for one in run(hosts, tree)} <= {"a", "b"}


def test_a_scheduler_that_is_not_there() -> None:
    pytest.importorskip("distributed", reason="pip install -r requirements-cluster.txt")
    with (
        pytest.raises(SpecError, match=r"CLUSTER=tcp:.* no scheduler answers there"),
        cluster.runner("tcp://127.0.0.1:9", Progress()),
    ):
        pass


def test_a_pre_merge_says_the_same_as_here(
    two: Hosts, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tree has no kernel, so that workers, with real steps, find that it does not build."""
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(two.cache("head")))
    monkeypatch.setattr("workflows.command.CHECKOUT", tmp_path)
    monkeypatch.setattr(step, "STEPS", tmp_path / "steps")
    wait_for_workers(two, 2)
    asked = [f"--tree={tree}", "--series=base..topic", "--drivers=mtty"]
    said = []
    for more in ([], [f"--cluster={two.url}"]):
        assert premerge.main([*asked, *more]) == 2
        (folder,) = (tmp_path / "results" / "premerge").iterdir()
        said.append((folder / "premerge.yaml").read_text(encoding="utf-8"))
        shutil.rmtree(folder)
    assert "does not build" in said[0]
    assert re.sub(r"host: [ab]$", "host: ''", said[1], flags=re.MULTILINE) == said[0]
    assert said[1] != said[0]
