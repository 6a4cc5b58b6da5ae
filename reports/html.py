# SPDX-License-Identifier: GPL-2.0-only
"""A page of a run: one file that needs no network, with the evidence for every verdict in it.

Evidence goes into the page as JSON, and is only ever shown as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fixtures.record import catalogue
from fixtures.record.level import ANY_LEVELS
from fixtures.record.model import DEVIATING, KINDS, TOLERATED, Judgement, Kind
from fixtures.splat import SPLAT
from fixtures.untrusted import cut, ending
from reports import page
from reports.run import CALM, CONSOLE_LINES, CUT_SHORT, ReportedRun, TestFiles, part, told

# A sign that tells a verdict without its colour, its name, and what it means.
SIGNS: Mapping[Kind, tuple[str, str, str]] = {
    "deviates": ("D", "new deviation", "not expected from this driver"),
    "broken": ("B", "broken", "no result: the harness failed, or the test's preparation"),
    "flaky": ("F", "flaky", "a failure that a fresh machine did not repeat"),
    "tolerated": ("T", "tolerated deviation", "unexpected, but allowed by --fail-on=must"),
    "known": ("K", "known deviation", "as the driver's file expects"),
    "conforms": ("✓", "conforms", "does what the clause says"),
    "not_applicable": ("\N{EN DASH}", "not applicable", "cannot be tested here"),
}
# Characters of one transcript: where something is wrong, and where nothing is.
_LIMIT, _CALM_LIMIT = 64_000, 12_000
_CONSOLE_LIMIT = 24_000
# Characters of evidence in the page. Evidence for conforming clauses is shown while the page stays
# small. Other evidence is left out only when a browser could not load the page.
_CALM_BUDGET, _BUDGET = 3_900_000, 16_000_000


def render(run: ReportedRun) -> str:
    """Return the page for ``run``."""
    chosen = _Chosen(run)
    view = {
        "run": run,
        "signs": _signs(run),
        "calm": CALM,
        "parts": by_part(clause for _, clause, _ in run.results.held()),
        "rules": catalogue.clauses(),
        "words": catalogue.behaviours(),
        "wanting": _wanting(run),
        "level_of": _levels(run),
        "by_level": _by_level,
        "deviating": DEVIATING,
        "look": _look,
        "behaviours": sorted(
            {name for one in run.results.drivers.values() for name in one.behaviours}
        ),
        "consoles": {name: _console(text) for name, text in _consoles(run)},
        "console_lines": CONSOLE_LINES,
        "cut_short": CUT_SHORT,
        "data": page.as_json(_data(run, chosen)),
        "evidence": page.as_json(chosen.shown),
    }
    return page.render("report.html", view, "report.js")


def by_part(clauses: Iterable[str]) -> dict[str, list[str]]:
    """Return ``clauses`` by part of the protocol, both in the catalogue's order."""
    order = {clause: number for number, clause in enumerate(catalogue.clauses())}
    parts: dict[str, list[str]] = {}
    for clause in sorted({*clauses}, key=lambda one: (order.get(one, len(order)), one)):
        parts.setdefault(part(clause), []).append(clause)
    return parts


def _signs(run: ReportedRun) -> dict[Kind, tuple[str, str, str]]:
    """Return the verdicts' signs; the sign for tolerated is left out when nothing is tolerated."""
    some = run.results.of_kind(TOLERATED)
    return {kind: sign for kind, sign in SIGNS.items() if kind != TOLERATED or some}


def _look(held: Judgement) -> str:
    """Return the classes of a verdict's sign: a deviation from a SHOULD is outlined."""
    mild = held.kind in DEVIATING and held.level == "SHOULD"
    return f"{held.kind} should" if mild else held.kind


def _levels(run: ReportedRun) -> dict[str, str]:
    """Return the level of each clause at the time of the run."""
    return {clause: held.level for _, clause, held in run.results.held()}


def _by_level(levels: Mapping[str, int]) -> str:
    """Return how many verdicts each level has, in words."""
    return ", ".join(
        f"{levels[level]} {level or 'of no level'}" for level in ANY_LEVELS if levels.get(level)
    )


