# SPDX-License-Identifier: GPL-2.0-only
"""Our YAML files: the ones there are are right, and a wrong one is told by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.device.driver import Driver, chosen, in_range, known_drivers
from fixtures.errors import DescriptionError, SpecError
from fixtures.record import catalogue

RIGHT = """\
name: mtty
summary: a device
realization: software
kconfig:
  CONFIG_SAMPLE: m
modules: [mtty]
device:
  kind: mdev
  parent: /sys/devices/virtual/mtty/mtty
  type: mtty-2
"""


def read(tmp_path: Path, text: str) -> Driver:
    (tmp_path / "mtty.yaml").write_text(text)
    return known_drivers(tmp_path)["mtty"]


def test_the_drivers_there_are() -> None:
    assert "mtty" in known_drivers()


def test_a_right_file(tmp_path: Path) -> None:
    driver = read(tmp_path, RIGHT)
    assert driver.modules == ("mtty",)
    assert driver.needs.options == {"CONFIG_SAMPLE": "m"}


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("summary:", "sumary:", 2, "sumary"),
        ("realization: software", "realization: soft", 3, "'software', 'double' or 'hardware'"),
        ("  CONFIG_SAMPLE: m", "  CONFIG_SAMPLE: maybe", 5, "'y' or 'm'"),
        ("  CONFIG_SAMPLE: m", "  SAMPLE: m", 5, "CONFIG_"),
        ("modules: [mtty]", "modules: mtty", 6, "modules"),
        ("modules: [mtty]", "modules: []", 6, "at least 1"),
        ("  kind: mdev", "  kind: usb", 7, "'mdev', 'vf'"),
        ("  type: mtty-2", "", 7, "type"),
        ("name: mtty", "name: [", 3, "not YAML"),
        ("name: mtty", "name: mtyt", 1, "the name must be mtty"),
    ],
)
def test_a_wrong_file_is_told_by_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    assert old in RIGHT
    with pytest.raises(DescriptionError) as caught:
        read(tmp_path, RIGHT.replace(old, new))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/mtty.yaml:{line}: ")
    assert says in message
    assert "\n" not in message


def test_an_unknown_driver_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"mtyt: no such driver; known drivers: .*mtty"):
        chosen(["mtyt"])


def test_a_device_of_our_own_is_tested_only_where_it_is_named() -> None:
    assert "region2019" in known_drivers()
    assert "region2019" not in [driver.name for driver in chosen([])]
    assert [driver.name for driver in chosen(["region2019"])] == ["region2019"]


def test_every_expectation_names_a_clause() -> None:
    for driver in known_drivers().values():
        for expectation in driver.expectations:
            assert expectation.clause in catalogue.clauses()


@pytest.mark.parametrize(
    ("release", "kernels", "inside"),
    [
        ("7.3.4", ">=6.12", True),
        ("6.12.107", ">=6.12", True),
        ("6.11.9", ">=6.12", False),
        ("7.3.4", ">=6.12,<7.3", False),
        ("7.2.13", ">=6.12,<7.3", True),
        ("6.2.0", ">=6.12", False),
    ],
)
def test_ranges_of_kernels(release: str, kernels: str, inside: bool) -> None:
    assert in_range(release, kernels) is inside
