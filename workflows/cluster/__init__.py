# SPDX-License-Identifier: GPL-2.0-only
"""Steps beside each other, by Dask distributed: ``local:2``, ``ssh:hosts.txt``, ``tcp://head:8786``.

=================  ================================================================
``connection.py``  starts or finds the workers
``ssh.py``         starts workers by ssh
``workers.py``     gives each worker one step at a time, and notices lost ones
``child.py``       on the worker: a process that makes a step, and how it ends
``task.py``        that process
``shared.py``      workers that share this checkout and its results
``apart.py``       workers of other hosts: what travels to them, and back
``away.py``        what these do for a job
``host.py``        which hosts may judge a job together
``history.py``     commits as git bundles
``worker.py``      ``make worker``
=================  ================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fixtures.errors import SpecError
from fixtures.progress import Progress
from workflows.cluster import connection
from workflows.runner import Here, Runner


@contextmanager
def runner(text: str, progress: Progress) -> Iterator[Runner]:
    """Yield the runner that CLUSTER= names; "" is this process.

    Raises SpecError.
    """
    if not text:
        yield Here(progress)
    elif found := re.fullmatch(r"local:([1-9][0-9]?)", text):
        with connection.on_this_host(int(found[1])) as made:
            yield made
    elif text.startswith(("tcp://", "tls://")):
        with connection.by_scheduler(text) as made:
            yield made
    elif text.startswith("ssh:"):
        with connection.by_ssh(text) as made:
            yield made
    else:
        raise SpecError(
            f"CLUSTER={text}: is neither local:N, N workers on this host, nor ssh:FILE, nor the URL"
            " of a scheduler, such as tcp://head:8786"
        )
