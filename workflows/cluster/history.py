# SPDX-License-Identifier: GPL-2.0-only
"""Commits of a kernel's tree on their way to a worker: git bundles of what it lacks.

A worker keeps what it got in one bare repository in its cache, so that each commit travels once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures import cache, git, holding, paths
from fixtures.errors import SpecError
from fixtures.progress import Progress

# More commits than this are several hundred megabytes: a clone of one's own is faster.
MOST_COMMITS = 50_000
_TIPS = 2000  # that a worker tells: the newest
_LEFT = 24 * 3600  # seconds after which nobody sends more of a bundle
RECEIVED = "received"  # a folder of the cache
_REF = "refs/received"
PIECE = 8 << 20  # bytes of a bundle that travel at once: Dask is not made for large messages


class TooMuch(SpecError):
    """A host lacks so much of a history that it does not travel."""


@dataclass(frozen=True)
class Have:
    """What a host has got by name: the ids of commits; ``place`` is its repository."""

    place: Path
    tips: Sequence[str]


def repository() -> Path:
    """Return the repository of what this host has got; it is made on first use."""
    place = paths.cache() / RECEIVED / "kernels.git"
    with cache.locked("received", Progress()):
        if not (place / "HEAD").exists():
            place.mkdir(parents=True, exist_ok=True)
            git.git(place, "init", "--quiet", "--bare")
        holding.hold(place)
    return place


def have() -> Have:
    """Return what this host has got: the newest commits."""
    place = repository()
    listed = git.git(
        place,
        *("for-each-ref", f"--count={_TIPS}", "--sort=-creatordate"),
        "--format=%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)",
    )
    return Have(place, listed.split())


def append(name: str, at: int, piece: bytes) -> None:
    """Write a piece of the bundle ``name`` at the offset ``at``, in bytes."""
    file = _incoming(name)
    file.parent.mkdir(exist_ok=True)
    if not at:
        _remove_what_was_left(file.parent)
    try:
        with file.open("r+b" if at else "wb") as bundle:
            bundle.seek(at)
            bundle.write(piece)
    except OSError:  # the disk is full
        file.unlink(missing_ok=True)
        raise


def receive(commit: str, name: str) -> None:
    """Take in ``commit``, and all that it needs, from the bundle ``name``.

    Raises GitFailed.
    """
    place, file = repository(), _incoming(name)
    try:
        fetch = ("fetch", "--quiet", "--no-tags", str(file))
        git.git(place, *fetch, f"+{_REF}/*:{_REF}/*")
    finally:
        file.unlink(missing_ok=True)
    git.git(place, "cat-file", "-e", f"{commit}^{{commit}}")


def _remove_what_was_left(folder: Path) -> None:
    """Remove pieces of bundles whose jobs were killed on the way."""
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > _LEFT:
                file.unlink()


def _incoming(name: str) -> Path:
    return repository() / "incoming" / name


def check(tree: Path) -> None:
    """Check that commits of ``tree`` can travel.

    Raises SpecError.
    """
    if git.git(tree, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise SpecError(
            f"{tree} is a shallow clone, whose commits cannot be sent to other hosts;"
            f" `git -C {tree} fetch --unshallow` brings the rest"
        )


def bundle(tree: Path, commit: str, there: Have, host: str) -> bytes:
    """Return what ``host``, which has ``there``, needs for ``commit`` of ``tree``; b"" for nothing.

    Nothing in ``tree`` is touched: so it is no ``git bundle create``, which wants a ref for each
    commit. The form is that of gitformat-bundle(5), version 2.

    Raises TooMuch, and GitFailed.
    """
    known = _known(tree, there.tips)
    without = "".join(f"^{one}\n" for one in known).encode()
    asked = f"{commit}\n".encode() + without
    listed = git.raw(tree, "rev-list", "--boundary", "--stdin", stdin=asked).decode().split()
    needs = [one[1:] for one in listed if one.startswith("-")]
    number = len(listed) - len(needs)
    if number > MOST_COMMITS:
        raise TooMuch(
            f"{host} lacks {number} commits of {tree}; there, once:"
            f" git -C {there.place} fetch URL 'refs/tags/v*:refs/tags/v*'"
        )
    if not number:
        return b""
    pack = ("pack-objects", "--quiet", "--revs", "--thin", "--delta-base-offset", "--stdout")
    header = ["# v2 git bundle", *(f"-{one}" for one in needs), f"{commit} {_REF}/{commit}", "", ""]
    return "\n".join(header).encode() + git.raw(tree, *pack, stdin=asked)


def _known(tree: Path, commits: Sequence[str]) -> list[str]:
    """Return those of ``commits`` that ``tree`` has."""
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    told = git.raw(tree, "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    lines = (line.split() for line in told.decode().splitlines())
    return [name for name, kind in lines if kind == "commit"]
