# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark's parts: programs that are kept and sent again, a commit to compare with."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fixtures.errors import RunError, SpecError
from fixtures.guest import Request
from fixtures.progress import Progress
from tests.unit import local_agent
from tests.unit.local_agent import answer
from tests.unit.tools import needs
from workflows import against, replay


@needs("gcc")
def test_programs_that_were_kept_are_carried_out_again(tmp_path: Path) -> None:
    kept = tmp_path / f"7-001-2{replay.SUFFIX}"
    process, end = local_agent.start(tmp_path)
    guest = local_agent.guest_on(end)
    with kept.open("wb", buffering=0) as file:
        guest.on_program = file.write  # type: ignore[assignment]
        made = tmp_path / "made"
        guest.calls(
            Request("open", {"path": str(made), "flags": 0o101}), Request("close", {"fd": 9})
        )
        guest.call("run", argv=["mkdir", str(tmp_path / "folder")])
    guest.close()
    process.wait(5)
    made.unlink()
    (tmp_path / "folder").rmdir()
    assert replay.kept(tmp_path) == {"7": [(2, kept)]}
    process, end = local_agent.start(tmp_path)
    programs, seconds = replay.replay(local_agent.guest_on(end), kept)
    assert programs == 2
    assert seconds > 0
    assert made.exists()
    assert (tmp_path / "folder").exists()
    end.close()
    process.wait(5)


def test_an_agent_that_does_not_answer_all_programs_is_told(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    local_agent.serve(theirs, answer)
    guest = local_agent.guest_on(ours)
    kept = tmp_path / f"7-001-1{replay.SUFFIX}"
    with kept.open("wb", buffering=0) as file:
        guest.on_program = file.write  # type: ignore[assignment]
        guest.call("close", fd=3)
    theirs.close()
    with pytest.raises(RunError, match="program 2"):
        replay.replay(guest, kept)


def test_a_commit_that_is_not_there_is_one_line() -> None:
    with pytest.raises(SpecError, match="AGAINST=nonsense: this checkout has no such commit"):
        against.compare("debian:newest", "nonsense", 1, Progress())
