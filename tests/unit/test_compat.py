# SPDX-License-Identifier: GPL-2.0-only
"""Streams across kernels: the report, and how the job ends."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.errors import SpecError
from reports import compat as report
from reports import compat_page
from workflows import compat

WHY = "write() fails with EINVAL"


def load(
    origin: int, to: int, word: str = "accepted", why: str = "", **more: str
) -> dict[str, Any]:
    about = {"driver": "mlx5", "way": "stop_copy", "size": "small"} | more
    return about | {"from": origin, "to": to, "word": word, "why": why}


def data(*loads: dict[str, Any], problem: str = "") -> dict[str, Any]:
    kernels = [("debian:6.12", "6.12.117", ""), ("debian:7.3", "" if problem else "7.3.4", problem)]
    return {
        "schema": 1,
        "kernels": [dict(zip(("name", "release", "problem"), one, strict=True)) for one in kernels],
        "drivers": ["mlx5", "xe"],
        "loads": list(loads),
    }


CROSSED = data(
    load(0, 0),
    load(0, 1),
    load(0, 1, size="large"),
    load(1, 0, "refused", WHY),
    load(1, 0, "refused", WHY, way="pre_copy"),
    load(1, 0, "wrong", "8 bytes of state, 9 were saved; they differ from 8 on", size="large"),
    load(1, 1),
)


def test_the_report_has_a_row_for_each_kernel_that_saved() -> None:
    text = report.text(CROSSED)
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "1", "accepted", "2", "accepted"] in lines
    assert ["2", "1", "wrong,", "2", "refused", "1", "accepted"] in lines
    assert (
        f"mlx5, saved on 2, loaded on 1: refused: {WHY}\n  stop_copy small, pre_copy small" in text
    )
    assert "no stream of xe" in text
    assert max(map(len, text.splitlines())) <= 72


def test_the_report_in_markdown_has_the_same_table() -> None:
    text = report.markdown(CROSSED)
    assert "| driver | saved on | loaded on 1 | loaded on 2 |\n|---|---|---|---|\n" in text
    assert "| mlx5 | 2 | 1 wrong, 2 refused | 1 accepted |\n" in text
    assert "No stream of xe." in text


def test_the_page_shows_signs_and_reasons() -> None:
    page = compat_page.render(CROSSED)
    assert 'title="mlx5: 2 refused with an error"' in page
    assert "8 bytes of state, 9 were saved" in page


def test_a_kernel_that_was_not_built_has_no_column() -> None:
    text = report.text(data(load(0, 0), problem="it does not compile"))
    assert "2  debian:7.3\n     it does not compile\n" in text
    assert ["1", "1", "accepted", "-"] in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (data(load(0, 0), load(0, 1)), 0),
        (data(load(0, 0), load(0, 1, "refused", WHY)), 0),
        (data(load(0, 0, "broken", "the guest died"), load(0, 1, "wrong")), 1),
        (data(load(0, 0), load(0, 1, "broken", "the guest died")), 2),
        (data(load(0, 0), problem="it does not compile"), 2),
        (data(), 2),
    ],
)
def test_how_it_ends(found: dict[str, Any], status: int) -> None:
    assert compat.status(found) == status


@pytest.mark.parametrize("kernels", ["", "debian:6.12"])
def test_it_takes_two_kernels(kernels: str) -> None:
    with pytest.raises(SpecError, match="KERNELS= names two kernels or more"):
        compat.main([kernels])
