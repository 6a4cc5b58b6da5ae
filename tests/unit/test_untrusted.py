# SPDX-License-Identifier: GPL-2.0-only
"""Text from guests, mails and compilers is cleaned before it is shown or stored."""

from __future__ import annotations

import io

import pytest

from fixtures import untrusted
from fixtures.errors import BootError, Deviation, GuestLost, NoSpace
from fixtures.guest import Answer, Request
from fixtures.progress import Progress
from fixtures.record.transcript import Transcript
from fixtures.splat import Splat

OSC = "\x1b]52;c;b3du\x07\x1b[2J"  # sets the clipboard, clears the screen
HOSTILE = f"vfio:{OSC} one\x9b\u202e\ud800"
CLEAN = "vfio: one\\x9b\\u202e\\ud800"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("a\ttab\nand a line", "a\ttab\nand a line"),
        ("grün → ✓", "grün → ✓"),
        (HOSTILE, CLEAN),
        ("\x7f\x08", "\\x7f\\x08"),
        ("names \udcff", "names \\udcff"),
    ],
)
def test_text_is_cleaned_and_can_be_encoded(text: str, clean: str) -> None:
    assert untrusted.clean(text) == clean
    assert untrusted.clean(clean) == clean
    untrusted.clean(text).encode()


def test_a_line_stays_one() -> None:
    assert untrusted.clean_line("a\tb\n# forged\r\n") == "a\tb\\x0a# forged\\x0a"


@pytest.mark.parametrize(
    "error", [BootError(HOSTILE), GuestLost(HOSTILE), NoSpace(HOSTILE), Deviation(HOSTILE)]
)
def test_an_error_is_clean(error: Exception) -> None:
    assert str(error) == CLEAN


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_shows_nothing_else(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    progress = Progress(stream)
    progress.note(f"patch 1: {HOSTILE}")
    with progress.step(f"building {HOSTILE}") as step:
        step._drawn = 0
        step.update(f"{HOSTILE}\nof")
        step.note(f"warning: {HOSTILE}")
    shown = stream.getvalue()
    assert f"patch 1: {CLEAN}\n" in shown
    assert f"warning: {CLEAN}\n" in shown
    ours = shown.replace("\r\x1b[K", "")
    assert "\x1b" not in ours
    assert ours.isprintable() or set(filter(lambda c: not c.isprintable(), ours)) == {"\n"}
    ours.encode()


def test_a_transcript_is_clean_whatever_came() -> None:
    transcript = Transcript()
    transcript.add("list", {"path": HOSTILE}, Answer(0, more={"names": [HOSTILE]}))
    transcript.add("run", {"argv": [HOSTILE]}, Answer(1, log=(f"{HOSTILE}\n# forged",)))
    lost = GuestLost("gone", Splat("oops", "Oops", lines=[HOSTILE]))
    transcript.add_lost([Request("run", {"argv": [HOSTILE]})], None, lost)
    assert f"    kernel: {CLEAN}\\x0a# forged" in transcript.lines
    assert f"    console: {CLEAN}" in transcript.lines
    for line in transcript.lines:
        assert untrusted.clean_line(line) == line
        line.encode()