def _wanting(run: ReportedRun) -> dict[Kind, list[tuple[str, str, Judgement]]]:
    """Return the verdicts that need attention (driver, clause, verdict), by kind; MUST first."""
    return {
        kind: sorted(found, key=lambda one: ANY_LEVELS.index(one[2].level))
        for kind in KINDS
        if kind not in CALM and (found := run.results.of_kind(kind))
    }


def _consoles(run: ReportedRun) -> Iterator[tuple[str, str]]:
    for name, file in run.consoles.items():
        yield name, cut(ending(file.text(), CONSOLE_LINES), _CONSOLE_LIMIT, file.name)


def _console(text: str) -> list[tuple[str, bool]]:
    """Return the lines of a console, and the numbers of those that begin a splat."""
    return [(line, bool(SPLAT.search(line))) for line in text.splitlines()]


class _Chosen:
    """The evidence for the page: ``shown``, and the parts that belong to each clause."""

    def __init__(self, run: ReportedRun) -> None:
        self.shown: list[dict[str, Any]] = []
        self.of: dict[tuple[str, str], list[int]] = {}
        self.left_out: dict[tuple[str, str], int] = {}
        self._run = run
        self._numbers: dict[str, int] = {}
        self._size = 0
        calm: list[tuple[int, str, str, TestFiles, int]] = []
        for driver, clause, held in sorted(
            run.results.held(), key=lambda one: KINDS.index(one[2].kind)
        ):
            found = run.evidence(driver, clause)
            if held.kind not in CALM:
                self.of[driver, clause] = [self._number(one, _LIMIT, _BUDGET) for one in found]
            elif held.kind == "conforms" and found:
                # The shortest one is the quickest to read.
                size, shortest = min(
                    ((one.transcript.size, one) for one in found), key=lambda pair: pair[0]
                )
                calm.append((size, driver, clause, shortest, len(found) - 1))
        for _, driver, clause, shortest, others in sorted(calm, key=lambda one: one[:3]):
            self.of[driver, clause] = [self._number(shortest, _CALM_LIMIT, _CALM_BUDGET)]
            self.left_out[driver, clause] = others

    def _number(self, evidence: TestFiles, limit: int, budget: int) -> int:
        """Return the number of ``evidence``; add it first unless that exceeds ``budget``."""
        key = evidence.transcript.name
        if key not in self._numbers:
            self._numbers[key] = len(self.shown)
            self.shown.append(self._entry(evidence, limit, budget))
        return self._numbers[key]

    def _entry(self, evidence: TestFiles, limit: int, budget: int) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "test": evidence.test,
            "parameters": evidence.parameters,
            "file": evidence.transcript.name,
            "failed": bool(evidence.reproducers),
            "programs": {suffix: file.name for suffix, file in evidence.reproducers.items()},
        }
        if self._size >= budget:
            return entry
        whole = evidence.transcript.text()
        entry["transcript"] = cut(whole, limit, evidence.transcript.name)
        entry["sources"] = {name: file.text() for name, file in evidence.reproducers.items()}
        entry["machine"] = self._run.machine_of(whole)
        self._size += len(entry["transcript"]) + sum(map(len, entry["sources"].values()))
        return entry


def _data(run: ReportedRun, chosen: _Chosen) -> dict[str, Any]:
    """Return the data for the page's script, without the evidence."""
    rules, level_of = catalogue.clauses(), _levels(run)
    return {
        "signs": {kind: sign for kind, (sign, *_) in SIGNS.items()},
        "calm": list(CALM),
        "rules": {
            clause: {
                "level": level_of[clause],
                "text": rule.text,
                "source": rule.source,
                "applies": [
                    *rule.applies.capabilities,
                    *rule.applies.features,
                    *(f"no {one}" for one in rule.applies.lacks),
                ],
            }
            for _, clause, _ in run.results.held()
            if (rule := rules.get(clause))
        },
        "held": {
            driver: {
                clause: {
                    "kind": held.kind,
                    "name": held.labelled(SIGNS[held.kind][1]),
                    "look": _look(held),
                    "level": held.level,
                    "reason": held.why,
                    "failures": told(held),
                    "fingerprints": list(held.fingerprints),
                    "tests": list(held.tests),
                    "evidence": chosen.of.get((driver, clause), []),
                    "left_out": chosen.left_out.get((driver, clause), 0),
                }
                for clause, held in about.clauses.items()
            }
            for driver, about in run.results.drivers.items()
        },
    }
