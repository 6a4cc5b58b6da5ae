# SPDX-License-Identifier: GPL-2.0-only
"""The patches of a mailbox, complete, in order and unchanged, or one line with the problem.

git parses the mails (``git mailsplit``, ``git mailinfo``). Their headers decide which of them are
patches, and in which order: a mailbox may be in order of arrival, and a thread also has answers,
earlier versions and duplicates.
"""

from __future__ import annotations

import codecs
import email
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from email.headerregistry import HeaderRegistry
from email.message import Message
from email.policy import EmailPolicy
from email.utils import parsedate_to_datetime
from pathlib import Path

from fixtures.errors import SpecError
from fixtures.git import GitFailed, raw
from fixtures.progress import Progress

LIMIT = 256 << 20  # bytes of a mailbox; a thread with a thousand mails has about 10 MB
_NAMED = 5  # missing patches that are listed, at most
_GZIP = b"\x1f\x8b"
_OTHER_PACKED = {b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"PK\3\4": "zip"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BEGINS = b"From nobody Thu Jan  1 00:00:00 1970\n"  # the first line of a mailbox

# Prefixes of a subject: tags, and the marks of mail clients for answers and forwarded mails. Marks
# in other languages are included unless a kernel subsystem has the same name.
_TAG = re.compile(r"\s*\[([^]]*)\]")
_ANSWER = re.compile(r"\s*(?:re|aw|sv|antw|odp|fwd?)(?:\[\d+\])?\s*:", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\d.])(\d{1,4})\s*/\s*(\d{1,4})(?![\d.])")
_VERSION = re.compile(r"(?:\b|PATCH|RFC)v(\d{1,3})(?![\d.])", re.IGNORECASE)
_MARKED = re.compile(r"PATCH", re.IGNORECASE)
_ID = re.compile(r"<([^<>\s]+)>")
# git writes this date into the first line of each patch that it formats.
_FORMATTED = re.compile(rb"From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001\r?\n")
_FORMATTED_LATER = re.compile(rb"^" + _FORMATTED.pattern, re.MULTILINE)
_DIFF = re.compile(rb"^(?:diff --git .*|--- .*\r?\n\+\+\+ .*)$", re.MULTILINE)
_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_SIGNATURE = re.compile(rb"^-- ?$", re.MULTILINE)

# Keep headers as plain text: malformed headers must not raise errors.
_POLICY = EmailPolicy(
    header_factory=HeaderRegistry(use_default_map=False), refold_source="none", cte_type="8bit"
)


@dataclass(frozen=True)
class Patch:
    """A patch of a series; ``number`` is its position, from 1.

    ``date`` is in a format that git accepts. ``diff`` may have text before and after the diff;
    git ignores it. ``flowed`` is whether the mail is format=flowed, which joins and pads lines.
    """

    number: int
    subject: str
    author: str
    address: str
    date: str
    message: bytes
    diff: bytes
    flowed: bool


@dataclass(frozen=True)
class _Mail:
    """A mail, and its position in a series according to its headers.

    Without a number, ``number`` and ``total`` are 0; ``numbered`` distinguishes that from a cover
    letter, number 0. ``problem`` is git's error if it could not parse the mail.
    """

    patch: Patch
    subject: str  # with all prefixes
    id: str
    answers: bool  # its subject has the mark of an answer
    parents: frozenset[str]  # ids of the mails that it replies to
    numbered: bool
    total: int
    version: int
    marked: bool  # as a patch, without a number
    problem: str

    @property
    def number(self) -> int:
        return self.patch.number

    @property
    def changes(self) -> bytes:
        """The diff alone; empty if there is none."""
        found = _DIFF.search(self.patch.diff)
        if not found:
            return b""
        diff = self.patch.diff[found.start() :]
        end = _SIGNATURE.search(diff)
        return (diff[: end.start()] if end else diff).strip()


