# SPDX-License-Identifier: GPL-2.0-only
"""Checks for a patchwork server; the server of these tests speaks its REST API, on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fixtures.errors import RunError, SpecError
from tests.unit.test_b4_check import NOT_MADE
from tests.unit.test_jobs import BAD, GOOD, NOT_BUILT, judged
from tests.unit.test_threads import message_id
from workflows import patchwork, patchwork_check

SECRET = "b4d5ecre7"
STATES = ("pending", "success", "warning", "fail")


class Patchwork(ThreadingHTTPServer):
    """A server with one series, number 7, of three patches: 70, 71, 72."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mails: list[str] = []  # the cover letter's and the patches' Message-IDs
        self.checks: dict[int, list[dict[str, Any]]] = {70: [], 71: [], 72: []}
        self.requests: list[str] = []
        self.filters = True  # whether it knows the filters of a list
        self.answer: tuple[int, dict[str, str], bytes] | None = None  # to everything

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def states(self) -> list[list[str]]:
        return [[one["state"] for one in checks] for checks in self.checks.values()]

    def add(self, patch: int, **check: Any) -> None:
        number = sum(map(len, self.checks.values())) + 1
        self.checks[patch].append({"id": number, "target_url": None, "description": None, **check})


class Handler(BaseHTTPRequestHandler):
    server: Patchwork

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle(None)

    def do_POST(self) -> None:
        self._handle(self.rfile.read(int(self.headers["Content-Length"])))

    def _handle(self, body: bytes | None) -> None:
        server = self.server
        server.requests.append(f"{self.command} {self.path}")
        if server.answer:
            self._send(*server.answer)
        elif self.headers["Authorization"] != f"Token {SECRET}":
            self._json(401, {"detail": "Invalid token."})
        elif self.path == "/api/series/7/":
            cover, *patches = (f"<{one}>" for one in server.mails)
            listed = [
                {"id": 70 + number, "name": f"[{number + 1}/3] vfio: add a file", "msgid": one}
                for number, one in enumerate(patches)
            ]
            self._json(200, {"id": 7, "cover_letter": {"msgid": cover}, "patches": listed})
        elif found := re.fullmatch(r"/api/patches/(\d+)/checks/", urlsplit(self.path).path):
            self._checks(int(found[1]), body)
        else:
            self._json(404, {"detail": "Not found."})

    def _checks(self, patch: int, body: bytes | None) -> None:
        if body is not None:
            check = json.loads(body)
            wrong = {*check} - {"state", "target_url", "context", "description"}
            if wrong or check["state"] not in STATES:
                return self._json(400, {"state": ["A check must have a state."]})
            self.server.add(patch, **check)
            return self._json(201, check)
        listed = self.server.checks[patch]
        if self.server.filters:
            (context,) = parse_qs(urlsplit(self.path).query)["context"]
            listed = [one for one in reversed(listed) if one["context"] == context]
        self._json(200, listed)

    def _json(self, status: int, data: Any) -> None:
        self._send(status, {"Content-Type": "application/json"}, json.dumps(data).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Patchwork]:
    monkeypatch.setenv("PATCHWORK_TOKEN", SECRET)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("REPORT_URL", raising=False)
    with Patchwork() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def series(server: Patchwork, whole: list[str], premerges: Path) -> Patchwork:
    """The server, which has the series of ``whole``."""
    server.mails = [message_id(mail) for mail in whole]
    return server


def tell(server: Patchwork, series: str = "7") -> int:
    return patchwork_check.main([f"--series-id={series}", f"--server={server.url}/"])


def test_pending_and_then_the_verdicts(series: Patchwork, judge: Any) -> None:
    assert tell(series) == 0
    assert series.states() == [["pending"]] * 3
    judge(judged(GOOD), judged(GOOD), NOT_MADE)
    assert tell(series) == 0
    assert series.states() == [["pending", "success"], ["pending", "pending"], ["pending"]]
    assert series.checks[71][1]["description"] == "no space left"
    judge(judged(GOOD), judged(GOOD), judged(BAD), NOT_BUILT)
    assert tell(series) == 0
    assert [states[-1] for states in series.states()] == ["success", "fail", "fail"]
    assert series.checks[71][-1] == {
        "id": series.checks[71][-1]["id"],
        "state": "fail",
        "context": "vfio-conformance",
        "description": "1 changed for the worse: mtty: precopy-info.flags.v1-echo",
        "target_url": None,
    }
    assert all(request.startswith(("GET /api/", "POST /api/")) for request in series.requests)


@pytest.mark.parametrize("filters", [True, False])
def test_what_is_told_is_not_told_again(series: Patchwork, judge: Any, filters: bool) -> None:
    series.filters = filters
    judge(*[judged(GOOD)] * 4)
    for patch in series.checks:
        series.add(patch, context="build", state="fail")
    tell(series)
    tell(series)
    assert series.states() == [["fail", "success"]] * 3
    judge(*[judged(GOOD)] * 2, *[judged(BAD)] * 2)
    tell(series)
    assert series.states()[1] == ["fail", "success", "fail"]


