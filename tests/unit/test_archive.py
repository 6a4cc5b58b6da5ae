# SPDX-License-Identifier: GPL-2.0-only
"""The archive: an unreachable or unsigned one is refused in one line."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.errors import FetchError
from fixtures.kernel import archive
from fixtures.progress import Progress

RELEASE = """\
Origin: Debian
Suite: {suite}
Codename: {suite}
Date: Thu, 19 Nov 2026 02:12:54 UTC
Architectures: amd64
Components: main
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An archive on this host whose Release files nobody signed."""
    for suite in archive.SUITES:
        folder = tmp_path / "www" / "dists" / suite
        folder.mkdir(parents=True)
        (folder / "Release").write_text(RELEASE.format(suite=suite))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_archive_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9/debian cannot be used") as caught:
        archive.resolve("7.3", Progress())
    assert "DEBIAN_MIRROR" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_not_signed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", server)
    with pytest.raises(FetchError, match="is not signed by a key of") as caught:
        archive.resolve("7.3", Progress())
    assert "\n" not in str(caught.value)


def test_versions_are_ordered_by_number() -> None:
    versions = ["7.10.1-1", "7.3.4-1~bpo13+1", "6.12.107-1", "7.3.11-1"]
    ordered = ["6.12.107-1", "7.3.4-1~bpo13+1", "7.3.11-1", "7.10.1-1"]
    assert sorted(versions, key=archive._version) == ordered
