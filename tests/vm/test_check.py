# SPDX-License-Identifier: GPL-2.0-only
"""Whole runs of the suites against real kernels of before and after the series."""

from __future__ import annotations

import re

import pytest

from tests.vm.conftest import NEW, OLD, Finished, Suites


def behaviours(run: Finished, driver: str) -> dict[str, str]:
    found: dict[str, str] = run.results["drivers"][driver]["behaviours"]
    return found


def test_mtty_on_the_newest_kernel(suites: Suites) -> None:
    run = suites.run(f"--kernel={NEW}", "--driver=mtty")
    assert run.status == 0, run.output
    seen = behaviours(run, "mtty")
    assert seen["feature.precopy_info_v2"] == "supported"
    assert seen["precopy_info.flags.v1"] == "echoed"
    assert seen["precopy_info.flags.v2"] == "zeroed"
    assert run.results["complete"] is True
    assert run.results["drivers"]["mtty"]["capabilities"] == ["STOP_COPY", "P2P", "PRE_COPY"]
    assert run.results["drivers"]["mtty"]["counts"]["broken"] == 0
    assert re.search(r"^mtty +EINVAL +echoed +zeroed", run.output, re.MULTILINE), run.output


def test_mtty_on_a_kernel_of_before_the_series(suites: Suites) -> None:
    run = suites.run(f"--kernel={OLD}", "--driver=mtty")
    assert run.status == 0, run.output
    seen = behaviours(run, "mtty")
    assert seen["feature.precopy_info_v2"] == "absent"
    assert seen["precopy_info.flags.v1"] == "echoed"
    assert "precopy_info.flags.v2" not in seen
    unknown = run.results["drivers"]["mtty"]["clauses"]["feature.precopy-info-v2.unknown"]
    assert unknown["verdict"] == "conforms"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_part_of_the_suites_by_pytests_own_options(suites: Suites, workers: str) -> None:
    run = suites.run(f"--kernel={NEW}", "--driver=mtty", "-k", "flags", "-v", "-n", workers)
    assert run.status == 0, run.output
    assert {"precopy_info.flags.v1", "precopy_info.flags.v2"} <= set(behaviours(run, "mtty"))
    assert "test_after_the_opt_in_flags_come_back_as_zero" in run.output
    assert "test_get_fails" not in run.output


def test_two_runs_at_the_same_time(suites: Suites) -> None:
    options = [f"--kernel={NEW}", "--driver=mtty", "-k", "flags"]
    both = [suites.start(*options), suites.start(*options)]
    assert [suites.finish(process).status for process in both] == [0, 0]
    assert len(list(suites.folder.glob("2*/results.yaml"))) == 2
