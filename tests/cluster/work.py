# SPDX-License-Identifier: GPL-2.0-only
"""Steps that are none, for workers of a cluster: they load this file, and none of the tests."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import yaml

from fixtures import process
from fixtures.git import git
from fixtures.kernel.spec import RefSpec, Spec
from workflows.cluster.away import Delivery, Parcel
from workflows.cluster.workers import Order
from workflows.step import Selection, Stage, StepResult

SLOW = 25.0  # seconds
SELECTION = Selection(("mtty",))


def spec(name: str, folder: Path) -> Spec:
    return RefSpec(name, folder, "abc")


def note(spec: Spec, what: str) -> None:
    assert isinstance(spec, RefSpec)
    with (spec.tree / "log").open("a", encoding="utf-8") as log:
        log.write(f"{what} {spec.text} {os.getppid()}\n")


def work(order: Order) -> StepResult:
    """Take a moment; die, alone or with the worker, or sleep, if the kernel is called so."""
    spec, jobs = order.spec, order.jobs
    assert isinstance(spec, RefSpec)
    note(spec, "begins")
    if "dies" in spec.text and not (Path(jobs[0]) / "died").exists():
        if "once" in spec.text:
            (Path(jobs[0]) / "died").touch()
        os.kill(os.getppid() if "with-its-worker" in spec.text else os.getpid(), signal.SIGKILL)
        time.sleep(60)
    if "sleeps" in spec.text:
        child = subprocess.Popen(process.until_we_die(["sleep", "300"]))
        note(RefSpec(str(child.pid), Path(jobs[0]), "abc"), "child")
        child.wait()
    time.sleep(0.5)
    note(spec, "ends")
    return StepResult(Stage.CUT_SHORT, problem=f"{order.name} of {order.selection.names}")


def delivery(parcel: Parcel) -> Delivery:
    """Make a step of another host: its run has one clause, and says which commit was there.

    As the file ``become`` of the worker's cache says, it dies, sleeps, is slow, or has a full disk.
    """
    spec = parcel.spec()
    assert isinstance(spec, RefSpec)
    subject = git(spec.tree, "log", "-1", "--format=%s", spec.commit).strip()
    cache = Path(os.environ["XDG_CACHE_HOME"])
    with (cache.parent / "log").open("a", encoding="utf-8") as log:
        log.write(f"begins {cache.name} {os.getpid()} {subject}\n")
    become = (cache / "become").read_text(encoding="utf-8") if (cache / "become").exists() else ""
    if become == "dead":
        (cache / "become").unlink()
        os.kill(os.getppid(), signal.SIGKILL)
    if become in ("dead", "asleep"):
        child = subprocess.Popen(process.until_we_die(["sleep", "300"]))
        (cache.parent / "sleeper").write_text(str(child.pid), encoding="utf-8")
        child.wait()
    if become == "slow":
        time.sleep(SLOW)
    if become == "full":
        return Delivery(Stage.NOT_MADE, "no space left", b"", spec.tree, spec.tree)
    clause = {"verdict": "conforms", "tests": ["suites/x.py::test_x"]}
    data = {
        "schema": 1,
        "complete": True,
        "kernel": {"spec": parcel.text, "release": "7.3.4"},
        "machine": {"qemu": "7.2", "accelerator": "tcg"},
        "drivers": {
            "mtty": {
                "clauses": {"precopy-info.flags.v1-echo": clause},
                "behaviours": {},
                "counts": {},
            }
        },
    }
    text = yaml.safe_dump(data).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = tarfile.TarInfo(f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}/results.yaml")
        about.size = len(text)
        archive.addfile(about, io.BytesIO(text))
    return Delivery(Stage.JUDGED, "", packed.getvalue(), spec.tree, spec.tree)
