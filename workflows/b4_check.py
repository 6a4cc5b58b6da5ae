# SPDX-License-Identifier: GPL-2.0-only
"""Tell b4 what pre-merge said of a series: a mail on stdin, JSON on stdout.

    git config b4.review-series-check-cmd \\
        "env -C $HOME/suite .venv/bin/python -m workflows.b4_check"
    git config b4.review-perpatch-check-cmd \\
        "env -C $HOME/suite .venv/bin/python -m workflows.b4_check --patch"

Nothing is built or tested: the newest results of `make premerge` on the series of that mail count.
A mail that it does not know has no results, which is an empty list.
"""

from __future__ import annotations

import argparse
import email
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fixtures.errors import RunError
from fixtures.progress import Progress
from reports import premerge as report
from workflows import judged
from workflows.command import run_main
from workflows.judged import Data, Outcome

TOOL = "vfio-conformance"
_STATUS = {Outcome.GOOD: "pass", Outcome.UNSURE: "warn", Outcome.BAD: "fail"}


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="b4_check", description="Results of a series, for b4.")
    parser.add_argument("--patch", action="store_true", help="of the one patch, not of the series")
    asked = parser.parse_args(argv)
    header = email.message_from_bytes(sys.stdin.buffer.read()).get("message-id", "")
    message_id = "".join(str(header).split()).strip("<>")
    if not message_id:
        raise RunError("stdin has no mail with a Message-ID; b4 gives one to its check commands")
    found = judged.newest(message_id)
    results = _results(*found, message_id, asked.patch) if found else []
    print(json.dumps(results, indent=2))
    if not found:
        Progress().note(f"no results for <{message_id}> in {judged.RESULTS}")
    return 0


def _results(folder: Path, data: Data, message_id: str, of_patch: bool) -> list[dict[str, Any]]:
    """Return what b4 is told of the mail."""
    if of_patch:
        step = judged.steps(data).get(message_id)
        if step is None:
            return []
        verdict, details = judged.of_patch(data, step), _changes(step)
    else:
        verdict, details = judged.of_series(data), report.text(data)
    result = {
        "tool": TOOL,
        "status": _STATUS[verdict.outcome],
        "summary": verdict.summary,
        "details": details,
    }
    if url := judged.page(folder):
        result["url"] = url
    return [result]


def _changes(step: Data) -> str:
    """Return a line for each change that the patch makes."""
    lines = [step["problem"]] if step["problem"] else []
    for one in step["changes"]:
        expected = " (expected)" if one["expected"] else ""
        change = f"{one['name']}: {one['before']} -> {one['after']}".removeprefix(": ")
        lines.append(f"{one['effect']}: {one['driver']}: {change}{expected}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_main(main))
