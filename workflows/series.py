# SPDX-License-Identifier: GPL-2.0-only
"""A series of patches on top of a base: the commits that a pre-merge run goes through."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from mailbox import mbox
from pathlib import Path

from fixtures import cache
from fixtures.errors import SpecError
from fixtures.git import GitFailed, git, is_ancestor, no_repository
from fixtures.kernel import source
from fixtures.kernel.spec import RefSpec, kernel_commit
from fixtures.progress import Progress

_HUNK = re.compile(r"^error: patch failed: (.+)$", re.MULTILINE)
_FILE = re.compile(r"^error: (.+: (?:does not exist in index|already exists in .*))$", re.MULTILINE)
_STOPPED = re.compile(r"^Patch failed at (\d+) (.*)$", re.MULTILINE)
_OTHER = re.compile(r"^error: (.+)$", re.MULTILINE)
_NUMBERED = re.compile(r"\[[^]]*\b(\d+)/\d+\]")
_COVER = re.compile(r"^Subject: \[[^]]*\b0+/\d+\]", re.MULTILINE)
# Who commits is part of a commit's id, and must be the same when a job is taken up again.
_COMMITTER = {
    "GIT_COMMITTER_NAME": "vfio conformance",
    "GIT_COMMITTER_EMAIL": "vfio-conformance@localhost",
}


@dataclass(frozen=True)
class Commit:
    """A state of the tree: ``number`` 0 is the base, 1 the first patch."""

    number: int
    id: str
    subject: str

    @property
    def short(self) -> str:
        """The first digits of its id."""
        return self.id[:12]


@dataclass(frozen=True)
class Series:
    """A base and the patches on top of it, each a commit of the repository ``tree``."""

    tree: Path
    base: str  # as it was named
    commits: tuple[Commit, ...]

    def spec(self, commit: Commit) -> RefSpec:
        """Return the kernel spec of ``commit``."""
        return RefSpec.of_commit(self.tree, commit.id)


def repository(text: str) -> Path:
    """Return the repository of a kernel that ``text`` names.

    Raises SpecError where it is none.
    """
    tree = Path(text).expanduser().resolve()
    if not text or not tree.is_dir():
        raise SpecError(f"TREE={text}: is no git repository of the kernel")
    if why := no_repository(tree):
        raise SpecError(f"TREE={text}: is no git repository of the kernel: {why}")
    return tree


def load(tree: Path, base: str, series: str, progress: Progress) -> Series:
    """Return the series that ``series`` names: a mailbox, or a range such as ``v7.1..topic``.

    ``base`` may be "" where a range says it. Patches of a mailbox become commits in a worktree of
    ours; no branch, index or checkout of the person's is touched.

    Raises SpecError: there is no such thing, or a patch does not apply.
    """
    mailbox = Path(series).expanduser()
    if series and mailbox.is_file():
        if not base:
            raise SpecError("BASE= is missing: the commit that the patches apply to")
        start = kernel_commit(tree, base)
        tip = _apply(tree, start, base, mailbox.resolve(), progress)
    elif ".." in series and not series.startswith(("/", "~", "./", "../")):
        left, _, right = series.partition("..")
        if right.startswith("."):
            raise SpecError(f"SERIES={series}: a range has two dots, BASE..TIP")
        start, tip = kernel_commit(tree, left or "HEAD"), kernel_commit(tree, right or "HEAD")
        if base and kernel_commit(tree, base) != start:
            raise SpecError(f"BASE={base} and SERIES={series} begin at different commits")
        base = left or "HEAD"
    else:
        raise SpecError(f"SERIES={series}: neither a mailbox that is there nor a range BASE..TIP")
    # A whole id, as CI names a commit, is nothing to read out.
    name = start[:12] if base == start else base
    return Series(tree, name, _commits(tree, start, tip, name, series))


def _commits(tree: Path, start: str, tip: str, base: str, series: str) -> tuple[Commit, ...]:
    span = f"{start}..{tip}"
    if git(tree, "rev-list", "--merges", "--max-count=1", span).strip():
        raise SpecError(f"SERIES={series}: holds a merge; a series is one patch after the other")
    # A subject may hold what Python, but not git, takes for the end of a line.
    lines = git(tree, "log", "--reverse", "--format=%H %s", span).split("\n")[:-1]
    if not lines:
        raise SpecError(f"SERIES={series}: there is nothing in it on top of {base}")
    if not is_ancestor(tree, start, tip):
        raise SpecError(
            f"SERIES={series}: is not on top of {base}; rebase it, or name another BASE"
        )
    subjects = [(start, git(tree, "log", "-1", "--format=%s", start).strip())]
    subjects += [(line[:40], line[41:]) for line in lines]
    return tuple(Commit(number, *about) for number, about in enumerate(subjects))


def _apply(tree: Path, start: str, base: str, mailbox: Path, progress: Progress) -> str:
    """Apply the patches of ``mailbox`` to the commit ``start``, and return the last commit's id."""
    with cache.locked(source.lock_of(source.worktree_lineage(tree)), progress):
        folder = source.worktree(tree, start, base, progress)
        # A run that was killed may have left one half done.
        _quietly(folder, "am", "--abort")
        with progress.step(f"applying {mailbox.name}"):
            try:
                git(
                    folder,
                    *("-c", "commit.gpgSign=false", "-c", "apply.whitespace=nowarn"),
                    *(
                        "am",
                        "--quiet",
                        "--no-3way",
                        "--empty=drop",
                        "--committer-date-is-author-date",
                    ),
                    str(mailbox),
                    **_COMMITTER,
                )
            except GitFailed as failed:
                _quietly(folder, "am", "--abort")
                raise SpecError(_why_not(failed.said, mailbox, base)) from failed
        tip = git(folder, "rev-parse", "HEAD").strip()
        _check_none_is_missing(folder, start, tip, mailbox)
        return tip


def _check_none_is_missing(tree: Path, start: str, tip: str, mailbox: Path) -> None:
    """Raise SpecError where mails are numbered as patches, and git saw no diff in one of them."""
    subjects = [str(mail["subject"] or "") for mail in mbox(mailbox, create=False)]
    numbers = {int(found[1]) for found in map(_NUMBERED.match, subjects) if found} - {0}
    made = int(git(tree, "rev-list", "--count", f"{start}..{tip}"))
    if made < len(numbers):
        raise SpecError(
            f"{mailbox}: {len(numbers)} mails are numbered as patches, and git finds {made} with a"
            " diff (one may be HTML, or cut); get the series with b4 am"
        )


def _quietly(folder: Path, *arguments: str) -> None:
    with contextlib.suppress(GitFailed):
        git(folder, *arguments)


def _why_not(said: str, mailbox: Path, base: str) -> str:
    """Return which patch does not apply, and which hunk of it."""
    where: Sequence[str] = [f"the hunk at {place}" for place in _HUNK.findall(said)]
    where = where or _FILE.findall(said) or _OTHER.findall(said)[:1]
    stopped = _STOPPED.search(said)
    if not stopped:
        return f"{mailbox}: git am: {said.splitlines()[0] if said else 'failed'}"
    number, subject = stopped.groups()
    # git counts the cover letter, which it drops.
    cover = bool(_COVER.search(mailbox.read_text(errors="replace")))
    detail = ": " + ", ".join(where) if where else ""
    return f"{mailbox}: patch {int(number) - cover}, {subject!r}, does not apply to {base}{detail}"