def read(mailbox: Path, progress: Progress) -> list[Patch]:
    """Return the patches of ``mailbox``, which may be compressed by gzip, by number.

    ``progress`` gets a note for each mail with a diff that is left out.

    Raises SpecError if it is not exactly one complete series.
    """
    mails = _once(_split(mailbox))
    own: list[_Mail] = []
    for mail in mails:
        if not mail.answers:
            own.append(mail)
        elif mail.changes:
            _leave_out(mail, "an answer", progress)
    if any(mail.numbered and mail.number for mail in own):
        return _by_number(mailbox, own, progress)
    return _without_numbers(mailbox, own, progress)


def _by_number(mailbox: Path, mails: Sequence[_Mail], progress: Progress) -> list[Patch]:
    """Return the numbered patches, in order."""
    series: list[_Mail] = []
    for mail in mails:
        if mail.numbered and 0 < mail.number <= mail.total:
            series.append(mail)
        elif mail.changes and mail.numbered and mail.number:
            _leave_out(mail, f"it is on top of the {mail.total} patches", progress)
        elif mail.changes and not mail.numbered and mail.parents:
            _leave_out(mail, "a reply without a number", progress)
        elif mail.changes and not mail.numbered:
            raise SpecError(
                f"{mailbox}: has numbered patches, and {mail.subject!r} without a number; remove"
                " mails that are not part of the series"
            )
    _refuse_versions(mailbox, series)
    totals = sorted({mail.total for mail in series})
    if not series:
        raise SpecError(f"{mailbox}: has only patches on top of a series, and none of the series")
    if len(totals) > 1:
        named = " and ".join(f"n/{total}" for total in totals)
        raise SpecError(f"{mailbox}: has patches numbered {named}; keep only one series")
    (total,) = totals
    missing = sorted(set(range(1, total + 1)) - {mail.number for mail in series})
    if missing:
        raise SpecError(f"{mailbox}: {_missing(missing, total)}; get the series with b4 am")
    return [
        _only(mailbox, [mail for mail in series if mail.number == number], total)
        for number in range(1, total + 1)
    ]


def _refuse_versions(mailbox: Path, mails: Sequence[_Mail]) -> None:
    """Raise SpecError if ``mails`` have more than one version."""
    versions = sorted({mail.version for mail in mails})
    if len(versions) > 1:
        named = " and ".join(f"v{version}" for version in versions)
        raise SpecError(f"{mailbox}: has patches of {named}; keep only one version")


def _missing(numbers: Sequence[int], total: int) -> str:
    named = [str(number) for number in numbers[:_NAMED]]
    if len(numbers) > _NAMED:
        named.append(f"{len(numbers) - _NAMED} more")
    if len(named) == 1:
        return f"patch {named[0]} of {total} is missing"
    return f"patches {', '.join(named[:-1])} and {named[-1]} of {total} are missing"


def _only(mailbox: Path, mails: Sequence[_Mail], total: int) -> Patch:
    """Return the patch in ``mails``, which all have the same number."""
    name = f"patch {mails[0].number} of {total}, {mails[0].patch.subject!r},"
    patches = [mail for mail in mails if mail.changes]
    if not patches:
        raise SpecError(f"{mailbox}: {name} {_no_diff(mails[0])}")
    if len({mail.changes for mail in patches}) > 1:
        raise SpecError(f"{mailbox}: {name} is there more than once, with different diffs")
    return patches[0].patch


def _without_numbers(mailbox: Path, mails: Sequence[_Mail], progress: Progress) -> list[Patch]:
    """Return the patches of a mailbox without numbers, in its order."""
    patches: list[_Mail] = []
    for mail in mails:
        if not mail.changes and mail.marked:
            raise SpecError(f"{mailbox}: {mail.subject!r} {_no_diff(mail)}")
        again = [one for one in patches if one.subject == mail.subject]
        if mail.changes and mail.changes not in {one.changes for one in again}:
            patches.append(mail)
    if not patches:
        raise SpecError(
            f"{mailbox}: has no patch: no mail has a diff, apart from answers; make a mailbox with"
            " b4 am or git format-patch --stdout"
        )
    _refuse_versions(mailbox, patches)
    ids = {mail.id for mail in patches}
    for mail in patches:
        if mail.parents & ids:
            raise SpecError(
                f"{mailbox}: {mail.subject!r} has no number and is a reply to another patch: it may"
                " follow it or replace it; keep one, or number them (git format-patch -n)"
            )
    if len(patches) > 1:
        progress.note(f"{mailbox.name}: no patch has a number; they are taken in this order")
    return [
        # A plain diff, without a mail, has no subject.
        replace(mail.patch, number=number, subject=mail.patch.subject or mailbox.name)
        for number, mail in enumerate(patches, start=1)
    ]


