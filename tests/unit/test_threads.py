# SPDX-License-Identifier: GPL-2.0-only
"""Threads as they are on a list: which mails are the series, and what an answer to it needs."""

from __future__ import annotations

import base64
import gzip
import mailbox as maildirs
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from fixtures.errors import SpecError
from fixtures.git import git
from fixtures.progress import Progress
from tests.unit.repository import HEADER, three
from workflows import series
from workflows.mail import b4, mailbox, source, thread
from workflows.mail.mailbox import Person
from workflows.mail.thread import Posting, Wish

ALL = ["vfio: add a", "vfio: add b", "vfio: add c"]


def message_id(mail: str) -> str:
    found = re.search(r"^Message-Id: <(.*)>$", mail, re.MULTILINE | re.IGNORECASE)
    assert found
    return found[1]


def with_header(mail: str, name: str, value: str) -> str:
    """Return ``mail`` with the header ``name``, in place of one that it has."""
    head, _, body = mail.partition("\n\n")
    lines = [line for line in head.split("\n") if not line.lower().startswith(f"{name.lower()}:")]
    return "\n".join([*lines, f"{name}: {value}", "", body])


def reply(to: str, subject: str, text: str, sender: str = "R <r@example.com>") -> str:
    """Return a mail that answers the mail ``to``."""
    number = abs(hash((to, subject, text)))
    return (
        f"From 0000 Mon Sep 17 00:00:00 2001\nMessage-Id: <{number}@example.com>\n"
        f"In-Reply-To: <{message_id(to)}>\nFrom: {sender}\n"
        f"Date: Fri, 2 Jan 2026 00:00:00 +0000\nSubject: {subject}\n\n{text}\n\n"
    )


FIX = f"""\
Fold this in, please:

diff --git a/{HEADER} b/{HEADER}
--- a/{HEADER}
+++ b/{HEADER}
@@ -1,3 +1,3 @@
-1
+one
 2
 3
"""


def again(mail: str, version: int, text: str, to: str = "") -> str:
    """Return ``mail`` as a later version with another text of its file, a reply to ``to``."""
    subject = re.sub(
        r"\[PATCH(?: v\d+)?", f"[PATCH v{version}", re.findall(r"^Subject: (.*)", mail, re.M)[0]
    )
    newer = with_header(
        re.sub(r"^\+([abc])$", rf"+\1 {text}", mail, flags=re.M), "Subject", subject
    )
    newer = with_header(newer, "Message-Id", f"<v{version}-{message_id(mail)}>")
    if not to:
        return newer
    return with_header(with_header(newer, "In-Reply-To", f"<{message_id(to)}>"), "References", "")


def posted(place: Path, *mails: str, version: int = 0, about: str = "") -> Posting:
    """Return the series in a mailbox made of ``mails``."""
    (place / "thread.mbx").write_text("".join(mails), encoding="utf-8")
    found = mailbox.read(place / "thread.mbx")
    return thread.choose(place / "thread.mbx", found, Wish(version, about), Progress())


def subjects(found: Posting) -> list[str]:
    return [mail.patch.subject for mail in found.patches]


def added(found: Posting) -> list[str]:
    """Return the line that each patch adds."""
    return [
        re.findall(r"^\+([abc].*)$", mail.patch.diff.decode(), re.M)[0] for mail in found.patches
    ]


@pytest.fixture
def whole(made: Path) -> list[str]:
    """A thread: a cover letter and three patches, by somebody who named the base."""
    cover, *patches = three(made, "--cover-letter", "--base=base")
    cover = with_header(
        cover.replace("*** SUBJECT HERE ***", "vfio: add files"), "To", "List <l@example.com>"
    )
    cover = with_header(cover, "From", "Nobody <nobody@example.com>")
    cover = with_header(cover, "Cc", '"Doe, Jane" <jane@example.com>, r@example.com')
    return [cover, *patches]


@pytest.fixture
def b4_there() -> None:
    """Skip the test where b4 is not installed."""
    try:
        b4.program()
    except SpecError:
        pytest.skip(f"b4 is not installed; {b4.INSTALL}")


