# SPDX-License-Identifier: GPL-2.0-only
"""Tell a patchwork server what pre-merge said of each patch of a series.

    PATCHWORK_TOKEN=... python -m workflows.patchwork_check --series-id=123 \\
        --server=https://patchwork.kernel.org

Nothing is built or tested: the newest results of `make premerge` on the series' mails count. A
patch without a verdict is pending; one that has a verdict on the server is not put back to that.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

from fixtures import untrusted
from fixtures.errors import SpecError
from workflows import judged
from workflows.command import run_main
from workflows.judged import Outcome, Verdict
from workflows.patchwork import Check, PostedPatch, Server

TOKEN = "PATCHWORK_TOKEN"  # in the environment
CONTEXT = "vfio-conformance"
PENDING = "pending"
_STATE = {Outcome.GOOD: "success", Outcome.UNSURE: "warning", Outcome.BAD: "fail"}


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="patchwork_check", description="Checks for patchwork.")
    parser.add_argument("--series-id", default="", help="the number of the series there")
    parser.add_argument("--server", default="", help="the URL of the server")
    asked = parser.parse_args(argv)
    if not re.fullmatch(r"[0-9]{1,12}", asked.series_id):
        what = f"={asked.series_id}: is not" if asked.series_id else "= is missing:"
        raise SpecError(f"SERIES_ID{what} the number that the server has for the series")
    if not asked.server:
        raise SpecError("SERVER= is missing: for instance https://patchwork.kernel.org")
    token = os.environ.get(TOKEN, "")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise SpecError(f"{TOKEN} in the environment must hold your token (see your profile there)")
    server = Server(asked.server, token)
    series = server.series(int(asked.series_id))
    if not series.patches:
        raise SpecError(f"SERIES_ID={asked.series_id}: has no patch")
    found = judged.newest(*series.message_ids)
    url = judged.page(found[0]) if found else ""
    for patch in series.patches:
        verdict = judged.of_mail(found[1] if found else None, patch.message_id)
        _tell(server, patch, _check(verdict, url))
    return 0


def _check(verdict: Verdict, url: str) -> Check:
    state = _STATE[verdict.outcome] if verdict.done else PENDING
    return Check(state, CONTEXT, untrusted.clean_line(verdict.summary), url)


def _tell(server: Server, patch: PostedPatch, check: Check) -> None:
    """Add ``check`` to ``patch``, unless the server has it, or knows more.

    Raises RunError.
    """
    last = server.last_check(patch, CONTEXT)
    if last == check:
        said = " (as before)"
    elif last and last.state != PENDING and check.state == PENDING:
        said = f" (stays {last.state})"
    else:
        server.add_check(patch, check)
        said = ""
    line = f"patch {patch.number}: {check.state}{said}: {check.description}: {patch.name}"
    print(untrusted.clean_line(line), flush=True)


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="the same command tells the rest"))
