# SPDX-License-Identifier: GPL-2.0-only
"""Ask b4 (the program; an optional requirement): threads of an archive, rerolls, a guess at a base.

b4 only names mails and commits: the patches are taken from the mails themselves, unchanged. So
trailers of answers do not become part of a commit, whose results would be lost with each new one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fixtures import process
from fixtures.errors import SpecError
from fixtures.untrusted import one_line

REQUIREMENTS = "requirements-mail.txt"
INSTALL = f".venv/bin/pip install -r {REQUIREMENTS}"
_LIMIT = 300.0  # seconds
# Signatures are looked up by DNS, and decide nothing here.
_QUIET = ("--no-interactive", "--no-stdin", "-c", "b4.attestation-policy=off")
_ID = re.compile(rb"^message-id:\s*<([^<>\s]+)>", re.IGNORECASE | re.MULTILINE)
_BASE = re.compile(r"^ Base: (\S+) \((exact match|best guess, .+)\)$", re.MULTILINE)
_LINE = b"From b4@localhost Thu Jan  1 00:00:00 1970\n"
_FROM = re.compile(rb"^(>*From )", re.MULTILINE)


def program() -> str:
    """Return the path of b4: that of the virtual environment, or of ``PATH``.

    Raises SpecError if it is not installed.
    """
    beside = Path(sys.executable).with_name("b4")
    found = str(beside) if beside.is_file() else shutil.which("b4")
    if not found:
        raise SpecError(f"this needs b4: {INSTALL}")
    return found


def thread(source: str, place: Path) -> Path:
    """Get the thread of ``source``, a message-id or a URL of it, into a mailbox in ``place``.

    Raises SpecError.
    """
    name = "thread.mbx"
    done = _run(place, "mbox", "--outdir", str(place), "--mbox-name", name, "--", source)
    if done.returncode or not (place / name).is_file():
        raise SpecError(_why(done, "b4 found no such mail"))
    return place / name


def reroll(mails: Sequence[bytes], version: int) -> list[str]:
    """Return the ids of the patches of ``version``, in order; it replaces some of those before it.

    Raises SpecError.
    """
    options = ("--use-version", str(version), "--no-add-trailers", "--outdir", "-")
    with tempfile.TemporaryDirectory() as place:
        mailbox = _mailbox(mails, Path(place))
        done = _run(Path(place), "am", *options, "--use-local-mbox", str(mailbox), offline=True)
    if done.returncode:
        raise SpecError(_why(done, "b4 does not take it"))
    return [found.decode(errors="replace") for found in _ID.findall(done.stdout)]


def guess_base(tree: Path, mails: Sequence[bytes]) -> tuple[str, str]:
    """Return the commit of ``tree`` that the patches ``mails`` fit, and how well, in words.

    Both are "" if b4 finds none.

    Raises SpecError if b4 is not installed.
    """
    options = ("--guess-base", "--no-add-trailers", "--outdir", "-")
    with tempfile.TemporaryDirectory() as place:
        mailbox = _mailbox(mails, Path(place))
        done = _run(tree, "am", *options, "--use-local-mbox", str(mailbox), offline=True)
    found = _BASE.search(done.stderr.decode(errors="replace"))
    return (found[1], found[2]) if found else ("", "")


def _mailbox(mails: Sequence[bytes], place: Path) -> Path:
    """Write ``mails`` to a mailbox in ``place``."""
    mailbox = place / "thread.mbx"
    parts = []
    for mail in mails:
        body = mail.partition(b"\n")[2] if mail.startswith(b"From ") else mail
        parts.append(_LINE + _FROM.sub(rb">\1", body.replace(b"\r\n", b"\n")) + b"\n")
    mailbox.write_bytes(b"".join(parts))
    return mailbox


def _run(place: Path, *words: str, offline: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run b4 in ``place``.

    Raises SpecError if it is not installed, or takes too long.
    """
    command = [program(), *_QUIET, *(["--offline-mode"] if offline else []), *words]
    try:
        return subprocess.run(
            process.until_we_die(command),
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=process.clean_environment(),
            timeout=_LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        raise SpecError(f"b4 did not end within {_LIMIT:.0f} s") from error


def _why(done: subprocess.CompletedProcess[bytes], otherwise: str) -> str:
    """Return the last line that b4 printed, shortened."""
    lines = [one_line(line) for line in done.stderr.decode(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), otherwise)
    # The names of a library's exceptions, one in another, say less than the first words.
    return last.partition(" (Caused by")[0].partition(": HTTP")[0]
