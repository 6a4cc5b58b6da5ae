# SPDX-License-Identifier: GPL-2.0-only
"""What the commands of this package share: options that choose tests, and how they end."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence

from fixtures.errors import RunError
from fixtures.kernel import DEFAULT, FLAVOURS
from workflows.step import Selection

CANNOT = 2  # exit status: nothing can be said
INTERRUPTED = "interrupted; the same command goes on from here"


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what is run in each step."""
    parser.add_argument("--drivers", default="", help="separated by commas or blanks (all)")
    parser.add_argument("--suites", default="", help="folders of suites/ (all)")
    parser.add_argument("--flavour", default=DEFAULT, choices=FLAVOURS)
    parser.add_argument("--jobs", default="auto", help="machines at the same time")
    parser.add_argument("--pytest", default="", help="more options for pytest")


def selection_of(asked: argparse.Namespace, *more: str) -> Selection:
    """Return what the options chose; ``more`` are further options for pytest.

    Raises SpecError.
    """
    selection = Selection(
        drivers=words(asked.drivers),
        suites=words(asked.suites),
        flavour=asked.flavour,
        jobs=asked.jobs,
        words=(*shlex.split(asked.pytest), *more),
    )
    selection.check()
    return selection


def words(option: str) -> tuple[str, ...]:
    """Return the words of a variable of make; blanks or commas separate them."""
    return tuple(filter(None, re.split(r"[\s,]+", option)))


def run_main(main: Callable[[Sequence[str]], int], cannot: int = CANNOT) -> int:
    """Run ``main`` on the command line; what a person did wrong is one line, and ``cannot``."""
    try:
        return main(sys.argv[1:])
    except SystemExit as ended:  # argparse has said why, and would end with 2
        return cannot if ended.code else 0
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\n{INTERRUPTED}", file=sys.stderr)
    return cannot
