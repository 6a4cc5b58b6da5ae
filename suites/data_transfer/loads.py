# SPDX-License-Identifier: GPL-2.0-only
"""A stream that one device saves, loaded by another, maybe by the driver of another kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fixtures.session import Migration, Session, State
from fixtures.session.transfer import save
from suites import must
from suites.contents import Contents
from suites.data_transfer.kept import WAYS, Kept

Size = Literal["small", "usual", "large"]
Word = Literal["accepted", "refused", "wrong", "broken"]
SMALL: Size = "small"


@dataclass(frozen=True)
class Loaded:
    """What came of a load. ``wrong``: accepted with another state; ``broken``: it was not made.

    ``why`` says what was seen.
    """

    word: Word
    why: str = ""


def saved_by(session: Session, contents: Contents, way: str, size: Size, seed: int) -> Kept | None:
    """Return the stream that a device saves in a way of WAYS; None if it has no such way.

    Its state is chosen by ``seed``, and as large as the driver's file says for ``size``. Raises
    ArrangementFailed.
    """
    capabilities, states = session.capabilities(), WAYS[way]
    if capabilities is None or (states and Migration.PRE_COPY not in capabilities):
        return None
    firmware = session.device.firmware
    if firmware is None:
        contents.set(seed)
    else:
        firmware.set_state(getattr(firmware.sizes, size), seed)
    state = contents.get()
    return Kept(save(session, *states), state)


def loaded_by(session: Session, contents: Contents, stream: Kept) -> Loaded:
    """Load ``stream`` into a device that has another state, and let it run."""
    data_fd = session.start(State.RESUMING)
    if error := data_fd.write_on(stream.stream, 1 << 16).error:
        return Loaded("refused", f"write() fails with {error}")
    answer, _ = session.set_state(State.RUNNING)
    if answer.error:
        return Loaded("refused", f"the request for RUNNING fails with {answer.error}")
    found = contents.get()
    if found == stream.state:
        return Loaded("accepted")
    pairs = zip(found, stream.state, strict=False)
    at = next((n for n, (one, other) in enumerate(pairs) if one != other), len(found))
    return Loaded(
        "wrong",
        f"{len(found)} bytes of state, {len(stream.state)} were saved; they differ from {at} on",
    )


def check_loads(target: Contents, stream: bytes, source: Contents) -> None:
    """Check that the target, once it was reset, takes a stream of the source."""
    target.session.reset()  # for a device whose state outlives the close
    must.load(target.session, stream)
    must.move(target.session, State.STOP)
    assert target.get() == source.get()
