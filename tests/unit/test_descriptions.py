# SPDX-License-Identifier: GPL-2.0-only
"""Our YAML files: all are valid, and an invalid one is reported with file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fixtures.device.double import FirmwareDescription
from fixtures.device.driver import Driver, Variant, chosen, known_drivers
from fixtures.device.expectation import Expectation, in_range
from fixtures.errors import DescriptionError, SpecError
from fixtures.paths import CHECKOUT, DRIVERS
from fixtures.plugin import expected
from fixtures.splat import Splat

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
    (tmp_path / "mtty.yaml").write_text(text, encoding="utf-8")
    return known_drivers(tmp_path)["mtty"]


def test_the_drivers_there_are() -> None:
    assert "mtty" in known_drivers()


@pytest.mark.parametrize("driver", known_drivers().values(), ids=known_drivers())
def test_a_driver_is_described(driver: Driver) -> None:
    """The words of ``./new driver`` are replaced, and the documents have the driver."""
    assert "WRITE" not in driver.summary
    tables = (CHECKOUT / "vm-images" / "doubles" / "README.md").read_text(encoding="utf-8")
    if driver.double is not None:
        assert f"\n| `{driver.double.folder}/` | " in tables
    if driver.default:
        readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
        assert re.search(rf"^    {driver.name} +{driver.realization} ", readme, re.M)


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


def test_every_expectation_names_what_there_is() -> None:
    expected.check(known_drivers().values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"clause": "state-machine.arc"},
            "clause: there is no state-machine.arc; is it state-machine.arcs?",
        ),
        ({"has": ("kmemleek",)}, "has: there is no kmemleek"),
        (
            {"tests": ("leaks/test_leaks.py::test_kmemleak_finds_nothin[mlx5-*]",)},
            "tests: there is no leaks/test_leaks.py::test_kmemleak_finds_nothin[mlx5-*];"
            " is it leaks/test_leaks.py::test_kmemleak_finds_nothing?",
        ),
        (
            {"tests": ("leaks/test_leak.py::test_*[mlx5-*]",)},
            "tests: there is no leaks/test_leak.py::test_*[mlx5-*]",
        ),
        (
            {"tests": ("leaks/test_leaks.py::test_kmemleak_finds_nothing[qat-*]",)},
            "tests: there is no leaks/test_leaks.py::test_kmemleak_finds_nothing[qat-*];"
            " is it leaks/test_leaks.py::test_kmemleak_finds_nothing?",
        ),
    ],
    ids=["clause", "feature", "test", "file", "driver"],
)
def test_an_expectation_that_names_what_is_not_there_is_one_line(
    wrong: dict[str, Any], message: str
) -> None:
    driver = known_drivers()["mlx5"]
    changed = driver.expectations[1].model_copy(update=wrong)
    broken = driver.model_copy(update={"expectations": (driver.expectations[0], changed)})
    with pytest.raises(DescriptionError) as caught:
        expected.check([broken])
    line, _, said = str(caught.value).partition(": ")
    assert line.startswith("fixtures/drivers/mlx5.yaml:")
    assert said.startswith(message)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("capabilities", "clauses", "clause", "needs", "is_for"),
    [
        ((), ("*",), "feature.no-migration", set(), True),
        ((), ("*",), "state-machine.arcs", {"migration"}, False),
        (("STOP_COPY",), ("*",), "state-machine.arcs", {"migration"}, True),
        (("STOP_COPY",), ("*",), "precopy-info.support", {"PRE_COPY"}, False),
        ((), ("device.*",), "device.bind", set(), True),
        ((), ("device.*",), "feature.no-migration", set(), False),
    ],
)
def test_a_variant_is_tested_for_what_it_can_be(
    capabilities: tuple[str, ...],
    clauses: tuple[str, ...],
    clause: str,
    needs: set[str],
    is_for: bool,
) -> None:
    about = {"firmware": ("x",), "kernels": ">=6.12", "capabilities": capabilities}
    variant = Variant.model_validate(about | {"clauses": clauses})
    assert variant.is_for(clause, needs) is is_for


def test_a_variant_for_clauses_that_are_not_there_is_one_line() -> None:
    driver = known_drivers()["hisi_acc"]
    changed = driver.variants["old-qm"].model_copy(update={"clauses": ("devise.*",)})
    broken = driver.model_copy(update={"variants": {**driver.variants, "old-qm": changed}})
    with pytest.raises(DescriptionError) as caught:
        expected.check([broken])
    line, _, said = str(caught.value).partition(": ")
    assert line.startswith("fixtures/drivers/hisi_acc.yaml:")
    assert said == "clauses: there is no devise.*"


def test_two_drivers_cannot_have_one_slot(tmp_path: Path) -> None:
    for name in ("qat", "virtio"):
        text = (DRIVERS / f"{name}.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{name}.yaml").write_text(
            re.sub(r"slot: \d", "slot: 0", text), encoding="utf-8"
        )
    with pytest.raises(DescriptionError) as caught:
        known_drivers(tmp_path)
    assert str(caught.value) == (
        "virtio.yaml and qat.yaml: both have device.slot 0; give one of them another slot;"
        " free slots: 1, 2, 3, 4, 5, 6, 7"
    )


def test_a_slot_is_not_free_if_a_later_driver_has_it(tmp_path: Path) -> None:
    for name, slot in (("a", 0), ("b", 0), *((f"c{slot}", slot) for slot in range(1, 8))):
        text = (DRIVERS / "qat.yaml").read_text(encoding="utf-8")
        text = text.replace("name: qat", f"name: {name}").replace("slot: 0", f"slot: {slot}")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DescriptionError, match=r"^b\.yaml and a\.yaml: .*; free slots: none$"):
        known_drivers(tmp_path)


def test_irqbypass_is_built_for_every_vf_driver_and_no_other() -> None:
    for driver in known_drivers().values():
        assert ("virt/lib/" in driver.needs.folders) is (driver.device.kind == "vf")


def test_a_vf_has_firmware_and_no_other_device_has(tmp_path: Path) -> None:
    text = (DRIVERS / "qat.yaml").read_text(encoding="utf-8")
    start = text.index("  firmware:\n")
    without = text[:start] + text[text.index("modules:") :]
    (tmp_path / "qat.yaml").write_text(without, encoding="utf-8")
    with pytest.raises(DescriptionError, match=r"device\.kind vf needs double\.firmware"):
        known_drivers(tmp_path)
    section = text[text.index("double:") : text.index("modules:")]
    another = tmp_path / "another"
    another.mkdir()
    with pytest.raises(DescriptionError, match=r"no other kind can have it"):
        read(another, RIGHT + section)


OOPS = Splat("oops", "BUG: x", "virtiovf_resume_write+0x3c/0x4b0 [virtio_vfio_pci]", ["vfs_write"])
WARN = Splat("warning", "WARNING: x", "", ["virtiovf_resume_write"])
TEST = "suites/a/test_b.py::test_c[virtio-any-half]"


def expectation(**more: Any) -> Expectation:
    about = {"clause": "x", "reason": "why", "blame": "driver", "kernels": (">=6.12",)}
    if "splat" not in more:
        more = {"seen": "*", **more}
    return Expectation.model_validate(about | {"tests": ("a/test_b.py::test_c[virtio-*]",)} | more)


@pytest.mark.parametrize(
    ("more", "test", "seen", "splat", "known"),
    [
        ({}, TEST, "anything", None, True),
        ({}, TEST.replace("virtio", "mlx5"), "anything", None, False),
        ({}, TEST.replace("test_c", "test_d"), "anything", None, False),
        ({"tests": ("a/test_b.py::test_c[*-half]",)}, TEST, "anything", None, True),
        ({"tests": ("a/test_b.py::test_c[*-all]",)}, TEST, "anything", None, False),
        ({"seen": "half is left"}, TEST, "a half is left over", None, True),
        ({"seen": "left * of"}, TEST, "left 3 of 4", None, True),
        ({"seen": "half is left"}, TEST, "4096 bytes of the heap", None, False),
        # Only a splat's kind and place can excuse it, not words.
        ({}, TEST, "the kernel complained: BUG: x", OOPS, False),
        ({"splat": {"kind": "oops", "function": "virtiovf_resume_write"}}, TEST, "", OOPS, True),
        ({"splat": {"kind": "oops", "function": "virtiovf_resume_write"}}, TEST, "", WARN, False),
        ({"splat": {"kind": "oops", "function": "virtiovf_resume"}}, TEST, "", OOPS, False),
        ({"splat": {"kind": "oops", "function": "virtiovf_resume_write"}}, TEST, "x", None, False),
    ],
)
def test_an_expectation_excuses_what_it_names(
    more: dict[str, Any], test: str, seen: str, splat: Splat | None, known: bool
) -> None:
    one = expectation(**more)
    assert one.names("x", test, seen, splat) is known
    assert not one.names("another.clause", test, seen, splat)


@pytest.mark.parametrize(
    ("more", "release", "has", "applies"),
    [
        ({}, "7.3.4", (), True),
        ({"kernels": (">=6.12.150,<6.13", ">=7.4")}, "6.12.107", (), False),
        ({"kernels": (">=6.12.150,<6.13", ">=7.4")}, "6.12.150", (), True),
        ({"kernels": (">=6.12.150,<6.13", ">=7.4")}, "7.3.4", (), False),
        ({"kernels": (">=6.12.150,<6.13", ">=7.4")}, "7.4.0-rc1", (), True),
        # A topic branch has a change that its version does not show.
        ({"lacks": ("waits",)}, "7.0.0-rc4", ("waits",), False),
        ({"lacks": ("waits",)}, "7.0.0-rc4", (), True),
        ({"has": ("waits",)}, "7.0.0-rc4", (), False),
        ({"has": ("waits",)}, "7.0.0-rc4", None, True),
    ],
)
def test_an_expectation_is_about_some_kernels(
    more: dict[str, Any], release: str, has: tuple[str, ...] | None, applies: bool
) -> None:
    assert expectation(**more).applies(release, has) is applies


def test_an_expectation_has_gone_only_where_all_it_names_was_run() -> None:
    one = expectation(tests=("a/test_b.py::test_c[*]", "a/test_b.py::test_d[*]"))
    assert not one.must_be_seen({TEST})
    both = {TEST, TEST.replace("test_c", "test_d")}
    assert one.must_be_seen(both)
    assert not expectation(tests=one.tests, sometimes=True).must_be_seen(both)


def test_an_expectation_says_what_is_seen() -> None:
    with pytest.raises(ValidationError, match="either seen: or splat:"):
        expectation(seen=None)
    fault = {"kind": "oops", "function": "f"}
    with pytest.raises(ValidationError, match="either seen: or splat:"):
        expectation(seen="x", splat=fault)


def test_what_a_doubles_firmware_tells_is_not_expected_of_hardware() -> None:
    double = known_drivers()["qat"]
    hardware = double.on_hardware(("0000:08:00.1",))
    of_both = {one.seen for one in hardware.expected("7.3.4", None)}
    of_a_double = {one.seen for one in double.expected("7.3.4", None)} - of_both
    assert of_a_double == {"it is STOPPED in *", "LOAD_SETUP while not open"}
    assert of_both


def test_where_an_expectation_stands_is_known() -> None:
    driver = known_drivers()["mlx5"]
    path, _, line = driver.line_of(driver.expectations[0]).partition(":")
    assert path == "fixtures/drivers/mlx5.yaml"
    text = (CHECKOUT / path).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert text.strip() == f"- clause: {driver.expectations[0].clause}"


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


@pytest.mark.parametrize(("name", "status"), [("internal_error", 0), ("no_answer", 110)])
def test_a_status_with_the_wrong_sign_is_refused(name: str, status: int) -> None:
    about = {"sizes": {"small": 1, "usual": 1, "large": 1}, "commands": {}}
    with pytest.raises(ValueError, match=f"{name}: {status}; only no_answer is negative"):
        FirmwareDescription.model_validate(about | {"statuses": {name: status}})
