# SPDX-License-Identifier: GPL-2.0-only
"""The mails of a mailbox or a maildir, parsed; what they are to a series is for ``thread.py``.

git parses the mails (``git mailsplit``, ``git mailinfo``). A mail that it cannot parse is kept,
with git's error.
"""

from __future__ import annotations

import codecs
import email
import functools
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.headerregistry import HeaderRegistry
from email.message import Message
from email.policy import EmailPolicy
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path

from fixtures.errors import SpecError
from fixtures.git import GitFailed, raw
from fixtures.untrusted import clean, one_line

LIMIT = 256 << 20  # bytes of a mailbox; a thread with a thousand mails has about 10 MB
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
_ADDRESS = re.compile(r"[^\s@<>,;:\"()]+@[\w.-]+", re.ASCII)
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
class Person:
    """A name and an address, as a mail's header has them."""

    name: str
    address: str


@dataclass(frozen=True)
class Mail:
    """A mail, and its position in a series according to its headers.

    Without a number, ``number`` and ``total`` are 0; ``numbered`` distinguishes that from a cover
    letter, number 0. ``problem`` is git's error if it could not parse the mail. ``contents`` is the
    mail itself.
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
    sender: tuple[Person, ...]  # whom an answer goes to
    others: tuple[Person, ...]  # To and Cc
    date: str  # as the header has it
    contents: bytes

    @property
    def number(self) -> int:
        return self.patch.number

    @property
    def text(self) -> str:
        """What git takes for the message and for the diff, with all that stands around it."""
        return (self.patch.message + b"\n" + self.patch.diff).decode(errors="replace")

    @functools.cached_property
    def changes(self) -> bytes:
        """The diff alone; empty if there is none."""
        found = _DIFF.search(self.patch.diff)
        if not found:
            return b""
        diff = self.patch.diff[found.start() :]
        end = _SIGNATURE.search(diff)
        return (diff[: end.start()] if end else diff).strip()


def read(place: Path) -> list[Mail]:
    """Return the mails of the mailbox or maildir ``place``, in its order.

    A mailbox may be compressed by gzip.

    Raises SpecError if it cannot be read.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        mails = _maildir(place) if place.is_dir() else _split(place, work)
        try:
            return [mail for contents in mails for mail in _parsed(contents, work)]
        except RecursionError:
            raise SpecError(f"{place}: has a mail with too deeply nested parts") from None


def _parsed(contents: bytes, work: Path) -> Iterator[Mail]:
    """Yield the mail ``contents``, and each formatted patch that is attached to it."""
    message = email.message_from_bytes(contents, policy=_POLICY)
    attached = []
    for part in message.walk() if message.is_multipart() else ():
        inside = b"" if part.is_multipart() else bytes(part.get_payload(decode=True) or b"")
        if _FORMATTED.match(inside):
            attached.append(inside.replace(b"\r\n", b"\n"))
            _empty(part)
    if not attached:
        yield _mail(contents, work)
        return
    # git would take all of them for one patch.
    outer = _mail(message.as_bytes(unixfrom=True), work)
    yield replace(outer, contents=contents, marked=False)
    for one in attached:
        inner = _mail(one, work)
        yield replace(
            inner,
            id=outer.id,
            answers=outer.answers or inner.answers,
            parents=outer.parents,
            sender=outer.sender,
            others=outer.others,
        )


def _empty(part: Message) -> None:
    """Take the payload of ``part`` away."""
    del part["content-transfer-encoding"]
    part.set_payload("")


def _maildir(place: Path) -> Iterator[bytes]:
    """Yield the mails of a maildir, by name: that begins with the time of arrival.

    Raises SpecError if it is none, or is not readable.
    """
    folders = [place / name for name in ("cur", "new") if (place / name).is_dir()]
    if not folders:
        raise SpecError(f"{place}: is a folder, but no maildir: it has neither cur nor new")
    left = LIMIT
    try:
        files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
        for path in sorted(files, key=lambda path: path.name):
            contents = path.read_bytes()
            left -= len(contents)
            if left < 0:
                raise SpecError(f"{place}: {_too_large()}")
            yield contents
    except OSError as error:
        raise SpecError(f"{place}: cannot be read: {error.strerror}") from error


def _split(mailbox: Path, work: Path) -> Iterator[bytes]:
    """Yield the mails of ``mailbox``, in its order; ``work`` is an empty folder.

    Raises SpecError if it cannot be read.
    """
    if not (contents := _contents(mailbox)).strip():
        return
    (work / "mailbox").write_bytes(contents)
    (work / "mails").mkdir()
    # --mboxrd: mailboxes quote lines that begin with "From ".
    split = ("mailsplit", "-b", "--keep-cr", "--mboxrd", f"-o{work}/mails", "mailbox")
    try:
        raw(work, *split)
    except GitFailed as failed:
        raise SpecError(f"{mailbox}: is not a mailbox: {failed.problem}") from failed
    # Sort as numbers: git uses four digits, and more from the 10000th mail on.
    for path in sorted((work / "mails").iterdir(), key=lambda path: int(path.name)):
        yield path.read_bytes()


def _too_large() -> str:
    return f"is larger than {LIMIT >> 20} MiB, too large for a series"


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
        raise SpecError(f"{mailbox}: {_too_large()}")
    for magic, name in _OTHER_PACKED.items():
        if contents.startswith(magic):
            raise SpecError(f"{mailbox}: is compressed by {name}; unpack it first, or use gzip")
    if contents.startswith(_UTF16):
        raise SpecError(f"{mailbox}: is UTF-16 text; save the mails as they were sent")
    contents = contents.removeprefix(codecs.BOM_UTF8)  # added by an editor
    # If the first line of the first patch was lost, git sees all patches as one mail.
    lost = not contents.lstrip().startswith(b"From ") and _FORMATTED_LATER.search(contents)
    return _BEGINS + contents if lost else contents


def _mail(mail: bytes, place: Path) -> Mail:
    """Parse one mail; ``place`` is a folder for git's output."""
    contents = mail
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
    return Mail(
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
        sender=_people(message, "reply-to") or _people(message, "from"),
        others=_people(message, "to", "cc"),
        date=" ".join(str(message["date"] or "").split()),
        contents=mail,
    )


def _people(message: Message, *headers: str) -> tuple[Person, ...]:
    """Return whom the headers named ``headers`` name, without what is no address."""
    # Names are decoded last: one may have a comma.
    values = [str(value) for name, value in message.raw_items() if name.lower() in headers]
    found = {
        address.lower(): Person(_decoded(name), address)
        for name, address in getaddresses(values)
        if _ADDRESS.fullmatch(address)
    }
    return tuple(found.values())


def _decoded(name: str) -> str:
    try:
        decoded = str(make_header(decode_header(name)))
    except (HeaderParseError, UnicodeError, LookupError):
        decoded = name
    return one_line(clean(decoded))


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
        _empty(page)
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
