# SPDX-License-Identifier: GPL-2.0-only
"""Whole runs of the suites on real kernels, from before and after the series."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from fixtures.device import chosen
from fixtures.paths import CHECKOUT
from fixtures.plugin.run import Run
from tests.vm.changed import copy_of_build
from tests.vm.conftest import NEW, OLD, Finished, Suites

DEFAULT = {driver.name: driver for driver in chosen([])}  # the drivers of a run without --driver


def behaviours(run: Finished, driver: str) -> dict[str, str]:
    return run.results.drivers[driver].words


def deviates(run: Finished, driver: str, clause: str) -> bool:
    """Return whether the driver's file expects a deviation on the kernel of ``run``."""
    return DEFAULT[driver].deviates(clause, run.results.kernel.release, features=None)


def test_every_driver_on_the_newest_kernel(suites: Suites) -> None:
    run = suites.run(f"--kernel={NEW}")
    assert run.status == 0, run.output
    assert run.results.complete is True
    assert set(run.results.drivers) == set(DEFAULT)
    for driver, about in run.results.drivers.items():
        seen = behaviours(run, driver)
        assert about.counts["broken"] == 0
        assert about.realization == DEFAULT[driver].realization
        assert about.capabilities == DEFAULT[driver].expected_capabilities(
            run.results.kernel.release
        )
        if "PRE_COPY" in about.capabilities:
            assert seen["feature.precopy_info_v2"] == "supported"
            assert seen["precopy_info.flags.v1"] == "echoed"
            assert seen["precopy_info.flags.v2"] == "zeroed"
        firmware = DEFAULT[driver].firmware
        if firmware and "reinit" in firmware.can and not deviates(run, driver, "reinit.flag"):
            assert seen["precopy_info.reinit"] == "reported"
    for words in (r"EINVAL +echoed\b", r"zeroed +never +ENOTTY\b"):
        assert re.search(rf"^mtty .*\b{words}", run.output, re.MULTILINE)


def test_a_state_that_needs_a_large_guest(suites: Suites) -> None:
    options = ("--clause=data-transfer.large", "-k", "64", "-rA")
    usual = suites.run(f"--kernel={NEW}", "--driver=mlx5", *options)
    assert "a state of 64 MiB needs a guest with 1 GiB" in usual.output
    large = suites.run(f"--kernel={NEW}", "--driver=mlx5", "--memory=1024", *options)
    assert large.status == 0, large.output
    assert large.held("mlx5", "data-transfer.large").verdict == "conforms"


# The first has software and doubles, with PRE_COPY and without; the other one takes long.
@pytest.mark.parametrize(
    "drivers", ["mtty,mlx5,pds", pytest.param("", id="all", marks=pytest.mark.long)]
)
def test_drivers_on_a_kernel_of_before_the_series(suites: Suites, drivers: str) -> None:
    run = suites.run(f"--kernel={OLD}", *([f"--driver={drivers}"] if drivers else []))
    assert run.status == 0, run.output
    assert set(run.results.drivers) == set(drivers.split(",") if drivers else DEFAULT)
    for driver in run.results.drivers:
        seen = behaviours(run, driver)
        capabilities = DEFAULT[driver].expected_capabilities(run.results.kernel.release)
        if capabilities is None:
            assert "CONFIG_" in run.results.drivers[driver].absent
            assert f"{driver}: not in this kernel: " in run.output
            continue
        if "PRE_COPY" not in capabilities:
            assert seen["feature.pre_copy"] == "absent"
            assert f"{driver}: has no PRE_COPY on this kernel" in run.output
            continue
        assert seen["feature.precopy_info_v2"] == "absent"
        assert seen["precopy_info.flags.v1"] == "echoed"
        assert "precopy_info.flags.v2" not in seen
        unknown = run.held(driver, "feature.precopy-info-v2.unknown")
        assert unknown.verdict == "conforms"


@pytest.mark.long
def test_every_driver_in_calls_that_meet_faults(suites: Suites) -> None:
    run = suites.run(f"--kernel={NEW}", "--flavour=fault", "--clause=faults.*", "-n2")
    assert run.status == 0, run.output
    for driver in DEFAULT:
        clauses = run.results.drivers[driver].clauses
        assert clauses["faults.state"].verdict == "conforms"
        assert clauses["faults.call"].verdict == "conforms"
        lost = "deviates" if deviates(run, driver, "faults.memory") else "conforms"
        assert clauses["faults.memory"].verdict == lost


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


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("int broken(void) { return no_such_thing; }", "error: .*no_such_thing"),
        (
            "int no_such_thing(void); int broken(void) { return no_such_thing(); }",
            "ERROR: modpost: .*no_such_thing",
        ),
    ],
    ids=["name", "import"],
)
def test_a_double_that_does_not_compile_leaves_the_others(
    suites: Suites, tmp_path: Path, run: Run, code: str, error: str
) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(
        CHECKOUT, checkout, ignore=shutil.ignore_patterns(".git", ".venv", "results", ".*_cache")
    )
    source = checkout / "vm-images/doubles/qat/vfio_double_qat.c"
    source.write_text(source.read_text(encoding="utf-8") + f"\n{code}\n", encoding="utf-8")
    # With a build folder no kernel has to be built for the changed doubles.
    kernel = run.prepare().kernel.build
    done = suites.run(f"--kernel={kernel}", "--driver=qat,mtty", "-k", "flags", checkout=checkout)
    assert done.status == 2, done.output
    broken = done.held("qat", "precopy-info.flags.v1-echo")
    assert broken.verdict == "broken"
    assert re.search(f"doubles/qat does not compile: .*{error}", broken.why)
    assert done.results.drivers["mtty"].counts["conforms"] > 0


def test_a_kernel_without_the_driver(suites: Suites, tmp_path: Path, run: Run) -> None:
    folder = copy_of_build(run.prepare().kernel, tmp_path / "build")
    config = (folder / ".config").read_text(encoding="utf-8")
    (folder / ".config").write_text(
        config.replace("CONFIG_SAMPLE_VFIO_MDEV_MTTY=m\n", ""), encoding="utf-8"
    )
    done = suites.run(f"--kernel={folder}", "--driver=mtty", "-k", "flags")
    assert done.status == 2
    assert "has none of the drivers: mtty: not in this kernel: CONFIG_SAMPLE_VFIO_MDEV_MTTY=m" in (
        done.output
    )
    both = suites.run(f"--kernel={folder}", "--driver=mtty,qat", "-k", "flags")
    assert both.status == 2, both.output
    assert "mtty should be in this kernel, and is not" in both.output
    assert "CONFIG_SAMPLE_VFIO_MDEV_MTTY" in both.results.drivers["mtty"].lacking
    assert behaviours(both, "qat")["precopy_info.flags.v1"] == "echoed"
