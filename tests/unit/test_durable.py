# SPDX-License-Identifier: GPL-2.0-only
"""Files are either complete or unchanged, also after a power cut."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fixtures import durable
from fixtures.errors import RunError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    durable.write_whole(tmp_path / "file", "→ one\n")
    durable.write_whole(tmp_path / "file", "→ two\n")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "→ two\n"
    assert os.listdir(tmp_path) == ["file"]


def test_the_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    rename, fsync = Path.rename, os.fsync

    def renames(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    def flushes(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(kind)
        fsync(descriptor)

    monkeypatch.setattr(Path, "rename", renames)
    monkeypatch.setattr(os, "fsync", flushes)
    durable.write_whole(tmp_path / "file", "text")
    assert steps == ["file", "rename", "folder"]


def test_what_cannot_be_written_leaves_the_old_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("old", encoding="utf-8")

    def fails(_: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="the disk is gone"):
        durable.write_whole(tmp_path / "file", "new")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "file": "old"
    }


def test_a_lone_surrogate_is_an_escape(tmp_path: Path) -> None:
    durable.write_whole(tmp_path / "file", "name \udce9")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "name \\udce9"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    durable.write_whole(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "text"


def test_a_device_stays_one() -> None:
    durable.write_whole(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()


def test_a_disk_that_does_not_take_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written to the disk"):
        durable.flush_tree(tmp_path / "gone")
