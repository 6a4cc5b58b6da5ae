# SPDX-License-Identifier: GPL-2.0-only
"""The report as a mail that answers the series: whom it goes to, what it answers, how it looks."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml

from reports import reply
from tests.unit.repository import three
from tests.unit.test_jobs import BAD, GOOD, judged
from workflows import premerge
from workflows.step import StepResult

POSTING: dict[str, Any] = {
    "version": 2,
    "message_id": "cover.1@example.com",
    "link": "https://lore.kernel.org/all/cover.1@example.com/",
    "subject": "[PATCH v2 0/3] vfio: add files",
    "date": "Thu, 1 Jan 2026 00:00:00 +0000",
    "from": [{"name": "Doe, Jane", "address": "jane@example.com"}],
    "cc": [{"name": "", "address": "kvm@vger.example"}, {"name": "Nö", "address": "n@x.y"}],
}


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("reports.premerge.text", lambda _: "THE REPORT\n")
    return {"posting": dict(POSTING)}


def parsed(text: str) -> EmailMessage:
    return email.message_from_string(text, policy=email.policy.default)


def test_it_answers_the_series(data: dict[str, Any]) -> None:
    mail = parsed(reply.mail(data))
    assert mail["Subject"] == "Re: [PATCH v2 0/3] vfio: add files"
    assert mail["In-Reply-To"] == mail["References"] == "<cover.1@example.com>"
    assert mail["To"] == '"Doe, Jane" <jane@example.com>'
    assert mail["Cc"] == "kvm@vger.example, Nö <n@x.y>"
    assert (mail["From"], mail["Message-ID"], mail.defects) == (None, None, [])
    assert mail.get_content() == (
        "On Thu, 1 Jan 2026 00:00:00 +0000, Doe, Jane wrote:\n"
        "> [PATCH v2 0/3] vfio: add files\n\nTHE REPORT\n"
    )


def test_lines_have_at_most_72_columns(data: dict[str, Any]) -> None:
    posting = data["posting"]
    posting["subject"] = "[PATCH v12 00/10] vfio: " + "a word, and then another one, " * 6
    posting["from"] *= 1
    posting["cc"] = [{"name": f"Somebody {n}", "address": f"n{n}@x.y"} for n in range(20)]
    text = reply.mail(data)
    assert max(map(len, text.splitlines())) <= 72
    assert parsed(text)["Subject"] == f"Re: {posting['subject'].strip()}"
    assert len(parsed(text)["Cc"].addresses) == 20
    posting["subject"] = "[PATCH] " + "ü und ö " * 20
    text = reply.mail(data)
    assert max(map(len, text.splitlines())) <= 76  # an encoded word
    assert str(parsed(text)["Subject"]) == f"Re: {posting['subject'].strip()}"


def test_a_long_message_id_is_not_encoded(data: dict[str, Any]) -> None:
    data["posting"]["message_id"] = f"{'x' * 200}@example.com"
    assert f"\nIn-Reply-To: <{'x' * 200}@example.com>\n" in reply.mail(data)


@pytest.mark.parametrize("subject", ["Re: [PATCH] x", "RE: [PATCH] x"])
def test_the_mark_of_an_answer_is_not_doubled(data: dict[str, Any], subject: str) -> None:
    data["posting"]["subject"] = subject
    assert parsed(reply.mail(data))["Subject"] == subject


def test_nothing_of_a_mail_becomes_a_header(data: dict[str, Any]) -> None:
    evil = "x\r\nBcc: evil@example.com\n\nbody"
    data["posting"] |= {"subject": evil, "date": evil, "message_id": evil}
    data["posting"]["from"] = [{"name": evil, "address": "a@b.c"}]
    mail = parsed(reply.mail(data))
    assert [name for name in mail if name in ("Bcc", "In-Reply-To")] == []
    assert mail.get_content().endswith("THE REPORT\n")


def test_a_mail_without_anything(data: dict[str, Any]) -> None:
    empty: dict[str, Any] = {"message_id": "", "subject": "", "date": "", "from": [], "cc": []}
    data["posting"] |= empty
    mail = parsed(reply.mail(data))
    assert (mail["To"], mail["In-Reply-To"], mail["Subject"]) == (None, None, "Re:")
    assert mail.get_content().startswith("somebody wrote:\n> \n")


def test_premerge_keeps_who_posted_what(
    runs: list[StepResult], tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cover, *patches = three(tree, "--cover-letter", "--base=base", "-v2")
    cover = cover.replace("*** SUBJECT HERE ***", "vfio: add files")
    (tmp_path / "thread.mbx").write_text("".join([*patches[::-1], cover]), encoding="utf-8")
    runs += [judged(GOOD), judged(GOOD), judged(BAD), judged(BAD)]
    asked = [f"--tree={tree}", f"--series={tmp_path}/thread.mbx", "--drivers=mtty"]
    assert premerge.main(asked) == premerge.WORSE
    (folder,) = (tmp_path / "results" / "premerge").iterdir()
    said = yaml.safe_load((folder / "premerge.yaml").read_text(encoding="utf-8"))
    ids = [re.findall(r"(?i)^message-id: <(.*)>$", one, re.M)[0] for one in (cover, *patches)]
    assert [step["message_id"] for step in said["steps"]] == ["", *ids[1:]]
    assert [step["author"] for step in said["steps"]] == ["Nobody <nobody@example.com>"] * 4
    assert said["steps"][1]["link"] == f"https://lore.kernel.org/all/{ids[1]}/"
    assert (said["posting"]["version"], said["posting"]["message_id"]) == (2, ids[0])
    assert said["base"]["from"] == "the base-commit of the cover letter"
    mail = parsed((folder / "reply.eml").read_text(encoding="utf-8"))
    assert mail["In-Reply-To"] == f"<{ids[0]}>"
    report = (folder / "report.txt").read_text(encoding="utf-8")
    assert mail.get_content().endswith(report)
    assert "the base-commit of the cover letter\n" in report
    assert "report.md, report.html, reply.eml; data" in capsys.readouterr().out


def test_a_range_has_nobody_to_answer(runs: list[StepResult], tree: Path, tmp_path: Path) -> None:
    runs += [judged(GOOD)] * 3
    assert premerge.main([f"--tree={tree}", "--series=base..topic", "--drivers=mtty"]) == 0
    (folder,) = (tmp_path / "results" / "premerge").iterdir()
    assert not (folder / "reply.eml").exists()
    said = yaml.safe_load((folder / "premerge.yaml").read_text(encoding="utf-8"))
    assert (said["posting"], said["steps"][1]["link"]) == ({}, "")
    assert said["steps"][1]["author"] == "Nobody <nobody@example.com>"
