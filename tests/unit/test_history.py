# SPDX-License-Identifier: GPL-2.0-only
"""The history for tests of the workflows: made in order, and only from the right source."""

from __future__ import annotations

import mailbox
import re
import subprocess
from pathlib import Path

import pytest

from tests.history.make import PATCHES, HistoryError, main, make, read_patches
from tests.history.make import mailbox as mails_of

HEADER = "include/uapi/linux/vfio.h"
DRIVER = "samples/vfio-mdev/mtty.c"
PATCH = """\
SPDX-License-Identifier: GPL-2.0-only
Subject: {subject}

Because.

Signed-off-by: Test Author <author@example.com>
---
diff --git a/{file} b/{file}
--- a/{file}
+++ b/{file}
"""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small tree that replaces a kernel with the series."""
    tree = tmp_path / "source"
    for name in ("Makefile", "Kbuild", "Kconfig", "ignored.o", HEADER, DRIVER):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tree / ".gitignore").write_text("*.o\n", encoding="utf-8")
    (tree / HEADER).write_text(
        "/* uAPI */\n\n#define V1 1\n#define V2 2\n\n/* the end */\n", encoding="utf-8"
    )
    (tree / DRIVER).write_text("one\ntwo\n\nflags = v2;\n\nthree\n", encoding="utf-8")
    return tree


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    """A series of two patches, and one that breaks them."""
    folder = tmp_path / "patches"
    for name, subject, file, hunk in (
        (
            "series/0001-uapi",
            "vfio: Define V2",
            HEADER,
            "@@ -2,4 +2,5 @@\n \n #define V1 1\n+#define V2 2\n \n /* the end */\n",
        ),
        (
            "series/0002-mtty",
            "vfio/mtty: Use V2",
            DRIVER,
            "@@ -2,4 +2,4 @@\n two\n \n-flags = v1;\n+flags = v2;\n \n three\n",
        ),
        (
            "broken-flags/0001-mtty",
            "vfio/mtty: Tidy up",
            DRIVER,
            "@@ -2,4 +2,4 @@\n two\n \n-flags = v2;\n+flags = v3;\n \n three\n",
        ),
    ):
        path = folder / f"{name}.patch"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PATCH.format(subject=subject, file=file) + hunk, encoding="utf-8")
    return folder


def test_commits_are_in_order(source: Path, patches: Path, tmp_path: Path) -> None:
    history = make(source, tmp_path / "repo", patches)
    made = [commit.subject for commit in (*history.series, *history.broken_flags)]
    assert made == ["vfio: Define V2", "vfio/mtty: Use V2", "vfio/mtty: Tidy up"]
    logged = git(history.repository, "log", "--reverse", "--format=%H %s", "base..broken-flags")
    assert logged.splitlines() == [
        f"{commit.id} {commit.subject}" for commit in (*history.series, *history.broken_flags)
    ]
    assert git(history.repository, "rev-parse", "base", "series").splitlines() == [
        history.base,
        history.series[-1].id,
    ]


def test_base_is_the_source_without_the_series(source: Path, patches: Path, tmp_path: Path) -> None:
    repository = make(source, tmp_path / "repo", patches).repository
    assert "V2" not in git(repository, "show", f"base:{HEADER}")
    assert "flags = v1;" in git(repository, "show", f"base:{DRIVER}")


def test_the_series_ends_in_the_source(source: Path, patches: Path, tmp_path: Path) -> None:
    repository = make(source, tmp_path / "repo", patches).repository
    assert git(repository, "branch", "--show-current") == "series"
    assert git(repository, "status", "--short") == ""
    for path in source.rglob("*"):
        if path.is_file():
            assert (repository / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_broken_flags_goes_on_from_the_series(source: Path, patches: Path, tmp_path: Path) -> None:
    repository = make(source, tmp_path / "repo", patches).repository
    assert "flags = v3;" in git(repository, "show", f"broken-flags:{DRIVER}")


def test_ids_are_the_same_for_everyone(
    source: Path, patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = make(source, tmp_path / "ours", patches)
    config = tmp_path / "config"
    config.write_text(
        "[user]\nname = Somebody\n[core]\nautocrlf = true\n[format]\nsignOff = true\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    theirs = make(source, tmp_path / "theirs", patches)
    assert (theirs.base, theirs.series, theirs.broken_flags) == (
        ours.base,
        ours.series,
        ours.broken_flags,
    )
    assert mails_of(theirs) == mails_of(ours)


def test_the_series_as_mails(source: Path, patches: Path, tmp_path: Path) -> None:
    into = tmp_path / "mails"
    into.write_bytes(mails_of(make(source, tmp_path / "repo", patches)))
    subjects = [mail["Subject"] for mail in mailbox.mbox(into)]
    assert subjects[0].startswith("[PATCH 0/2] vfio: Let userspace know")
    assert subjects[1:] == ["[PATCH 1/2] vfio: Define V2", "[PATCH 2/2] vfio/mtty: Use V2"]


def test_a_newer_source_with_other_lines_around(
    source: Path, patches: Path, tmp_path: Path
) -> None:
    text = (source / DRIVER).read_text(encoding="utf-8")
    (source / DRIVER).write_text("zero\n" * 9 + text.replace("two", "2"), encoding="utf-8")
    repository = make(source, tmp_path / "repo", patches).repository
    assert "flags = v1;" in git(repository, "show", f"base:{DRIVER}")


def test_a_source_that_differs(source: Path, patches: Path, tmp_path: Path) -> None:
    (source / DRIVER).write_text("one\ntwo\n\nflags = v4;\n\nthree\n", encoding="utf-8")
    says = "the history's patches do not apply to this source"
    with pytest.raises(HistoryError, match=f"{says}: {DRIVER}: 0002-mtty cannot") as caught:
        make(source, tmp_path / "repo", patches)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "repo").exists()


def test_a_source_that_lacks_a_file(source: Path, patches: Path, tmp_path: Path) -> None:
    (source / DRIVER).unlink()
    with pytest.raises(HistoryError, match=f"{DRIVER}: there is no such file"):
        make(source, tmp_path / "repo", patches)


def test_a_repository_that_exists_is_left_alone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "repo").mkdir()
    assert main([str(source), str(tmp_path / "repo")]) == 2
    assert "repo: exists" in capsys.readouterr().err
    assert (tmp_path / "repo").exists()


def test_a_source_that_is_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="not a kernel tree"):
        make(tmp_path, tmp_path / "repo")


def test_our_series_adopts_the_feature_driver_by_driver() -> None:
    assert [patch.name for patch in read_patches(PATCHES / "series")] == [
        "0001-uapi",
        "0002-core",
        "0003-comment",
        "0004-hisi-acc",
        "0005-mlx5",
        "0006-virtio",
        "0007-mtty",
        "0008-qat-does-not-compile",
        "0009-qat-compiles-again",
    ]


def test_what_does_not_compile_hides_the_commit_that_breaks_the_flags() -> None:
    """A bisection begins in the middle, at a commit that it must skip."""
    names = [patch.name for patch in read_patches(PATCHES / "broken-flags")]
    middle = len(names) // 2
    assert names[middle - 2 : middle + 1] == [
        "0002-mtty-breaks-flags",
        "0003-core-does-not-compile",
        "0004-core-compiles-again",
    ]


@pytest.mark.parametrize("folder", ["series", "broken-flags"])
def test_our_patches_are_signed_off_and_of_a_form(folder: str) -> None:
    for patch in read_patches(PATCHES / folder):
        assert re.match(r"(vfio(/\w+)?|hisi_acc_vfio_pci): [A-Z].{1,72}$", patch.subject)
        assert patch.message.endswith("\n\nSigned-off-by: Test Author <author@example.com>\n")
        assert patch.files
