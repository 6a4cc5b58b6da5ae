# SPDX-License-Identifier: GPL-2.0-only
"""A misbehaving kernel: the right test is blamed, with the right kind, and the others run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.machine.machine import PRIVATE
from fixtures.paths import CHECKOUT
from tests.vm.conftest import NEW, Finished, Suites

# The misdeed, the expected kind of splat, the function to blame, and words of the reason.
DEFAULT = [
    ("panic", "panic", "misbehave_panic", "misbehave: as commanded"),
    ("oops", "oops", "misbehave_oops", "NULL pointer dereference"),
    ("bug", "bug", "misbehave_bug", "kernel BUG at"),
    ("warn", "warning", "misbehave_warn", "WARNING: "),
    ("refcount", "refcount", "misbehave_refcount", "refcount_t: "),
    ("atomic", "atomic-sleep", "misbehave_atomic", "scheduling while atomic"),
    ("block", "blocked", "misbehave_block", "write_file did not return within"),
    ("spin", "soft-lockup", "misbehave_spin", "soft lockup"),
    ("spin-irqs-off", "panic", "misbehave_spin_irqs_off", "NMI"),
    ("kill-ssh", "", "", ""),
    ("stop-line", "panic", "", "write_file did not return within"),
    ("memory", "memory", "", ""),
]
# The emulator might be to blame: it is asked first. The watchdog may tell of a soft lockup in time,
# or later than the call's limit.
TWO_PROCESSORS = [
    ("block", "blocked", "misbehave_block", "write_file did not return within"),
    ("spin", "", "", "write_file did not return within"),
    ("spin-irqs-off", "rcu-stall", "misbehave_spin_irqs_off", "detected stalls"),
]
DEBUG = [
    ("freed", "kasan", "misbehave_freed", "BUG: KASAN: "),
    ("lockdep", "lockdep", "misbehave_lockdep", "possible circular locking"),
    ("atomic", "atomic-sleep", "misbehave_atomic", "BUG: "),
    ("list", "list", "misbehave_list", "list_"),
    ("leak", "leak", "misbehave_leak", "unreferenced object"),
]


def a_checkout(folder: Path, words: list[str]) -> Path:
    """Return a copy of this checkout in which the misdeeds are the only suite."""
    copy = folder / "checkout"
    leave = shutil.ignore_patterns(".git", ".venv", "results", "__pycache__", ".*_cache", "tests")
    shutil.copytree(CHECKOUT, copy, ignore=leave)
    suite = copy / "suites" / "misdeeds"
    for other in (copy / "suites").iterdir():
        if other.is_dir():
            shutil.rmtree(other)
    suite.mkdir()
    shutil.copy(Path(__file__).with_name("misdeeds.py"), suite / "test_misdeeds.py")
    with (copy / "suites" / "clauses.yaml").open("a", encoding="utf-8") as clauses:
        for word in sorted({*words, "after"}):
            clauses.write(
                f"  misdeeds.{word}:\n    level: MUST\n    text: It lives on.\n    source: here\n"
            )
    return copy


def misbehave(
    suites: Suites,
    folder: Path,
    words: list[str],
    *options: str,
    more: dict[str, str] | None = None,
) -> Finished:
    return suites.run(
        f"--kernel={NEW}",
        "--driver=misbehave",
        *options,
        checkout=a_checkout(folder, words),
        environment={"MISDEEDS": ",".join(words)} | (more or {}),
    )


def left_over() -> list[str]:
    """Return the QEMU processes of ended runs; the private folder names the run.

    Other runs may be active.
    """
    shown = subprocess.run(["pgrep", "-af", "qemu-system"], capture_output=True, encoding="utf-8")
    return [
        line
        for line in shown.stdout.splitlines()
        if (owner := re.search(rf"{PRIVATE}(\d+)-", line)) and not Path("/proc", owner[1]).exists()
    ]


def check(run: Finished, suites: Suites, misdeeds: list[tuple[str, str, str, str]]) -> None:
    """Check that each misdeed is reported correctly by its test, and that the others ran."""
    assert run.status == 1, run.output
    assert run.results.complete is True
    clauses = run.results.drivers["misbehave"].clauses
    for word, kind, function, said in misdeeds:
        entry = clauses[f"misdeeds.{word}"]
        assert entry.verdict == "deviates", (word, entry)
        assert any(said in one.seen for one in entry.failures), (word, entry)
        if kind:
            assert any(one.startswith(f"{kind}-") for one in entry.fingerprints), (word, entry)
        found = (suites.folder / "latest/transcripts").glob(f"*test_it*any-{word}]*")
        texts = [path.read_text(encoding="utf-8") for path in found]
        call = f"write_file('/sys/kernel/debug/vfio-misbehave', '{word}')"
        assert texts
        assert all(call in text for text in texts)
        # There is one for each way to open; on a busy host a watchdog may be later than the limit.
        assert any(function in text for text in texts), texts
    assert clauses["misdeeds.after"].verdict == "conforms"
    assert not left_over()


def test_each_misdeed_is_blamed_on_its_test(suites: Suites, tmp_path: Path) -> None:
    words = [word for word, *_ in DEFAULT]
    check(misbehave(suites, tmp_path, words, "--retries=0", "-n2"), suites, DEFAULT)


def test_a_hang_is_the_drivers_on_two_processors_too(suites: Suites, tmp_path: Path) -> None:
    words = [word for word, *_ in TWO_PROCESSORS]
    check(misbehave(suites, tmp_path, words, "--retries=0", "--cpus=2"), suites, TWO_PROCESSORS)


@pytest.mark.long
def test_what_only_the_debug_flavour_sees(suites: Suites, tmp_path: Path) -> None:
    words = [word for word, *_ in DEBUG]
    run = misbehave(suites, tmp_path, words, "--retries=0", "-n2", "--flavour=debug")
    check(run, suites, DEBUG)
    (transcript,) = (suites.folder / "latest/transcripts").glob("*test_it*any-freed]*")
    _, _, decoded = transcript.read_text(encoding="utf-8").partition(
        "# the same, with lines of source"
    )
    assert re.search(r"misbehave_freed \(.*vfio_misbehave\.c:\d+\)", decoded), decoded


def test_a_kernel_that_dies_in_every_test_ends_the_run(suites: Suites, tmp_path: Path) -> None:
    run = misbehave(suites, tmp_path, ["oops"] * 20, "--retries=3")
    assert run.status == 2, run.output
    assert "machines died in this run; giving up" in run.output
    assert run.results.complete is False
    entry = run.held("misbehave", "misdeeds.oops")
    assert entry.verdict == "deviates"


def test_a_run_that_takes_too_long_ends_with_what_was_learnt(suites: Suites) -> None:
    run = suites.run(f"--kernel={NEW}", "--driver=mtty", "-k", "precopy_info", "--run-limit=1")
    assert run.status == 2, run.output
    assert "more than it may (--run-limit)" in run.output
    assert run.results.complete is False
    assert run.results.drivers["mtty"].clauses


def test_a_complaint_that_comes_once_is_a_deviation(suites: Suites, tmp_path: Path) -> None:
    (tmp_path / "once").touch()
    run = misbehave(suites, tmp_path, ["warn"], more={"MISDEEDS_ONCE": str(tmp_path / "once")})
    assert run.status == 1, run.output
    entry = run.held("misbehave", "misdeeds.warn")
    assert entry.verdict == "deviates"
    assert entry.why.startswith("the kernel complained: WARNING: ")


def test_a_failure_that_does_not_come_again_is_flaky(suites: Suites, tmp_path: Path) -> None:
    (tmp_path / "once").touch()
    run = misbehave(suites, tmp_path, ["fail"], more={"MISDEEDS_ONCE": str(tmp_path / "once")})
    assert run.status == 0, run.output
    entry = run.held("misbehave", "misdeeds.fail")
    assert entry.verdict == "flaky"
    assert entry.why == "not on a fresh machine: without evidence from the kernel"
    assert "1 flaky" in run.output
