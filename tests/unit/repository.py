# SPDX-License-Identifier: GPL-2.0-only
"""A small git repository that replaces the kernel's."""

from __future__ import annotations

import re
from pathlib import Path

from fixtures.git import git

HEADER = "include/uapi/linux/vfio.h"
NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Nobody"), ("EMAIL", "nobody@example.com"))
}


def make(tree: Path) -> None:
    """Make ``tree`` a repository with a checked-out base and two patches on ``topic``.

    The branch ``three`` has three independent patches, each for one file.
    """
    (tree / HEADER).parent.mkdir(parents=True)
    git(tree.parent, "init", "--quiet", "--initial-branch=main", str(tree))
    for branch, text in (("base", "1\n2\n3\n"), ("", "1\n2\n3\n4\n"), ("topic", "0\n2\n3\n4\n")):
        (tree / HEADER).write_text(text, encoding="utf-8")
        git(tree, "add", "-A")
        git(tree, "commit", "--quiet", "-m", f"vfio: write {text.split()}", **NOBODY)
        if branch:
            git(tree, "branch", branch)
    git(tree, "checkout", "--quiet", "-b", "three", "base")
    for name in "abc":
        (tree / name).write_text(f"{name}\n", encoding="utf-8")
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", f"--message=vfio: add {name}", **NOBODY)
    git(tree, "checkout", "--quiet", "base")


def three(tree: Path, *options: str) -> list[str]:
    """Return the patches of ``three`` as mails, each for a different file."""
    written = git(tree, "format-patch", "--stdout", "--thread", *options, "base..three")
    return [
        f"From {mail}" for mail in re.split(r"^From (?=[0-9a-f]{40} )", written, flags=re.M)[1:]
    ]
