# SPDX-License-Identifier: GPL-2.0-only
"""The archive: an unreachable or unsigned archive is rejected with a one-line message."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures import durable, holding, paths, process
from fixtures.errors import FetchError, NoSpace
from fixtures.kernel import archive
from fixtures.machine import rootfs
from fixtures.process import ProcessFailed
from fixtures.progress import Progress
from tests.unit.tools import needs

pytestmark = needs("apt-get", "dpkg-deb")

RELEASE = """\
Origin: Debian
Suite: {suite}
Codename: {suite}
Date: Thu, 19 Nov 2026 02:12:54 UTC
Architectures: amd64
Components: main
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(durable, "flush_tree", lambda folder: None)  # the host's disk may be slow
    with holding.only_here():
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An archive on this host with unsigned Release files."""
    for suite in archive.SUITES:
        folder = tmp_path / "www" / "dists" / suite
        folder.mkdir(parents=True)
        (folder / "Release").write_text(RELEASE.format(suite=suite), encoding="utf-8")

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


def test_versions_are_ordered_as_debian_does() -> None:
    ordered = [
        "6.12.107-1",
        "7.3.4-1~bpo13+1",
        "7.3.4-1",
        "7.3.11~rc2-1",
        "7.3.11-9",
        "7.3.11-10",
        "7.10.1-1",
    ]
    shuffled = [ordered[number] for number in (5, 2, 6, 4, 0, 3, 1)]
    assert sorted(shuffled, key=archive._as_dpkg) == ordered


UBUNTU = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"
DEBIAN = 'PRETTY_NAME="Debian"\nID=debian\nVERSION_CODENAME=bookworm\n'


@pytest.mark.parametrize(
    ("os_release", "targets", "found"),
    [
        (UBUNTU, ["noble|http://u.example/ubuntu/|Ubuntu|Ubuntu"], ""),
        (UBUNTU, ["noble|http://u.example/ubuntu/|$(ORIGIN)|$(LABEL)"], ""),
        (
            UBUNTU,
            ["noble|http://u.example/|Ubuntu|Ubuntu", "sid|http://d.example/|Debian|Debian"],
            "http://d.example",
        ),
        (
            DEBIAN,
            [
                "bookworm-security|http://s.example/|Debian|Debian-Security",
                "bookworm|http://d.example/debian/|Debian|Debian",
            ],
            "http://d.example/debian",
        ),
        (DEBIAN, ["bookworm|http://other.example/|Docker|Docker CE"], ""),
        (DEBIAN, ["bookworm|http://d.example/|$(ORIGIN)|$(LABEL)"], "http://d.example"),
        (DEBIAN, [], ""),
    ],
)
def test_which_archive_is_debians(
    os_release: str, targets: list[str], found: str, tmp_path: Path
) -> None:
    (tmp_path / "os-release").write_text(os_release, encoding="utf-8")
    assert archive._debian_of(targets, tmp_path / "os-release") == found


def test_a_host_without_an_archive_of_debian_takes_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(archive, "_targets", lambda *_: [])
    assert archive.mirror() == archive.DEFAULT_MIRROR


@pytest.mark.parametrize("address", ["deb.example", "http://a.example http://b.example", "/srv"])
def test_a_mirror_that_is_no_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", address)
    with pytest.raises(FetchError, match="is not an address such as"):
        archive.mirror()


# Recorded output of apt-get update.
LACKS_ONE = """\
Get:1 http://deb.example/debian trixie-backports InRelease [54.0 kB]
Ign:2 http://deb.example/debian bookworm-backports InRelease
Hit:5 http://deb.example/debian sid InRelease
Err:3 http://deb.example/debian bookworm-backports Release
  404  Not Found [IP: 203.0.113.80 80]
Get:4 http://deb.example/debian trixie-backports/main amd64 Packages [312 kB]
Reading package lists...
E: The repository 'http://deb.example/debian bookworm-backports Release' does not have a Release\
 file.
"""
ONE_IS_SILENT = """\
Get:1 http://deb.example/debian trixie-backports InRelease [54.0 kB]
Get:2 http://deb.example/debian sid InRelease [200 kB]
Err:3 http://deb.example/debian sid/main amd64 Packages
  Connection timed out [IP: 203.0.113.80 80]
E: Failed to fetch http://deb.example/debian/dists/sid/main/by-hash/x  Connection timed out
"""
NONE_ANSWERS = """\
Err:1 http://deb.example/debian trixie-backports InRelease
  Could not connect to deb.example:80 (203.0.113.80), connection timed out
Err:2 http://deb.example/debian sid InRelease
  Unable to connect to deb.example:80:
E: Failed to fetch http://deb.example/debian/dists/sid/InRelease  Unable to connect
"""
UNSIGNED = """\
Get:1 http://deb.example/debian trixie-backports InRelease [54.0 kB]
Get:2 http://deb.example/debian sid InRelease [200 kB]
Err:2 http://deb.example/debian sid InRelease
  The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 1
