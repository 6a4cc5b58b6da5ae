# SPDX-License-Identifier: GPL-2.0-only
"""KCIDB's JSON (kcidb-io, schema 5.3): a checkout, a build, and a test for each driver and clause.

- ``conforms``: PASS
- ``deviates``: FAIL, whatever the level of its clause, which ``misc`` has; one that was expected is
  besides an incident of an issue, which is the same in all runs for as long as its reason stands
- ``broken``: ERROR
- ``not_applicable``: SKIP
- ``flaky``: DONE, a completed test without a result for the code
- a driver that is missing from the kernel: ERROR

Ids are made of the name of the run's folder and of what results.yaml holds: the same folder gives
the same ids. A run that was cut short has one more test, ``vfio_conformance.run``, with ERROR.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from fixtures.record import model
from fixtures.record.model import BROKEN, DEVIATES, DEVIATING, TOLERATED, Judgement, KernelAbout
from fixtures.untrusted import cut
from reports.run import CUT_SHORT, ReportedRun, told

ORIGIN = "vfio_conformance"
VERSION = {"major": 5, "minor": 3}
_STATUS = {
    "conforms": "PASS",
    "deviates": "FAIL",
    "tolerated": "FAIL",
    "known": "FAIL",
    "broken": "ERROR",
    "not_applicable": "SKIP",
    "flaky": "DONE",
}
_EXCERPT = 16_000  # characters; the schema allows 16384


def render(run: ReportedRun) -> str:
    """Return the JSON text for ``run``."""
    digest = _digest(json.dumps(model.as_data(run.results), sort_keys=True, default=str))
    this = f"{ORIGIN}:{run.name}-{digest}"
    tests, issues, incidents = [], [], []
    for driver, clause, held in run.results.held():
        test = _test(run, this, driver, clause, held)
        tests.append(test)
        for number, reason in enumerate(held.reasons if held.kind == "known" else ()):
            issue = f"{ORIGIN}:{driver}/{clause}/{_digest(reason)}"
            issues.append(
                {
                    "id": issue,
                    "version": 1,
                    "origin": ORIGIN,
                    "report_subject": f"{driver}: {clause}: known deviation",
                    "culprit": {"code": True, "tool": False, "harness": False},
                    "comment": reason,
                }
            )
            incidents.append(
                {
                    "id": f"{test['id']}/known" + (f"-{number + 1}" if number else ""),
                    "origin": ORIGIN,
                    "issue_id": issue,
                    "issue_version": 1,
                    "test_id": test["id"],
                    "present": True,
                }
            )
    for driver, reason in run.results.missing.items():
        about = _about(this, driver, "driver")
        tests.append(about | {"status": "ERROR", "comment": reason})
    if not run.results.complete:
        tests.append(_about(this, "run", "complete") | {"status": "ERROR", "comment": CUT_SHORT})
    data = {
        "version": VERSION,
        "checkouts": [
            {"id": this, "origin": ORIGIN, "comment": run.results.kernel.title, "valid": True}
            | _commit(run.results.kernel),
        ],
        "builds": [_build(run, this)],
        "tests": tests,
        "issues": issues,
        "incidents": incidents,
    }
    return json.dumps({name: value for name, value in data.items() if value}, indent=1) + "\n"


def _build(run: ReportedRun, this: str) -> dict[str, Any]:
    drivers = run.results.drivers
    build = {
        "id": this,
        "checkout_id": this,
        "origin": ORIGIN,
        "comment": run.results.kernel.title,
        "config_name": run.results.kernel.flavour,
        "status": "PASS",
        "misc": {
            "release": run.results.kernel.release,
            "dirty": run.results.kernel.dirty,
            "config": run.results.kernel.config,
            "suite": model.plain(run.results.suite),
            "options": dict(run.results.options),
            "behaviours": {name: one.words for name, one in drivers.items()},
            "capabilities": {
                name: list(one.capabilities) for name, one in run.results.drivers.items()
            },
        },
    }
    # Kernels are built for x86-64 only; the architecture of a remote host is unknown.
    compiler = run.results.kernel.compiler
    return (
        build
        | ({"compiler": compiler} if compiler else {})
        | ({"architecture": "x86_64"} if run.results.machine.qemu else {})
    )


def _commit(kernel: KernelAbout) -> dict[str, Any]:
    """Return the commit of the checkout that was built, if it was one."""
    return {"git_commit_hash": kernel.commit} if kernel.commit and not kernel.dirty else {}


def _test(run: ReportedRun, this: str, driver: str, clause: str, held: Judgement) -> dict[str, Any]:
    test = _about(this, driver, clause) | {
        "status": _STATUS[held.kind],
        "environment": {
            "comment": str(run.results.machine),
            "misc": {"realization": run.results.drivers[driver].realization},
        },
        "misc": {
            "verdict": held.verdict,
            "level": held.level,
            "tolerated": held.kind == TOLERATED,
            "tests": list(held.tests),
            "fingerprints": list(held.fingerprints),
            "failures": told(held),
        },
    }
    if held.why:
        what = f"{held.labelled(DEVIATES)}: " if held.kind in DEVIATING else ""
        test["comment"] = f"{what}{held.why}"
    failed = held.kind in (*DEVIATING, BROKEN)
    if failed and (found := run.evidence(driver, clause)):
        transcript = found[0].transcript
        test["log_excerpt"] = cut(transcript.text(), _EXCERPT, transcript.name)
    return test


def _about(this: str, driver: str, clause: str) -> dict[str, Any]:
    """Return the fields that all tests share."""
    path = ".".join(_node(name) for name in (ORIGIN, driver, *clause.split(".")))
    return {"id": f"{this}/{driver}/{clause}", "build_id": this, "origin": ORIGIN, "path": path}


def _node(name: str) -> str:
    """Return ``name`` as the schema allows a part of a path to be."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", name) or "_"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
