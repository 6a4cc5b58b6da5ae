# SPDX-License-Identifier: GPL-2.0-only
"""Kernel sources: the user's tree, index and checkout are never touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fixtures.errors import SpecError
from fixtures.kernel import parse, source
from fixtures.progress import Progress

FILES = ("Makefile", "Kbuild", "Kconfig", "include/uapi/linux/vfio.h", "drivers/vfio/vfio_main.c")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for a kernel tree, with tags v1 and v2 that differ in one file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "linux"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("one\n")
    (folder / ".gitignore").write_text("*.o\n.config\n/include/config/\n")
    git(tmp_path, "init", "--quiet", str(folder))
    for tag, text in (("v1", "one\n"), ("v2", "two\n")):
        (folder / "drivers/vfio/vfio_main.c").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", tag)
        git(folder, "tag", tag)
    return folder


def of(text: str) -> source.Source:
    return source.of(parse(text), Progress())


def test_an_edit_changes_the_identity_and_not_the_lineage(tree: Path) -> None:
    before, same = of(str(tree)), of(str(tree))
    (tree / "drivers/vfio/vfio_main.c").write_text("edited\n")
    after = of(str(tree))
    assert before.identity == same.identity != after.identity
    assert before.lineage == after.lineage


def test_a_commit_without_an_edit_changes_nothing(tree: Path) -> None:
    before = of(str(tree))
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    assert of(str(tree)).identity == before.identity


def test_a_ref_is_checked_out_elsewhere(tree: Path) -> None:
    (tree / "Kconfig").write_text("an edit that is not committed\n")
    git(tree, "add", "Kconfig")
    (tree / ".git/hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {tree}/hook-ran\n")
    (tree / ".git/hooks/post-checkout").chmod(0o755)
    before = git(tree, "status", "--porcelain"), git(tree, "rev-parse", "HEAD")
    folder = of(f"{tree}@v1").tree()
    assert (folder / "drivers/vfio/vfio_main.c").read_text() == "one\n"
    assert (git(tree, "status", "--porcelain"), git(tree, "rev-parse", "HEAD")) == before
    assert not (tree / "hook-ran").exists()


def test_the_next_ref_touches_only_what_differs(tree: Path) -> None:
    folder = of(f"{tree}@v1").tree()
    before = (folder / "Makefile").stat().st_mtime_ns
    again = of(f"{tree}@v2").tree()
    assert again == folder
    assert (folder / "drivers/vfio/vfio_main.c").read_text() == "two\n"
    assert (folder / "Makefile").stat().st_mtime_ns == before


def test_refs_with_the_same_content_are_built_once(tree: Path) -> None:
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    assert of(f"{tree}@HEAD").identity == of(f"{tree}@v2").identity
    assert of(f"{tree}@v1").identity != of(f"{tree}@v2").identity


def test_a_tree_that_was_built_in_is_copied_without_what_was_built(tree: Path) -> None:
    for name in (".config", "drivers/vfio/vfio_main.o"):
        (tree / name).write_text("built\n")
    (tree / "drivers/vfio/new.c").write_text("new, and not added yet\n")
    copy = of(str(tree)).tree()
    assert copy != tree
    assert not (copy / ".config").exists()
    assert not (copy / "drivers/vfio/vfio_main.o").exists()
    assert (copy / "drivers/vfio/new.c").exists()
    (tree / "drivers/vfio/new.c").unlink()
    os.utime(copy / "Kbuild", (1, 1))
    os.utime(tree / "Kbuild", (1, 1))
    of(str(tree)).tree()
    assert not (copy / "drivers/vfio/new.c").exists()
    assert (copy / "Kbuild").stat().st_mtime == 1


def test_a_tree_that_was_built_in_and_is_no_repository(tree: Path) -> None:
    (tree / ".git").rename(tree / "git")
    (tree / ".config").touch()
    with pytest.raises(SpecError, match="mrproper"):
        of(str(tree)).tree()
