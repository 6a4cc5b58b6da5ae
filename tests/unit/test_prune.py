# SPDX-License-Identifier: GPL-2.0-only
"""make prune: bounds in days and bytes, and what stays whatever they are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures import cache, holding
from fixtures.errors import NoSpace, SpecError
from fixtures.kernel.spec import RefSpec
from fixtures.paths import CHECKOUT
from fixtures.progress import Progress
from tests.unit.test_b4_check import NOT_MADE
from tests.unit.test_jobs import BAD, GOOD, judged
from workflows import cache as kept
from workflows import prune, step, unfinished
from workflows.prune import DAY, GB
from workflows.step import Selection, Stage, StepResult

MB = 1_000_000


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Private folders for the cache and for results; returns the latter."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(step, "STEPS", tmp_path / "results/steps")
    monkeypatch.setattr(unfinished, "FOLDER", tmp_path / "results/unfinished")
    with holding.only_here():
        yield tmp_path / "results"


def entry(path: Path, days: float, size: int = 0) -> Path:
    """Make the folder ``path``, last used ``days`` ago."""
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x" * size)
    when = time.time() - days * DAY
    os.utime(path, (when, when))
    return path


@pytest.fixture
def kinds(results: Path) -> dict[str, Path]:
    """An old and a new entry of each of several kinds."""
    places = {
        "steps": results / "steps",
        "runs": results,
        "soaks": results / "soak",
        "reports": results / "premerge",
        "kernels": cache.place("kernels", "x").parent,
        "build": cache.place("build", "x").parent,
    }
    return {
        f"{age} {name}": entry(place / f"2026010{number}-000000-{name}", days)
        for name, place in places.items()
        for number, (age, days) in enumerate({"old": 40, "new": 1}.items())
    }


def there(kinds: dict[str, Path]) -> set[str]:
    return {name for name, path in kinds.items() if path.exists()}


def test_what_is_old_goes(kinds: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert prune.main(["--keep-days=30"]) == 0
    assert there(kinds) == {name for name in kinds if name.startswith("new ")}
    said = capsys.readouterr().out
    assert re.search(r"^results: 4 removed, .* MB; .* MB left$", said, re.M)
    assert re.search(r"^cache: 2 removed, .* MB; .* MB left$", said, re.M)


@pytest.mark.parametrize(
    ("chosen", "gone"),
    [
        ("results", {"steps", "runs", "soaks", "reports"}),
        ("cache", {"kernels", "build"}),
        ("steps kernels", {"steps", "kernels"}),
    ],
)
def test_only_what_is_chosen_goes(kinds: dict[str, Path], chosen: str, gone: set[str]) -> None:
    assert prune.main(["--keep-days=30", f"--prune={chosen}"]) == 0
    assert {*kinds} - there(kinds) == {f"old {name}" for name in gone}


def test_the_least_recently_used_goes_until_there_is_room(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "GB", MB)
    runs = [
        entry(results / f"20260101-00000{days}-x", days, MB if days != 2 else 3 * MB)
        for days in range(5)
    ]
    cached = entry(cache.place("kernels", "x"), 9, MB)
    assert prune.main(["--keep-gb=5.5"]) == 0  # of 7 MB, in any order of size
    assert [path.exists() for path in runs] == [True, True, True, False, False]
    assert cached.exists()  # it has room of its own
    assert prune.main(["--keep-gb=5.5"]) == 0
    assert [path.exists() for path in runs] == [True, True, True, False, False]
    assert prune.main(["--keep-gb=0"]) == 0
    assert not any(path.exists() for path in (*runs, cached))


def test_what_stays_in_any_case(
    kinds: dict[str, Path], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holding.hold(kinds["old soaks"])
    os.utime(kinds["old soaks"], (0, 0))
    (results / "latest").symlink_to(kinds["old runs"].name)
    with unfinished.job("premerge", "key", ["--series=a b"]):
        unfinished.needs(kinds["old steps"] / "20260101-000000-x", kinds["old kernels"])
    assert prune.main(["--keep-days=0", "--keep-gb=0"]) == 0
    assert there(kinds) == {"old soaks", "old runs", "old steps", "old kernels"}
    said = capsys.readouterr().out
    assert re.search(r"^results: .* left; 1 in use; 1 needed by unfinished jobs$", said, re.M)
    assert re.search(r"^cache: .* left; 1 needed by unfinished jobs$", said, re.M)
    file = results / "unfinished" / "premerge-key"
    line = f"unfinished: premerge '--series=a b': needs 2 entries (to give it up: rm {file})"
    assert line in said.splitlines()
    assert kept.main(["--prune=kernels steps"]) == 0
    assert there(kinds) == {"old soaks", "old runs", "old steps", "old kernels"}
    assert kept.main([]) == 0
    assert line in capsys.readouterr().out.splitlines()
    file.unlink()
    assert prune.main(["--keep-days=0"]) == 0
    assert there(kinds) == {"old soaks", "old runs"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "KEEP_DAYS= or KEEP_GB= is missing"),
        (["--prune=results"], "KEEP_DAYS= or KEEP_GB= is missing"),
        (["--keep-days=x"], "KEEP_DAYS=x: is no number"),
        (["--keep-gb=-1"], "KEEP_GB=-1: is no number"),
        (["--keep-gb=1", "--prune=kernel"], "PRUNE=kernel: no such kind; there are"),
    ],
)
def test_what_makes_no_sense_removes_nothing(
    kinds: dict[str, Path], argv: list[str], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        prune.main(argv)
    assert there(kinds) == {*kinds}


def test_what_cannot_be_removed_is_an_error(
    kinds: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache, "_remove", refuse)
    assert prune.main(["--keep-days=30", "--prune=kernels"]) == 2
    assert "old kernels" in there(kinds)
    assert "Permission denied" in capsys.readouterr().err


def test_a_gigabyte() -> None:
    assert GB == 10**9


# Jobs


def test_a_job_that_is_stopped_notes_what_it_needs(judge: Any, results: Path) -> None:
    judge(judged(GOOD), judged(GOOD), NOT_MADE)
    (left,) = unfinished.left()
    assert left.command.startswith("premerge --tree=")
    (report,) = left.needs
    assert (report / "premerge.yaml").exists()
    judge(judged(GOOD), judged(GOOD), judged(BAD), judged(BAD))  # the same command resumes
    assert unfinished.left() == []


@pytest.mark.parametrize("ends", [NoSpace("full"), KeyboardInterrupt()])
def test_a_job_that_ends_with_an_exception(tmp_path: Path, ends: BaseException) -> None:
    def carry_out() -> None:
        with unfinished.job("matrix", "k", []):
            unfinished.needs(tmp_path)
            raise ends

    with pytest.raises(type(ends)):
        carry_out()
    (left,) = unfinished.left()
    assert left.needs == {tmp_path}
    with unfinished.job("matrix", "k", []) as job:
        unfinished.needs(tmp_path)
        job.finished = True
    assert unfinished.left() == []


def test_a_job_that_needs_nothing_leaves_nothing() -> None:
    with pytest.raises(SpecError), unfinished.job("matrix", "k", []):
        raise SpecError("no such kernel")
    assert unfinished.left() == []
    unfinished.needs(Path("/"))  # by no job
    assert unfinished.left() == []


def test_a_job_that_is_killed(results: Path) -> None:
    program = (
        "import os, pathlib, signal; from workflows import unfinished\n"
        f"unfinished.FOLDER = pathlib.Path({str(results / 'unfinished')!r})\n"
        "with unfinished.job('bisect', 'k', ['--good=1']):\n"
        "    unfinished.needs(pathlib.Path('/x'))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT)
    assert done.returncode == -signal.SIGKILL
    (left,) = unfinished.left()
    assert (left.command, left.needs) == ("bisect --good=1", frozenset({Path("/x")}))


def test_a_step_notes_what_it_stands_on(
    results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = entry(cache.place("kernels", "k"), 0)
    monkeypatch.setattr(step, "fingerprint", lambda: "x")
    monkeypatch.setattr("fixtures.kernel.identity", lambda *_: "x")
    monkeypatch.setattr("fixtures.kernel.provide", lambda *_: holding.hold(kernel))
    made, spec = StepResult(Stage.JUDGED), RefSpec.of_commit(tmp_path, "0" * 40)
    monkeypatch.setattr(step, "_test", lambda *_: made)
    with unfinished.job("premerge", "k", []):
        step.run(spec, Selection(), "it", Progress())
    (left,) = unfinished.left()
    assert kernel in left.needs
    assert any(path.parent == results / "steps" for path in left.needs)
