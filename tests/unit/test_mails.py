# SPDX-License-Identifier: GPL-2.0-only
"""Mailboxes: a series is complete, in order and as posted, or one line says why not."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import quopri
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.errors import SpecError
from fixtures.git import git, raw
from fixtures.progress import Progress
from tests.unit.repository import HEADER, NOBODY, three
from workflows import series
from workflows.mail import mailbox as reading
from workflows.mail import thread
from workflows.mail.mailbox import Patch
from workflows.mail.thread import Wish

REPLY = """\
From 0000 Mon Sep 17 00:00:00 2001
From: R <r@example.com>
Date: Thu, 1 Jan 2026 00:00:00 +0000
Subject: {subject}
Message-Id: <reply@example.com>
In-Reply-To: <cover@example.com>

> +line ten

How about this:

diff --git a/{file} b/{file}
--- a/{file}
+++ b/{file}
@@ -1,3 +1,3 @@
-1
+one
 2
 3

"""


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    return tmp_path / "series.mbx"


def patches_of(mailbox: Path) -> list[Patch]:
    """Return the patches of the newest series in ``mailbox``."""
    found = thread.choose(mailbox, reading.read(mailbox), Wish(), Progress())
    return [mail.patch for mail in found.patches]


def subjects(mailbox: Path, *found: str | bytes) -> list[str]:
    """Return the subjects of the patches in a mailbox made of ``found``."""
    parts = [one.encode() if isinstance(one, str) else one for one in found]
    mailbox.write_bytes(b"".join(parts))
    patches = patches_of(mailbox)
    assert [patch.number for patch in patches] == list(range(1, len(patches) + 1))
    return [patch.subject for patch in patches]


ALL = ["vfio: add a", "vfio: add b", "vfio: add c"]


def test_patches_are_in_the_order_of_their_numbers(made: Path, mailbox: Path) -> None:
    one, two, last = three(made)
    assert subjects(mailbox, two, last, one) == ALL
    cover, *rest = three(made, "--cover-letter", "-v3", "--subject-prefix=PATCH net-next RESEND")
    assert subjects(mailbox, *rest[::-1], cover) == ALL


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ([0, 1], "patch 3 of 3 is missing"),
        ([0, 2], "patch 2 of 3 is missing"),
        ([1, 2], "patch 1 of 3 is missing"),
        ([1], "patches 1 and 3 of 3 are missing"),
    ],
)
def test_a_series_that_lacks_a_patch_is_refused(
    made: Path, mailbox: Path, left: list[int], said: str
) -> None:
    whole = three(made)
    with pytest.raises(SpecError, match=f"series.mbx: {said}; get"):
        subjects(mailbox, *(whole[place] for place in left))


def test_few_of_many_missing_patches_are_named(made: Path, mailbox: Path) -> None:
    one = three(made)[0].replace("1/3", "1/9999")
    with pytest.raises(SpecError, match="patches 2, 3, 4, 5, 6 and 9993 more of 9999 are missing"):
        subjects(mailbox, one)


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("Re: [PATCH 1/3] vfio: add a", "an answer"),
        ("[list] AW: Re: [PATCH 1/3] vfio: add a", "an answer"),
        ("FWD: [PATCH 2/3] vfio: add b", "an answer"),
        ("[PATCH] vfio: instead of b", "a reply without a number"),
        ("[PATCH 1.5/3] vfio: between", "a reply without a number"),
        ("[PATCH 4/3] vfio: on top", "it is on top of the 3 patches"),
    ],
)
def test_what_is_no_patch_of_the_series_is_left_out_and_named(
    made: Path, mailbox: Path, capsys: pytest.CaptureFixture[str], subject: str, why: str
) -> None:
    one, two, last = three(made)
    assert subjects(mailbox, one, REPLY.format(subject=subject, file=HEADER), two, last) == ALL
    assert f"left out, though it has a diff: {subject!r}: {why}" in capsys.readouterr().err


def test_an_answer_without_a_diff_is_nothing_to_tell(
    made: Path, mailbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = REPLY.format(subject="Re: [PATCH 1/3] vfio: add a", file=HEADER)
    answer = re.sub("^(?=diff|---|[+]{3}|@@)", "> ", answer, flags=re.M)
    assert subjects(mailbox, *three(made), answer) == ALL
    assert "left out" not in capsys.readouterr().err


def test_a_patch_beside_a_series_that_is_no_reply_is_refused(made: Path, mailbox: Path) -> None:
    stray = REPLY.format(subject="[PATCH] vfio: else", file=HEADER).replace("In-Reply-To", "X-Y")
    with pytest.raises(SpecError, match=r"has numbered patches, and '\[PATCH\] vfio: else'"):
        subjects(mailbox, *three(made), stray)


def test_two_series_are_refused(made: Path, mailbox: Path) -> None:
    whole = three(made)
    with pytest.raises(SpecError, match="has patches numbered n/3 and n/4; keep only one"):
        subjects(mailbox, *whole, whole[0].replace("1/3", "1/4"))
    other = whole[1].replace("+b", "+B").replace("Message-Id: <", "Message-Id: <x")
    with pytest.raises(SpecError, match="patch 2 of 3, 'vfio: add b', is there more than once"):
        subjects(mailbox, *whole, other)


def test_a_second_copy_of_a_mail_is_no_second_patch(made: Path, mailbox: Path) -> None:
    whole = three(made)
    footed = [f"{mail}\n_____\nlist mailing list\n\n" for mail in whole]
    assert subjects(mailbox, *whole, *footed) == ALL
    resent = [mail.replace("[PATCH ", "[PATCH RESEND ") for mail in whole]
    assert subjects(mailbox, *whole, *resent) == ALL
    altered = whole[1].replace("+b", "+B")
    with pytest.raises(SpecError, match=r"patch 2 of 3, .* is there more than once"):
        subjects(mailbox, *whole, altered)


def test_patches_without_numbers_are_in_the_order_of_the_mailbox(
    made: Path, mailbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = three(made, "-N", "--no-thread")
    assert subjects(mailbox, plain[0]) == ALL[:1]
    assert "no patch has a number" not in capsys.readouterr().err
    assert subjects(mailbox, *plain, plain[0]) == ALL
    assert "no patch has a number" in capsys.readouterr().err
    with pytest.raises(SpecError, match="has no number and is a reply to another patch"):
        subjects(mailbox, *three(made, "-N"))
    assert subjects(mailbox, plain[0], *three(made, "-N", "-v2", "--no-thread")) == ALL


@pytest.mark.parametrize("text", ["", "\n", "hello\n", "From: A <a@b.c>\nSubject: x\n\nhello\n"])
def test_a_mailbox_without_a_patch_is_refused(mailbox: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"series\.mbx: (has no patch|is not a mailbox)") as caught:
        subjects(mailbox, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("numbered", ["-n", "-N"])
def test_a_patch_without_a_diff_is_refused(made: Path, mailbox: Path, numbered: str) -> None:
    whole = three(made, numbered, "--no-thread")
    whole[1] = whole[1].partition("\n---\n")[0] + "\n\n"
    with pytest.raises(SpecError, match=r"vfio: add b',? has no diff: it is an empty commit, HTML"):
        subjects(mailbox, *whole)


def test_a_patch_that_git_cannot_read_is_named(made: Path, mailbox: Path) -> None:
    kind = "MIME-Version: 1.0\nContent-Type: text/plain; charset=bogus"
    whole = [mail.replace("\n\n", f"\n{kind}\n\n\xe9\n\n", 1) for mail in three(made)]
    with pytest.raises(SpecError, match=r"patch 1 of 3, .* cannot be read: error: cannot convert"):
        subjects(mailbox, *whole)


def test_parts_in_parts_without_end_are_refused(mailbox: Path) -> None:
    parts = "".join(
        f'Content-Type: multipart/mixed; boundary="{n}"\n\n--{n}\n' for n in range(2000)
    )
    with pytest.raises(SpecError, match="too deeply nested parts"):
        subjects(mailbox, f"From: A <a@b.c>\nSubject: [PATCH] x\nMIME-Version: 1.0\n{parts}")


# Encodings of a mail


def encoded(mail: str, how: str) -> bytes:
    """Return ``mail`` as some servers forward it: with CRLF, encoded."""
    head, _, body = mail.partition("\n\n")
    text = body.replace("\n", "\r\n").encode()
    if how == "base64":
        packed = base64.encodebytes(text)
    else:
        packed = quopri.encodestring(text, quotetabs=True).replace(b"\r\n", b"=0D\n")
    kind = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding:"
    return f"{head}\nMIME-Version: 1.0\n{kind} {how}\n\n".encode() + packed + b"\n"


@pytest.mark.parametrize("how", ["base64", "quoted-printable"])
def test_a_cr_that_came_on_the_way_is_taken_away(tree: Path, mailbox: Path, how: str) -> None:
    assert subjects(mailbox, *(encoded(mail, how) for mail in three(tree))) == ALL
    loaded = series.load(tree, "base", str(mailbox), Progress())
    assert raw(tree, "show", f"{loaded.commits[3].id}:c") == b"c\n"
    assert b"\r" not in raw(tree, "log", "-3", "--format=%B", loaded.commits[3].id)


def test_a_mailbox_with_crlf_is_one_with_lf(tree: Path, mailbox: Path) -> None:
    assert subjects(mailbox, "".join(three(tree)).replace("\n", "\r\n")) == ALL
    loaded = series.load(tree, "base", str(mailbox), Progress())
    assert raw(tree, "show", f"{loaded.commits[3].id}:c") == b"c\n"


def test_a_cr_of_a_file_stays(tree: Path, mailbox: Path) -> None:
    git(tree, "checkout", "--quiet", "-b", "dos", "base")
    (tree / "dos").write_bytes(b"one\r\ntwo\rthree\r\n")
    git(tree, "-c", "core.autocrlf=false", "add", "--all")
    git(tree, "commit", "--quiet", "--message=vfio: add dos", **NOBODY)
    mailbox.write_bytes(raw(tree, "format-patch", "--stdout", "base..dos"))
    loaded = series.load(tree, "base", str(mailbox), Progress())
    assert raw(tree, "show", f"{loaded.commits[1].id}:dos") == b"one\r\ntwo\rthree\r\n"


def test_a_compressed_mailbox(made: Path, mailbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress("".join(three(made)).encode())
    assert subjects(mailbox, packed) == ALL
    with pytest.raises(SpecError, match="is compressed by gzip, and damaged"):
        subjects(mailbox, packed[:-20])
    monkeypatch.setattr(reading, "LIMIT", 1 << 20)
    with pytest.raises(SpecError, match="is larger than 1 MiB"):
        subjects(mailbox, gzip.compress(bytes(2 << 20)))


@pytest.mark.parametrize("numbers", ["-n", "-N"])
@pytest.mark.parametrize("lost", [b"\xef\xbb\xbf", b""], ids=["BOM", "first line"])
def test_a_mailbox_that_has_lost_its_beginning_is_no_single_mail(
    made: Path, mailbox: Path, lost: bytes, numbers: str
) -> None:
    whole = "".join(three(made, numbers, "--no-thread")).encode()
    assert subjects(mailbox, lost + whole if lost else whole.partition(b"\n")[2]) == ALL


@pytest.mark.parametrize(
    ("pack", "said"),
    [
        (lzma.compress, "compressed by xz; unpack it first"),
        (bz2.compress, "compressed by bzip2; unpack it first"),
        (lambda data: data.decode().encode("utf-16"), "UTF-16 text"),
    ],
)
def test_a_mailbox_in_a_form_that_is_not_read_is_named(
    made: Path, mailbox: Path, pack: Callable[[bytes], bytes], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        subjects(mailbox, pack("".join(three(made)).encode()))


def test_a_diff_that_is_no_mail_is_called_as_its_file(tree: Path, mailbox: Path) -> None:
    diff = git(tree, "diff", "base", "three")
    assert subjects(mailbox, diff) == ["series.mbx"]


def test_html_beside_the_text_is_no_second_diff(made: Path, mailbox: Path) -> None:
    head, _, body = three(made, "-N", "--no-thread", "-1", "three")[0].partition("\n\n")
    parts = "".join(
        f"--B\nContent-Type: text/{kind}; charset=utf-8\n\n{body}\n" for kind in ("plain", "html")
    )
    kind = 'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="B"'
    assert subjects(mailbox, f"{head}\n{kind}\n\n{parts}--B--\n") == ["vfio: add c"]
    assert patches_of(mailbox)[0].diff.count(b"diff --git") == 1


def test_a_line_that_was_quoted_for_the_mailbox(made: Path, mailbox: Path) -> None:
    mail = three(made, "-N", "--no-thread")[0]
    said = "From a reader's view, Mon Sep 17 00:00:00 2001"
    assert subjects(mailbox, mail.replace("\n---\n", f"\n>{said}\n---\n", 1)) == ALL[:1]
    assert said.encode() + b"\n" in patches_of(mailbox)[0].message


def test_a_format_that_breaks_diffs_is_named_where_a_patch_does_not_apply(
    tree: Path, mailbox: Path
) -> None:
    mail = git(tree, "format-patch", "--stdout", "-1", "topic").replace("\n 2\n", "\n  2\n")
    kind = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8; format=flowed"
    mailbox.write_text(mail.replace("\n\n", f"\n{kind}\n\n", 1), encoding="utf-8")
    with pytest.raises(SpecError, match=r"patch 1, .* does not apply .*the mail is format=flowed"):
        series.load(tree, "topic~1", str(mailbox), Progress())


def test_headers_may_be_in_any_state(tree: Path, mailbox: Path) -> None:
    one, two, last = (mail.encode() for mail in three(tree))
    one = one.replace(b"From: Nobody", b"From: N\xf6b\xf6dy", 1)
    two = two.replace(b"vfio: add b", b"=?utf-8?q?vfio=3A_add?=\n =?iso-8859-1?q?_=E9?=", 1)
    last = re.sub(rb"^Date: .*$", b"Date: no day at all", last, flags=re.M)
    last = re.sub(rb"(?i)^(message-id|in-reply-to): .*$", rb"\1: <[@ <<", last, flags=re.M)
    assert subjects(mailbox, one, two, last) == ["vfio: add a", "vfio: add \xe9", "vfio: add c"]
    loaded = series.load(tree, "base", str(mailbox), Progress())
    authors = raw(tree, "log", "--format=%an %at", "-3", loaded.commits[3].id).decode().split("\n")
    assert authors[0] == "Nobody 0"
    assert series.load(tree, "base", str(mailbox), Progress()) == loaded


@pytest.mark.parametrize(
    ("subject", "read"),
    [
        ("[PATCH] x", (False, None, 1)),
        ("[PATCH 1/2] x", (False, "1/2", 1)),
        ("[PATCH net-next v2 03/12] x", (False, "3/12", 2)),
        ("[RFC PATCHv4 1/2] x", (False, "1/2", 4)),
        ("[RFC][PATCH V5][RESEND 2/ 2] x", (False, "2/2", 5)),
        ("[list] [PATCH v6.1 1/2] x", (False, "1/2", 1)),
        ("[list] Re: [PATCH 1/2] x", (True, "1/2", 1)),
        ("Re[2]: [PATCH 1/2] x", (True, "1/2", 1)),
        ("[list] Re: x", (True, None, 1)),
        ("[PATCH 1/2] fw: x", (False, "1/2", 1)),
        ("[PATCH] re: x", (False, None, 1)),
        ("vfio: handle re: [1/2] x", (False, None, 1)),
    ],
)
def test_a_subject_says(mailbox: Path, subject: str, read: tuple[bool, str | None, int]) -> None:
    mailbox.write_text(f"From: A <a@b.c>\nSubject: {subject}\n\ntext\n", encoding="utf-8")
    (mail,) = reading.read(mailbox)
    number = f"{mail.number}/{mail.total}" if mail.numbered else None
    assert (mail.answers, number, mail.version) == read
