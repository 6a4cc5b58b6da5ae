# SPDX-License-Identifier: GPL-2.0-only
"""A driver's recorded values in all kept runs, the oldest first, and a page with a picture of them.

    python -m workflows.history --drivers=mlx5 --behaviour=precopy_info.reinit

The page is results/history/DRIVER-NAME.html.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from fixtures import paths
from fixtures.durable import write_whole
from fixtures.errors import RunError
from fixtures.kernel import DEFAULT
from fixtures.paths import CHECKOUT
from fixtures.record import catalogue, compare, kept, model
from fixtures.record.catalogue import Behaviour, Clause
from fixtures.record.compare import NOTHING, ChangeKind
from fixtures.record.model import KernelAbout
from reports import history_page
from reports.history_page import Seen
from workflows import subject as subjects
from workflows.command import run_main, words
from workflows.subject import Subject

RESULTS = CHECKOUT / "results"


def main(argv: Sequence[str]) -> int:
    """Carry out the command line and return the exit status.

    Raises RunError.
    """
    parser = argparse.ArgumentParser(prog="history", description="Show recorded values over time.")
    parser.add_argument("--drivers", default="", help="one driver")
    parser.add_argument("--results", default=str(RESULTS), help="the folder of the runs")
    subjects.add_options(parser)
    asked = parser.parse_args(argv)
    subject = subjects.of(asked, words(asked.drivers), tests=False)
    rows = list(_rows(Path(asked.results), subject))
    if not rows:
        raise RunError(f"no run below {asked.results} has a value for {subject}")
    print(subject)
    width = max(len(_name(kernel)) for _, kernel, *_ in rows)
    # Compare only runs of the same tree and flavour.
    previous: dict[tuple[Path, str], str] = {}
    seen = []
    for when, kernel, value, shown in rows:
        lineage = _tree(kernel), kernel.flavour
        before = previous.setdefault(lineage, value)
        was = "" if value == before else before
        mark = f"   was {was}" if was else ""
        print(f"  {when}  {_name(kernel):{width}}  {shown}{mark}")
        previous[lineage] = value
        seen.append(Seen(when, _lane(kernel), _name(kernel), value, shown, was))
    print(f"page: {_write(Path(asked.results), subject, seen)}", file=sys.stderr)
    return 0


def _write(root: Path, subject: Subject, seen: Sequence[Seen]) -> Path:
    """Write the page, and return its path.

    Raises RunError if that fails.
    """
    known: Mapping[str, Clause | Behaviour] = (
        catalogue.clauses() if subject.kind is ChangeKind.CLAUSE else catalogue.behaviours()
    )
    folder = root / "history"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / f"{subject.driver}-{subject.name}.html"
        write_whole(page, history_page.render(subject.title, known[subject.name].text, seen))
    except OSError as error:
        raise RunError(f"{folder}: the page cannot be written: {error.strerror}") from error
    return page


def _rows(root: Path, subject: Subject) -> Iterator[tuple[datetime, KernelAbout, str, str]]:
    """Yield time, kernel, value and text of each run below ``root`` that has a value."""
    assert subject.kind is not None  # TESTS= was refused
    for folder in kept.runs(root):
        try:
            results = model.load(folder)
        except RunError:  # of another schema
            continue
        value = compare.value(results, subject.driver, subject.kind, subject.name)
        ours = _tree(results.kernel).is_relative_to(paths.cache())  # the benchmark's
        if value != NOTHING and not ours:
            when = kept.began(folder.name)
            assert when is not None  # else it would be no run
            held = results.drivers[subject.driver].clauses.get(subject.name)
            yield when, results.kernel, value, held.labelled(value) if held else value


def _tree(about: KernelAbout) -> Path:
    return Path(about.spec.partition("@")[0]).expanduser()


def _lane(about: KernelAbout) -> str:
    """Return the name of the kernels whose runs are compared: the tree and the flavour."""
    tree = about.spec.partition("@")[0]
    return tree if about.flavour == DEFAULT else f"{tree}, {about.flavour}"


def _name(about: KernelAbout) -> str:
    flavour = "" if about.flavour == DEFAULT else f", {about.flavour}"
    return f"{about.spec} ({about.release}{flavour})"


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="nothing was changed"))
