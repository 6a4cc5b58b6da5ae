# SPDX-License-Identifier: GPL-2.0-only
"""Many workers in one process: ``python -m tests.cluster.many NUMBER SCHEDULER``."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import tempfile
from typing import Any


async def work(number: int, url: str) -> None:
    """Work for the scheduler at ``url`` until it is gone."""
    distributed: Any = importlib.import_module("distributed")
    with tempfile.TemporaryDirectory() as folder:
        async with contextlib.AsyncExitStack() as started:
            workers = [
                await started.enter_async_context(
                    distributed.Worker(
                        url, nthreads=1, name=f"w{n}", local_directory=folder, memory_limit=0
                    )
                )
                for n in range(number)
            ]
            await asyncio.gather(*(one.finished() for one in workers))


if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1]), sys.argv[2]))
