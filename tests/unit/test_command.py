# SPDX-License-Identifier: GPL-2.0-only
"""What the commands make of the variables of make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures import paths
from fixtures.errors import RunError, SpecError
from fixtures.paths import CHECKOUT
from fixtures.plugin import options
from fixtures.plugin.baseline import read as read_baseline
from fixtures.progress import Progress
from workflows import baseline, bench, check, history, premerge, series


@pytest.fixture
def pytest_argv(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that pytest would be run with."""
    argv: list[str] = []
    monkeypatch.setattr(os, "execv", lambda _, words: argv.extend(words[3:]))
    return argv


def test_what_is_not_named_is_all_of_it(pytest_argv: list[str]) -> None:
    check.main([])
    assert pytest_argv == [*("suites", "-n", "auto", "--kernel=debian:newest", "--flavour=default")]


def test_every_variable_has_an_effect(pytest_argv: list[str]) -> None:
    check.main(
        [
            *("--kernel=/a b", "--drivers=mtty,qat mlx5", "--suites=reinit suites/precopy_info/"),
            *("--flavour=debug", "--jobs=2", "--clause=reinit.*", "--tests=one and two"),
            *("--behaviour=precopy_info.reinit", "--baseline=x.yaml", "--pytest=-x -m 'a b'"),
        ]
    )
    assert pytest_argv == [
        *("--baseline=x.yaml", "suites/reinit", "suites/precopy_info", "-n", "2"),
        *("--kernel=/a b", "--flavour=debug", "--driver=mtty,qat,mlx5", "--clause=reinit.*"),
        *("--behaviour=precopy_info.reinit", "-k", "one and two", "-x", "-m", "a b"),
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--suites=precopy_inf"],
            "SUITES=precopy_inf: no such folder of suites/; is it precopy_info?",
        ),
        (["--suites=elsewhere"], "SUITES=elsewhere: no such folder of suites/; there are "),
        (["--suites=.."], "SUITES=..: no such folder of suites/; there are "),
        (["--drivers=mtti"], "mtti: no such driver"),
        (["--flavour=debg"], "FLAVOUR=debg: there are default, debug, fault; is it debug?"),
        (["--jobs=many"], "JOBS=many: how many machines"),
        (["--pytest=-k 'a"], "PYTEST=-k 'a: No closing quotation"),
        (["--tests=a and"], "TESTS 'a and': "),
        (["--tests=a", "--pytest=-x -kb"], "TESTS= and PYTEST=-k both name tests"),
    ],
)
def test_a_mistake_is_one_line(pytest_argv: list[str], words: list[str], says: str) -> None:
    with pytest.raises(SpecError) as caught:
        check.main(words)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)
    assert not pytest_argv


def no_pytest(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], 2)


@pytest.mark.parametrize("name", ["~nosuchuser/x", "/etc/passwd/x", "/", "x" * 300, "a\0b", ""])
def test_a_file_that_no_baseline_can_be_written_to(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", no_pytest)
    with pytest.raises(SpecError) as caught:
        baseline.main([name])
    assert "\n" not in str(caught.value)


def test_a_run_that_never_began_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(subprocess, "run", no_pytest)
    monkeypatch.setattr(baseline, "RUNS", tmp_path / "runs")
    with pytest.raises(RunError, match="nothing is recorded"):
        baseline.main([str(tmp_path / "x.yaml")])
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("name", ["~nosuchuser/x", "x" * 300])
def test_a_tree_and_a_mailbox_that_cannot_be(name: str) -> None:
    with pytest.raises(SpecError, match=name[:20]):
        series.repository(name)
    with pytest.raises(SpecError, match=name[:20]):
        series.load(Path("/"), "", name, Progress())


@pytest.mark.parametrize("name", ["~nosuchuser/x", "x" * 300])
def test_a_file_of_expectations_that_cannot_be_read(name: str) -> None:
    with pytest.raises(SpecError):
        premerge.main(["--tree=/nosuch", "--series=a..b", f"--expect={name}"])


def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    words = ["-pno:cacheprovider", f"--results={tmp_path}", "-n2", "suites/precopy_inf"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert done.stderr == (
        "Error: suites/precopy_inf: no such file or folder; is it precopy_info?\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_folders_that_pytest_s_options_name(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(pytestconfig.option, "results", "~/runs")
    monkeypatch.setattr(pytestconfig.option, "baseline", "~nosuchuser/x")
    assert options._asked_for(pytestconfig).results_root == tmp_path / "runs"
    with pytest.raises(SpecError, match="no home folder is known for ~nosuchuser"):
        read_baseline(pytestconfig)
    monkeypatch.setattr(pytestconfig.option, "results", "~nosuchuser/x")
    with pytest.raises(SpecError, match="no home folder is known for ~nosuchuser"):
        options._asked_for(pytestconfig)


def test_a_clause_that_is_almost_there() -> None:
    with pytest.raises(SpecError, match=r"is called reinit\.onc; is it reinit\.once\?"):
        history.main(["--drivers=mtty", "--clause=reinit.onc"])


def test_a_benchmark_that_never_began_leaves_the_last_one_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "/nosuch"])
    assert bench.main() == 2
    assert list(tmp_path.iterdir()) == []