def _no_diff(mail: _Mail) -> str:
    if mail.problem:
        return f"cannot be read: {mail.problem}"
    return "has no diff: it is an empty commit, HTML, or cut; get the series with b4 am"


def _leave_out(mail: _Mail, why: str, progress: Progress) -> None:
    progress.note(f"left out, though it has a diff: {mail.subject!r}: {why}")


def _once(mails: Iterable[_Mail]) -> list[_Mail]:
    """Return ``mails`` without duplicates: an archive may have a copy from each list."""
    kept: list[_Mail] = []
    seen: set[tuple[object, ...]] = set()
    for mail in mails:
        # A mail that was altered on the way is not a duplicate.
        key = (mail.id, mail.number, mail.total, mail.version, mail.changes)
        if not mail.id or key not in seen:
            kept.append(mail)
        seen.add(key)
    return kept


def _split(mailbox: Path) -> Iterator[_Mail]:
    """Yield the mails of ``mailbox``, in its order.

    Raises SpecError if it cannot be read.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if not (contents := _contents(mailbox)).strip():
            return
        (place / "mailbox").write_bytes(contents)
        (place / "mails").mkdir()
        # --mboxrd: mailboxes quote lines that begin with "From ".
        split = ("mailsplit", "-b", "--keep-cr", "--mboxrd", f"-o{place}/mails", "mailbox")
        try:
            raw(place, *split)
        except GitFailed as failed:
            raise SpecError(f"{mailbox}: is not a mailbox: {failed.problem}") from failed
        # Sort as numbers: git uses four digits, and more from the 10000th mail on.
        for path in sorted((place / "mails").iterdir(), key=lambda path: int(path.name)):
            try:
                yield _mail(path.read_bytes(), place)
            except RecursionError:
                raise SpecError(f"{mailbox}: has a mail with too deeply nested parts") from None


def _contents(mailbox: Path) -> bytes:
    try:
        with mailbox.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(mailbox) if packed else mailbox.open("rb") as file:
            contents = file.read(LIMIT + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SpecError(f"{mailbox}: is compressed by gzip, and damaged: {error}") from error
    except OSError as error:
        raise SpecError(f"{mailbox}: cannot be read: {error.strerror}") from error
    if len(contents) > LIMIT:
        raise SpecError(f"{mailbox}: is larger than {LIMIT >> 20} MiB, too large for a series")
    for magic, name in _OTHER_PACKED.items():
        if contents.startswith(magic):
            raise SpecError(f"{mailbox}: is compressed by {name}; unpack it first, or use gzip")
    if contents.startswith(_UTF16):
        raise SpecError(f"{mailbox}: is UTF-16 text; save the mails as they were sent")
    contents = contents.removeprefix(codecs.BOM_UTF8)  # added by an editor
    # If the first line of the first patch was lost, git sees all patches as one mail.
    lost = not contents.lstrip().startswith(b"From ") and _FORMATTED_LATER.search(contents)
    return _BEGINS + contents if lost else contents


def _mail(contents: bytes, place: Path) -> _Mail:
    """Parse one mail; ``place`` is a folder for git's output."""
    end = _HEAD_ENDS.search(contents)
    if end and end[0].startswith(b"\r"):
        contents = contents.replace(b"\r\n", b"\n")
    message = email.message_from_bytes(contents, policy=_POLICY)
    contents = _without_html(message) or contents
    subject = " ".join(str(message["subject"] or "").split())
    answers, tags = _before(subject)
    number = next(filter(None, map(_NUMBER.search, tags)), None)
    version = next(filter(None, map(_VERSION.search, tags)), None)
    about = _ID.findall(str(message["message-id"] or ""))
    parents = _ID.findall(str(message["in-reply-to"] or ""))
    parents = parents or _ID.findall(str(message["references"] or ""))[-1:]
    problem = ""
    try:
        patch = _patch(contents, place, message, int(number[1]) if number else 0)
    except GitFailed as failed:
        problem = failed.problem
        patch = Patch(int(number[1]) if number else 0, subject, "", "", "", b"", b"", False)
    return _Mail(
        patch=patch,
        subject=subject,
        id=about[0] if about else "",
        answers=answers,
        parents=frozenset(parents),
        numbered=number is not None,
        total=int(number[2]) if number else 0,
        version=int(version[1]) if version else 1,
        marked=any(map(_MARKED.search, tags)) or _FORMATTED.match(contents) is not None,
        problem=problem,
    )


