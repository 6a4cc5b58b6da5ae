# SPDX-License-Identifier: GPL-2.0-only
"""KTAP version 1 (Documentation/dev-tools/ktap.rst): a test a driver, a subtest a clause.

- ``conforms``: ok
- ``deviates``, unexpectedly: not ok
- ``deviates``, as expected: ok, with the directive XFAIL, as kselftest prints it; of the directives
  the kernel's parser heeds SKIP alone, and would count "not ok" with any other as a failure
- ``deviates`` from a SHOULD, in a run that tolerates it: the same
- ``broken``: not ok, with ERROR
- ``not_applicable``: ok, with SKIP and the reason
- ``flaky``: ok, with a note

A driver that is missing from the kernel is not ok. A run that was cut short has one more
test, ``run``, which is not ok.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fixtures.record.level import DEFAULT
from fixtures.record.model import DEVIATING, DriverResults, Judgement
from fixtures.untrusted import one_line
from reports.run import CUT_SHORT, ReportedRun, told

_VERSION = "KTAP version 1"
# The kernel's parser stops at these words, wherever they stand in a line.
_ENDS = re.compile(
    r"List of all partitions:|Kernel panic - not syncing: VFS:|reboot: System halted"
)
_RESULTS = {
    "conforms": ("ok", ""),
    "deviates": ("not ok", "deviates"),
    "known": ("ok", "XFAIL known deviation"),
    "tolerated": ("ok", "XFAIL tolerated deviation"),
    "broken": ("not ok", "ERROR "),
    "not_applicable": ("ok", "SKIP "),
    "flaky": ("ok", "flaky: "),
}


def render(run: ReportedRun) -> str:
    """Return the lines for ``run``."""
    tests = [_driver(name, driver) for name, driver in run.results.drivers.items()]
    if not run.results.complete:
        tests.append(([], "not ok", f"run # ERROR {CUT_SHORT}"))
    lines = [
        _VERSION,
        f"1..{len(tests)}",
        f"# {_plain(run.results.kernel.title)} {_plain(str(run.results.machine))}",
    ]
    if run.results.fail_on != DEFAULT:
        lines.append(f"# fail on: {run.results.fail_on}")
    for number, (subtests, result, rest) in enumerate(tests, 1):
        lines += [f"  {line}" for line in subtests]
        lines.append(f"{result} {number} {rest}")
    return "\n".join(lines) + "\n"


def _driver(name: str, driver: DriverResults) -> tuple[list[str], str, str]:
    """Return the lines of a driver's clauses, whether all are ok, and the text after the number."""
    error = f" # ERROR {_plain(driver.missing)}" if driver.missing else ""
    if not driver.clauses and error:
        return [], "not ok", f"{_plain(name)}{error}"
    if not driver.clauses:
        return [], "ok", f"{_plain(name)} # SKIP {_plain(driver.absent) or 'no clause was tried'}"
    name = _plain(name)
    lines = [_VERSION, f"# Subtest: {name}", f"1..{len(driver.clauses)}"]
    if driver.absent:
        lines.append(f"# {name}: {_plain(driver.absent)}")
    for number, (clause, held) in enumerate(driver.clauses.items(), 1):
        lines += _clause(number, clause, held)
    bad = driver.kinds["deviates"] + driver.kinds["broken"]
    return lines, "not ok" if bad or error else "ok", name + error


def _clause(number: int, clause: str, held: Judgement) -> Iterator[str]:
    for fingerprint in held.fingerprints:
        yield f"# {clause}: fingerprint {_plain(fingerprint)}"
    if held.kind in ("deviates", "tolerated", "broken", "flaky"):
        for line in told(held) or held.tests:
            yield f"# {clause}: {_plain(line)}"
    clause = _plain(clause)
    result, directive = _RESULTS[held.kind]
    if held.kind in DEVIATING:
        directive = f"{held.labelled(directive)}: "
    more = f"{directive}{_plain(held.why)}".strip()
    yield f"{result} {number} {clause}" + (f" # {more}" if more else "")


def _plain(said: str) -> str:
    """Return ``said`` as text without results, directives or ends that a parser would find."""
    line = one_line(said).replace("#", "")
    return _ENDS.sub(lambda found: found[0].replace(":", ";"), line)
