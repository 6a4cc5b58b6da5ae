# SPDX-License-Identifier: GPL-2.0-only
"""A patchwork server's REST API: the patches of a series, and the checks of a patch."""

from __future__ import annotations

import ipaddress
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from fixtures import untrusted
from fixtures.errors import RunError, SpecError

SECONDS = 30.0  # that an answer may take
_BYTES = 4_000_000  # of an answer


@dataclass(frozen=True)
class PostedPatch:
    """A patch as the server knows it."""

    number: int  # the server's
    name: str
    message_id: str


@dataclass(frozen=True)
class PostedSeries:
    """A series as the server knows it; ``cover`` is its cover letter's Message-ID, or ""."""

    patches: tuple[PostedPatch, ...]
    cover: str

    @property
    def message_ids(self) -> tuple[str, ...]:
        """The Message-IDs of all its mails."""
        return tuple(filter(None, (self.cover, *(one.message_id for one in self.patches))))


@dataclass(frozen=True)
class Check:
    """What a CI system says of a patch; ``state`` is pending, success, warning or fail."""

    state: str
    context: str
    description: str
    target_url: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it could lead the token elsewhere, and makes a GET of a POST."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Server:
    """The server at ``address``; ``token`` is its user's, and is in no message.

    Raises SpecError if the address is none, or would send the token in clear text.
    """

    def __init__(self, address: str, token: str) -> None:
        is_none = f"SERVER={address}: is no URL of a server, such as https://patchwork.kernel.org"
        try:
            parts = urlsplit(address)
        except ValueError:
            raise SpecError(is_none) from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise SpecError(is_none)
        if parts.username or parts.password:
            raise SpecError("SERVER= has a password in it; the token alone says who you are")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise SpecError(f"SERVER={address}: a token is sent by https:// only")
        self._root = address.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def series(self, number: int) -> PostedSeries:
        """Return the series with this number.

        Raises RunError.
        """
        data = self._ask(f"series/{number}/")
        try:
            patches = tuple(
                PostedPatch(int(one["id"]), str(one["name"]), _bare(one["msgid"]))
                for one in data["patches"]
            )
            cover = data.get("cover_letter") or {}
            return PostedSeries(patches, _bare(cover.get("msgid", "")))
        except (AttributeError, KeyError, TypeError, ValueError):
            self._is_strange(f"series/{number}/")

    def last_check(self, patch: PostedPatch, context: str) -> Check | None:
        """Return the newest check of ``context`` that ``patch`` has.

        Raises RunError.
        """
        chosen = urlencode({"context": context, "order": "-id", "per_page": "100"})
        path = f"patches/{patch.number}/checks/"
        data = self._ask(f"{path}?{chosen}")
        try:
            # A server that does not know these filters lists all checks.
            found = {int(one["id"]): one for one in data if one["context"] == context}
            if not found:
                return None
            last = found[max(found)]
            about = (last.get("description") or "", last.get("target_url") or "")
            return Check(str(last["state"]), context, *map(str, about))
        except (AttributeError, KeyError, TypeError, ValueError):
            self._is_strange(path)

    def add_check(self, patch: PostedPatch, check: Check) -> None:
        """Add ``check`` to ``patch``.

        Raises RunError.
        """
        data = {name: value for name, value in vars(check).items() if value}
        self._ask(f"patches/{patch.number}/checks/", data)

    def _ask(self, path: str, data: Mapping[str, str] | None = None) -> Any:
        """Return the server's answer to a GET, or with ``data`` to a POST.

        Raises RunError.
        """
        url = f"{self._root}/api/{path}"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(url, body, headers)
        request.add_unredirected_header("Authorization", f"Token {self._token}")
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                text = answer.read(_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise RunError(f"{url}: {error.code} {error.reason}{_told(error)}") from None
        except urllib.error.URLError as error:
            raise RunError(f"{url}: {error.reason}") from None
        except (OSError, ValueError) as error:  # a time limit; an answer that is no HTTP
            raise RunError(f"{url}: {error or type(error).__name__}") from None
        try:
            if len(text) > _BYTES:
                raise ValueError
            return json.loads(text)
        except ValueError:
            self._is_strange(path)

    def _is_strange(self, path: str) -> NoReturn:
        raise RunError(f"{self._root}/api/{path}: is no answer of patchwork's REST API") from None


def _told(error: urllib.error.HTTPError) -> str:
    """Return why the server refuses, in its words."""
    if 300 <= error.code < 400:
        return f": it has moved to {untrusted.clean_line(error.headers.get('Location', '?'))}"
    try:
        data = json.loads(error.read(_BYTES))
    except (OSError, ValueError):
        return ""
    said = data.get("detail", data) if isinstance(data, dict) else data
    return f": {untrusted.clean_line(said if isinstance(said, str) else json.dumps(said))[:300]}"


def _bare(message_id: str) -> str:
    return message_id.strip().strip("<>")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
