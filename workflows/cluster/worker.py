# SPDX-License-Identifier: GPL-2.0-only
"""A worker for jobs of other hosts: it makes one step at a time, in this checkout.

    python -m workflows.cluster.worker tcp://head:8786

It ends with SIGTERM or Ctrl-C. If its scheduler goes away, it tries to find it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from fixtures import cache
from fixtures.errors import SpecError
from workflows.cluster.connection import Dask, checked, is_loopback
from workflows.command import run_main

_AGAIN = 5.0  # seconds until it looks for its scheduler again


def main(argv: Sequence[str]) -> int:
    """Work until a signal comes.

    Raises SpecError.
    """
    parser = argparse.ArgumentParser(prog="worker", description="Carry out steps of other hosts.")
    parser.add_argument("scheduler", help="its URL, such as tcp://head:8786")
    parser.add_argument("--name", default="", help="of this host, in reports")
    parser.add_argument("--host", default="", help="the address that the scheduler reaches")
    parser.add_argument("--port", type=int, default=0, help="that it reaches (any)")
    parser.add_argument("--reached-at", default="", help="if that is another URL for it")
    parser.add_argument("--keys", action="store_true", help="come by standard input, and its end")
    asked = parser.parse_args(argv)
    if not asked.scheduler:
        raise SpecError("CLUSTER= is missing: the scheduler's URL, such as tcp://head:8786")
    modules = Dask.there()
    url = asked.scheduler if asked.keys else checked(modules, asked.scheduler)
    options: dict[str, Any] = {
        "nthreads": 1,
        "memory_limit": 0,  # the steps' machines are no memory of the worker
        "name": asked.name or f"{socket.gethostname()}-{os.getpid()}",
        "host": asked.host or None,
        "port": asked.port or None,
        "contact_address": asked.reached_at or None,
        "dashboard_address": "127.0.0.1:0",
    }
    if asked.keys:
        options["security"] = modules.distributed.Security(**json.loads(sys.stdin.readline()))
        options["host"] = "tls://127.0.0.1"
    elif url.startswith("tls:"):
        options["security"] = modules.distributed.Security()
    else:  # whoever reaches it can run programs
        options["host"] = asked.host or "127.0.0.1"
        if not is_loopback(options["host"]):
            raise SpecError(f"--host={asked.host}: without certificates it must be of loopback")
    with cache.scratch() as folder:
        asyncio.run(_work(modules, url, options | {"local_directory": str(folder)}, asked.keys))
    return 0


async def _work(modules: Dask, url: str, options: dict[str, Any], until_eof: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if until_eof:

        def at_eof() -> None:
            loop.remove_reader(sys.stdin)
            ended.set()

        loop.add_reader(sys.stdin, at_eof)
    stop = asyncio.create_task(ended.wait())
    with (
        modules.dask.config.set({"distributed.worker.http.routes": []}),
        modules.distributed.utils.silence_logging_cmgr(logging.ERROR),
    ):
        while not ended.is_set():
            serving = asyncio.create_task(_serve(modules, url, options))
            await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
            why = "it went away"
            try:
                await serving
            except asyncio.CancelledError:
                pass
            except Exception as error:  # Dask has many for a scheduler that does not take it
                why = str(error.__cause__ or error).partition("\n")[0]
            if not ended.is_set():
                print(f"{url}: {why}; trying again", file=sys.stderr, flush=True)
                await asyncio.wait([stop], timeout=_AGAIN)


async def _serve(modules: Dask, url: str, options: dict[str, Any]) -> None:
    async with modules.distributed.Worker(url, **options) as worker:
        print(f"works for {url}", file=sys.stderr, flush=True)
        await worker.finished()


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted=""))
