# SPDX-License-Identifier: GPL-2.0-only
"""CLUSTER=: what it names, and the lines of several steps on one terminal."""

from __future__ import annotations

import sys

import pytest

from fixtures.errors import SpecError
from fixtures.progress import Progress
from workflows import cluster
from workflows.runner import Here


@pytest.mark.parametrize("text", ["2", "local", "local:0", "local:x", "ssh:x", "http://head:1"])
def test_a_cluster_that_is_none(text: str) -> None:
    with (
        pytest.raises(SpecError, match=f"CLUSTER={text}: is neither local:N"),
        cluster.runner(text, Progress()),
    ):
        pass


def test_without_a_cluster_it_is_this_process() -> None:
    with cluster.runner("", Progress()) as runner:
        assert isinstance(runner, Here)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    with (
        pytest.raises(SpecError, match=r"CLUSTER= needs Dask distributed: \.venv/bin/pip install"),
        cluster.runner("local:2", Progress()),
    ):
        pass
