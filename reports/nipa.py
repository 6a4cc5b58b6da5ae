# SPDX-License-Identifier: GPL-2.0-only
"""NIPA's result JSON, as an executor publishes it: a test for each driver and part of the protocol.

- ``conforms``: pass
- ``deviates``, unexpectedly, and ``broken``: fail
- ``deviates``, as expected, or from a SHOULD in a run that tolerates it: pass, as NIPA reads XFAIL
- ``not_applicable``: skip
- ``flaky``: fail, with the retry pass

The clauses are the results of a test. Its crashes are the fingerprints of all its evidence from the
kernel, that of known deviations too. A driver that is missing from the kernel and a run that was
cut short fail a test of their own. Comments, which NIPA does not read, say why. With ``RUN_URL`` in
the environment each test has a link.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fixtures.record import kept
from fixtures.record.model import FLAKY, Judgement, Kind
from reports import links
from reports.run import CALM, CUT_SHORT, ReportedRun, part

EXECUTOR = "vfio-conformance"
URL = "RUN_URL"  # where the run's folder can be read
_FAIL, _PASS, _SKIP = "fail", "pass", "skip"
_RESULT: Mapping[Kind, str] = {
    "conforms": _PASS,
    "known": _PASS,
    "tolerated": _PASS,
    "deviates": _FAIL,
    "broken": _FAIL,
    "flaky": _FAIL,
    "not_applicable": _SKIP,
}


def render(run: ReportedRun) -> str:
    """Return the JSON text for ``run``."""
    link = links.base(URL, "the run's folder")
    about = {"link": f"{link}/report.html"} if link else {}
    parts: dict[tuple[str, str], dict[str, Judgement]] = {}
    for driver, clause, held in run.results.held():
        parts.setdefault((driver, part(clause)), {})[clause] = held
    tests = [
        {"test": name, "group": _group(driver)} | _test(clauses) | about
        for (driver, name), clauses in parts.items()
    ]
    lacking = [(_group(name), "driver", why) for name, why in run.results.missing.items()]
    if not run.results.complete:
        lacking.append((EXECUTOR, "run", CUT_SHORT))
    for group, name, why in lacking:
        tests.append({"test": name, "group": group, "result": _FAIL, "comment": why} | about)
    kernel = run.results.kernel
    data = {
        "executor": EXECUTOR,
        "branch": kernel.spec.partition("@")[2] or kernel.release,
        "start": _time(_began(run)),
        "end": _time(_ended(run)),
        "results": tests,
    }
    return json.dumps(data | about, indent=1) + "\n"


def _group(driver: str) -> str:
    return f"vfio-{driver}"


def _test(clauses: Mapping[str, Judgement]) -> dict[str, Any]:
    """Return the result of a test with these clauses."""
    cases = [_case(name, held) for name, held in clauses.items()]
    test: dict[str, Any] = {"result": _worst(case["result"] for case in cases)}
    if test["result"] == _FAIL:
        again = [case.get("retry", _FAIL) for case in cases if case["result"] == _FAIL]
        if _FAIL not in again:
            test["retry"] = _PASS
    crashes = sorted({one for held in clauses.values() for one in held.fingerprints})
    return test | ({"crashes": crashes} if crashes else {}) | {"results": cases}


def _case(clause: str, held: Judgement) -> dict[str, str]:
    case = {"test": clause, "result": _RESULT[held.kind]}
    if held.kind == FLAKY:
        case["retry"] = _PASS
    if held.kind not in CALM:
        case["comment"] = f"{held.labelled(held.kind)}: {held.why}"
    return case


def _worst(results: Iterable[str]) -> str:
    return min(results, key=(_FAIL, _PASS, _SKIP).index)


def _began(run: ReportedRun) -> datetime:
    """Return when the run began: its folder is named after that."""
    return kept.began(run.name) or _ended(run)


def _ended(run: ReportedRun) -> datetime:
    return datetime.fromtimestamp(int((run.folder / "results.yaml").stat().st_mtime))


def _time(local: datetime) -> str:
    return str(local.astimezone())
