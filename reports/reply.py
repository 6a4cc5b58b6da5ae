# SPDX-License-Identifier: GPL-2.0-only
"""The report of a pre-merge run as a mail that answers the series, for its reader to send.

It has no sender and no Message-ID: the program that sends it adds its own.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from email.header import Header
from email.utils import formataddr
from typing import Any

from fixtures.untrusted import clean, clean_line
from reports import premerge
from reports.text import WIDTH

Data = Mapping[str, Any]

_ID = re.compile(r"[^<>\s\x00-\x1f\x7f-\uffff]+", re.ASCII)
_ANSWERS = re.compile(r"re:", re.IGNORECASE)
_QUOTE = "> "


def mail(data: Data) -> str:
    """Return the mail for ``data``, whose series was posted."""
    posting = data["posting"]
    subject = clean_line(posting["subject"]).strip()
    answer = subject if _ANSWERS.match(subject) else f"Re: {subject}".strip()
    headers = [
        *_people("To", posting["from"]),
        *_people("Cc", [one for one in posting["cc"] if one not in posting["from"]]),
        _header("Subject", answer),
    ]
    if _ID.fullmatch(posting["message_id"]):
        # Such a header must not be encoded, however long it is.
        headers += [f"{name}: <{posting['message_id']}>" for name in ("In-Reply-To", "References")]
    headers += [
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    return "\n".join([*headers, "", *_quoted(posting, subject), "", premerge.text(data)])


def _quoted(posting: Data, subject: str) -> list[str]:
    """Return who wrote what is answered, and its subject."""
    who = ", ".join(one["name"] or one["address"] for one in posting["from"]) or "somebody"
    when = f"On {clean_line(posting['date'])}, " if posting["date"] else ""
    lines = textwrap.wrap(f"{when}{clean_line(who)} wrote:", WIDTH)
    return lines + [_QUOTE + line for line in textwrap.wrap(subject, WIDTH - len(_QUOTE)) or [""]]


def _people(name: str, people: Sequence[Data]) -> list[str]:
    """Return the header ``name`` with the addresses, one a line; nothing if there are none."""
    found = [
        formataddr((clean_line(one["name"]), one["address"]))
        for one in people
        if one["address"].isascii()
    ]
    return [f"{name}: " + ",\n\t".join(found)] if found else []


def _header(name: str, text: str) -> str:
    """Return a header, encoded where it is not ASCII, in lines of at most 72 columns."""
    text = clean(text)
    encoded = Header(text, None if text.isascii() else "utf-8", WIDTH, name, "\t").encode()
    return f"{name}: {encoded}"
