# SPDX-License-Identifier: GPL-2.0-only
"""Make a git history of the PRECOPY_INFOv2 series from a kernel's source.

    python -m tests.history.make SOURCE_TREE REPO_FOLDER [--mailbox FILE]

SOURCE_TREE is a kernel with the series, such as Debian's linux-source-7.3; it is not changed.
REPO_FOLDER becomes a git repository, checked out at the branch ``series``:

================  ==============================================================================
``base``          a tag: SOURCE_TREE without the series
``series``        a branch from ``base``: the series, whose last commit equals SOURCE_TREE
``broken-flags``  a branch from ``series``, in which one commit breaks mtty's flags
================  ==============================================================================

The series is also written as a mailbox, by default ``series.mbx`` next to REPO_FOLDER. Commit ids
depend only on SOURCE_TREE.
"""

from __future__ import annotations

import argparse
import email
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures import process
from fixtures.errors import RunError
from fixtures.kernel.spec import is_kernel_tree

PATCHES = Path(__file__).parent
BASE, SERIES, BROKEN_FLAGS = "base", "series", "broken-flags"

COVER = """vfio: Let userspace know of new initial data in PRE_COPY

initial_bytes of VFIO_MIG_GET_PRECOPY_INFO can only decrease, so that a
device that comes by new initial data has no way to tell. Add a flag for
it, and an opt-in that makes flags valid."""

_PERSON = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Test Author"), ("EMAIL", "author@example.com"))
}
_FIRST_DATE = 1767225600  # 2026-01-01 00:00:00 +0000; each commit is an hour after its parent
_HOUR = 3600

# The user's configuration must not change the result: no hooks, attributes or signatures.
_ENVIRONMENT = _PERSON | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
}
# A kernel's source as loose objects takes minutes. If every file counts as "big", git writes all of
# them directly into one pack. The lowest compression is fastest: it still reduces the writes.
_OPTIONS = {
    "core.attributesFile": os.devnull,
    "core.bigFileThreshold": "1",
    "core.compression": "1",
    "core.fsync": "none",
    "checkout.workers": "0",
    "gc.auto": "0",
}

_FAILED = re.compile(r"^error: patch failed: (?P<file>.*):(?P<line>\d+)$", re.MULTILINE)
_MISSING = re.compile(r"^error: (?P<file>.*): does not exist in index$", re.MULTILINE)


class HistoryError(RunError):
    """The history cannot be made from this source or in this folder."""


class GitFailed(HistoryError):
    """git ended with an error; ``said`` is its message."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"git {command} failed: {said}")
        self.said = said


@dataclass(frozen=True)
class Patch:
    """A patch from this folder: subject, message and diff. ``name`` is its file's name."""

    name: str
    message: str
    diff: str

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]

    @property
    def files(self) -> list[str]:
        return re.findall(r"^\+\+\+ b/(.*)$", self.diff, re.MULTILINE)


@dataclass(frozen=True)
class Commit:
    """A commit made from the patch ``name``."""

    name: str
    subject: str
    id: str


@dataclass(frozen=True)
class History:
    """The result: the id of ``base``, and the commits of each branch, oldest first."""

    repository: Path
    base: str
    series: tuple[Commit, ...]
    broken_flags: tuple[Commit, ...]


def read_patches(folder: Path) -> list[Patch]:
    """Return the patches in ``folder``, ordered by name."""
    return [_read_patch(path) for path in sorted(folder.glob("*.patch"))]


def _read_patch(path: Path) -> Patch:
    mail = email.message_from_string(path.read_text(encoding="utf-8"))
    body, _, diff = str(mail.get_payload()).partition("\n---\n")
    return Patch(path.stem, f"{mail['Subject']}\n\n{body}\n", diff)


def make(source: Path, repository: Path, patches: Path = PATCHES) -> History:
    """Make ``repository`` from ``source``, a kernel with the series.

    Raises HistoryError if ``repository`` exists, or if the patches do not match ``source``.
    """
    if not is_kernel_tree(source):
        raise HistoryError(f"{source}: not a kernel tree (no include/uapi/linux/vfio.h)")
    try:
        repository.mkdir(parents=True)
    except FileExistsError:
        raise HistoryError(f"{repository}: exists already; give a new folder") from None
    try:
        return _Maker(source.resolve(), repository.resolve(), patches).make()
    except BaseException:
        shutil.rmtree(repository)
        raise


def mailbox(history: History) -> bytes:
    """Return the series as mails, with a cover letter."""
    return _git(
        history.repository,
        "format-patch",
        "--stdout",
        "--cover-letter",
        "--cover-from-description=subject",
        "--signature=",
        f"{BASE}..{SERIES}",
        # With _OPTIONS git would take every file for binary, and show no diff.
        options={f"branch.{SERIES}.description": COVER},
        GIT_COMMITTER_DATE=_date(1 + len(history.series)),
    )


