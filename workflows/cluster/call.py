# SPDX-License-Identifier: GPL-2.0-only
"""One call of a function on one worker; another thread may end the wait for its result."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

_TO_FETCH = 5.0  # seconds until it looks whether the result is wanted; a host may hang meanwhile


class Lost(Exception):
    """The worker is gone, or its process died."""


class LinkLost(Lost):
    """The job's own link to the scheduler broke, and all calls with it."""


class Call:
    """A call that was sent to the worker at ``address``, with ``packed`` arguments."""

    def __init__(self, distributed: Any, client: Any, address: str, packed: bytes) -> None:
        self._killed: type[Exception] = distributed.scheduler.KilledWorker
        self._woken = threading.Event()
        self._error: Exception | None = None
        bound = {"workers": [address], "allow_other_workers": False, "pure": False}
        self._asked = client.submit(_by_value(), packed, **bound)
        # All callbacks of Dask share one thread, where a result must not be waited for.
        self._asked.add_done_callback(lambda _: self._woken.set())

    def end(self, error: Exception) -> None:
        """End the wait for the result with ``error``."""
        self._error = self._error or error
        self._woken.set()

    def result(self) -> Any:
        """Wait for the result, and return it.

        Raises what the function raises, Lost, and the error of ``end``.
        """
        self._woken.wait()
        fetched = False
        try:
            while self._error is None:
                with contextlib.suppress(_NotYet):
                    result = self._fetch()
                    fetched = True
                    return result
            raise self._error
        finally:
            if not fetched:
                with contextlib.suppress(Exception):  # the scheduler is gone
                    self._asked.cancel()

    def _fetch(self) -> Any:
        try:
            return self._asked.result(timeout=_TO_FETCH)
        except self._killed as error:
            raise Lost("the worker died") from error
        except CancelledError as error:
            raise LinkLost("the cluster has lost it") from error
        except TimeoutError as error:
            if self._asked.status == "error":  # it is the function's own
                raise
            raise _NotYet from error


class _NotYet(Exception):
    """The result is not here yet."""


def _by_value() -> Callable[[bytes], Any]:
    """Return the function that a task is.

    Schedulers look into tasks, and need not have this project: it is not a name of a module.
    """

    def call(packed: bytes) -> Any:
        import importlib
        import pickle

        child = importlib.import_module("workflows.cluster.child")
        return child.in_child(*pickle.loads(packed))

    return call


def packed(*arguments: object) -> bytes:
    """Return the arguments of ``child.in_child`` as a call takes them."""
    return pickle.dumps(arguments)
