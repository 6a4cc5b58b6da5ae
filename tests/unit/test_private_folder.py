# SPDX-License-Identifier: GPL-2.0-only
"""A machine's private folder: other runs do not remove it, and its sockets' paths fit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures import holding
from fixtures.errors import RunError
from fixtures.machine import MachineSpec, machine
from fixtures.machine.machine import PRIVATE, Machine, orphans
from fixtures.paths import CHECKOUT

NO_PROCESS = 2**22 + 1  # larger than any process id

# Makes a machine's private folder, prints its path, and runs until it is killed.
OTHER_RUN = """
import sys, time
from pathlib import Path
from fixtures.machine import Machine, MachineSpec
print(Machine(Path(sys.argv[1]), MachineSpec())._private, flush=True)
time.sleep(60)
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, holding.only_here():
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_a_run_in_another_container_keeps_its_folder_until_it_is_killed(temporary: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    argv = [sys.executable, "-c", OTHER_RUN, str(temporary)]
    other = subprocess.Popen(
        argv, stdout=subprocess.PIPE, encoding="utf-8", env=environment, cwd=CHECKOUT
    )
    assert other.stdout is not None
    made = Path(other.stdout.readline().strip())
    # As seen from a container that does not see that process.
    theirs = made.rename(temporary / f"{PRIVATE}{NO_PROCESS}-x")
    ours = Machine(temporary, MachineSpec())._private
    assert theirs.exists()
    other.kill()
    other.wait()
    assert list(orphans()) == [theirs]
    Machine(temporary, MachineSpec())
    assert ours.exists()
    assert not theirs.exists()


@pytest.mark.parametrize("name", ["x" * 90, "a,b"])
def test_a_folder_that_is_not_fit_for_sockets(
    name: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfit = temporary / name
    unfit.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(unfit))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temporary))
    assert Machine(temporary, MachineSpec())._private.parent == temporary
    monkeypatch.setattr(machine, "ROOT_LIMIT", 3)
    with pytest.raises(RunError, match="set TMPDIR to a folder") as caught:
        Machine(temporary, MachineSpec())
    assert "\n" not in str(caught.value)