def test_a_verdict_is_not_put_back(
    series: Patchwork, judge: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(*[judged(GOOD)] * 4)
    tell(series)
    judge(judged(GOOD), NOT_MADE)
    capsys.readouterr()
    tell(series)
    assert series.states() == [["success"]] * 3
    assert "patch 72: pending (stays success): not judged yet: [3/3]" in capsys.readouterr().out


def test_a_base_that_cannot_be_judged_leaves_no_patch_pending(
    series: Patchwork, judge: Any
) -> None:
    judge(NOT_BUILT)
    tell(series)
    assert series.states() == [["warning"]] * 3
    assert series.checks[70][0]["description"] == "could not be judged"


def test_where_the_report_is(
    series: Patchwork, judge: Any, premerges: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(*[judged(GOOD)] * 4)
    monkeypatch.setenv("REPORT_URL", "https://ci.example.com/premerge")
    tell(series)
    (folder,) = premerges.iterdir()
    url = f"https://ci.example.com/premerge/{folder.name}/report."
    assert all(checks[0]["target_url"].startswith(url) for checks in series.checks.values())


def test_the_token_is_told_to_nobody(
    series: Patchwork, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(series)
    wrong = "n0tTh1s0ne"
    monkeypatch.setenv("PATCHWORK_TOKEN", wrong)
    with pytest.raises(RunError, match=r"series/7/: 401 Unauthorized: Invalid token\.") as caught:
        tell(series)
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert wrong not in str(caught.value) + said.out + said.err


def test_a_redirect_is_not_followed(series: Patchwork) -> None:
    with Patchwork() as elsewhere:
        series.answer = 302, {"Location": f"{elsewhere.url}/api/series/7/"}, b""
        with pytest.raises(RunError, match="302 Found: it has moved to http://127"):
            tell(series)
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, {}, b"<html>"), "is no answer of patchwork's REST API"),
        ((200, {}, b"[]"), "is no answer of patchwork's REST API"),
        ((200, {}, b'{"patches": [{"id": "x"}]}'), "is no answer of patchwork's REST API"),
        ((200, {}, b'{"patches": []}'), "SERIES_ID=7: has no patch"),
        ((403, {}, b'{"detail": "no\\u001b[31m, you"}'), "403 Forbidden: no, you"),
        ((502, {}, b"<html>"), "502 Bad Gateway$"),
    ],
)
def test_a_server_that_says_something_else(series: Patchwork, answer: Any, says: str) -> None:
    series.answer = answer
    with pytest.raises(RunError, match=says) as caught:
        tell(series)
    assert "\n" not in str(caught.value)


def test_an_answer_without_end(series: Patchwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchwork, "_BYTES", 1000)
    series.answer = 200, {}, json.dumps({"patches": [], "more": "x" * 1000}).encode()
    with pytest.raises(RunError, match="is no answer"):
        tell(series)


def test_a_server_that_does_not_answer(series: Patchwork) -> None:
    series.shutdown()
    series.server_close()
    with pytest.raises(RunError, match=r"api/series/7/: .*refused"):
        tell(series)


def test_a_series_that_is_not_there(series: Patchwork) -> None:
    with pytest.raises(RunError, match=r"api/series/8/: 404 Not Found: Not found\."):
        tell(series, "8")


@pytest.mark.parametrize(
    ("number", "address", "says"),
    [
        ("", "https://p.example.com", "SERIES_ID= is missing: the number"),
        ("7/", "https://p.example.com", "SERIES_ID=7/: is not the number"),
        ("7", "", "SERVER= is missing"),
        ("7", "patchwork.kernel.org", "SERVER=patchwork.kernel.org: is no URL"),
        ("7", "ftp://p.example.com", "is no URL"),
        ("7", "https://[p", "is no URL"),
        ("7", "https://me:pw@p.example.com", "SERVER= has a password in it"),
        ("7", "http://p.example.com", "a token is sent by https:// only"),
        ("7", "http://127.0.0.1.example.com", "a token is sent by https:// only"),
    ],
)
def test_what_makes_no_sense(
    monkeypatch: pytest.MonkeyPatch, number: str, address: str, says: str
) -> None:
    monkeypatch.setenv("PATCHWORK_TOKEN", SECRET)
    with pytest.raises(SpecError, match=re.escape(says)):
        patchwork_check.main([f"--series-id={number}", f"--server={address}"])


@pytest.mark.parametrize("token", ["", "two words", "line\n"])
def test_a_token_that_is_none(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("PATCHWORK_TOKEN", token)
    with pytest.raises(SpecError, match="PATCHWORK_TOKEN in the environment must hold"):
        patchwork_check.main(["--series-id=7", "--server=https://p.example.com"])
