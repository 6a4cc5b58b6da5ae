# SPDX-License-Identifier: GPL-2.0-only
"""Text that came from a guest, made fit to be shown.

A hostile guest can write what it likes to its log, and so to transcripts, consoles and reasons.
Escaping markup is each renderer's own concern; what no format and no terminal should be given is
taken out here, once.
"""

from __future__ import annotations

import re

# Control sequences, commands to the terminal that end with BEL or ST, and two-character escapes.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
# Control characters but tab and line feed; what turns the direction of writing or is not seen;
# surrogates and what is no character, which XML forbids.
_STRANGE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def decode(raw: bytes) -> str:
    """Return ``raw`` as clean text; what is not UTF-8 becomes U+FFFD."""
    return clean(raw.decode("utf-8", "replace"))


def clean(text: str) -> str:
    """Return ``text`` without terminal escapes, and with other strange characters spelt out."""
    plain = _ANSI.sub("", text.replace("\r\n", "\n"))
    return _STRANGE.sub(lambda found: _spelt(ord(found[0])), plain)


def _spelt(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def one_line(text: str) -> str:
    """Return ``text`` with its lines joined."""
    return " ".join(text.split())


def cut(text: str, limit: int, where: str) -> str:
    """Return ``text``, cut in the middle where it is longer than about ``limit`` characters.

    A line in the cut's place says how much is left out, and ``where`` all of it is.
    """
    if len(text) <= limit:
        return text
    # The end tells how it went: it gets more than the beginning.
    head = text[: limit // 3]
    tail = text[-(limit - limit // 3) :]
    # Whole lines, where there are lines.
    head = head[: head.rfind("\n") + 1] or head
    tail = tail[tail.find("\n") + 1 :] or tail
    middle = text[len(head) : len(text) - len(tail)]
    lines = middle.count("\n")
    left = f"[... {lines} lines, {len(middle)} characters, are left out here; all of it: {where}]"
    return head + ("" if head.endswith("\n") else "\n") + left + "\n" + tail


def ending(text: str, lines: int) -> str:
    """Return the last ``lines`` lines of ``text``."""
    return "\n".join(text.rstrip("\n").split("\n")[-lines:])