@pytest.fixture
def no_b4(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> str:
        raise SpecError(f"this needs b4: {b4.INSTALL}")

    monkeypatch.setattr(b4, "program", program)


# Which mails are the series


def test_a_thread_with_cover_review_fix_and_two_versions(
    whole: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cover = again(whole[0], 2, "")
    newer = [again(mail, 2, "anew", cover) for mail in whole[1:]]
    review = reply(
        whole[2], "Re: [PATCH 2/3] vfio: add b", "> +b\n\nReviewed-by: R <r@example.com>"
    )
    fix = reply(newer[0], "Re: [PATCH v2 1/3] vfio: add a", FIX)
    found = posted(tmp_path, *whole, review, newer[2], fix, newer[0], cover, newer[1])
    assert added(found) == ["a anew", "b anew", "c anew"]
    assert (found.version, found.top.subject) == (2, "[PATCH v2 0/3] vfio: add files")
    said = capsys.readouterr().err
    assert "thread.mbx: has v1 and v2; v2 is taken (VERSION= picks another)" in said
    assert "left out, though it has a diff: 'Re: [PATCH v2 1/3] vfio: add a': an answer" in said
    first = posted(tmp_path, *whole, *newer, version=1)
    assert (added(first), first.top.subject) == (["a", "b", "c"], "[PATCH 0/3] vfio: add files")


def test_a_version_that_is_not_there_is_refused(whole: list[str], tmp_path: Path) -> None:
    newer = [again(mail, 2, "anew") for mail in whole]
    with pytest.raises(SpecError, match=r"VERSION=4: has v1, v2 and v3$"):
        posted(tmp_path, *whole, *newer, *(again(mail, 3, "x") for mail in whole), version=4)
    with pytest.raises(SpecError, match=r"VERSION=2: has v1$"):
        posted(tmp_path, *whole, version=2)


def test_a_message_id_names_its_version(whole: list[str], tmp_path: Path) -> None:
    newer = [again(mail, 2, "anew") for mail in whole]
    for about, version in ((whole[0], 1), (whole[2], 1), (newer[1], 2)):
        found = posted(tmp_path, *whole, *newer, about=message_id(about))
        assert found.version == version
    review = reply(whole[2], "Re: [PATCH 2/3] vfio: add b", "fine")
    assert posted(tmp_path, *whole, review, *newer, about=message_id(review)).version == 2


def test_versions_of_a_single_patch_that_answer_each_other(made: Path, tmp_path: Path) -> None:
    first = three(made, "-N")[0]
    newer = again(first, 2, "anew", first)
    newest = again(first, 3, "at last", newer)
    assert added(posted(tmp_path, first, newest, newer)) == ["a at last"]
    assert added(posted(tmp_path, first, newest, newer, version=2)) == ["a anew"]


def test_a_series_that_became_a_single_patch(whole: list[str], tmp_path: Path) -> None:
    single = again(whole[1], 2, "alone").replace("[PATCH v2 1/3]", "[PATCH v2]")
    single = re.sub(r"^(In-Reply-To|References): .*\n", "", single, flags=re.M)
    assert added(posted(tmp_path, *whole, single)) == ["a alone"]
    assert len(posted(tmp_path, *whole, single, version=1).patches) == 3


def test_an_incomplete_newer_version_is_named_with_the_older_one(
    whole: list[str], tmp_path: Path
) -> None:
    newer = again(whole[2], 2, "anew")
    with pytest.raises(SpecError, match=r"patches 1 and 3 of 3 of v2 are missing; VERSION=1 takes"):
        posted(tmp_path, *whole, newer)
    with pytest.raises(SpecError, match=r"patch 3 of 3 of v2 is missing; VERSION=1 takes v1"):
        posted(tmp_path, *whole, newer, again(whole[1], 2, "anew"))


def test_patches_that_replace_single_ones(
    whole: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], b4_there: None
) -> None:
    newer = again(whole[2], 2, "anew", whole[2])
    newest = again(whole[2], 3, "at last", newer)
    assert added(posted(tmp_path, newer, *whole)) == ["a", "b anew", "c"]
    assert "v2 1/3 is v1's: '[PATCH 1/3] vfio: add a'" in capsys.readouterr().err
    found = posted(tmp_path, *whole, newer, newest)
    assert added(found) == ["a", "b at last", "c"]
    assert (found.version, found.top.subject) == (3, "[PATCH 0/3] vfio: add files")
    # Asked for in a review, which is what it answers.
    review = reply(whole[2], "Re: [PATCH 2/3] vfio: add b", "Rename it.")
    assert added(posted(tmp_path, *whole, review, again(whole[2], 2, "anew", review))) == [
        *("a", "b anew", "c"),
    ]
    # A line that a mailbox must quote.
    quoted = newer.replace("\n---\n", "\n>From here on\n---\n", 1)
    assert added(posted(tmp_path, *whole, quoted)) == ["a", "b anew", "c"]


def test_a_patch_that_replaces_one_that_is_not_there(
    whole: list[str], tmp_path: Path, b4_there: None
) -> None:
    newer = again(whole[2], 2, "anew", whole[2])
    with pytest.raises(SpecError, match=r"patches 1 and 3 of 3 of v2 are missing, and b4 does not"):
        posted(tmp_path, whole[0], whole[2], newer)


def test_patches_that_replace_single_ones_without_b4(
    whole: list[str], tmp_path: Path, no_b4: None
) -> None:
    newer = again(whole[2], 2, "anew", whole[2])
    with pytest.raises(SpecError) as caught:
        posted(tmp_path, *whole, newer)
    assert str(caught.value).partition("thread.mbx: ")[2] == (
        "v2 has only some of 3 patches, to replace those of an earlier version: this needs b4:"
        " .venv/bin/pip install -r requirements-mail.txt; or VERSION= picks that"
    )
    assert added(posted(tmp_path, *whole, newer, version=1)) == ["a", "b", "c"]


def test_a_reply_without_a_number_replaces_nothing(
    whole: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instead = reply(whole[2], "[PATCH v2] vfio: instead of b", FIX)
    assert added(posted(tmp_path, *whole, instead)) == ["a", "b", "c"]
    said = "'[PATCH v2] vfio: instead of b': a reply without a number"
    assert said in capsys.readouterr().err


# The cover letter, and who wrote what


def test_what_an_answer_needs(whole: list[str], tmp_path: Path) -> None:
    found = posted(tmp_path, *whole[::-1])
    assert found.cover is found.top
    assert found.top.id == message_id(whole[0])
    assert [(one.name, one.address) for one in found.top.others] == [
        ("List", "l@example.com"),
        ("Doe, Jane", "jane@example.com"),
        ("", "r@example.com"),
    ]
    assert posted(tmp_path, *whole[1:]).top.id == message_id(whole[1])


def test_a_cover_letter_without_a_mark(whole: list[str], tmp_path: Path) -> None:
    bare = with_header(whole[0], "Subject", "add some files")
    assert posted(tmp_path, bare, *whole[1:]).top.subject == "add some files"
    somebody = with_header(bare, "From", "O <other@example.com>")
    assert posted(tmp_path, somebody, *whole[1:]).top.number == 1


def test_a_cover_letter_of_another_version_is_not_answered(
    whole: list[str], tmp_path: Path
) -> None:
    newer = [again(mail, 2, "anew") for mail in whole[1:]]
    assert posted(tmp_path, *whole, *newer).cover is None


def test_an_author_in_the_text_counts(tree: Path, whole: list[str], tmp_path: Path) -> None:
    # As git format-patch --from and relays write it.
    relayed = with_header(whole[1], "From", "N via Relay <devnull+n.example.com@relay.example>")
    relayed = relayed.replace("\n\n", "\n\nFrom: N\u00f6 <n@example.com>\n\n", 1)
    relayed = with_header(relayed, "Content-Type", "text/plain; charset=utf-8")
    relayed = with_header(relayed, "Reply-To", "n@example.com")
    found = posted(tmp_path, whole[0], relayed, *whole[2:])
    assert (found.patches[0].patch.author, found.patches[0].patch.address) == (
        "N\u00f6",
        "n@example.com",
    )
    assert found.patches[0].sender == (Person("", "n@example.com"),)
    loaded = series.load(tree, "base", str(tmp_path / "thread.mbx"), Progress())
    assert loaded.commits[1].author == "N\u00f6 <n@example.com>"
    assert loaded.commits[1].message_id == message_id(whole[1])
    assert (loaded.commits[0].author, loaded.commits[0].message_id) == (
        "Nobody <nobody@example.com>",
        "",
    )


@pytest.mark.parametrize(
    ("header", "people"),
    [
        ("=?utf-8?q?M=C3=BCller=2C_A?= <a@b.c>", [("M\u00fcller, A", "a@b.c")]),
        ("=?nonsense?q?=C3?= <a@b.c>", [("=?nonsense?q?=C3?=", "a@b.c")]),
        ("undisclosed-recipients:;", []),
        ("no address, <a@b.c>, A <a@B.c>, x@, <[@ <<", [("A", "a@B.c")]),
        ("E <evil@b.c\r\n\tBcc: x@y.z>", [("E", "evil@b.c"), ("", "x@y.z")]),
    ],
)
def test_addresses_may_be_in_any_state(
    whole: list[str], tmp_path: Path, header: str, people: list[tuple[str, str]]
) -> None:
    cover = re.sub(r"^Cc: .*\n", "", with_header(whole[0], "To", header), flags=re.M)
    found = posted(tmp_path, cover, *whole[1:]).top.others
    assert [(one.name, one.address) for one in found] == people


# Forms of mails


def attached(mail: str, kind: str, inner: str, encoding: str = "8bit") -> str:
    """Return ``mail`` whose patch ``inner`` is an attachment."""
    head = mail.partition("\n\n")[0]
    # A mailbox quotes such lines.
    inner = re.sub(r"^From ", ">From ", inner) if encoding == "8bit" else inner
    if encoding == "base64":
        inner = base64.encodebytes(inner.encode()).decode()
    return (
        f'{head}\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="B"\n\n'
        "--B\nContent-Type: text/plain; charset=utf-8\n\nSee the attachment.\n\n"
        f'--B\nContent-Type: {kind}; name="x.patch"\nContent-Transfer-Encoding: {encoding}\n'
        f'Content-Disposition: attachment; filename="x.patch"\n\n{inner}\n--B--\n\n'
    )


@pytest.mark.parametrize("kind", ["text/x-patch", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("encoding", ["8bit", "base64"])
@pytest.mark.parametrize("part", ["diff", "formatted patch"])
def test_an_attached_patch(made: Path, tmp_path: Path, kind: str, encoding: str, part: str) -> None:
    mail = three(made, "-N", "--no-thread")[0]
    inner = mail if part == "formatted patch" else "diff --git" + mail.partition("diff --git")[2]
    found = posted(tmp_path, attached(mail, kind, inner, encoding))
    assert (subjects(found), added(found)) == (ALL[:1], ["a"])


def test_all_patches_attached_to_one_mail(whole: list[str], tmp_path: Path) -> None:
    cover, *patches = whole
    parts = "".join(
        f"--B\nContent-Type: text/x-patch\nContent-Disposition: attachment\n\n{one}\n"
        for one in patches[::-1]
    )
    head, _, text = cover.partition("\n\n")
    mail = (
        f'{head}\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="B"\n\n'
        f"--B\nContent-Type: text/plain\n\n{text}\n{parts}--B--\n"
    )
    # Inside a mailbox, these lines are quoted.
    mail = mail[:1] + re.sub(r"^From ", ">From ", mail[1:], flags=re.M)
    found = posted(tmp_path, mail)
    assert (subjects(found), found.top.number) == (ALL, 0)
    assert {one.id for one in found.patches} == {message_id(cover)}
    answer = with_header(mail, "Subject", "Re: [PATCH 0/3] vfio: add files")
    with pytest.raises(SpecError, match="has no patch"):
        posted(tmp_path, answer)


def test_a_signed_mail(made: Path, tmp_path: Path) -> None:
    mail = three(made, "-N", "--no-thread")[0]
    head, _, text = mail.partition("\n\n")
    signed = (
        f'{head}\nMIME-Version: 1.0\nContent-Type: multipart/signed; boundary="S"\n\n'
        f"--S\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
        "--S\nContent-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\n"
        "\nabc\n-----END PGP SIGNATURE-----\n--S--\n"
    )
    assert added(posted(tmp_path, signed)) == ["a"]


# Where a series is


@pytest.mark.parametrize("folder", ["cur", "new"])
def test_a_maildir(
    tree: Path, whole: list[str], tmp_path: Path, folder: Literal["cur", "new"]
) -> None:
    box = maildirs.Maildir(tmp_path / "box")
    for mail in whole[::-1]:
        one = maildirs.MaildirMessage(mail.partition("\n")[2])
        one.set_subdir(folder)
        box.add(one)
    loaded = series.load(tree, "base", str(tmp_path / "box"), Progress())
    assert [commit.subject for commit in loaded.commits[1:]] == ALL
    assert loaded.posting
    assert loaded.posting.top.id == message_id(whole[0])


def test_a_folder_that_is_no_maildir(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is not a file or a maildir; a series is a mailbox"):
        series.load(tree, "base", str(tmp_path), Progress())
    (tmp_path / "cur").mkdir()
    with pytest.raises(SpecError, match="has no patch"):
        series.load(tree, "base", str(tmp_path), Progress())


@pytest.mark.parametrize(
    ("series_", "found"),
    [
        ("20260714-a.1-me@example.com", "20260714-a.1-me@example.com"),
        ("<a/b..c@example.com>", "a/b..c@example.com"),
        ("https://lore.kernel.org/all/a.1%2B2@example.com/", "a.1+2@example.com"),
        ("https://lore.kernel.org/kvm/a@example.com/t.mbox.gz", "a@example.com"),
        ("https://patch.msgid.link/a@example.com", "a@example.com"),
        ("https://lore.kernel.org/all/?q=a@example.com", ""),
        ("topic@{u}..HEAD", ""),
        ("./a@example.com", ""),
        ("v7.1..topic", ""),
        ("series.mbx", ""),
    ],
)
def test_a_message_id_is_found(series_: str, found: str) -> None:
    assert source.message_id(series_) == found
    assert source.is_remote(series_) == bool(found or series_.startswith("https:"))


class FakeArchive:
    """b4 and the archive: a thread for each message-id or URL."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: dict[str, bytes] = {}
        monkeypatch.setattr(b4, "thread", self._thread)

    def _thread(self, asked: str, place: Path) -> Path:
        (place / "thread.mbx").write_bytes(self.threads[asked])
        return place / "thread.mbx"


def test_a_series_by_its_message_id(
    tree: Path, whole: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = FakeArchive(monkeypatch)
    newer = [again(mail, 2, "anew") for mail in whole]
    both = gzip.compress("".join([*newer, *whole]).encode())
    url = f"https://lore.kernel.org/all/{message_id(newer[0])}/"
    archive.threads = {message_id(whole[0]): both, url: both, message_id(newer[2]): both}
    for asked, version, taken in (
        (f"<{message_id(whole[0])}>", "", 1),
        (message_id(newer[2]), "", 2),
        (url, "", 2),
        (url, "v1", 1),
    ):
        loaded = series.load(tree, "base", asked, Progress(), version)
        assert loaded.posting
        assert loaded.posting.version == taken


def test_a_thread_that_cannot_be_had(tree: Path, no_b4: None) -> None:
    with pytest.raises(SpecError) as caught:
        series.load(tree, "base", "a.1+2@example.com", Progress())
    assert str(caught.value) == (
        "SERIES=a.1+2@example.com: the thread cannot be had: this needs b4: .venv/bin/pip install"
        " -r requirements-mail.txt; by hand, where there is network: curl -LO"
        " https://lore.kernel.org/all/a.1+2@example.com/t.mbox.gz; then SERIES=t.mbox.gz"
    )


def test_a_thread_without_network(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, b4_there: None
) -> None:
    # A proxy on loopback that nobody listens at.
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(SpecError) as caught:
        series.load(tree, "base", "<a.1@example.com>", Progress())
    said = str(caught.value)
    assert said.startswith("SERIES=<a.1@example.com>: the thread cannot be had: ")
    assert said.endswith(
        "curl -LO https://lore.kernel.org/all/a.1@example.com/t.mbox.gz; then SERIES=t.mbox.gz"
    )
    assert "\n" not in said


@pytest.mark.parametrize("version", ["0", "x", "-1", "1.5", "1000", "v"])
def test_a_version_that_is_none(tree: Path, tmp_path: Path, version: str) -> None:
    (tmp_path / "x.mbx").write_text("", encoding="utf-8")
    with pytest.raises(SpecError, match=f"VERSION={version}: is no version of a series"):
        series.load(tree, "base", str(tmp_path / "x.mbx"), Progress(), version)


def test_a_range_has_no_version(tree: Path) -> None:
    with pytest.raises(SpecError, match=r"VERSION=2: SERIES=base\.\.topic is a range"):
        series.load(tree, "", "base..topic", Progress(), "2")


# The base


def load(tree: Path, place: Path, *mails: str, base: str = "") -> series.Series:
    (place / "thread.mbx").write_text("".join(mails), encoding="utf-8")
    return series.load(tree, base, str(place / "thread.mbx"), Progress())


def test_the_base_is_that_of_the_cover(
    tree: Path, whole: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = git(tree, "rev-parse", "base").strip()
    loaded = load(tree, tmp_path, *whole)
    assert (loaded.commits[0].id, loaded.base) == (base, base[:12])
    assert loaded.base_from == "the base-commit of the cover letter"
    assert f"BASE is {base}: the base-commit of the cover letter" in capsys.readouterr().err
    assert load(tree, tmp_path, *whole, base="base").base_from == ""
    alone = load(tree, tmp_path, *three(tree, "--base=base"))
    assert alone.base_from == "the base-commit of the first patch"
    # An answer that quotes it, or another base, counts nothing.
    other = reply(whole[0], "Re: [PATCH 0/3] vfio: add files", f"base-commit: {'1' * 40}")
    assert load(tree, tmp_path, other, *whole).commits[0].id == base


def without_base(mails: list[str]) -> list[str]:
    return [re.sub(r"^base-commit: .*\n", "", mail, flags=re.M) for mail in mails]


@pytest.mark.parametrize("named", ["nothing", "an unknown commit"])
def test_b4_guesses_a_base(
    tree: Path, whole: list[str], tmp_path: Path, named: str, b4_there: None
) -> None:
    # What it was made for is the only thing that tells b4 where a patch belongs: a file that is new
    # in each patch tells nothing.
    mails = git(tree, "format-patch", "--stdout", "--thread", "base..topic")
    if named == "an unknown commit":
        mails = mails.replace("\n-- \n", f"\nbase-commit: {'1' * 40}\n-- \n", 1)
    git(tree, "branch", "--delete", "--force", "topic", "main", "three")
    loaded = load(tree, tmp_path, mails)
    assert (loaded.base, loaded.commits[0].id) == (
        "heads/base",
        git(tree, "rev-parse", "base").strip(),
    )
    why = {
        "nothing": "the first patch has no base-commit",
        "an unknown commit": "the base-commit of the first patch, 111111111111, is not in TREE",
    }
    assert loaded.base_from == f"guessed by b4, exact match, as {why[named]}"


def test_a_base_that_nobody_knows(
    tree: Path, whole: list[str], tmp_path: Path, b4_there: None
) -> None:
    said = r"BASE= is missing: the cover letter has no base-commit; b4 guesses none; the commit"
    with pytest.raises(SpecError, match=said):
        load(tree, tmp_path, *without_base(whole))


def test_a_base_without_b4(tree: Path, whole: list[str], tmp_path: Path, no_b4: None) -> None:
    said = r"BASE= is missing: the cover letter has no base-commit; to guess one, this needs b4: "
    with pytest.raises(SpecError, match=said):
        load(tree, tmp_path, *without_base(whole))


def test_patches_that_the_base_lacks_are_named(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The author had the first patch of the branch below the second one.
    mails = git(tree, "format-patch", "--stdout", "--base=base", "topic~1..topic")
    (needed,) = re.findall(r"^prerequisite-patch-id: (.*)$", mails, re.M)
    with pytest.raises(
        SpecError, match=r"does not apply to .*; BASE lacks patches that the author"
    ):
        load(tree, tmp_path, mails)
    assert f"that BASE lacks: {needed[:12]}" in capsys.readouterr().err
    # A base with that patch, on top of another commit: its id is another one.
    git(tree, "checkout", "--quiet", "three")
    nobody = {"GIT_COMMITTER_NAME": "N", "GIT_COMMITTER_EMAIL": "n@example.com"}
    git(tree, "cherry-pick", "topic~1", **nobody)
    loaded = load(tree, tmp_path, mails, base="three")
    assert (loaded.lacks, len(loaded.commits)) == ((), 2)
    unknown = mails.replace(needed, "1" * 40)
    assert load(tree, tmp_path, unknown, base="three").lacks == ("1" * 40,)
    nowhere = re.sub(r"^base-commit: .*$", f"base-commit: {'1' * 40}", mails, flags=re.M)
    assert load(tree, tmp_path, nowhere, base="three").lacks == ()


Damage = Callable[[str], str]


@pytest.mark.parametrize(
    "damage",
    [
        lambda mail: mail.replace("\n\n", "\n", 1),
        lambda mail: mail[: len(mail) // 2],
        lambda mail: mail.replace("Subject: ", "Subject:\n"),
        lambda mail: re.sub(r"^Message-Id: .*$", "Message-Id: <" + "x" * 5000, mail, flags=re.M),
        lambda mail: mail.replace("\n\n", '\nContent-Type: multipart/mixed; boundary=""\n\n', 1),
    ],
)
def test_a_damaged_mail_is_a_line_or_a_series(
    whole: list[str], tmp_path: Path, damage: Damage
) -> None:
    try:
        found = posted(tmp_path, *whole[:2], damage(whole[2]), whole[3])
    except SpecError as error:
        said = str(error)
    else:
        said = subjects(found)[0]
    assert said == ALL[0] or (said.startswith(str(tmp_path)) and "\n" not in said)
