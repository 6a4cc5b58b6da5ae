# SPDX-License-Identifier: GPL-2.0-only
"""A run, loaded from its folder: what renderers know of it.

The file's schema is described in docs/results.md. All text is clean (``reports.untrusted``) once
it is here; keys that the schema does not name are passed over, so that a later file can be read.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from fixtures.errors import RunError
from fixtures.record.results import DEVIATES, SCHEMA, file_name
from reports import untrusted

Verdict = Literal["conforms", "deviates", "not_applicable", "broken", "flaky"]
# A verdict, told apart where a deviation was expected: what weighs most first.
Kind = Literal["deviates", "broken", "flaky", "known", "conforms", "not_applicable"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CALM: tuple[Kind, ...] = ("conforms", "not_applicable")  # nothing in these asks for attention

CUT_SHORT = "the run was cut short; this is what it learnt until then"

# Lines of a transcript that the kernel said, of its log or, where it died, of its console.
SAID_BY_KERNEL = re.compile(r"^ {4}(?:kernel|console): (.*)$", re.MULTILINE)
CONSOLE_LINES = 150  # of the end of a console, which is what is shown of it


@dataclass(frozen=True)
class Kernel:
    """The kernel under test."""

    spec: str = "?"
    release: str = "?"
    flavour: str = "default"


@dataclass(frozen=True)
class Machine:
    """What the kernel ran on: a virtual machine, or a remote host."""

    accelerator: str = ""
    qemu: str = ""
    target: str = ""

    def __post_init__(self) -> None:
        if bool(self.qemu) != bool(self.accelerator):
            raise ValueError("qemu and accelerator go together")

    def __str__(self) -> str:
        return f"QEMU {self.qemu} {self.accelerator}" if self.qemu else self.target


@dataclass(frozen=True)
class Held:
    """A clause held against a driver."""

    verdict: Verdict
    tests: tuple[str, ...]
    expected: bool = False
    reason: str = ""
    fingerprints: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """The verdict, or ``known`` where it is a deviation that was expected."""
        return "known" if self.verdict == DEVIATES and self.expected else self.verdict


@dataclass(frozen=True)
class Driver:
    """What was learnt of one driver."""

    realization: str
    capabilities: tuple[str, ...]
    behaviours: Mapping[str, str]
    clauses: Mapping[str, Held]
    counts: Mapping[str, int]
    absent: str = ""

    @property
    def kinds(self) -> Counter[Kind]:
        """How many clauses there are of each kind."""
        return Counter(held.kind for held in self.clauses.values())


@dataclass(frozen=True)
class File:
    """A file of the run."""

    path: Path
    name: str  # below the run's folder

    @property
    def size(self) -> int:
        """How many bytes it has; 0 where that cannot be told, as reading it will say."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def text(self) -> str:
        """Return what is in it, clean.

        Raises RunError where it cannot be read.
        """
        try:
            return untrusted.decode(self.path.read_bytes())
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be read: {error.strerror}; make the folder readable"
            ) from error


@dataclass(frozen=True)
class Evidence:
    """The files of one test, with its parameters."""

    test: str  # the test's id, without parameters
    parameters: str
    transcript: File
    reproducers: Mapping[str, File]  # by suffix; a test that found no deviation has none

    @property
    def name(self) -> str:
        """The test's id, its parameters as they are in the names of files."""
        return f"{self.test}[{self.parameters}]"


