# SPDX-License-Identifier: GPL-2.0-only
"""Jobs that are not finished, and what each needs to go on: ``make prune`` leaves that alone.

Each has a file in ``results/unfinished``: its command, then a line for each file or folder. A job
that was stopped, or killed, leaves its file; the same command goes on, and removes it at its end.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fixtures import untrusted
from fixtures.paths import CHECKOUT

FOLDER = CHECKOUT / "results" / "unfinished"

_current: list[Path] = []  # the file of this process's job


@dataclass
class Job:
    """A job; it is ``finished`` if nothing is left for the same command to do."""

    finished: bool = False


@dataclass(frozen=True)
class Left:
    """A job that is running, or was left unfinished."""

    file: Path
    command: str
    needs: frozenset[Path]


@contextmanager
def job(name: str, key: str, argv: Sequence[str]) -> Iterator[Job]:
    """Note, while the block runs, what the job ``name`` needs; ``key`` is the same when it resumes.

    If the block leaves the job unfinished, the notes stay.
    """
    file = FOLDER / f"{name}-{key}"
    with contextlib.suppress(OSError):  # a full disk: the job itself says so
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(f"{shlex.join([name, *argv])}\n", encoding="utf-8")
    job = Job()
    try:
        with noted_in([file]):
            yield job
    finally:
        if job.finished or (left := _read(file)) is None or not left.needs:
            file.unlink(missing_ok=True)


@contextmanager
def noted_in(jobs: Sequence[Path]) -> Iterator[None]:
    """Note in the files of ``jobs`` (``files``), perhaps another process's, what is needed."""
    _current.extend(jobs)
    try:
        yield
    finally:
        del _current[len(_current) - len(jobs) :]


def files() -> list[Path]:
    """Return the files of this process's jobs."""
    return list(_current)


def needs(*paths: Path) -> None:
    """Note that this process's job needs ``paths``, if it has a job."""
    note(_current[-1:], *paths)


def note(jobs: Sequence[Path], *paths: Path) -> None:
    """Note in the files of ``jobs`` (``files``) that these need ``paths``."""
    for job in jobs:
        left = _read(job)
        fresh = [str(path.resolve()) for path in paths if left and path.resolve() not in left.needs]
        if fresh:
            with contextlib.suppress(OSError), job.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in fresh))


def left() -> list[Left]:
    """Return the jobs that are not finished."""
    found = (_read(path) for path in sorted(FOLDER.glob("[!.]*")))
    return [one for one in found if one]


def needed(path: Path, jobs: Iterable[Left]) -> bool:
    """Return whether one of ``jobs`` needs ``path``, or something in it."""
    return any(path == one or path in one.parents for job in jobs for one in job.needs)


def _read(file: Path) -> Left | None:
    try:
        command, *lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):  # gone, or empty
        return None
    return Left(file, untrusted.clean_line(command), frozenset(map(Path, lines)))
