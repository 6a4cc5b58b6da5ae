# SPDX-License-Identifier: GPL-2.0-only
"""A run, loaded from its folder: its results (docs/results.md), and the files beside them.

All text is clean (``fixtures.untrusted``) once it is here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fixtures import untrusted
from fixtures.errors import RunError
from fixtures.record import model
from fixtures.record.model import DEVIATES, KNOWN, TOLERATED, Failure, Judgement, Kind, Results
from fixtures.record.results import file_name

CALM: tuple[Kind, ...] = ("conforms", "not_applicable")  # these need no attention

CUT_SHORT = "the run was cut short; these are its results until then"

# Lines of a transcript from the kernel: its log or, after a death, its console.
SAID_BY_KERNEL = re.compile(r"^ {4}(?:kernel|console): (.*)$", re.MULTILINE)
CONSOLE_LINES = 150  # shown of a console: its end


@dataclass(frozen=True)
class File:
    """A file of the run."""

    path: Path
    name: str  # below the run's folder

    @property
    def size(self) -> int:
        """Its bytes; 0 if the file cannot be read, which ``text`` reports."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def text(self) -> str:
        """Return its content, clean.

        Raises RunError if it cannot be read.
        """
        try:
            return untrusted.decode(self.path.read_bytes())
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be read: {error.strerror}; make the folder readable"
            ) from error


@dataclass(frozen=True)
class TestFiles:
    """The files of one test, with its parameters."""

    test: str  # the test's id, without parameters
    parameters: str
    transcript: File
    reproducers: Mapping[str, File]  # by suffix; only tests with a deviation have some

    @property
    def name(self) -> str:
        """The test's id, with its parameters as in the names of files."""
        return f"{self.test}[{self.parameters}]"


@dataclass(frozen=True)
class ReportedRun:
    """A run, and where its files are."""

    folder: Path
    name: str
    results: Results

    def evidence(self, driver: str, clause: str) -> tuple[TestFiles, ...]:
        """Return the evidence for ``clause`` of ``driver``: tests that deviated come first."""
        found = [
            one
            for test in self.results.drivers[driver].clauses[clause].tests
            for one in self.of_test(driver, test)
        ]
        return tuple(sorted(found, key=lambda one: (not one.reproducers, one.name)))

    def of_test(self, driver: str, test: str) -> list[TestFiles]:
        """Return the files of ``test``, which has no parameters, for ``driver``."""
        found = self._evidence.get(file_name(test), ())
        return [one for one in found if driver in one.parameters.split("-")]

    @functools.cached_property
    def _evidence(self) -> dict[str, list[TestFiles]]:
        """All transcripts with their reproducers, by the name of their test's files."""
        tests = {file_name(test): test for _, _, held in self.results.held() for test in held.tests}
        by_test: dict[str, list[TestFiles]] = {}
        reproducers: dict[str, dict[str, File]] = {}
        for path in self._files("reproducers/*"):
            reproducers.setdefault(path.stem, {})[path.suffix[1:]] = self._file(path)
        for path in self._files("transcripts/*.txt"):
            test, _, parameters = path.name.removesuffix(".txt").partition("[")
            by_test.setdefault(test, []).append(
                TestFiles(
                    test=tests.get(test, test),
                    parameters=parameters.removesuffix("]"),
                    transcript=self._file(path),
                    reproducers=reproducers.get(path.name.removesuffix(".txt"), {}),
                )
            )
        return by_test

    @functools.cached_property
    def consoles(self) -> Mapping[str, File]:
        """The consoles of the run's machines."""
        paths = self._files("machines/*/console.log")
        return {path.parent.name: self._file(path) for path in paths}

    def machine_of(self, transcript: str) -> str:
        """Return the machine whose console has a line of ``transcript``, if any."""
        said = SAID_BY_KERNEL.findall(transcript)
        return next((self._said_by[line] for line in reversed(said) if line in self._said_by), "")

    @functools.cached_property
    def _said_by(self) -> dict[str, str]:
        """The machine, by lines that only its console has; timestamps make most lines unique."""
        machines: dict[str, set[str]] = {}
        for name, console in self.consoles.items():
            for line in console.text().splitlines():
                machines.setdefault(line, set()).add(name)
        return {line: next(iter(names)) for line, names in machines.items() if len(names) == 1}

    def _files(self, pattern: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(pattern) if path.is_file())

    def _file(self, path: Path) -> File:
        return File(path, path.relative_to(self.folder).as_posix())


def part(clause: str) -> str:
    """Return the part of the protocol that ``clause`` belongs to."""
    return clause.partition(".")[0]


def told(held: Judgement) -> list[str]:
    """Return a line for each failure, with its tests."""
    return [f"{_word(one)}: {one.test}: {one}".replace(": : ", ": ") for one in held.failures]


def _word(failure: Failure) -> str:
    if failure.known:
        return KNOWN
    return TOLERATED if failure.tolerated and failure.verdict == DEVIATES else failure.verdict


def load(folder: Path) -> ReportedRun:
    """Return the run whose results lie in ``folder``.

    Raises RunError if there are none, or their schema is unknown.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder; name that of a run, as make check makes them")
    return ReportedRun(folder, folder.resolve().name, model.load(folder, untrusted.clean))
