# SPDX-License-Identifier: GPL-2.0-only
"""The words that a test records for the result of a call."""

from __future__ import annotations

import errno

import pytest

from fixtures.answer import Answer
from fixtures.errors import DescriptionError
from fixtures.plugin.recorder import Recorder

AT_END, RESUMING_FD = "end_of_stream.pre_copy.read", "precopy_info.resuming_fd"


@pytest.mark.parametrize(
    ("name", "answer", "word"),
    [
        (AT_END, Answer(-1, errno.ENOMSG), "ENOMSG"),
        (AT_END, Answer(-1, errno.EINPROGRESS), "blocks"),
        (AT_END, Answer(-1, errno.EIO), "other"),
        (AT_END, Answer(0), "eof"),
        (AT_END, Answer(7), "data"),
        (RESUMING_FD, Answer(-1, errno.ENOTTY), "ENOTTY"),
        (RESUMING_FD, Answer(-1, errno.ENODEV), "other"),
        (RESUMING_FD, Answer(-1, errno.EINPROGRESS), "other"),
        (RESUMING_FD, Answer(0), "other"),
    ],
)
def test_an_answer_becomes_a_word_of_the_catalogue(name: str, answer: Answer, word: str) -> None:
    record = Recorder(())
    record.errno(name, answer)
    assert record.behaviours == {name: word}


def test_a_behaviour_that_does_not_exist() -> None:
    with pytest.raises(DescriptionError, match=r"suites/behaviours\.yaml has no precopy_info\.x"):
        Recorder(()).errno("precopy_info.x", Answer(0))
