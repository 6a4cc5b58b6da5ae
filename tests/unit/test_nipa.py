# SPDX-License-Identifier: GPL-2.0-only
"""NIPA's result JSON, as its collector reads it."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.errors import SpecError
from fixtures.record.model import DriverResults
from reports import nipa
from reports.run import ReportedRun, load
from tests.unit.test_reports import ARCS, ECHO, NOTHING, REOPEN, ZERO, make_run


@pytest.fixture(autouse=True)
def no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUN_URL", raising=False)


@pytest.fixture
def run(tmp_path: Path) -> ReportedRun:
    return load(make_run(tmp_path))


def told(run: ReportedRun) -> Any:
    return json.loads(nipa.render(run))


def flattened(data: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the result and the retry of each test and of each of its cases."""
    found = {}
    for test in data["results"]:
        found[test["group"], test["test"]] = test["result"], test.get("retry", "")
        for case in test.get("results", []):
            found[test["group"], case["test"]] = case["result"], case.get("retry", "")
    return found


def test_every_verdict(run: ReportedRun) -> None:
    assert flattened(told(run)) == {
        ("vfio-mtty", "precopy-info"): ("fail", ""),
        ("vfio-mtty", ECHO): ("pass", ""),
        ("vfio-mtty", ZERO): ("fail", ""),
        ("vfio-mtty", "data-transfer"): ("pass", ""),
        ("vfio-mtty", NOTHING): ("pass", ""),  # a known deviation
        ("vfio-mtty", "state-machine"): ("fail", ""),
        ("vfio-mtty", ARCS): ("fail", ""),  # broken
        ("vfio-mtty", REOPEN): ("fail", "pass"),  # flaky
        ("vfio-qat", "precopy-info"): ("pass", ""),
        ("vfio-qat", ECHO): ("skip", ""),
        ("vfio-qat", ZERO): ("pass", ""),
    }


def test_a_test_passed_again_if_all_its_cases_did(run: ReportedRun) -> None:
    about = run.results.drivers["mtty"]
    clauses = {name: about.clauses[name] for name in (ECHO, REOPEN)}
    only = dataclasses.replace(about, clauses=clauses)
    drivers = {"mtty": only}
    of = dataclasses.replace(run, results=dataclasses.replace(run.results, drivers=drivers))
    found = flattened(told(of))
    assert found["vfio-mtty", "state-machine"] == ("fail", "pass")


def test_crashes_are_always_told(run: ReportedRun) -> None:
    with_some = [one for one in told(run)["results"] if "crashes" in one]
    assert [(one["group"], one["test"], one["crashes"]) for one in with_some] == [
        ("vfio-mtty", "precopy-info", ["oops-1"])
    ]
    about = run.results.drivers["mtty"]
    held = about.clauses[ZERO]
    known = tuple(dataclasses.replace(one, known="why") for one in held.failures)
    only = dataclasses.replace(about, clauses={ZERO: dataclasses.replace(held, failures=known)})
    results = dataclasses.replace(run.results, drivers={"mtty": only})
    (test,) = told(dataclasses.replace(run, results=results))["results"]
    assert (test["result"], test["crashes"]) == ("pass", ["oops-1"])


def test_why(run: ReportedRun) -> None:
    said = {
        case["test"]: case["comment"]
        for test in told(run)["results"]
        for case in test["results"]
        if "comment" in case
    }
    assert {*said} == {ZERO, NOTHING, ARCS, REOPEN}
    assert said[NOTHING] == "known (MUST): a known one"
    assert said[REOPEN] == "flaky: not on a fresh machine"


def test_what_a_run_is(run: ReportedRun, folder_time: str) -> None:
    data = told(run)
    assert {*data} == {"executor", "branch", "start", "end", "results"}
    assert (data["executor"], data["branch"]) == ("vfio-conformance", "7.3.4")
    start, end = (datetime.fromisoformat(data[name]) for name in ("start", "end"))
    assert start.tzinfo is not None
    assert run.name.startswith(start.strftime("%Y%m%d-%H%M%S-"))
    assert str(end.replace(tzinfo=None)) == folder_time
    kernel = dataclasses.replace(run.results.kernel, spec="~/linux@net-next-2026-11-27--00-00")
    of = dataclasses.replace(run, results=dataclasses.replace(run.results, kernel=kernel))
    assert told(of)["branch"] == "net-next-2026-11-27--00-00"
    assert told(dataclasses.replace(run, name="mine"))["start"] == data["end"]


@pytest.fixture
def folder_time(run: ReportedRun) -> str:
    when = time.mktime((2027, 1, 2, 3, 4, 5, 0, 0, -1))
    os.utime(run.folder / "results.yaml", (when, when))
    return "2027-01-02 03:04:05"


def test_what_lacks_fails(tmp_path: Path) -> None:
    run = load(make_run(tmp_path, complete=False))
    drivers = {**run.results.drivers, "pds": DriverResults(missing="no module")}
    results = dataclasses.replace(run.results, drivers=drivers)
    found = flattened(told(dataclasses.replace(run, results=results)))
    assert found["vfio-pds", "driver"] == ("fail", "")
    assert found["vfio-conformance", "run"] == ("fail", "")


def test_links(run: ReportedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_URL", "https://ci.example.com/runs/1/")
    data = told(run)
    assert {one["link"] for one in (data, *data["results"])} == {
        "https://ci.example.com/runs/1/report.html"
    }
    monkeypatch.setenv("RUN_URL", "ci.example.com")
    with pytest.raises(SpecError, match=r"RUN_URL=ci\.example\.com: is no URL; it is where the"):
        nipa.render(run)
