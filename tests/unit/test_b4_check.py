# SPDX-License-Identifier: GPL-2.0-only
"""b4's check protocol: what it is told of a series, and of a patch."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.errors import RunError, SpecError
from fixtures.paths import CHECKOUT
from tests.unit.test_jobs import BAD, GOOD, NOT_BUILT, judged
from tests.unit.test_threads import message_id
from workflows import b4_check, premerge
from workflows import judged as verdicts
from workflows.step import Stage, StepResult

NOT_MADE = StepResult(Stage.NOT_MADE, problem="no space left")
OUT_OF_TIME = StepResult(Stage.OUT_OF_TIME, problem="--run-limit")


@pytest.fixture(autouse=True)
def results(premerges: Path) -> Path:
    return premerges


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give the command a mail; returns what it prints, read as JSON."""

    def ask(mail: str, *options: str) -> Any:
        capsys.readouterr()
        stdin = io.TextIOWrapper(io.BytesIO(mail.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert b4_check.main(options) == 0
        return json.loads(capsys.readouterr().out)

    return ask


@pytest.mark.parametrize(
    ("outcomes", "series", "patches"),
    [
        ([GOOD, GOOD, GOOD, GOOD], "pass", ["pass"] * 3),
        ([GOOD, GOOD, BAD, BAD], "fail", ["pass", "fail", "pass"]),
        ([GOOD, NOT_BUILT, GOOD, GOOD], "fail", ["fail", "pass", "pass"]),
        ([GOOD, GOOD, OUT_OF_TIME, GOOD], "warn", ["pass", "warn", "pass"]),
        ([GOOD, GOOD, NOT_MADE], "warn", ["pass", "warn"]),
        ([GOOD, BAD, NOT_MADE], "fail", ["fail", "warn"]),
        ([NOT_BUILT], "warn", []),
    ],
)
def test_b4_is_told(
    judge: Any, ask: Any, whole: list[str], outcomes: list[Any], series: str, patches: list[str]
) -> None:
    judge(*(one if isinstance(one, StepResult) else judged(one) for one in outcomes))
    (said,) = ask(whole[0])
    assert (said["tool"], said["status"]) == ("vfio-conformance", series)
    assert said["summary"]
    assert "VFIO migration conformance: 3 patches on" in said["details"]
    assert set(said) == {"tool", "status", "summary", "details"}
    told = [one["status"] for mail in whole[1:] for one in ask(mail, "--patch")]
    assert told == patches


def test_what_is_said(judge: Any, ask: Any, whole: list[str]) -> None:
    judge(judged(GOOD), judged(GOOD), judged(BAD), NOT_MADE)
    assert ask(whole[0])[0]["summary"] == "changed for the worse; 2 of 3 patches judged"
    (patch,) = ask(whole[2], "--patch")
    assert patch["summary"] == "1 changed for the worse: mtty: precopy-info.flags.v1-echo"
    assert patch["details"] == "worse: mtty: precopy-info.flags.v1-echo: conforms -> deviates"
    judge(judged(GOOD), judged(GOOD), NOT_MADE)
    assert ask(whole[0])[0]["summary"] == "1 of 3 patches judged"
    judge(judged(GOOD), NOT_BUILT, judged(GOOD), judged(GOOD))
    (patch,) = ask(whole[1], "--patch")
    assert patch["summary"] == f"does not build: {patch['details']}"


def test_the_newest_run_counts(judge: Any, ask: Any, whole: list[str], results: Path) -> None:
    judge(judged(GOOD), judged(BAD), judged(BAD), judged(BAD))
    (first,) = results.iterdir()
    first.rename(results / "20200101-000000-x")
    judge(*[judged(GOOD)] * 4)
    assert ask(whole[0])[0]["status"] == "pass"


def test_a_reader_elsewhere(
    judge: Any, ask: Any, whole: list[str], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(*[judged(GOOD)] * 4)
    (folder,) = results.iterdir()
    monkeypatch.setenv("REPORT_URL", "https://ci.example.com/premerge/")
    url = f"https://ci.example.com/premerge/{folder.name}/report.html"
    assert ask(whole[0])[0]["url"] == url
    monkeypatch.setenv("REPORT_URL", "ci.example.com")
    with pytest.raises(SpecError, match=r"REPORT_URL=ci\.example\.com: is no URL"):
        ask(whole[0])


def test_what_is_missing_in_the_whole_is_the_last_patch_s(
    runs: list[StepResult], tree: Path, whole: list[str], tmp_path: Path, ask: Any
) -> None:
    (tmp_path / "expect.yaml").write_text(
        "changes: [{behaviour: feature.precopy_info_v2, after: supported}]\n", encoding="utf-8"
    )
    (tmp_path / "thread.mbx").write_text("".join(whole), encoding="utf-8")
    runs += [judged(GOOD)] * 4
    asked = [f"--tree={tree}", f"--series={tmp_path}/thread.mbx", "--drivers=mtty"]
    assert premerge.main([*asked, f"--expect={tmp_path}/expect.yaml"]) == 1
    told = [ask(mail, "--patch")[0] for mail in whole[1:]]
    assert [one["status"] for one in told] == ["pass", "pass", "fail"]
    assert told[2]["summary"] == "an expected change is missing"


def test_a_mail_that_nobody_judged(ask: Any, whole: list[str], results: Path) -> None:
    assert ask(whole[0]) == []
    for name, text in (("a", "\0"), ("b", "[]"), ("c", "posting: {}\n"), ("d", "")):
        (results / name).mkdir(parents=True)
        (results / name / "premerge.yaml").write_text(text, encoding="utf-8")
    assert ask(whole[0]) == []


def test_a_patch_that_is_not_of_the_run(judge: Any, ask: Any, whole: list[str]) -> None:
    judge(*[judged(GOOD)] * 4)
    assert ask(whole[0], "--patch") == []


def test_what_is_no_mail(ask: Any) -> None:
    with pytest.raises(RunError, match="stdin has no mail with a Message-ID"):
        ask("hello\n")


def test_the_command_as_b4_runs_it(whole: list[str], tmp_path: Path) -> None:
    command = ["env", "-C", str(CHECKOUT), sys.executable, "-m", "workflows.b4_check"]
    done = subprocess.run(
        command, input=whole[0].encode(), capture_output=True, cwd=tmp_path, check=True
    )
    assert (json.loads(done.stdout), message_id(whole[0]) in done.stderr.decode()) == ([], True)


def test_a_report_is_read_as_it_is_written(judge: Any, results: Path) -> None:
    judge(judged(GOOD), judged(GOOD), judged(BAD), judged(BAD))
    (folder,) = results.iterdir()
    data = yaml.safe_load((folder / "premerge.yaml").read_text(encoding="utf-8"))
    assert verdicts.newest(data["posting"]["message_id"]) == (folder, data)