E: The repository 'http://deb.example/debian sid InRelease' is not signed.
"""


class Apt:
    """``apt-get update`` that prints ``says`` and fails; with None it succeeds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.says: str | None = None
        self.calls = 0
        monkeypatch.setattr(process, "run", self._run)

    def _run(self, argv: list[str], log: Path, **_: object) -> None:
        self.calls += 1
        if self.says is not None:
            log.write_text(self.says, encoding="utf-8")
            raise ProcessFailed(argv, 100, log)

    def refresh(self) -> int:
        """Refresh the list of packages; return how often apt ran."""
        before = self.calls
        archive._Apt("http://deb.example/debian").refresh(Progress())
        return self.calls - before


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Apt:
    return Apt(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that advances the clock by seconds."""
    now = time.time

    def later(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now() + seconds)

    return later


def test_a_suite_that_the_archive_lacks_is_left_out(
    apt: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    apt.says = LACKS_ONE
    assert [apt.refresh(), apt.refresh()] == [1, 0]
    said = capsys.readouterr().err
    assert "bookworm-backports not available; continuing with trixie-backports, sid" in said


def test_a_suite_that_does_not_answer_is_asked_again_soon(
    apt: Apt, clock: Callable[[float], None]
) -> None:
    apt.says = ONE_IS_SILENT
    assert [apt.refresh(), apt.refresh()] == [1, 0]
    clock(archive.RETRY_AGE + 1)
    apt.says = None
    assert [apt.refresh(), apt.refresh()] == [1, 0]


def test_an_archive_that_does_not_answer_is_left_in_peace_for_a_while(
    apt: Apt, clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert apt.refresh() == 1
    apt.says = NONE_ANSWERS
    clock(archive.INDEX_AGE + 1)
    before = time.time()
    assert apt.refresh() == 1
    assert "continuing with an older list" in capsys.readouterr().err
    for stamp in paths.cache().glob("archive/*/failed"):  # its time is from the real clock
        os.utime(stamp, (before, before))
    assert apt.refresh() == 0
    clock(archive.INDEX_AGE + archive.RETRY_AGE + 2)
    assert apt.refresh() == 1


def test_without_a_list_an_archive_that_does_not_answer_is_an_error_each_time(apt: Apt) -> None:
    apt.says = NONE_ANSWERS
    for _ in range(2):
        with pytest.raises(FetchError, match="cannot be used"):
            apt.refresh()
    assert apt.calls == 2


def test_a_signature_that_fails_is_fatal_whatever_else_answers(
    apt: Apt, clock: Callable[[float], None]
) -> None:
    assert apt.refresh() == 1
    clock(archive.INDEX_AGE + 1)
    apt.says = UNSIGNED
    with pytest.raises(FetchError, match="is not signed by a key of"):
        apt.refresh()


def test_the_lists_are_on_the_disk_before_they_count(
    apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def flush_tree(folder: Path) -> None:
        seen.append((folder / "refreshed").exists())

    monkeypatch.setattr(durable, "flush_tree", flush_tree)
    apt.refresh()
    assert seen == [False]


@pytest.mark.parametrize("says", [NONE_ANSWERS, UNSIGNED], ids=["cut short", "unsigned"])
def test_a_full_disk_is_no_fault_of_the_archive(
    says: str, apt: Apt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "is_full", lambda _: True)
    apt.says = says
    with pytest.raises(NoSpace):
        apt.refresh()
    package = archive.Package("7.3", "7.3.4-1", 1)
    with pytest.raises(NoSpace):
        archive._Apt("http://deb.example/debian").download(package, tmp_path, Progress())


def test_an_archive_without_kernels_is_named(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", "http://deb.example/debian")
    monkeypatch.setattr(archive._Apt, "kernel_sources", lambda _: [])
    with pytest.raises(FetchError, match=r"http://deb\.example/debian has no linux-source"):
        archive.resolve("newest", Progress())
    assert apt.calls == 1


def test_a_package_that_cannot_be_unpacked_is_one_line(
    apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive._Apt, "download", lambda *_: Path("x.deb"))
    apt.says = "tar: a warning\nxz: (stdin): Unexpected end of input\n"
    with pytest.raises(FetchError, match=r"^cannot unpack x\.deb: xz: \(stdin\): Unexpected end"):
        archive.unpacked(archive.Package("7.3", "7.3.4-1", 1), Progress())


def test_a_list_of_the_future_is_fetched_anew(apt: Apt, clock: Callable[[float], None]) -> None:
    assert apt.refresh() == 1
    clock(-archive.INDEX_AGE - 1)
    assert apt.refresh() == 1


def test_an_archive_without_the_first_release_gives_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def run(argv: list[str], log: Path, **_: object) -> None:
        if argv[0] == "tar":
            for place in ("mnt", "usr/local/sbin", "etc/ssh"):
                Path(argv[-1], place).mkdir(parents=True)
            return
        release, tarball = argv[-3:-1]
        asked.append(release)
        if release == rootfs.RELEASES[0]:
            log.write_text(LACKS_ONE, encoding="utf-8")
            raise ProcessFailed(argv, 25, log)
        Path(tarball).touch()

    monkeypatch.setenv("DEBIAN_MIRROR", "http://deb.example")
    monkeypatch.setattr(rootfs, "_ways_to_be_root", lambda: [["mmdebstrap"]])
    monkeypatch.setattr(process, "run", run)
    first = rootfs.provide(Progress())
    assert asked == list(rootfs.RELEASES[:2])
    assert rootfs.provide(Progress()) == first
    assert asked == list(rootfs.RELEASES[:2])  # the archive was not asked again
