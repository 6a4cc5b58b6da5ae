# SPDX-License-Identifier: GPL-2.0-only
"""Series of patches: mailboxes and ranges become commits, or one line refuses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.errors import SpecError
from fixtures.git import git
from fixtures.kernel import source
from fixtures.kernel.spec import RefSpec, parse
from fixtures.progress import Progress
from tests.unit import repository
from tests.unit.repository import HEADER, NOBODY
from workflows import series

COVER = """\
From 0000 Mon Sep 17 00:00:00 2001
From: N <n@example.com>
Subject: [PATCH 0/2] vfio: write numbers

What it is for.

"""


def test_a_mailbox_becomes_commits_and_the_tree_stays_as_it_is(tree: Path, tmp_path: Path) -> None:
    mailbox = tmp_path / "series.mbx"
    mailbox.write_text(
        COVER + git(tree, "format-patch", "--stdout", "base..topic"), encoding="utf-8"
    )
    before = git(tree, "for-each-ref"), git(tree, "status", "--porcelain", "--branch")
    loaded = series.load(tree, "base", str(mailbox), Progress())
    assert [commit.number for commit in loaded.commits] == [0, 1, 2]
    assert [git(tree, "show", f"{one.id}:{HEADER}") for one in loaded.commits] == [
        "1\n2\n3\n",
        "1\n2\n3\n4\n",
        "0\n2\n3\n4\n",
    ]
    assert (git(tree, "for-each-ref"), git(tree, "status", "--porcelain", "--branch")) == before
    start = loaded.commits[0]
    assert series.load(tree, "", f"{start.id}..topic", Progress()).base == start.short
    again = series.load(tree, "base", str(mailbox), Progress())
    assert again == loaded  # the same commits, whose results are found again


def test_what_git_is_set_to_and_how_a_subject_looks_is_no_matter(
    tree: Path, tmp_path: Path
) -> None:
    mailbox = tmp_path / "series.mbx"
    git(tree, "config", "apply.whitespace", "error")
    git(tree, "checkout", "--quiet", "topic")
    (tree / HEADER).write_text("5 \n", encoding="utf-8")
    git(tree, "commit", "--quiet", "--all", "--message=a form\x0cfeed", **NOBODY)
    mailbox.write_text(git(tree, "format-patch", "--stdout", "base..topic"), encoding="utf-8")
    assert len(series.load(tree, "base", str(mailbox), Progress()).commits) == 4
    assert len(series.load(tree, "", "base..topic", Progress()).commits) == 4


def test_a_patch_that_does_not_apply_is_named_with_its_hunk(tree: Path, tmp_path: Path) -> None:
    mailbox = tmp_path / "series.mbx"
    mailbox.write_text(
        COVER + git(tree, "format-patch", "--stdout", "base..topic"), encoding="utf-8"
    )
    other = git(tree, "rev-parse", "topic").strip()
    with pytest.raises(SpecError) as caught:
        series.load(tree, other, str(mailbox), Progress())
    assert "patch 1, \"vfio: write ['1', '2', '3', '4']\", does not apply" in str(caught.value)
    assert f"the hunk at {HEADER}:1" in str(caught.value)
    assert series.load(tree, "base", str(mailbox), Progress())  # no half-applied patch is left


def test_a_patch_that_was_mangled_is_told(tree: Path, tmp_path: Path) -> None:
    mailbox = tmp_path / "series.mbx"
    whole = git(tree, "format-patch", "--stdout", "base..topic")
    mailbox.write_text(whole.replace("@@ -1,3 +1,4 @@", "@@ -1,3 +1,9 @@"), encoding="utf-8")
    with pytest.raises(SpecError, match="does not apply to base: corrupt patch at"):
        series.load(tree, "base", str(mailbox), Progress())
    mailbox.write_text(whole.rpartition("\n---\n")[0] + "\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"patch 2 of 2, .*, has no diff"):
        series.load(tree, "base", str(mailbox), Progress())


def test_what_lies_in_our_worktree_is_no_matter(tree: Path, tmp_path: Path) -> None:
    git(tree, "checkout", "--quiet", "topic")
    (tree / "new.c").write_text("new\n", encoding="utf-8")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message=a new file", **NOBODY)
    mailbox = tmp_path / "series.mbx"
    mailbox.write_text(git(tree, "format-patch", "--stdout", "base..topic"), encoding="utf-8")
    base = RefSpec.of_commit(tree, git(tree, "rev-parse", "base").strip())
    folder = source.of(base, Progress()).tree()
    (folder / "new.c").write_text("left over\n", encoding="utf-8")
    loaded = series.load(tree, "base", str(mailbox), Progress())
    source.of(base, Progress()).tree()
    assert not (folder / "new.c").exists()
    source.of(loaded.spec(loaded.commits[-1]), Progress()).tree()
    assert (folder / "new.c").read_text(encoding="utf-8") == "new\n"


def test_git_need_not_know_who_commits(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = tmp_path / "series.mbx"
    mailbox.write_text(git(tree, "format-patch", "--stdout", "base..topic"), encoding="utf-8")
    (tmp_path / "config").write_text("[user]\n\tuseConfigOnly = true\n", encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for _ in range(2):
        with pytest.raises(SpecError, match=r"patch 1, .*, does not apply to topic: the hunk at"):
            series.load(tree, "topic", str(mailbox), Progress())
    assert len(series.load(tree, "base", str(mailbox), Progress()).commits) == 3


def test_a_range_is_its_commits(tree: Path) -> None:
    loaded = series.load(tree, "", "base..topic", Progress())
    assert len(loaded.commits) == 3
    assert loaded.spec(loaded.commits[2]).commit == git(tree, "rev-parse", "topic").strip()


def test_a_range_without_a_beginning_begins_at_base(tree: Path) -> None:
    git(tree, "checkout", "--quiet", "three")
    loaded = series.load(tree, "main~1", "..main", Progress())
    assert (loaded.base, len(loaded.commits)) == ("main~1", 2)


def test_a_repository_with_longer_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    tree = tmp_path / "linux"
    repository.make(tree)
    mailbox = tmp_path / "series.mbx"
    mailbox.write_text(git(tree, "format-patch", "--stdout", "base..topic"), encoding="utf-8")
    for base, named in (("", "base..topic"), ("base", str(mailbox))):
        last = series.load(tree, base, named, Progress()).commits[-1]
        assert (len(last.id), last.subject) == (64, "vfio: write ['0', '2', '3', '4']")


def test_a_subject_of_a_range_may_have_any_character(tree: Path) -> None:
    git(tree, "checkout", "--quiet", "topic")
    message = "--message=vfio: one\rtwo\u2028three"
    git(tree, "commit", "--quiet", "--allow-empty", message, **NOBODY)
    loaded = series.load(tree, "", "base..topic", Progress())
    assert [commit.number for commit in loaded.commits] == [0, 1, 2, 3]
    assert loaded.commits[3].subject == "vfio: one\rtwo\u2028three"


def test_a_git_that_runs_us_does_not_say_which_repository_is_ours(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", str(tmp_path / "another"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another/.git"))
    assert len(series.load(tree, "", "base..topic", Progress()).commits) == 3


@pytest.mark.parametrize(
    ("base", "named", "said"),
    [
        ("", "", "SERIES= is missing: a mailbox, a maildir, a message-id"),
        ("", "no-such.mbx", "no such file; a series is a mailbox, a maildir"),
        ("", "../no-such.mbx", "no such file; a series is a mailbox, a maildir"),
        ("", "/", "is not a file or a maildir; a series is a mailbox"),
        ("", "base...topic", "a range has two dots"),
        ("", "base..base", "has no commit on top of"),
        ("", "topic..main~2", "has no commit on top of"),
        ("topic", "base..topic", "begin at different commits"),
        ("", "nowhere..topic", "no such git ref"),
    ],
)
def test_a_series_that_makes_no_sense_is_refused(
    tree: Path, base: str, named: str, said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        series.load(tree, base, named, Progress())


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="TREE= is missing"):
        series.repository("")
    with pytest.raises(SpecError, match=r"TREE=.*/nowhere: no such folder"):
        series.repository(str(tmp_path / "nowhere"))
    with pytest.raises(SpecError, match=f"TREE={tmp_path}: is not in a git repository: not a git"):
        series.repository(str(tmp_path))


def test_what_git_advises_about_a_repository_of_somebody_else_is_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    advice = f"git config --global --add safe.directory {tree}"
    with pytest.raises(SpecError, match=f"dubious ownership .*{advice}"):
        series.repository(str(tree))
    with pytest.raises(SpecError, match=f"dubious ownership .*{advice}"):
        parse(f"{tree}@topic")
