# SPDX-License-Identifier: GPL-2.0-only
"""A driver's recorded values in all kept runs, the oldest first.

python -m workflows.history --driver=mlx5 --behaviour=precopy_info.reinit
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fixtures import paths
from fixtures.errors import RunError
from fixtures.kernel import DEFAULT
from fixtures.paths import CHECKOUT
from fixtures.record import compare, model
from fixtures.record.compare import NOTHING
from fixtures.record.model import KernelAbout
from workflows import subject as subjects
from workflows.command import run_main, words
from workflows.subject import Subject

RESULTS = CHECKOUT / "results"
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-")


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
    for when, kernel, value, shown in rows:
        lineage = _tree(kernel), kernel.flavour
        before = previous.setdefault(lineage, value)
        mark = "" if value == before else f"   was {before}"
        print(f"  {when}  {_name(kernel):{width}}  {shown}{mark}")
        previous[lineage] = value
    return 0


def _rows(root: Path, subject: Subject) -> Iterator[tuple[str, KernelAbout, str, str]]:
    """Yield time, kernel, value and text of each run below ``root`` that has a value."""
    assert subject.kind is not None  # TESTS= was refused
    folders = {
        path.parent
        for path in root.rglob("results.yaml")
        # Skip the project's own tests: they break kernels on purpose.
        if _TIME.match(path.parent.name) and root / "tests" not in path.parents
    }
    for folder in sorted(folders, key=lambda path: path.name):
        found = _TIME.match(folder.name)
        assert found is not None
        year, month, day, hour, minute, second = found.groups()
        try:
            results = model.load(folder)
        except RunError:  # of another schema
            continue
        value = compare.value(results, subject.driver, subject.kind, subject.name)
        ours = _tree(results.kernel).is_relative_to(paths.cache())  # the benchmark's
        if value != NOTHING and not ours:
            when = f"{year}-{month}-{day} {hour}:{minute}:{second}"
            held = results.drivers[subject.driver].clauses.get(subject.name)
            yield when, results.kernel, value, held.labelled(value) if held else value


def _tree(about: KernelAbout) -> Path:
    return Path(about.spec.partition("@")[0]).expanduser()


def _name(about: KernelAbout) -> str:
    flavour = "" if about.flavour == DEFAULT else f", {about.flavour}"
    return f"{about.spec} ({about.release}{flavour})"


if __name__ == "__main__":
    sys.exit(run_main(main, interrupted="nothing was changed"))
