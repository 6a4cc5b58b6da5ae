# SPDX-License-Identifier: GPL-2.0-only
"""A series of patches on a base: the commits of a pre-merge run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fixtures.errors import SpecError
from fixtures.git import GitFailed, git, has_commit, is_ancestor, no_repository, path, raw
from fixtures.kernel.spec import RefSpec, kernel_commit
from fixtures.paths import named
from fixtures.progress import Progress
from workflows.mail import b4, source
from workflows.mail.mailbox import Patch
from workflows.mail.thread import Posting

_HUNK = re.compile(r"^error: patch failed: (.+)$", re.MULTILINE)
_FILE = re.compile(r"^error: (.+: (?:does not exist in index|already exists in .*))$", re.MULTILINE)
_OTHER = re.compile(r"^error: (.+)$", re.MULTILINE)
_KINDS = "a mailbox, a maildir, a message-id, a lore URL, or a range BASE..TIP"
_ABOUT = "%H%x00%an <%ae>%x00%s"  # a commit
_LOOKED_AT = "--max-count=500"  # commits that are searched for a patch
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
    author: str = ""  # name and address
    message_id: str = ""  # of the patch's mail

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
    posting: Posting | None = None  # how it was posted; a range was not
    base_from: str = ""  # where the base is from, if the user did not name it
    lacks: tuple[str, ...] = ()  # patch ids that the author names and the base does not have

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


def load(tree: Path, base: str, series: str, progress: Progress, version: str = "") -> Series:
    """Return the series that ``series`` names: a range such as ``v7.1..topic``, or a posted one.

    ``base`` may be "" if the series says where it belongs. Posted patches become commits; the
    user's branches, index and checkout stay untouched. ``version`` is for a posted series with
    several.

    Raises SpecError if something named is missing, or a patch does not apply.
    """
    if not series:
        raise SpecError(f"SERIES= is missing: {_KINDS}")
    place = named(series)
    if place.exists() or source.is_remote(series):
        if place.exists() and not (place.is_file() or _is_maildir(place)):
            raise SpecError(f"SERIES={series}: is not a file or a maildir; a series is {_KINDS}")
        return _posted(tree, base, source.load(series, version, progress), series, progress)
    if ".." not in series or series.startswith(("/", "~", "./", "../")):
        raise SpecError(f"SERIES={series}: no such file; a series is {_KINDS}")
    if version:
        raise SpecError(f"VERSION={version}: SERIES={series} is a range, which has one version")
    left, _, right = series.partition("..")
    if right.startswith("."):
        raise SpecError(f"SERIES={series}: a range has two dots, BASE..TIP")
    left = left or base or "HEAD"
    start, tip = kernel_commit(tree, left), kernel_commit(tree, right or "HEAD")
    if base and kernel_commit(tree, base) != start:
        raise SpecError(f"BASE={base} and SERIES={series} begin at different commits")
    name = _name(left, start)
    return Series(tree, name, _commits(tree, start, tip, name, series))


def _is_maildir(place: Path) -> bool:
    return any((place / name).is_dir() for name in ("cur", "new"))


def _name(base: str, start: str) -> str:
    # CI passes full ids, which are too long for a report.
    return start[:12] if base == start else base


def _posted(tree: Path, base: str, posting: Posting, series: str, progress: Progress) -> Series:
    """Return the posted series as commits.

    Raises SpecError if the base is not known, or a patch does not apply.
    """
    where = ""
    if not base:
        base, where = _base_of(tree, posting)
        progress.note(f"BASE is {base}: {where}")
    start = kernel_commit(tree, base)
    lacks = _lacking(tree, start, posting)
    if lacks:
        named_ones = ", ".join(one[:12] for one in lacks)
        progress.note(f"the author had patches below the series that BASE lacks: {named_ones}")
    name = _name(base, start)
    tip = _apply(tree, start, name, series, posting, lacks, progress)
    plain = _commits(tree, start, tip, name, series)
    ids = ("", *(mail.id for mail in posting.patches))
    commits = tuple(replace(one, message_id=ids[one.number]) for one in plain)
    return Series(tree, name, commits, posting, where, lacks)


def _base_of(tree: Path, posting: Posting) -> tuple[str, str]:
    """Return the commit that ``posting`` is for, and why.

    Raises SpecError if it is not known.
    """
    said = posting.base_commit
    by = "cover letter" if posting.cover else "first patch"
    if said and has_commit(tree, said):
        return kernel_commit(tree, said), f"the base-commit of the {by}"
    why = f"the base-commit of the {by}, {said[:12]}, is not in TREE; fetch it, or give BASE="
    if not said:
        why = f"the {by} has no base-commit"
    try:
        guess, how = b4.guess_base(tree, [mail.contents for mail in posting.patches])
    except SpecError as error:
        raise SpecError(f"BASE= is missing: {why}; to guess one, {error}") from error
    if not guess:
        raise SpecError(f"BASE= is missing: {why}; b4 guesses none; the commit that it is for")
    return guess, f"guessed by b4, {how}, as {why.partition(';')[0]}"


def _lacking(tree: Path, start: str, posting: Posting) -> tuple[str, ...]:
    """Return the patch ids that ``posting`` needs and that are not below ``start``."""
    if not posting.prerequisites:
        return ()
    said = posting.base_commit
    # The author's base has none of them.
    below = f"{said}..{start}" if said and has_commit(tree, said) else start
    settings = ("-c", "diff.noprefix=false", "-c", "diff.algorithm=default", "-c", "diff.context=3")
    log = ("log", "--patch", "--no-merges", "--full-index", "--no-ext-diff", "--no-textconv")
    printed = raw(tree, *settings, *log, _LOOKED_AT, below)
    ids = raw(tree, "patch-id", "--stable", stdin=printed).decode().split()[::2]
    return tuple(
        one for one in posting.prerequisites if not any(has.startswith(one) for has in ids)
    )


def _commits(tree: Path, start: str, tip: str, base: str, series: str) -> tuple[Commit, ...]:
    span = f"{start}..{tip}"
    if git(tree, "rev-list", "--merges", "--max-count=1", span).strip():
        raise SpecError(f"SERIES={series}: contains a merge; a series must be linear: rebase it")
    # Not splitlines(): a subject may contain line ends that only Python knows.
    lines = git(tree, "log", "--reverse", f"--format={_ABOUT}", span).split("\n")[:-1]
    if not lines:
        raise SpecError(f"SERIES={series}: has no commit on top of {base}")
    if not is_ancestor(tree, start, tip):
        raise SpecError(
            f"SERIES={series}: is not on top of {base}; rebase it, or name another BASE"
        )
    lines.insert(0, git(tree, "log", "-1", f"--format={_ABOUT}", start).removesuffix("\n"))
    found = (line.split("\0", 2) for line in lines)
    return tuple(
        Commit(number, commit, subject, author)
        for number, (commit, author, subject) in enumerate(found)
    )


def _apply(
    tree: Path,
    start: str,
    base: str,
    series: str,
    posting: Posting,
    lacks: Sequence[str],
    progress: Progress,
) -> str:
    """Make a commit of each patch, the first on ``start``; return the last one's id.

    This needs only an index, a temporary one. No files are checked out, so that neither files in a
    worktree nor git's settings to convert files have an effect.
    """
    patches = [mail.patch for mail in posting.patches]
    repository = path(tree, "--absolute-git-dir")
    with (
        tempfile.TemporaryDirectory() as place,
        progress.step("applying the series") as step,
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
                why = _why_not(failed.said, patch, base)
                if lacks:
                    why += (
                        "; BASE lacks patches that the author had below it (prerequisite-patch-id)"
                    )
                raise SpecError(f"SERIES={series}: {why}") from failed
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
