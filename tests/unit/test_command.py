# SPDX-License-Identifier: GPL-2.0-only
"""How the commands use make's variables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fixtures import kernel, paths
from fixtures.errors import RunError, SpecError
from fixtures.paths import CHECKOUT
from fixtures.plugin import options
from fixtures.plugin.baseline import read as read_baseline
from fixtures.progress import Progress
from workflows import baseline, bench, check, history, premerge, series


@pytest.fixture
def pytest_argv(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments for pytest."""
    argv: list[str] = []
    monkeypatch.setattr(os, "execv", lambda _, words: argv.extend(words[3:]))
    return argv


def test_what_is_not_named_is_all_of_it(pytest_argv: list[str]) -> None:
    check.main([])
    assert pytest_argv == [
        *("suites", "-n", "auto", "--kernel=debian:newest", "--flavour=default"),
        "--fail-on=should",
    ]


def test_every_variable_has_an_effect(
    pytest_argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "parse", lambda _: None)  # there is no kernel
    check.main(
        [
            *("--kernel=/a b", "--drivers=mtty,qat mlx5", "--suites=reinit suites/precopy_info/"),
            *("--flavour=debug", "--fail-on=must", "--jobs=2"),
            *("--clause=reinit.*", "--tests=one and two"),
            *("--behaviour=precopy_info.reinit", "--baseline=x.yaml", "--pytest=-x -m 'a b'"),
            "--vmms=qemu qemu10",
        ]
    )
    assert pytest_argv == [
        *("--baseline=x.yaml", "suites/reinit", "suites/precopy_info", "-n", "2"),
        *("--kernel=/a b", "--flavour=debug", "--fail-on=must"),
        *("--driver=mtty,qat,mlx5", "--vmm=qemu,qemu10", "--clause=reinit.*"),
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
        (["--vmms=qemu9"], "qemu9: no such VMM; known VMMs: qemu, qemu10, or all"),
        (
            ["--flavour=debg"],
            "FLAVOUR=debg: there are default, debug, fault, coverage; is it debug?",
        ),
        (["--fail-on=may"], "FAIL_ON=may: it is should (any new deviation fails the run) or must"),
        (["--jobs=many"], "JOBS=many: how many machines"),
        (["--jobs=0"], "JOBS=0: how many machines"),
        (["--kernel=/nosuch"], "/nosuch: no such folder; a kernel is named by "),
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


def no_pytest(_: Sequence[str]) -> int:
    return 2


@pytest.mark.parametrize("name", ["~nosuchuser/x", "/etc/passwd/x", "/", "x" * 300, "a\0b", ""])
def test_a_file_that_no_baseline_can_be_written_to(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "run_pytest", no_pytest)
    with pytest.raises(SpecError) as caught:
        baseline.main([name])
    assert "\n" not in str(caught.value)


def test_a_run_that_never_began_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(baseline, "run_pytest", no_pytest)
    monkeypatch.setattr(baseline, "RUNS", tmp_path / "runs")
    with pytest.raises(RunError, match="nothing is recorded"):
        baseline.main([str(tmp_path / "x.yaml")])
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize(("option", "value"), [("memory", 512), ("kernel_option", ["x"])])
def test_a_machine_that_runs_already_is_not_changed(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, option: str, value: object
) -> None:
    given = {"target": "ssh://x", "device": ["0000:08:00.1"], "driver": ["mlx5"], option: value}
    for name, one in given.items():
        monkeypatch.setattr(pytestconfig.option, name, one)
    words = f"--{option.replace('_', '-')}: leave it out, the machine of --target runs"
    with pytest.raises(SpecError, match=words):
        options._asked_for(pytestconfig)


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


def test_a_history_is_of_what_results_name() -> None:
    with pytest.raises(SpecError, match=r"name one subject: BEHAVIOUR= or CLAUSE=$"):
        history.main(["--drivers=mtty", "--tests=flags"])


def test_a_benchmark_that_never_began_leaves_the_last_one_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "/nosuch"])
    assert bench.main() == 2
    assert list(tmp_path.iterdir()) == []


# A job that runs pytest with a plugin; the plugin is interrupted, and takes a while to end.
JOB = """
import sys
from workflows import command

def main(_):
    return command.run_pytest(["-p", "slow", "-c", "/dev/null", "--noconftest", sys.argv[1]])

sys.exit(command.run_main(main))
"""
PLUGIN = """
import pathlib, time

def pytest_collection_finish(session):
    pathlib.Path("{began}").touch()
    time.sleep(60)

def pytest_sessionfinish(session):
    time.sleep(0.6)
    pathlib.Path("{ended}").touch()
"""


@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "kill"])
def test_an_interrupted_job_lets_pytest_end(tmp_path: Path, to_all: bool) -> None:
    began, ended = tmp_path / "began", tmp_path / "ended"
    (tmp_path / "slow.py").write_text(PLUGIN.format(began=began, ended=ended), encoding="utf-8")
    job_code = JOB if to_all else JOB.replace("\ndef", "command.TO_STOP = 0.3\n\ndef", 1)
    job = subprocess.Popen(
        [sys.executable, "-c", job_code, str(tmp_path)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    while not began.exists():
        assert job.poll() is None
        time.sleep(0.05)
    (os.killpg if to_all else os.kill)(job.pid, signal.SIGINT)
    _, said = job.communicate(timeout=30)
    assert ended.exists()
    assert job.returncode == 2
    assert said.strip() == "interrupted; the same command resumes here"


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "while it is printed"])
def test_what_nobody_reads_is_no_traceback(lines: int) -> None:
    command = f"command.run_main(lambda _: print('x\\n' * {lines}) or 0)"
    job = subprocess.Popen(
        [sys.executable, "-c", f"import sys; from workflows import command; sys.exit({command})"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert job.stdout is not None
    job.stdout.close()
    assert job.stderr is not None
    assert job.stderr.read() == ""
    assert job.wait() == 2
