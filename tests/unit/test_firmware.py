# SPDX-License-Identifier: GPL-2.0-only
"""A double's firmware: tests use common words, and a driver's file translates them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast, get_args

import pytest

from fixtures.device import Driver, known_drivers
from fixtures.device.double import Ability
from fixtures.device.firmware import Firmware, need
from fixtures.errors import NotThere
from fixtures.guest import Answer, Guest, Request

VF = "0000:01:00.1"


class Control:
    """A guest that keeps the data written to files."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def calls(self, *requests: Request) -> list[Answer]:
        for request in requests:
            self.written.append(request.fields["data"].decode())
        return [Answer(0) for _ in requests]


def firmware(driver: str) -> tuple[Firmware, list[str]]:
    control = Control()
    return Firmware(cast(Guest, control), known_drivers()[driver], VF), control.written


@pytest.mark.parametrize(
    ("order", "written"),
    [
        (Firmware.hold_save, "hold SAVE_VHCA_STATE"),
        (Firmware.release_save, "release SAVE_VHCA_STATE"),
        (lambda mlx5: mlx5.fail_save("internal_error"), "fail SAVE_VHCA_STATE 1 0"),
        (lambda mlx5: mlx5.fail_save("bad_resource_state"), "fail SAVE_VHCA_STATE 9 0"),
        (Firmware.overtake, "overtake"),
        (lambda mlx5: mlx5.reinit(4096), "reinit 4096"),
        (Firmware.make_small, "state 600 1"),
        (
            lambda mlx5: mlx5.fail("LOAD_VHCA_STATE", -110, 2, late=True),
            "fail LOAD_VHCA_STATE -110 2 late",
        ),
        (Firmware.go_down, "down"),
        (Firmware.come_up, "up"),
    ],
)
def test_an_order_is_given_in_the_firmwares_own_words(
    order: Callable[[Firmware], None], written: str
) -> None:
    one, control = firmware("mlx5")
    order(one)
    assert control == [written]


@pytest.mark.parametrize(
    ("driver", "command", "failures"),
    [
        ("mlx5", "SUSPEND_VHCA", [(1, False), (-110, False), (-110, True)]),
        ("qat", "SUSPEND", [(5, False), (5, True)]),
        ("qat", "OPEN", [(5, False)]),
        ("qat", "RESUME", []),
        ("virtio", "RESOURCE_OBJ_CREATE", [(5, False)]),
        ("hisi_acc", "MB_READY", [(5, False)]),
    ],
)
def test_the_ways_in_which_a_command_can_fail(
    driver: str, command: str, failures: list[tuple[int, bool]]
) -> None:
    one, _ = firmware(driver)
    assert list(one.failures(command)) == failures


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (Firmware.hold_save, "this firmware cannot keep a save in flight"),
        (Firmware.overtake, "this firmware cannot call back after a save"),
        (lambda qat: qat.reinit(1), "this firmware cannot have new initial data"),
        (lambda qat: qat.word("query"), "this firmware has no query command"),
        (
            lambda qat: qat.status("bad_resource_state"),
            "this firmware has no status bad_resource_state",
        ),
        (lambda qat: qat.setup("chunks"), "this firmware has no setup chunks"),
    ],
)
def test_a_word_that_is_missing_makes_a_test_not_applicable(
    order: Callable[[Firmware], object], why: str
) -> None:
    one, control = firmware("qat")
    with pytest.raises(NotThere, match=f"^{why}; possible with: .*mlx5"):
        order(one)
    assert control == []


@pytest.mark.parametrize("name", ["mtty", "region2019"])
def test_a_driver_without_firmware(name: str) -> None:
    driver = known_drivers()[name]
    assert driver.firmware is None
    with pytest.raises(NotThere, match=f"{name} has no firmware that a test can command"):
        need(driver)


@pytest.mark.parametrize(
    "driver",
    [one for one in known_drivers().values() if one.firmware],
    ids=lambda driver: driver.name,
)
def test_every_double_has_the_words_that_all_tests_need(driver: Driver) -> None:
    about = need(driver)
    assert {"suspend", "save"} <= set(about.commands)
    assert "internal_error" in about.statuses
    assert about.sizes.small <= about.sizes.usual <= about.sizes.large


@pytest.mark.parametrize("ability", get_args(Ability))
def test_an_ability_that_is_missing_has_words(ability: Ability) -> None:
    lacking = next(
        one for one in known_drivers().values() if one.firmware and ability not in one.firmware.can
    )
    with pytest.raises(NotThere, match=r"^this firmware cannot "):
        need(lacking, ability)
