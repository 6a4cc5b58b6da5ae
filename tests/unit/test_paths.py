# SPDX-License-Identifier: GPL-2.0-only
"""Paths: those from the command line, and the cache's."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures import paths
from fixtures.errors import SpecError
from fixtures.paths import CHECKOUT

UMLAUT = os.fsdecode("ä".encode())  # as in an argument, whatever the locale


def test_a_home_folder_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.named("~/a") == tmp_path / "a"
    user = pwd.getpwuid(os.getuid())
    assert paths.named(f"~{user.pw_name}/a") == Path(user.pw_dir, "a")


@pytest.mark.parametrize("name", ["it's", "two words", "$HOME", "a\\b", "a#b", UMLAUT, "a\nb"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    assert paths.named(str(tmp_path / name)) == tmp_path / name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("~nosuchuser/linux", "no home folder is known for ~nosuchuser"),
        ("x" * 300, "File name too long"),
        ("/" + "x/" * 3000, "File name too long"),
        ("a\0b", "is not a path"),
    ],
)
def test_a_path_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        paths.named(text)


def test_links_that_go_round(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SpecError, match="symbolic links"):
        paths.named(str(tmp_path / "a" / "linux"))


def test_a_folder_that_may_not_be_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(self: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(SpecError, match=r"^/locked/linux: Permission denied$"):
        paths.named("/locked/linux")


@pytest.mark.parametrize("name", ["cache", "a.b-c_d+e@f~g", UMLAUT])
def test_a_folder_for_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
    assert paths.cache() == tmp_path / name / "vfio-conformance"


@pytest.mark.parametrize("name", ["", None])
def test_without_a_folder_for_caches(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    if name is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", name)
    assert paths.cache() == Path("/home/me/.cache/vfio-conformance")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cache", "cache: the cache's path must be absolute; set XDG_CACHE_HOME to one"),
        ("~/cache", "must be absolute"),
        ("/two words", "kernels cannot be built below a path with ' '"),
        ("/a:b", "a path with ':'"),
        ("/it's", "a path with"),
        ("/a$b", r"a path with '\$'"),
        ("/a,b", "a path with ','"),
    ],
)
def test_a_cache_that_no_kernel_can_be_built_in(
    monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", name)
    with pytest.raises(SpecError, match=says) as caught:
        paths.cache()
    assert "\n" not in str(caught.value)


def test_a_cache_that_a_link_leads_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "two words").mkdir()
    (tmp_path / "link").symlink_to("two words")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "link"))
    with pytest.raises(SpecError, match="a path with ' '"):
        paths.cache()


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(SpecError, match=r"no home folder .* set XDG_CACHE_HOME"):
        paths.cache()


def test_characters_that_a_terminal_lacks_are_escaped() -> None:
    program = (
        "from fixtures.terminal import show_any_character; show_any_character(); print('\\u2192')"
    )
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, env=environment, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"\\u2192\n")
