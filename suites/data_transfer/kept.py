# SPDX-License-Identifier: GPL-2.0-only
"""Streams that drivers of earlier kernels saved; ``make streams`` keeps those of a kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fixtures.device import Driver
from fixtures.errors import NotThere
from fixtures.uapi import State

KEPT = Path(__file__).with_name("kept")
STREAM, STATE = ".stream", ".state"
WAYS: dict[str, tuple[State, ...]] = {"stop_copy": (), "pre_copy": (State.PRE_COPY,)}


@dataclass(frozen=True)
class Kept:
    """A stream, and the state that its device had."""

    stream: bytes
    state: bytes

    def write(self, folder: Path, name: str) -> Path:
        """Write both to files in ``folder``, and return that of the stream."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}{STATE}").write_bytes(self.state)
        path = folder / f"{name}{STREAM}"
        path.write_bytes(self.stream)
        return path


def names() -> list[str]:
    """Return the names of all streams, of whatever driver: "6.12-stop_copy"."""
    found = {path.name.removesuffix(STREAM) for path in KEPT.glob(f"*/*{STREAM}")}
    return sorted(found, key=lambda name: (_numbers(name), name))


def behaviour(name: str) -> str:
    """Return the name of the behaviour that the load of the stream ``name`` shows."""
    return f"data_transfer.loads.{name.replace('.', '_').replace('-', '.')}"


def series(release: str) -> str:
    """Return the first two numbers of ``release``: "7.3" of "7.3.4"."""
    return ".".join(map(str, _numbers(release)))


def is_earlier(name: str, release: str) -> bool:
    """Return whether the stream ``name`` is of a kernel that is no later than ``release``."""
    return _numbers(name) <= _numbers(release)


def read(driver: Driver, name: str) -> Kept:
    """Return the stream ``name`` of ``driver``.

    Raises NotThere if none is kept.
    """
    stream = KEPT / driver.name / f"{name}{STREAM}"
    if not stream.exists():
        raise NotThere(f"no stream {name} of {driver.name} is kept (make streams)")
    return Kept(stream.read_bytes(), stream.with_suffix(STATE).read_bytes())


def _numbers(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    assert found is not None
    return int(found[1]), int(found[2])
