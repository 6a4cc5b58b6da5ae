# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML, as CI systems read it: a test suite a driver, a test case a clause.

- ``conforms``: passed
- ``deviates``, unexpectedly: failure
- ``deviates``, as expected: skipped, "known deviation: ..."; JUnit has no expected
  failures, and a failure in every job would hide a new one
- ``deviates`` from a SHOULD, in a run that tolerates it: skipped, "tolerated deviation: ..."
- ``broken``: error
- ``not_applicable``: skipped, with the reason
- ``flaky``: passed, with a note in the case's system-out; flaky clauses do not fail a run

A driver that is missing from the kernel is an error. A run that was cut short has one more
suite, ``run``, with an error.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from fixtures.record import catalogue
from fixtures.record.catalogue import Clause
from fixtures.record.model import DEVIATES, KNOWN, TOLERATED, DriverResults, Judgement
from reports.run import CUT_SHORT, ReportedRun, part, told


def render(run: ReportedRun) -> str:
    """Return the XML document for ``run``."""
    known = catalogue.clauses()
    root = ET.Element("testsuites", name=f"VFIO migration conformance: {run.results.kernel.title}")
    for name, driver in run.results.drivers.items():
        root.append(_suite(run, name, driver, known))
    if not run.results.complete:
        suite = ET.SubElement(root, "testsuite", name="run")
        case = ET.SubElement(suite, "testcase", classname="run", name="complete")
        ET.SubElement(case, "error", message=CUT_SHORT, type="incomplete")
        _count(suite)
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _suite(
    run: ReportedRun, name: str, driver: DriverResults, known: Mapping[str, Clause]
) -> ET.Element:
    suite = ET.Element("testsuite", name=name)
    about = {
        "kernel": run.results.kernel.spec,
        "release": run.results.kernel.release,
        "flavour": run.results.kernel.flavour,
        "commit": run.results.kernel.commit + (" dirty" if run.results.kernel.dirty else ""),
        "compiler": run.results.kernel.compiler,
        "suite": str(run.results.suite),
        "machine": str(run.results.machine),
        "run": run.name,
        "realization": driver.realization,
        "capabilities": ", ".join(driver.capabilities),
        "absent": driver.lacking,
        "fail-on": run.results.fail_on,
        **{f"behaviour.{key}": word for key, word in driver.words.items()},
    }
    properties = ET.SubElement(suite, "properties")
    for key, value in about.items():
        if value:
            ET.SubElement(properties, "property", name=key, value=value)
    if driver.missing:
        case = ET.SubElement(suite, "testcase", classname=name, name="driver")
        ET.SubElement(case, "error", message=driver.missing, type="missing")
    for clause, held in driver.clauses.items():
        case = ET.SubElement(suite, "testcase", classname=f"{name}.{part(clause)}", name=clause)
        _verdict(case, held, _details(run, name, clause, held, known))
    _count(suite)
    return suite


def _verdict(case: ET.Element, held: Judgement, details: str) -> None:
    """Add the failure, error or skip element to ``case``, if any."""
    if held.kind == "deviates":
        message = f"{held.labelled(DEVIATES)}: {held.why}"
        said = ET.SubElement(case, "failure", message=message, type=DEVIATES)
        said.text = details
    elif held.kind == "broken":
        said = ET.SubElement(case, "error", message=held.why or "broken", type="broken")
        said.text = details
    elif held.kind in (KNOWN, TOLERATED):
        what = held.labelled(f"{held.kind} deviation")
        ET.SubElement(case, "skipped", message=f"{what}: {held.why}")
        ET.SubElement(case, "system-out").text = details
    elif held.kind == "not_applicable":
        ET.SubElement(case, "skipped", message=held.why or "not applicable")
    elif held.kind == "flaky":
        ET.SubElement(case, "system-out").text = f"flaky: {held.why}\n{details}"


def _details(
    run: ReportedRun, driver: str, clause: str, held: Judgement, known: Mapping[str, Clause]
) -> str:
    """Return the rule, reasons and tests of a case, as lines."""
    lines = []
    if rule := known.get(clause):
        level = held.level or rule.level
        lines += [f"{clause} ({level}): {rule.text}", f"source: {rule.source}"]
    lines += [f"fingerprint: {fingerprint}" for fingerprint in held.fingerprints]
    lines += [f"test: {test}" for test in held.tests]
    lines += told(held)
    for one in run.evidence(driver, clause):
        if one.reproducers:
            lines.append(f"transcript: {one.transcript.name}")
            lines += [f"reproducer: {file.name}" for file in one.reproducers.values()]
    return "\n".join(lines)


def _count(suite: ET.Element) -> None:
    """Set the counts in the attributes of ``suite``."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(total, str(sum(case.find(tag) is not None for case in cases)))
