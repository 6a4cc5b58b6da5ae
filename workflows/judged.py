# SPDX-License-Identifier: GPL-2.0-only
"""What pre-merge runs said of a posted series and of each of its patches, for other systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from fixtures.paths import CHECKOUT
from fixtures.record.compare import Effect
from fixtures.yaml_loader import LOADER
from reports import links
from workflows.step import Stage

Data = Mapping[str, Any]

RESULTS = CHECKOUT / "results" / "premerge"
URL = "REPORT_URL"  # in the environment: where results/premerge can be read
_NOT_THE_PATCH_S = (Stage.OUT_OF_TIME.value, Stage.NOT_MADE.value)


class Outcome(Enum):
    """What became of a patch, or of a series."""

    GOOD = "good"
    UNSURE = "unsure"  # it could not be judged
    BAD = "bad"


@dataclass(frozen=True)
class Verdict:
    """An outcome, in one line; ``done`` is False as long as the job can be resumed."""

    outcome: Outcome
    summary: str
    done: bool = True


def of_series(data: Data) -> Verdict:
    """Return the verdict on the series of ``data``, a ``premerge.yaml``."""
    outcome = {0: Outcome.GOOD, 1: Outcome.BAD}.get(data["status"], Outcome.UNSURE)
    if _complete(data):
        return Verdict(outcome, data["verdict"])
    judged = max(len([one for one in data["steps"] if one["stage"] == Stage.JUDGED.value]) - 1, 0)
    so_far = f"{judged} of {data['patches']} patches judged"
    if outcome is Outcome.BAD:
        return Verdict(outcome, f"{data['verdict']}; {so_far}")
    return Verdict(Outcome.UNSURE, so_far, done=False)


def of_patch(data: Data, step: Data) -> Verdict:
    """Return the verdict on one ``step`` of ``data``, that of a patch.

    What is wrong with the whole series, and with no patch of it, is the last one's.
    """
    found = _of_step(data, step)
    if step["number"] < data["patches"] or data["status"] != 1 or found.outcome is Outcome.BAD:
        return found
    others = [_of_step(data, one).outcome for one in data["steps"][1:]]
    return found if Outcome.BAD in others else Verdict(Outcome.BAD, data["verdict"])


def _of_step(data: Data, step: Data) -> Verdict:
    if step["stage"] == Stage.NOT_MADE.value:
        return Verdict(Outcome.UNSURE, step["problem"] or "not judged yet", done=False)
    found = [one for one in step["changes"] if not one["expected"]]
    worse = [one for one in found if one["effect"] == Effect.WORSE.value]
    said = []
    if step["problem"]:
        said.append(f"{step['stage']}: {step['problem']}")
    if worse:
        said.append(f"{len(worse)} changed for the worse: {_named(worse[0])}")
    if worse or (step["problem"] and step["stage"] not in _NOT_THE_PATCH_S):
        return Verdict(Outcome.BAD, "; ".join(said))
    unjudged = [one for one in found if one["effect"] == Effect.UNJUDGED.value]
    if step["problem"] or unjudged:
        said += [f"could not be judged: {_named(one)}" for one in unjudged[:1]]
        return Verdict(Outcome.UNSURE, "; ".join(said))
    return Verdict(Outcome.GOOD, "nothing changed for the worse")


def steps(data: Data) -> dict[str, Data]:
    """Return the steps of patches that were posted, by their Message-IDs."""
    return {one["message_id"]: one for one in data["steps"] if one.get("message_id")}


def of_mail(data: Data | None, message_id: str) -> Verdict:
    """Return the verdict on the patch that was posted as ``message_id``; ``data`` may know it."""
    if data is None:
        return Verdict(Outcome.UNSURE, "not judged yet", done=False)
    if step := steps(data).get(message_id):
        return of_patch(data, step)
    whole = of_series(data)  # nothing more comes if not even the base could be judged
    return whole if whole.done else Verdict(Outcome.UNSURE, "not judged yet", done=False)


def newest(*message_ids: str) -> tuple[Path, Data] | None:
    """Return the newest pre-merge run on a series with one of these mails, None without one.

    The first value is its folder.
    """
    for path in sorted(RESULTS.glob("*/premerge.yaml"), key=_written, reverse=True):
        try:
            data = yaml.load(path.read_bytes(), LOADER)
        except (OSError, yaml.YAMLError):
            continue
        if not isinstance(data, dict) or not data.get("posting"):
            continue  # a range, or of an earlier version
        if {data["posting"]["message_id"], *steps(data)} & {*message_ids}:
            return path.parent, data
    return None


def page(folder: Path) -> str:
    """Return where the report in ``folder`` can be read by others, "" if nobody says so.

    Raises SpecError if what says so is no URL.
    """
    base = links.base(URL, "results/premerge")
    return f"{base}/{folder.name}/report.html" if base else ""


def _written(path: Path) -> int:
    """Return when ``path`` was written, 0 if it is gone; names of folders have only seconds."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _named(change: Data) -> str:
    return f"{change['driver']}: {change['name'] or change['kind']}"


def _complete(data: Data) -> bool:
    """Return whether nothing is left to be judged."""
    stages = [one["stage"] for one in data["steps"]]
    first_failed = stages[:1] != [Stage.JUDGED.value]
    whole = len(stages) > data["patches"] or (first_failed and bool(stages))
    return whole and Stage.NOT_MADE.value not in stages
