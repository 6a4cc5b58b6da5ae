# SPDX-License-Identifier: GPL-2.0-only
"""The key of an earlier step, in addition to its kernel and tests."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import pytest

from fixtures import suite
from fixtures.errors import BuildError, RunError
from fixtures.kernel.spec import parse
from fixtures.progress import Progress
from tests.unit.tools import needs
from workflows import step

pytestmark = needs("gcc", "qemu-system-x86_64", "mmdebstrap")


@pytest.fixture(autouse=True)
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package list of an existing root file system."""
    packages = tmp_path / "var/lib/dpkg/status"
    packages.parent.mkdir(parents=True)
    packages.write_text("Package: python3\nVersion: 3.11.2\n", encoding="utf-8")
    monkeypatch.setattr(step, "provide_rootfs", lambda _: tmp_path)
    return packages


def key() -> str:
    """Return the key as a new process computes it."""
    step.fingerprint.cache_clear()
    return step.fingerprint()


def test_another_version_of_what_runs_the_suites_is_another_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, version = key(), metadata.version
    assert key() == before
    monkeypatch.setattr(metadata, "version", lambda one: version(one) + "0" * (one == "hypothesis"))
    assert key() != before
    known = {"Python", "paramiko", "pytest", "pytest-xdist", "qemu.qmp", "virtme-ng"}
    assert known <= step.traits().keys()


def test_another_python_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    assert key() != before


def test_other_packages_in_the_guest_are_another_key(guest: Path) -> None:
    before = key()
    guest.write_text("Package: python3\nVersion: 3.11.3\n", encoding="utf-8")
    assert key() != before


def test_tools_that_play_no_part_in_a_run_are_no_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, version = key(), metadata.version
    monkeypatch.setattr(metadata, "version", lambda one: "0" if one == "ruff" else version(one))
    assert key() == before


def test_a_root_file_system_that_cannot_be_built_is_not_the_kernels_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: Progress) -> Path:
        raise BuildError("the guest's root file system cannot be built")

    monkeypatch.setattr(step, "provide_rootfs", fails)
    with pytest.raises(RunError, match="root file system") as caught:
        key()
    assert not isinstance(caught.value, BuildError)


def test_no_step_is_made_with_suites_that_were_edited_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suite.digest()
    monkeypatch.setattr(suite, "digest_of", lambda *_: "another")
    with pytest.raises(RunError, match="the suites were edited while the job ran"):
        step.run(parse("debian:7.3"), step.Selection(), "a step", Progress())
