# SPDX-License-Identifier: GPL-2.0-only
"""The jobs on real history: the series that added PRECOPY_INFOv2, and a commit that breaks it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.device import known_drivers
from fixtures.git import git
from fixtures.kernel import parse, source
from fixtures.paths import CHECKOUT
from fixtures.progress import Progress
from tests.history.make import BASE, BROKEN_FLAGS, SERIES, History, mailbox, make
from tests.vm.conftest import NEW

pytestmark = pytest.mark.long

V2 = "feature.precopy_info_v2"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A repository of the newest kernel, with a private worktree."""
    tree = source.of(parse(NEW), Progress()).tree()
    made = make(tree, tmp_path_factory.mktemp("history") / "linux")
    yield made
    shutil.rmtree(source.worktree_folder(made.repository), ignore_errors=True)
    shutil.rmtree(made.repository)


def job(name: str, *options: str) -> tuple[int, str, dict[str, Any]]:
    """Run a job; return its status, its output and the data of its report."""
    folder = CHECKOUT / "results" / name
    before = set(folder.glob("*"))
    argv = [sys.executable, "-m", f"workflows.{name}", *options]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, encoding="utf-8")
    made = set(folder.glob("*")) - before
    data = {}
    if made:
        data = yaml.safe_load((made.pop() / f"{name}.yaml").read_text(encoding="utf-8"))
    return done.returncode, done.stdout + done.stderr, data


def seen_by_its_owner(repository: Path) -> list[str]:
    """Return a repository's refs and the state of its checkout."""
    return [git(repository, "for-each-ref"), git(repository, "status", "--short", "--branch")]


def changed(step: dict[str, Any], name: str) -> dict[str, tuple[str, str]]:
    """Return the old and new value of ``name`` in a step, by driver."""
    return {
        one["driver"]: (one["before"], one["after"])
        for one in step["changes"]
        if one["name"] == name
    }


def in_patch(driver: str, patch: str) -> bool:
    """Return whether ``patch`` is for ``driver``."""
    return driver.replace("_", "-") in patch


def test_premerge_tells_what_each_patch_does(history: History, tmp_path: Path) -> None:
    drivers = sorted(
        driver
        for driver in known_drivers()
        if any(in_patch(driver, commit.name) for commit in history.series)
    )
    series, wanted = tmp_path / "series.mbx", tmp_path / "expect.yaml"
    series.write_bytes(mailbox(history))
    wanted.write_text(
        f"changes: [{{behaviour: {V2}, before: absent, after: supported}}]\n", encoding="utf-8"
    )
    before = seen_by_its_owner(history.repository)
    status, said, data = job(
        "premerge",
        *(f"--tree={history.repository}", f"--base={BASE}", f"--series={series}"),
        *(f"--drivers={','.join(drivers)}", f"--expect={wanted}"),
        "--suites=precopy_info,feature",
    )
    assert status == 1, said  # a patch does not build
    steps = {step["subject"]: step for step in data["steps"][1:]}
    assert list(steps) == [commit.subject for commit in history.series]
    by_name = {commit.name: steps[commit.subject] for commit in history.series}
    not_built = [name for name, step in by_name.items() if step["stage"] == "does not build"]
    assert not_built == [history.series[-2].name]
    core = steps["vfio: Add support for VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2"]
    assert changed(core, V2) == dict.fromkeys(drivers, ("absent", "supported"))
    zeroed: dict[str, str] = {}
    for name, step in by_name.items():
        for driver, (_, word) in changed(step, "precopy_info.flags.v2").items():
            if word == "zeroed":
                zeroed[driver] = name
    assert sorted(zeroed) == drivers
    for driver, name in zeroed.items():
        # The effect of a patch that does not build appears with the next one.
        assert in_patch(driver, name)
        assert name not in not_built
    assert data["missed"] == []
    assert seen_by_its_owner(history.repository) == before


def test_bisect_finds_the_commit_and_skips_what_does_not_build(history: History) -> None:
    status, said, data = job(
        "bisect",
        *(f"--tree={history.repository}", f"--good={SERIES}", f"--bad={BROKEN_FLAGS}"),
        *("--drivers=mtty", "--behaviour=precopy_info.flags.v2"),
    )
    assert status == 0, said
    assert data["found"] == history.broken_flags[1].id
    assert (data["before"], data["after"]) == ("zeroed", "echoed")
    skipped = [step["commit"] for step in data["steps"] if not step["value"]]
    assert skipped == [history.broken_flags[2].id]
