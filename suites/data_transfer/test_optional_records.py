# SPDX-License-Identifier: GPL-2.0-only
"""Streams with records that a later driver may send, and this one may skip."""

from __future__ import annotations

import pytest

from fixtures.device.driver import StreamFormat
from fixtures.errors import NotThere
from fixtures.session import Session
from fixtures.session.transfer import save
from suites.contents import Contents
from suites.data_transfer.kept import Kept
from suites.data_transfer.loads import loaded_by

pytestmark = pytest.mark.any_api


def unknown_record(form: StreamFormat, size: int) -> bytes:
    """Return a record with ``size`` bytes of data, which a reader that does not know it may skip.

    Raises NotThere if the format has no such records.
    """
    if form.optional is None or form.length is None:
        raise NotThere("the format of this driver's stream has no records that may be skipped")
    values = {name: (1 << 8 * length) - 1 for name, length in form.header.items()}  # no known tag
    values |= {form.optional: 1, form.length: size}
    header = (values[name].to_bytes(length, "little") for name, length in form.header.items())
    return b"".join(header) + b"\xa5" * size


@pytest.mark.clause("data-transfer.optional-record")
@pytest.mark.parametrize("size", [1, 8, 5000])  # bytes
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_record_that_may_be_skipped_is_skipped(
    session: Session, source: Contents, target: Contents, form: StreamFormat, place: str, size: int
) -> None:
    record, state = unknown_record(form, size), source.get()
    stream = save(session)
    longer = record + stream if place == "first" else stream + record
    loaded = loaded_by(target.session, target, Kept(longer, state))
    assert loaded.word == "accepted", f"the stream is {loaded.word}: {loaded.why}"
