# SPDX-License-Identifier: GPL-2.0-only
"""Kernel sources: the user's tree, index and checkout never change."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.errors import SpecError
from fixtures.git import state
from fixtures.kernel import parse, source
from fixtures.progress import Progress

FILES = ("Makefile", "Kbuild", "Kconfig", "include/uapi/linux/vfio.h", "drivers/vfio/vfio_main.c")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@y"]
    done = subprocess.run([*command, *arguments], capture_output=True, encoding="utf-8", check=True)
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree that replaces a kernel's, with tags v1 and v2 that differ in one file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "linux"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("one\n", encoding="utf-8")
    (folder / ".gitignore").write_text("*.o\n.config\n/include/config/\n", encoding="utf-8")
    git(tmp_path, "init", "--quiet", str(folder))
    for tag, text in (("v1", "one\n"), ("v2", "two\n")):
        (folder / "drivers/vfio/vfio_main.c").write_text(text, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", tag)
        git(folder, "tag", tag)
    return folder


def of(text: str) -> source.Source:
    return source.of(parse(text), Progress())


@pytest.mark.parametrize("constant", [False, True])
def test_only_sources_that_never_change_are_held_by_two_runs(tree: Path, constant: bool) -> None:
    sources = replace(of(f"{tree}@v1"), constant=constant)
    second = threading.Event()

    def hold_it_too() -> None:
        with sources.held(Progress()):
            second.set()

    with sources.held(Progress()) as folder:
        assert (folder / "drivers/vfio/vfio_main.c").read_text(encoding="utf-8") == "one\n"
        other = threading.Thread(target=hold_it_too)
        other.start()
        assert second.wait(5 if constant else 0.2) == constant
    other.join(5)
    assert second.is_set()


def test_an_edit_changes_the_identity_and_not_the_lineage(tree: Path) -> None:
    before, same = of(str(tree)), of(str(tree))
    (tree / "drivers/vfio/vfio_main.c").write_text("edited\n", encoding="utf-8")
    after = of(str(tree))
    assert before.identity == same.identity != after.identity
    assert before.lineage == after.lineage


@pytest.mark.parametrize("at", ["", "@v1"])
def test_the_state_of_some_files_is_theirs_alone(tree: Path, at: str) -> None:
    parts = ("include", "Makefile", "nowhere")
    spec = f"{tree}{at}"
    before, edited = of(spec).state_of(parts), of(f"{tree}@v2" if at else spec)
    (tree / "drivers/vfio/vfio_main.c").write_text("edited\n", encoding="utf-8")
    assert edited.state_of(parts) == before
    (tree / "Makefile").write_text("edited\n", encoding="utf-8")
    git(tree, "commit", "--quiet", "--all", "--message=edit")
    assert of(f"{tree}@HEAD" if at else spec).state_of(parts) != before


def test_a_commit_without_an_edit_changes_nothing(tree: Path) -> None:
    before = of(str(tree))
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    assert of(str(tree)).identity == before.identity


def test_a_file_that_was_replaced_changes_the_identity_whatever_its_time_is(tree: Path) -> None:
    path, found = tree / "Kbuild", {of(str(tree)).identity}
    times = path.stat().st_mtime_ns
    path.write_text("two\n", encoding="utf-8")
    os.utime(path, ns=(times, times))
    found.add(of(str(tree)).identity)
    path.chmod(0o755)
    found.add(of(str(tree)).identity)
    assert len(found) == 3


def test_a_name_that_is_not_utf8_is_a_name(tree: Path) -> None:
    before = of(str(tree)).identity
    (tree / os.fsdecode(b"caf\xe9.c")).touch()
    assert of(str(tree)).identity != before
    (tree / ".config").touch()
    assert (of(str(tree)).tree() / os.fsdecode(b"caf\xe9.c")).exists()


def test_what_cannot_be_read_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: bytes) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SpecError, match=f"{tree} cannot be read: Permission denied"):
        of(str(tree))


def test_a_source_knows_its_commit_and_whether_it_was_edited(tree: Path) -> None:
    v1, v2 = git(tree, "rev-parse", "v1", "v2").split()
    assert (of(str(tree)).commit, of(str(tree)).dirty) == (v2, False)
    (tree / "built.o").touch()  # git ignores it
    assert not of(str(tree)).dirty
    (tree / "Kbuild").write_text("edited\n", encoding="utf-8")
    assert (of(str(tree)).commit, of(str(tree)).dirty) == (v2, True)
    assert (of(f"{tree}@v1").commit, of(f"{tree}@v1").dirty) == (v1, False)
    git(tree, "checkout", "--quiet", "Kbuild")
    (tree / "new.c").touch()
    index = (tree / ".git/index").read_bytes()
    os.utime(tree / "Kconfig")  # git would update the time in its index
    assert of(str(tree)).dirty
    assert (tree / ".git/index").read_bytes() == index


def test_a_repository_around_unpacked_sources_says_nothing_of_them(tree: Path) -> None:
    for folder in (tree / "drivers/unpacked", tree.parent):
        folder.mkdir(exist_ok=True)
        assert state(folder) == ("", False)
    assert state(tree / "drivers/vfio") == (git(tree, "rev-parse", "HEAD").strip(), False)
    assert state(tree / "no such folder") == ("", False)


def test_a_repository_without_a_commit_is_in_no_state(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert state(tmp_path) == ("", False)


@pytest.mark.parametrize(
    "settings",
    [
        ("core.autocrlf=true",),
        ("core.eol=crlf", "core.attributesFile={tree}/../attributes"),
        ("core.symlinks=false",),
        ("filter.a.smudge=tr o 0", "filter.a.required=true"),
        ("filter.a.b.process=false", "filter.a.b.required=true"),
    ],
)
def test_what_is_checked_out_is_what_was_committed(tree: Path, settings: tuple[str, ...]) -> None:
    (tree / "link").symlink_to("Kbuild")
    git(tree, "add", "link")
    git(tree, "commit", "--quiet", "-m", "link")
    (tree / "../attributes").write_text("* text\n", encoding="utf-8")
    name = settings[0].removeprefix("filter.").rpartition(".")[0]
    (tree / ".git/info/attributes").write_text(
        f"* filter={name}\n*.c diff=cpp -ident\n# eol=crlf\n", encoding="utf-8"
    )
    for setting in settings:
        git(tree, "config", *setting.format(tree=tree).split("=", 1))
    folder = of(f"{tree}@HEAD").tree()
    assert (folder / "Kconfig").read_bytes() == b"one\n"
    assert (folder / "link").is_symlink()


def test_a_sparse_checkout_is_the_users_own(tree: Path) -> None:
    git(tree, "sparse-checkout", "set", "include")
    assert not (tree / "drivers").exists()
    assert (of(f"{tree}@v1").tree() / FILES[-1]).read_text(encoding="utf-8") == "one\n"
    assert (of(f"{tree}@v2").tree() / FILES[-1]).read_text(encoding="utf-8") == "two\n"


@pytest.mark.parametrize("attribute", ["eol=crlf", "ident", "working-tree-encoding=UTF-16"])
def test_what_git_cannot_be_kept_from_is_refused(tree: Path, attribute: str) -> None:
    (tree / ".git/info/attributes").write_text(
        f"*.c diff=cpp\n*.h text {attribute}\n", encoding="utf-8"
    )
    with pytest.raises(SpecError, match=f"info/attributes: {attribute} makes git change"):
        of(f"{tree}@v1").tree()
    (tree / ".git/info/attributes").write_text("*.c diff=cpp\n", encoding="utf-8")
    assert of(f"{tree}@v1").tree()


def test_what_was_left_in_our_worktree_is_removed(tree: Path) -> None:
    folder = of(f"{tree}@v1").tree()
    (folder / "drivers/left.o").write_text("left\n", encoding="utf-8")
    (folder / "another/.git").mkdir(parents=True)
    (folder / "Kbuild").write_text("edited\n", encoding="utf-8")
    assert of(f"{tree}@v1").tree() == folder
    assert (folder / "Kbuild").read_text(encoding="utf-8") == "one\n"
    assert not (folder / "drivers/left.o").exists()
    assert not (folder / "another").exists()


def test_a_ref_is_checked_out_elsewhere(tree: Path) -> None:
    (tree / "Kconfig").write_text("an edit that is not committed\n", encoding="utf-8")
    git(tree, "add", "Kconfig")
    (tree / ".git/hooks/post-checkout").write_text(
        f"#!/bin/sh\ntouch {tree}/hook-ran\n", encoding="utf-8"
    )
    (tree / ".git/hooks/post-checkout").chmod(0o755)
    before = git(tree, "status", "--porcelain"), git(tree, "rev-parse", "HEAD")
    folder = of(f"{tree}@v1").tree()
    assert (folder / "drivers/vfio/vfio_main.c").read_text(encoding="utf-8") == "one\n"
    assert (git(tree, "status", "--porcelain"), git(tree, "rev-parse", "HEAD")) == before
    assert not (tree / "hook-ran").exists()


def test_the_next_ref_touches_only_what_differs(tree: Path) -> None:
    folder = of(f"{tree}@v1").tree()
    before = (folder / "Makefile").stat().st_mtime_ns
    again = of(f"{tree}@v2").tree()
    assert again == folder
    assert (folder / "drivers/vfio/vfio_main.c").read_text(encoding="utf-8") == "two\n"
    assert (folder / "Makefile").stat().st_mtime_ns == before


def test_refs_with_the_same_content_are_built_once(tree: Path) -> None:
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "nothing")
    assert of(f"{tree}@HEAD").identity == of(f"{tree}@v2").identity
    assert of(f"{tree}@v1").identity != of(f"{tree}@v2").identity


def test_a_tree_that_was_built_in_is_copied_without_what_was_built(tree: Path) -> None:
    for name in (".config", "drivers/vfio/vfio_main.o"):
        (tree / name).write_text("built\n", encoding="utf-8")
    (tree / "drivers/vfio/new.c").write_text("new, and not added yet\n", encoding="utf-8")
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


def test_a_copy_of_a_tree_follows_what_becomes_a_file_a_folder_or_a_link(tree: Path) -> None:
    (tree / ".config").touch()
    (tree / "a").mkdir()
    (tree / "a" / "file").write_text("in a\n", encoding="utf-8")
    (tree / "link").symlink_to("a")
    (tree / "b").write_text("b\n", encoding="utf-8")
    copy = of(str(tree)).tree()
    assert (copy / "link").readlink() == Path("a")
    for name in ("link", "b"):  # each becomes a folder; the folder becomes a file
        (tree / name).unlink()
        (tree / name).mkdir()
        (tree / name / "file").write_text(f"in {name}\n", encoding="utf-8")
    (tree / "a" / "file").rename(tree / "c")
    (tree / "a").rmdir()
    (tree / "c").rename(tree / "a")
    of(str(tree)).tree()
    found = {
        name: (copy / name).read_text(encoding="utf-8") for name in ("a", "b/file", "link/file")
    }
    assert found == {"a": "in a\n", "b/file": "in b\n", "link/file": "in link\n"}
    assert not (copy / "link").is_symlink()


def test_a_tree_that_was_built_in_and_is_no_repository(tree: Path) -> None:
    (tree / ".git").rename(tree / "git")
    (tree / ".config").touch()
    with pytest.raises(SpecError, match="mrproper"):
        of(str(tree)).tree()
