# SPDX-License-Identifier: GPL-2.0-only
"""Where a posted series is: a mailbox, a maildir, or the thread of a message-id in an archive."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from fixtures.errors import SpecError
from fixtures.paths import named
from fixtures.progress import Progress
from workflows.mail import b4, mailbox, thread
from workflows.mail.thread import Posting, Wish

ARCHIVE = "https://lore.kernel.org/all"
_URL = re.compile(r"https?://", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<?([^<>@\s]+@[^<>@\s]+?)>?")


def link(message_id: str) -> str:
    """Return the page of a mail in the kernel's archive."""
    return f"{ARCHIVE}/{quote(message_id, safe='@+=~!$,;:')}/" if message_id else ""


def message_id(series: str) -> str:
    """Return the message-id in ``series``, which may be a URL; "" if there is none."""
    if not _URL.match(series):
        found = _MESSAGE_ID.fullmatch(series)
        # A range may have an @, too, and so may a path.
        other = not series.startswith("<") and (".." in series or "/" in series)
        return found[1] if found and not other else ""
    parts = map(unquote, urlsplit(series).path.split("/"))
    return next((part for part in parts if _MESSAGE_ID.fullmatch(part)), "")


def is_remote(series: str) -> bool:
    """Return whether ``series`` is a URL or a message-id."""
    return bool(_URL.match(series) or (message_id(series) and not named(series).exists()))


def load(series: str, version: str, progress: Progress) -> Posting:
    """Return the series in ``series``: a mailbox, a maildir, a URL or a message-id.

    ``version`` is the one to take, for instance "3" or "v3"; "" for that of the message-id's mail,
    or the newest.

    Raises SpecError.
    """
    if not re.fullmatch(r"v?[1-9][0-9]{0,2}|", version):
        raise SpecError(f"VERSION={version}: is no version of a series, such as 3")
    wish = Wish(int(version.removeprefix("v") or 0), message_id(series))
    if not is_remote(series):
        place = named(series).resolve()
        return thread.choose(place, mailbox.read(place), wish, progress)
    with _fetched(series, progress) as place:
        mails = mailbox.read(place)
        # The file has no name of the user's.
        return thread.choose(Path(series), mails, wish, progress)


@contextmanager
def _fetched(series: str, progress: Progress) -> Iterator[Path]:
    """Get the thread of ``series`` into a mailbox.

    Raises SpecError, which says how else to get it.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with progress.step(f"getting the thread of {series}"):
                found = b4.thread(series.strip("<>"), Path(folder))
        except SpecError as error:
            page = link(message_id(series)) or f"{series.rstrip('/')}/"
            raise SpecError(
                f"SERIES={series}: the thread cannot be had: {error}; by hand, where there is"
                f" network: curl -LO {page}t.mbox.gz; then SERIES=t.mbox.gz"
            ) from error
        yield found