@dataclass(frozen=True)
class Run:
    """A run, and where its files are."""

    folder: Path
    name: str
    complete: bool
    kernel: Kernel
    machine: Machine
    drivers: Mapping[str, Driver]
    contents: Mapping[str, Any]  # results.yaml as plain data

    @property
    def title(self) -> str:
        """The kernel under test, for a heading."""
        flavour = "" if self.kernel.flavour == "default" else f", flavour {self.kernel.flavour}"
        return f"{self.kernel.spec} ({self.kernel.release}){flavour}"

    def held(self) -> Iterator[tuple[str, str, Held]]:
        """Give every driver, clause, and how the one was held against the other."""
        for name, driver in self.drivers.items():
            for clause, held in driver.clauses.items():
                yield name, clause, held

    def evidence(self, driver: str, clause: str) -> tuple[Evidence, ...]:
        """Return what there is on ``clause`` of ``driver``: first the tests that deviated."""
        found = [
            one
            for test in self.drivers[driver].clauses[clause].tests
            for one in self._evidence.get(file_name(test), ())
            if driver in one.parameters.split("-")
        ]
        return tuple(sorted(found, key=lambda one: (not one.reproducers, one.name)))

    @functools.cached_property
    def _evidence(self) -> dict[str, list[Evidence]]:
        """All transcripts with what belongs to them, by what their test's files are called."""
        tests = {file_name(test): test for _, _, held in self.held() for test in held.tests}
        by_test: dict[str, list[Evidence]] = {}
        reproducers: dict[str, dict[str, File]] = {}
        for path in self._files("reproducers/*"):
            reproducers.setdefault(path.stem, {})[path.suffix[1:]] = self._file(path)
        for path in self._files("transcripts/*.txt"):
            test, _, parameters = path.name.removesuffix(".txt").partition("[")
            by_test.setdefault(test, []).append(
                Evidence(
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
        """Return which machine's console has a line that is in ``transcript``, or nothing."""
        said = SAID_BY_KERNEL.findall(transcript)
        return next((self._said_by[line] for line in reversed(said) if line in self._said_by), "")

    @functools.cached_property
    def _said_by(self) -> dict[str, str]:
        """The machine, by the lines that are on its console alone: times make most of them so."""
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
    """Return the part of the protocol that ``clause`` is of."""
    return clause.partition(".")[0]


@dataclass(frozen=True)
class _Contents:
    """What ``results.yaml`` must hold."""

    schema: Literal[1]
    complete: bool
    kernel: Kernel
    machine: Machine
    drivers: Mapping[str, Driver]


_CONTENTS = TypeAdapter(_Contents)


def load(folder: Path) -> Run:
    """Return the run whose results lie in ``folder``.

    Raises RunError where there are none, or none of the schema that is known.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder; name that of a run, results/latest for instance")
    path = folder / "results.yaml"
    data = _plain(path)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise RunError(
            f"{path} is not a results file of schema {SCHEMA}; name the folder of a run that"
            " `make check` made"
        )
    try:
        contents = _CONTENTS.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where, why = ".".join(map(str, first["loc"])), untrusted.one_line(first["msg"])
        raise RunError(f"{path}: {where}: {why}; docs/results.md says how it must be") from error
    return Run(
        folder=folder,
        name=folder.resolve().name,
        complete=contents.complete,
        kernel=contents.kernel,
        machine=contents.machine,
        drivers=contents.drivers,
        contents=data,
    )


def _plain(path: Path) -> Any:
    """Return what the YAML file ``path`` holds, its text clean."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _clean(yaml.load(path.read_bytes(), Loader=loader))
    except FileNotFoundError as error:
        raise RunError(
            f"{path.parent} holds no results.yaml; name the folder of a run, results/latest for"
            " instance"
        ) from error
    except OSError as error:
        raise RunError(
            f"{path} cannot be read: {error.strerror}; make it readable, or name another run"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is garbled"
        raise RunError(
            f"{path}{line}: not YAML: {untrusted.one_line(untrusted.clean(str(why)))};"
            " name another run, or make this one again"
        ) from error


def _clean(data: Any) -> Any:
    if isinstance(data, str):
        return untrusted.clean(data)
    if isinstance(data, list):
        return [_clean(one) for one in data]
    if isinstance(data, dict):
        return {_clean(key): _clean(value) for key, value in data.items()}
    return data
