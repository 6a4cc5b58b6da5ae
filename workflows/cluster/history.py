# SPDX-License-Identifier: GPL-2.0-only
"""Commits of a kernel's tree on their way to a worker: git bundles of what it lacks.

A worker keeps what it got in one bare repository in its cache, so that each commit travels once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fixtures import cache, git, paths
from fixtures.errors import SpecError
from fixtures.progress import Progress

# More commits than this are several hundred megabytes: a clone of one's own is faster.
MOST_COMMITS = 50_000
_TIPS = 2000  # that a worker tells: the newest
_REF = "refs/received"


def repository() -> Path:
    """Return the repository of what this host has got; it is made on first use."""
    place = paths.cache() / "received.git"
    with cache.locked("received", Progress()):
        if not (place / "HEAD").exists():
            place.mkdir(parents=True, exist_ok=True)
            git.git(place, "init", "--quiet", "--bare")
    return place


def tips() -> list[str]:
    """Return the ids of the newest commits that this host has got by name."""
    listed = git.git(
        repository(),
        *("for-each-ref", f"--count={_TIPS}", "--sort=-creatordate"),
        "--format=%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)",
    )
    return listed.split()


def receive(commit: str, bundle: bytes) -> None:
    """Take in ``commit``, and all that it needs, from ``bundle``.

    Raises GitFailed.
    """
    place = repository()
    with cache.scratch() as folder:
        file = folder / "bundle"
        file.write_bytes(bundle)
        fetch = ("fetch", "--quiet", "--no-tags", str(file))
        git.git(place, *fetch, f"+{_REF}/*:{_REF}/*")
    git.git(place, "cat-file", "-e", f"{commit}^{{commit}}")


def bundle(tree: Path, commit: str, there: Sequence[str], host: str) -> bytes:
    """Return what ``host``, which has ``there``, needs for ``commit`` of ``tree``; b"" for nothing.

    Nothing in ``tree`` is touched.

    Raises SpecError if that cannot travel.
    """
    with cache.scratch() as folder:
        # A bundle has named commits, and names in the user's repository are theirs.
        git.git(folder, "init", "--quiet", "--bare")
        objects = git.path(tree, "--path-format=absolute", "--git-path", "objects")
        (folder / "objects/info/alternates").write_text(f"{objects}\n", encoding="utf-8")
        if git.git(tree, "rev-parse", "--is-shallow-repository").strip() == "true":
            raise SpecError(
                f"{tree} is a shallow clone, whose commits cannot be sent to {host}; there,"
                f" `git -C {tree} fetch --unshallow` brings the rest"
            )
        git.git(folder, "update-ref", f"{_REF}/{commit}", commit)
        known = _known(folder, there)
        lacks = ["--stdin", commit]
        without = "".join(f"^{one}\n" for one in known).encode()
        number = int(git.raw(folder, "rev-list", "--count", *lacks, stdin=without))
        if not number:
            return b""
        if number > MOST_COMMITS:
            raise SpecError(
                f"{host} lacks {number} commits of {tree}; there, once: git -C"
                " ~/.cache/vfio-conformance/received.git fetch URL 'refs/tags/v*:refs/tags/v*'"
            )
        made = ("bundle", "create", "--quiet", "-", f"{_REF}/{commit}", "--stdin")
        return git.raw(folder, *made, stdin=without)


def _known(tree: Path, commits: Sequence[str]) -> list[str]:
    """Return those of ``commits`` that ``tree`` has."""
    asked = "".join(f"{commit}\n" for commit in commits).encode()
    told = git.raw(tree, "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    lines = (line.split() for line in told.decode().splitlines())
    return [name for name, kind in lines if kind == "commit"]
