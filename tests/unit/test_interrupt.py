# SPDX-License-Identifier: GPL-2.0-only
"""A Ctrl-C that arrives at an instruction without a line ends a run as any other does."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import FunctionType

import pytest

from fixtures.paths import CHECKOUT
from fixtures.plugin import interrupt

pytest_plugins = ["pytester"]

TEST = """
    import signal
    from tests.unit.test_interrupt import without_lines

    def waits():
        signal.raise_signal(signal.SIGINT)

    def test_it():
        try:
            raise ValueError("before")
        except ValueError:
            without_lines(waits)()

    def test_after():
        raise AssertionError("it went on")
"""


def without_lines(function: Callable[[], None]) -> Callable[[], None]:
    """Return ``function``, none of whose instructions has a line."""
    code = function.__code__
    # Entries of eight code units of two bytes, without a location: Objects/locations.md of CPython.
    table = bytes([0x80 | 15 << 3 | 7]) * (len(code.co_code) // 16 + 1)
    return FunctionType(code.replace(co_linetable=table), function.__globals__)


def test_a_run_ends(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    pytester.makepyfile(TEST)
    done = pytester.runpytest_subprocess("-p", interrupt.__name__)
    assert done.ret == pytest.ExitCode.INTERRUPTED, done.stdout.str()
    assert "KeyboardInterrupt" in done.stdout.str()
    assert "it went on" not in done.stdout.str()


def test_the_errors_before_it_are_named() -> None:
    def fails() -> None:
        raise ValueError("before")

    def interrupted() -> None:
        try:
            without_lines(fails)()
        except ValueError as error:
            raise KeyboardInterrupt from error

    with pytest.raises(KeyboardInterrupt) as seen:
        interrupted()
    interrupt.name_lines(seen.value)
    before = seen.value.__cause__
    assert before is not None
    *_, last = traceback.extract_tb(before.__traceback__)
    assert (last.name, last.lineno) == ("fails", fails.__code__.co_firstlineno)
    assert "ValueError: before" in str(seen.getrepr())
