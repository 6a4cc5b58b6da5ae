# SPDX-License-Identifier: GPL-2.0-only
"""One step of a bisect: compare a kernel's value with the good one.

    git bisect run sh -c 'cd ~/suite || exit 255; .venv/bin/python -m workflows.bisect_step \\
        --tree=~/linux --drivers=mtty --behaviour=precopy_info.flags.v2 --good=zeroed
        status=$?; case $status in 0|3|125) exit $status;; esac; exit 255'

Exit status for ``git bisect run``: 0 good, 3 bad, 125 skip, and 255, which ends the bisect, if no
kernel can be judged. Bad is not 1, because a Python that fails to start also ends with 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fixtures.errors import SpecError
from fixtures.kernel import parse
from fixtures.progress import Progress
from fixtures.record.compare import NOTHING
from fixtures.record.model import VARIES
from workflows import step
from workflows import subject as subjects
from workflows.command import add_selection, run_main, selection_of, words
from workflows.measure import measure

GOOD, BAD, SKIP, ABORT = 0, 3, 125, 255
UNSAID = (NOTHING, VARIES)  # values that mean skip, unless --good is that very value


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="bisect_step", description="Judge one kernel.")
    parser.add_argument("--tree", required=True, help="the kernel: any kernel spec")
    parser.add_argument("--good", required=True, help="the value at a good kernel, one word")
    subjects.add_options(parser)
    add_selection(parser)
    asked = parser.parse_args(argv)
    if not asked.good:
        raise SpecError("GOOD= is missing: the value at a good kernel, such as zeroed or conforms")
    subject = subjects.of(asked, words(asked.drivers))
    if asked.good not in (*subject.words_for_it, *UNSAID):
        known = ", ".join(subject.words_for_it)
        raise SpecError(f"GOOD={asked.good}: {subject} is one of {known}")
    selection = selection_of(asked, *subject.words)
    spec, progress = parse(asked.tree), Progress()
    measured = measure(
        lambda again: step.run(spec, selection, asked.tree, progress, again=again), subject
    )
    if not measured.value or (measured.value in UNSAID and measured.value != asked.good):
        print(f"skip: {measured.reason or measured.value}")
        return SKIP
    good = measured.value == asked.good
    print(f"{'good' if good else 'bad'}: {subject.title}: {measured.value}")
    return GOOD if good else BAD


if __name__ == "__main__":
    sys.exit(run_main(main, cannot=ABORT))
