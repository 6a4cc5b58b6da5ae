# SPDX-License-Identifier: GPL-2.0-only
"""The announcement before a first run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from fixtures.paths import CHECKOUT
from workflows import outlook

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache folder of a new host; it does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/vfio-conformance"


def test_a_first_run_is_told_of(empty_cache: Path) -> None:
    text = "\n".join(outlook.tell("debian:newest", cores=2))
    assert "the kernel's sources" in text
    assert f"GB in {empty_cache};" in text
    assert "about 12 minutes with 2 cores" in text


def test_the_sources_of_a_tree_are_there() -> None:
    assert "kernel's sources" not in "\n".join(outlook.tell("~/linux", cores=2))


def test_a_later_run_is_not_told_of(empty_cache: Path) -> None:
    (empty_cache / "kernels").mkdir(parents=True)
    assert outlook.tell("debian:newest", cores=2) == []


def test_a_disk_that_is_too_small_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 10**9))
    assert outlook.tell("debian:newest", cores=2)[-1].startswith("warning: 2.7 GB do not fit")
    assert "warning" not in outlook.tell("~/linux", cores=2)[-1]


def test_a_cache_that_cannot_be_is_left_to_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert outlook.main([]) == 0
    assert capsys.readouterr().out == ""


def test_it_needs_only_the_standard_library() -> None:
    bare = [sys.executable, "-S", "-m", "workflows.outlook"]
    done = subprocess.run(bare, cwd=CHECKOUT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.startswith("the first run on this host")


def test_make_says_it_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "variables.mk"):
        shutil.copy(CHECKOUT / name, tmp_path)
    for name in ("workflows", "fixtures"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    setup = tmp_path / "setup.sh"
    setup.write_text("#!/bin/sh\necho installing\nexit 1\n", encoding="utf-8")
    setup.chmod(0o755)
    done = subprocess.run(
        ["make", "check"], cwd=tmp_path, env=os.environ, capture_output=True, encoding="utf-8"
    )
    said = done.stdout.splitlines()
    assert said[0].startswith("the first run on this host")
    assert said[-1] == "installing"