class _Maker:
    """Makes the commits in the repository's index, without a checkout."""

    def __init__(self, source: Path, repository: Path, patches: Path) -> None:
        self._source = source
        self._repository = repository
        self._series = read_patches(patches / SERIES)
        self._broken_flags = read_patches(patches / BROKEN_FLAGS)
        self._commits = 0

    def make(self) -> History:
        self._git("init", "--quiet", "--template=", f"--initial-branch={SERIES}")
        self._rehearse()
        self._add("--all")
        whole = self._tree()
        self._take_out()
        base = self._commit("Linux before VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2\n", None)
        series = self._put_on(self._series, base)
        if self._tree() != whole:
            raise HistoryError("the series does not result in the source tree")
        broken_flags = self._put_on(self._broken_flags, series[-1].id)
        self._git("tag", BASE, base)
        self._git("branch", SERIES, series[-1].id)
        self._git("branch", BROKEN_FLAGS, broken_flags[-1].id)
        self._git("reset", "--quiet", "--hard")
        return History(self._repository, base, tuple(series), tuple(broken_flags))

    def _rehearse(self) -> None:
        """Try all patches on only the files that they change: adding all files takes a minute."""
        patches = [*self._series, *self._broken_flags]
        files = sorted({file for patch in patches for file in patch.files})
        self._add("--", *(file for file in files if (self._source / file).is_file()))
        self._take_out()
        for patch in patches:
            self._apply(patch)
        self._git("read-tree", "--empty")

    def _take_out(self) -> None:
        for patch in reversed(self._series):
            self._apply(patch, reverse=True)

    def _put_on(self, patches: Sequence[Patch], parent: str) -> list[Commit]:
        commits = []
        for patch in patches:
            self._apply(patch)
            parent = self._commit(patch.message, parent)
            commits.append(Commit(patch.name, patch.subject, parent))
        return commits

    def _apply(self, patch: Patch, *, reverse: bool = False) -> None:
        """Apply ``patch`` to the index; the context may differ slightly, as in another release.

        Raises HistoryError, which names the file that does not match.
        """
        options = ["--reverse"] if reverse else []
        try:
            self._git("apply", "--cached", "-C1", "--whitespace=nowarn", *options, text=patch.diff)
        except GitFailed as error:
            if failed := _FAILED.search(error.said):
                fails = "cannot be taken out" if reverse else "does not apply"
                what = f"{failed['file']}: {patch.name} {fails} near line {failed['line']}"
            elif missing := _MISSING.search(error.said):
                what = f"{missing['file']}: there is no such file, which {patch.name} changes"
            else:
                raise
            raise HistoryError(
                f"the history's patches do not apply to this source: {what}"
            ) from error

    def _add(self, *what: str) -> None:
        # --force: add all files of the source, including those that .gitignore matches.
        self._git("add", "--force", *what, work_tree=self._source)

    def _tree(self) -> str:
        return self._git("write-tree")

    def _commit(self, message: str, parent: str | None) -> str:
        parents = ["-p", parent] if parent else []
        date = _date(self._commits)
        self._commits += 1
        return self._git(
            "commit-tree",
            self._tree(),
            *parents,
            text=message,
            GIT_AUTHOR_DATE=date,
            GIT_COMMITTER_DATE=date,
        )

    def _git(
        self, *arguments: str, work_tree: Path | None = None, text: str = "", **environment: str
    ) -> str:
        out = _git(
            self._repository,
            *arguments,
            work_tree=work_tree,
            text=text,
            options=_OPTIONS,
            **environment,
        )
        return out.decode().strip()


def _git(
    repository: Path,
    command: str,
    *arguments: str,
    work_tree: Path | None = None,
    text: str = "",
    options: Mapping[str, str],
    **environment: str,
) -> bytes:
    """Run git in ``repository`` with ``text`` as its input, and return its output.

    Raises GitFailed.
    """
    argv = [process.need("git"), f"--git-dir={repository / '.git'}"]
    argv += [f"--work-tree={work_tree}"] if work_tree else []
    for name, value in options.items():
        argv += ["-c", f"{name}={value}"]
    kept = {
        name: value
        for name, value in process.clean_environment().items()
        if not name.startswith("GIT_")  # a git hook that runs this sets its own repository
    }
    done = subprocess.run(
        [*argv, command, *arguments],
        cwd=repository,
        input=text.encode(),
        capture_output=True,
        env=kept | _ENVIRONMENT | environment,
    )
    if done.returncode:
        raise GitFailed(command, done.stderr.decode(errors="replace").strip())
    return done.stdout


def _date(hours: int) -> str:
    return f"{_FIRST_DATE + hours * _HOUR} +0000"


def main(argv: Sequence[str]) -> int:
    """Make the history that ``argv`` requests, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.history.make", description="Make a git history from a kernel's source"
    )
    parser.add_argument("source", type=Path, metavar="SOURCE_TREE")
    parser.add_argument("repository", type=Path, metavar="REPO_FOLDER")
    parser.add_argument("--mailbox", type=Path, metavar="FILE")
    asked = parser.parse_args(argv)
    try:
        history = make(asked.source, asked.repository)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    into = asked.mailbox or history.repository.with_name("series.mbx")
    into.write_bytes(mailbox(history))
    for commit in (*history.series, *history.broken_flags):
        print(commit.id[:12], commit.subject)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
