# SPDX-License-Identifier: GPL-2.0-only
"""The process of a worker's task (``child.py``): it gets the task, and writes its result.

python -m workflows.cluster.task < TASK > RESULT
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from fixtures.errors import RunError
from workflows.stop import on_sigterm


def main() -> None:
    """Carry out the task on standard input, and write its result, or what it raised."""
    found = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed is no part of the result
    on_sigterm()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # workers of this host ignore it
    task, arguments = pickle.load(sys.stdin.buffer)
    outcome: tuple[object, Exception | None]
    try:
        outcome = (task(*arguments), None)
    except Exception as error:
        outcome = (None, _to_send(error))
    with found:
        pickle.dump(outcome, found)


def _to_send(error: Exception) -> Exception:
    """Return ``error``, or one that says the same: some cannot be sent, or are the host's fault."""
    if isinstance(error, OSError):
        return RunError(str(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return (RunError if isinstance(error, RunError) else RuntimeError)(str(error))
    return error


if __name__ == "__main__":
    main()
