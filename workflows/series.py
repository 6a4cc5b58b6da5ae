# SPDX-License-Identifier: GPL-2.0-only
"""A series of patches on a base: the commits of a pre-merge run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures.errors import SpecError
from fixtures.git import GitFailed, git, is_ancestor, no_repository, path, raw
from fixtures.kernel.spec import RefSpec, kernel_commit
from fixtures.paths import named
from fixtures.progress import Progress
from workflows import mails
from workflows.mails import Patch

_HUNK = re.compile(r"^error: patch failed: (.+)$", re.MULTILINE)
_FILE = re.compile(r"^error: (.+: (?:does not exist in index|already exists in .*))$", re.MULTILINE)
_OTHER = re.compile(r"^error: (.+)$", re.MULTILINE)
# Apply to the index, whatever the user's settings for white space are.
_AS_IT_IS = ("--cached", "--whitespace=nowarn", "--no-ignore-whitespace")
# The committer is part of the commit id: a resumed job needs the same ids.
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
        """The first 12 digits of the id."""
        return self.id[:12]


@dataclass(frozen=True)
class Series:
    """A base and the patches on top of it, each a commit of the repository ``tree``."""

    tree: Path
    base: str  # as the user named it
    commits: tuple[Commit, ...]

    def spec(self, commit: Commit) -> RefSpec:
        """Return the kernel spec of ``commit``."""
        return RefSpec.of_commit(self.tree, commit.id)


def repository(text: str) -> Path:
    """Return the path of the kernel repository ``text``.

    Raises SpecError if it is not a git repository.
    """
    if not text:
        raise SpecError("TREE= is missing: a git repository of the kernel")
    tree = named(text).resolve()
    if not tree.is_dir():
        raise SpecError(f"TREE={text}: {'is not a' if tree.exists() else 'no such'} folder")
    if why := no_repository(tree):
        raise SpecError(f"TREE={text}: {why}")
    return tree


def load(tree: Path, base: str, series: str, progress: Progress) -> Series:
    """Return the series that ``series`` names: a mailbox, or a range such as ``v7.1..topic``.

    ``base`` may be "" with a range. Patches of a mailbox become commits; the user's branches, index
    and checkout stay untouched.

    Raises SpecError if something named is missing, or a patch does not apply.
    """
    if not series:
        raise SpecError("SERIES= is missing: a mailbox, or a range BASE..TIP")
    mailbox = named(series)
    if mailbox.is_file():
        if not base:
            raise SpecError("BASE= is missing: the commit that the patches apply to")
        start = kernel_commit(tree, base)
        tip = _apply(tree, start, base, mailbox.resolve(), progress)
    elif ".." in series and not series.startswith(("/", "~", "./", "../")):
        left, _, right = series.partition("..")
        if right.startswith("."):
            raise SpecError(f"SERIES={series}: a range has two dots, BASE..TIP")
        left = left or base or "HEAD"
        start, tip = kernel_commit(tree, left), kernel_commit(tree, right or "HEAD")
        if base and kernel_commit(tree, base) != start:
            raise SpecError(f"BASE={base} and SERIES={series} begin at different commits")
        base = left
    else:
        why = "is not a file" if mailbox.exists() else "no such file"
        raise SpecError(f"SERIES={series}: {why}; a series is a mailbox, or a range BASE..TIP")
    # CI passes full ids, which are too long for a report.
    name = start[:12] if base == start else base
    return Series(tree, name, _commits(tree, start, tip, name, series))


def _commits(tree: Path, start: str, tip: str, base: str, series: str) -> tuple[Commit, ...]:
    span = f"{start}..{tip}"
    if git(tree, "rev-list", "--merges", "--max-count=1", span).strip():
        raise SpecError(f"SERIES={series}: contains a merge; a series must be linear: rebase it")
    # Not splitlines(): a subject may contain line ends that only Python knows.
    lines = git(tree, "log", "--reverse", "--format=%H %s", span).split("\n")[:-1]
    if not lines:
        raise SpecError(f"SERIES={series}: has no commit on top of {base}")
    if not is_ancestor(tree, start, tip):
        raise SpecError(
            f"SERIES={series}: is not on top of {base}; rebase it, or name another BASE"
        )
    subjects = [(start, git(tree, "log", "-1", "--format=%s", start).strip())]
    # An id has 40 digits, or 64.
    subjects += [(commit, text) for commit, _, text in (line.partition(" ") for line in lines)]
    return tuple(Commit(number, *about) for number, about in enumerate(subjects))


def _apply(tree: Path, start: str, base: str, mailbox: Path, progress: Progress) -> str:
    """Make a commit of each patch of ``mailbox``, the first on ``start``; return the last one's id.

    This needs only an index, a temporary one. No files are checked out, so that neither files in a
    worktree nor git's settings to convert files have an effect.
    """
    patches = mails.read(mailbox, progress)
    repository = path(tree, "--absolute-git-dir")
    with (
        tempfile.TemporaryDirectory() as place,
        progress.step(f"applying {mailbox.name}") as step,
    ):
        index = _Index(Path(place), repository)
        index.git("read-tree", start)
        tip = start
        for done, patch in enumerate(patches):
            step.update(f"{done} of {len(patches)} patches")
            try:
                index.git("apply", *_AS_IT_IS, "-", stdin=patch.diff)
                tip = index.commit(patch, tip)
            except GitFailed as failed:
                raise SpecError(f"{mailbox}: {_why_not(failed.said, patch, base)}") from failed
    return tip


@dataclass(frozen=True)
class _Index:
    """A temporary index of ``repository`` in the folder ``place``, without a checkout."""

    place: Path
    repository: Path  # the git folder

    def git(self, *arguments: str, stdin: bytes = b"", **environment: str) -> str:
        """Run git with this index.

        Raises GitFailed.
        """
        ours = {
            "GIT_DIR": str(self.repository),
            "GIT_WORK_TREE": str(self.place),
            "GIT_INDEX_FILE": str(self.place / "index"),
        }
        command = ("-c", "core.splitIndex=false", "-c", "core.sparseCheckout=false", *arguments)
        printed = raw(self.place, *command, stdin=stdin, environment=ours | environment)
        return printed.decode().strip()

    def commit(self, patch: Patch, parent: str) -> str:
        """Commit the index, and return the commit's id.

        Raises GitFailed.
        """
        # A partial clone lacks objects that the patches do not touch.
        content = self.git("write-tree", "--missing-ok")
        message = patch.subject.encode() + b"\n\n" + patch.message
        who = {
            "GIT_AUTHOR_NAME": patch.author,
            "GIT_AUTHOR_EMAIL": patch.address,
            "GIT_AUTHOR_DATE": patch.date,
            "GIT_COMMITTER_DATE": patch.date,
        }
        utf8 = ("-c", "i18n.commitEncoding=UTF-8")
        commit = ("commit-tree", "--no-gpg-sign", "-p", parent, content)
        return self.git(*utf8, *commit, stdin=message, **who, **_COMMITTER)


def _why_not(said: str, patch: Patch, base: str) -> str:
    """Return the message that ``patch`` does not apply, with the hunks that fail."""
    where: Sequence[str] = [f"the hunk at {place}" for place in _HUNK.findall(said)]
    where = where or _FILE.findall(said) or _OTHER.findall(said)[:1] or said.splitlines()[:1]
    detail = ": " + ", ".join(where) if where else ""
    if patch.flowed:
        detail += "; the mail is format=flowed, which breaks diffs: get the series with b4 am"
    return f"patch {patch.number}, {patch.subject!r}, does not apply to {base}{detail}"
