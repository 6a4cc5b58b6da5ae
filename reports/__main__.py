# SPDX-License-Identifier: GPL-2.0-only
"""Show a run's results in other formats.

    python -m reports FOLDER [FORMAT ...]

FOLDER is that of a run, results/latest for instance. Writes a file for each FORMAT into it, or
prints the table; without a FORMAT, writes all files. Commas may separate formats, too. Ends with 0,
whatever the run learnt, and with 2 where a report cannot be made.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from fixtures.errors import RunError
from fixtures.paths import named
from fixtures.record import table
from fixtures.terminal import show_any_character
from reports import html, junit, kcidb, ktap, nipa
from reports.run import CUT_SHORT, ReportedRun, load

FILES: dict[str, tuple[str, Callable[[ReportedRun], str]]] = {
    "html": ("report.html", html.render),
    "junit": ("junit.xml", junit.render),
    "ktap": ("report.ktap", ktap.render),
    "kcidb": ("kcidb.json", kcidb.render),
    "nipa": ("nipa.json", nipa.render),
}
TABLE = "table"
FORMATS = (*FILES, TABLE)
HELP = ("help", "-h", "--help")


def main(argv: list[str]) -> int:
    """Make the reports that ``argv`` asks for, and return the exit status."""
    asked = list(filter(None, re.split(r"[\s,]+", " ".join(argv[1:]))))
    if {*argv[:1], *asked} & set(HELP):
        print(__doc__, "The formats:", *_formats(), sep="\n")
        return 0
    show_any_character()
    try:
        _report(argv[0] if argv else "", asked)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _formats() -> list[str]:
    """Return a line for each format: its name, its file, and what its module says it is."""
    made = [(name, file, sys.modules[render.__module__]) for name, (file, render) in FILES.items()]
    made.append((TABLE, "(printed)", table))
    titles = [re.split(r"[:\n]", str(module.__doc__))[0] for *_, module in made]
    return [
        f"  {name:6} {file:12} {title}" for (name, file, _), title in zip(made, titles, strict=True)
    ]


def _report(folder: str, asked: list[str]) -> None:
    if not folder:
        raise RunError("which run? python -m reports results/latest")
    formats = list(dict.fromkeys(asked)) or list(FILES)
    if wrong := [name for name in formats if name not in FORMATS]:
        raise RunError(f"{wrong[0]} is no format; choose from {', '.join(FORMATS)}")
    run = load(named(folder))
    for name in formats:
        if name == TABLE:
            print(*table.render(run.results), sep="\n")
            if not run.results.complete:
                print(f"incomplete: {CUT_SHORT}")
        else:
            file, renderer = FILES[name]
            print(_write(run.folder / file, renderer(run)))


def _write(path: Path, content: str) -> Path:
    """Write ``content`` to ``path`` atomically.

    Raises RunError if that is not possible.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(content, encoding="utf-8")
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(
            f"{path} cannot be written: {error.strerror}; copy the run's folder to where you may"
            " write"
        ) from error
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