def _before(subject: str) -> tuple[bool, list[str]]:
    """Return whether ``subject`` is that of an answer, and the tags at its beginning."""
    answers: list[int] = []  # how many tags come before each
    tags: list[str] = []
    place = 0
    while found := _ANSWER.match(subject, place) or _TAG.match(subject, place):
        if found.re is _ANSWER:
            answers.append(len(tags))
        else:
            tags.append(found[1])
        place = found.end()
    # "[PATCH] fw: x" is about fw; "[list] Re: x" is an answer.
    posted = any(_MARKED.search(tag) or _NUMBER.search(tag) for tag in tags)
    return any(not posted or before < len(tags) for before in answers), tags


def _without_html(message: Message) -> bytes:
    """Return ``message`` without the HTML copy of its text, b"" if there is no such copy.

    git reads both as text, and would find the diff twice.
    """
    parts = [part for part in message.walk() if not part.is_multipart()]
    pages = [part for part in parts if part.get_content_type() == "text/html"]
    if not pages or len(pages) == len(parts):
        return b""
    for page in pages:
        del page["content-transfer-encoding"]
        page.set_payload("")
    return message.as_bytes(unixfrom=True)


def _patch(contents: bytes, place: Path, message: Message, number: int) -> Patch:
    """Return the patch in the mail ``contents``, as ``git am`` would read it.

    Raises GitFailed.
    """
    # --encoding=UTF-8 would leave headers in their original encoding.
    command = ("-c", "i18n.commitEncoding=UTF-8", "mailinfo", "-u")
    options = ("--no-scissors", "--no-message-id", "--quoted-cr=nowarn")
    printed = raw(place, *command, *options, "message", "diff", stdin=contents)
    lines = printed.decode(errors="replace").replace("\0", "").split("\n")
    about = dict(line.partition(": ")[::2] for line in lines)
    diff = (place / "diff").read_bytes()
    begins = _DIFF.search(diff)
    if begins and begins[0].endswith(b"\r"):
        # Every line got a CR in transit, inside base64 or quoted-printable. If this first line has
        # no CR but later lines do, the files themselves have CR.
        diff = diff.replace(b"\r\n", b"\n")
    return Patch(
        number=number,
        subject=about.get("Subject", ""),
        author=about.get("Author") or about.get("Email") or "unknown",
        address=about.get("Email") or "unknown@localhost",
        date=_date(about.get("Date", "")),
        message=(place / "message").read_bytes().replace(b"\r\n", b"\n"),
        diff=diff,
        flowed=any(str(part.get_param("format")).lower() == "flowed" for part in message.walk()),
    )


def _date(text: str) -> str:
    """Return the date of a mail in git's format; 1970 if it is not valid."""
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)  # "-0000"
        return f"@{max(int(date.timestamp()), 0)} {date:%z}"
    except (ValueError, OverflowError):
        return "@0 +0000"
