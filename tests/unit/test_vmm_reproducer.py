# SPDX-License-Identifier: GPL-2.0-only
"""The shell script that repeats a test with VMMs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.answer import Answer
from fixtures.record import catalogue
from fixtures.record.reproducer.about import About
from fixtures.record.reproducer.render import reproducers
from fixtures.record.transcript import Transcript

ABOUT = About(
    test="suites/vmm/test_migrates.py::test_x[qat-qemu]",
    clauses={"vmm.migrates": catalogue.clauses()["vmm.migrates"]},
    found="the device has another state\x1b at the destination",
    release="7.3.4",
    driver="qat",
    realization="double",
    file="test_x",
)
QUERY = '{"execute": "query-migrate"}'
# A QEMU whose migration ends at the third question.
QEMU = """
import json, sys
left = 2
print(json.dumps({"QMP": {}}), flush=True)
for line in sys.stdin:
    name = json.loads(line)["execute"]
    if name == "quit":
        sys.exit("bye")
    if name == "query-migrate":
        left -= 1
        print('{"timestamp": {}, "event": "MIGRATION_PASS"}')
        print('{"return": {"status": "%s"}}' % (ENDS if left < 0 else "active"), flush=True)
    elif name == "bad":
        print('{"error": {"class": "GenericError"}}', flush=True)
    else:
        print('{"return": {}}', flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that sets a state, migrates, and kills a VMM."""
    transcript = Transcript()
    argv = ["/usr/bin/qemu", "-bios", "/halt.bin", "-D", "/tmp/source.trace", "it's"]
    for name in ("source", "destination", "source"):
        transcript.vmm_starts(name, argv)
        transcript.vmm_does(name, '{"execute": "qmp_capabilities"}', {})
    state = tmp_path / "state"
    control = tmp_path / "control"
    transcript.add("write_file", {"path": str(control), "data": b"state 64 7"}, Answer(10))
    transcript.add("list", {"path": "/proc/self/fd"}, Answer(0, more={"names": []}))
    transcript.vmm_does("source", '{"execute": "bad"}', None)
    for status in ("setup", "active", "completed"):
        transcript.vmm_does("source", QUERY, {"status": status})
    transcript.add("read_file", {"path": str(state)}, Answer(0, data=b"the state"))
    transcript.vmm_does("destination", '{"execute": "quit"}', None)
    transcript.vmm_is_killed("source")
    made = reproducers(transcript.calls, ABOUT)
    assert list(made) == ["sh"]
    path = tmp_path / "test_x.sh"
    path.write_text(made["sh"], encoding="utf-8")
    state.write_bytes(b"the state")
    return path


def run(script: Path, ends: str = "completed") -> subprocess.CompletedProcess[str]:
    """Run ``script`` with a QEMU whose migrations end with a status."""
    qemu = script.with_name("qemu")
    qemu.write_text(f"#!{sys.executable}\nENDS = {ends!r}\n{QEMU}", encoding="utf-8")
    qemu.chmod(0o755)
    return subprocess.run(
        ["sh", str(script), str(qemu)],
        capture_output=True,
        encoding="utf-8",
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(script.parent)},
        timeout=60,
        check=False,
    )


def test_it_does_what_the_test_did(script: Path) -> None:
    done = run(script)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all answers are as in the failing run"
    assert (script.parent / "control").read_text(encoding="utf-8") == "state 64 7"
    text = script.read_text(encoding="utf-8")
    assert "vmm.migrates (MUST): " in text
    assert "\x1b" not in text
    # Nothing stays: no folder, and no process.
    assert not list(script.parent.glob("tmp.*"))
    assert subprocess.run(["pgrep", "-f", str(script.parent)], check=False).returncode == 1


def test_an_end_of_another_kind_is_told(script: Path) -> None:
    done = run(script, ends="failed")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "not reproduced: it was completed"


def test_another_state_of_the_device_is_told(script: Path) -> None:
    (script.parent / "state").write_bytes(b"another")
    done = run(script)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].endswith("/state has another content")


def test_what_cannot_be_done_is_told(script: Path) -> None:
    (script.parent / "control").mkdir()
    done = run(script)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1].endswith("/control cannot be written")


def test_nothing_is_made_of_a_migration_that_was_damaged_on_the_way() -> None:
    transcript = Transcript()
    transcript.vmm_starts("source", ["/usr/bin/qemu"])
    assert reproducers(transcript.calls, ABOUT)
    transcript.wire_is_damaged("the connection breaks")
    assert reproducers(transcript.calls, ABOUT) == {}
    assert "the connection breaks" in "\n".join(transcript.lines)
