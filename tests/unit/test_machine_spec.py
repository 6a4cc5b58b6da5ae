# SPDX-License-Identifier: GPL-2.0-only
"""The description of a machine on a command line."""

from __future__ import annotations

import pytest

from fixtures.errors import SpecError
from fixtures.machine.spec import MachineSpec
from workflows import check


def test_nothing_chosen_is_the_usual_machine() -> None:
    assert MachineSpec.chosen(None, None, "", "") == MachineSpec()


def test_what_is_chosen_is_in_it() -> None:
    spec = MachineSpec.chosen(1024, 2, "-device edu -global 'a=b c'", "initcall_debug x=y")
    assert (spec.memory, spec.processors) == (1024, 2)
    assert spec.qemu_options == ("-device", "edu", "-global", "a=b c")
    assert spec.kernel_options == ("initcall_debug", "x=y")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((100, None, "", ""), "--memory 100: a guest needs at least 256 MiB"),
        ((None, 0, "", ""), "--cpus 0: a machine has 1 to 64 processors"),
        ((None, None, "'", ""), "--qemu-option ': No closing quotation"),
    ],
)
def test_what_makes_no_machine_is_one_line(
    arguments: tuple[int | None, int | None, str, str], words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        MachineSpec.chosen(*arguments)
    assert str(caught.value) == words


def test_make_names_its_own_variable() -> None:
    with pytest.raises(SpecError, match=r"MEMORY=1g: is no number"):
        check.main(["--memory=1g"])
