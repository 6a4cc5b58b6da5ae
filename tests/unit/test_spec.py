# SPDX-License-Identifier: GPL-2.0-only
"""Kernel specs: all forms are understood, and each mistake gets a helpful line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fixtures.errors import SpecError
from fixtures.kernel.spec import BuildFolderSpec, DebianSpec, RefSpec, TreeSpec, parse


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder that looks like a kernel tree, in a git repository with a tag v7.1."""
    folder = tmp_path / "linux"
    (folder / "include/uapi/linux").mkdir(parents=True)
    for name in ("Makefile", "Kbuild", "Kconfig", "include/uapi/linux/vfio.h"):
        (folder / name).touch()
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "-m", "x"],
        ["tag", "v7.1"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder


def test_a_kernel_tree(tree: Path) -> None:
    assert parse(str(tree)) == TreeSpec(str(tree), tree)


def test_a_ref_of_a_tree(tree: Path) -> None:
    spec = parse(f"{tree}@v7.1")
    assert isinstance(spec, RefSpec)
    assert spec.tree == tree
    assert len(spec.commit) == 40


def test_a_tree_whose_name_has_an_at_sign(tree: Path) -> None:
    renamed = tree.rename(tree.with_name("linux@work"))
    assert parse(str(renamed)) == TreeSpec(str(renamed), renamed)


def test_a_build_folder(tmp_path: Path) -> None:
    (tmp_path / ".config").touch()
    assert parse(str(tmp_path)) == BuildFolderSpec(str(tmp_path), tmp_path)


@pytest.mark.parametrize("version", ["7.3", "6.12", "newest"])
def test_debian(version: str) -> None:
    assert parse(f"debian:{version}") == DebianSpec(f"debian:{version}", version)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/no/such/folder", "no such folder"),
        ("/no/such/folder@v7.1", "/no/such/folder: no such folder"),
        ("/usr", "neither a kernel tree"),
        ("/etc/passwd", "is a file"),
        ("debian:", "a version such as 7.3"),
        ("debian:7.3.4", "a version such as 7.3"),
        ("", "no kernel under test is named"),
        (" ", "no kernel under test is named"),
        ("~nosuchuser/linux", "no home folder is known for ~nosuchuser"),
        ("~nosuchuser/linux@v7.1", "no home folder is known for ~nosuchuser"),
        ("x" * 300, "File name too long"),
        ("a\0b", "is not a path"),
    ],
)
def test_a_mistake_gets_a_line_that_helps(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_a_ref_that_does_not_exist(tree: Path) -> None:
    with pytest.raises(SpecError, match=r"'v9\.9': no such git ref"):
        parse(f"{tree}@v9.9")


def test_a_ref_of_a_tree_that_is_no_repository(tree: Path) -> None:
    (tree / ".git").rename(tree / "git")
    with pytest.raises(SpecError, match="git"):
        parse(f"{tree}@v7.1")


def test_a_tree_that_kbuild_cannot_build(tree: Path) -> None:
    renamed = tree.rename(tree.with_name("my linux"))
    with pytest.raises(SpecError, match="kbuild rejects a tree with ' ' in its path"):
        parse(str(renamed))
    assert isinstance(parse(f"{renamed}@v7.1"), RefSpec)  # a commit is built elsewhere


def test_a_tree_that_may_not_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root could read everything
    with pytest.raises(SpecError, match="linux: Permission denied"):
        parse(str(tree))
