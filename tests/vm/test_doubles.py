# SPDX-License-Identifier: GPL-2.0-only
"""Device doubles: the driver's code is unchanged; everything can be removed and set up again."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from fixtures.device import Driver, known_drivers
from fixtures.guest import Guest
from fixtures.kernel import Kernel
from fixtures.kernel.install import module_name
from fixtures.plugin.recorder import Recorder
from fixtures.plugin.run import Run

CYCLES = 20
DOUBLES = [name for name, driver in known_drivers().items() if driver.realization == "double"]


def sections(module: Path) -> dict[str, str]:
    """Return the digests of all loaded sections: code, data and relocations."""
    listed = subprocess.run(
        ["readelf", "--section-headers", "--wide", str(module)],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = {}
    for name in re.findall(r"^  \[ *\d+\] (\.\S+) +(?:PROGBITS|RELA|NOTE)", listed.stdout, re.M):
        dump = subprocess.run(
            ["readelf", "--wide", f"--hex-dump={name}", str(module)],
            capture_output=True,
            check=True,
        )
        found[name] = hashlib.sha256(dump.stdout).hexdigest()
    return found


@pytest.mark.parametrize("name", DOUBLES)
def test_the_drivers_code_is_as_the_kernel_was_built(kernel: Kernel, name: str) -> None:
    module = known_drivers()[name].modules[-1]
    used, built = (
        next(path for path in folder.rglob("*.ko") if module_name(path) == module)
        for folder in (kernel.modules, kernel.build / "drivers")
    )
    if known_drivers()[name].double.redirects:  # type: ignore[union-attr]
        assert sections(used).keys() >= {".text", ".rodata", ".data", ".rela.text"}
        same = {
            section: digest
            for section, digest in sections(built).items()
            # Relocations have symbol numbers, and the copy's symbol table has another order.
            if not section.startswith(".rela")
        }
        assert same.items() <= sections(used).items()
    else:
        assert used.read_bytes() == built.read_bytes()


def test_unbinding_and_unloading_all_again_and_again(
    run: Run, guest: Guest, record: Recorder, driver: Driver
) -> None:
    devices = run.devices()
    for _ in range(CYCLES):
        with devices.make(driver):
            pass
        devices.tear_down(driver)
    loaded = guest.call("read_file", path="/proc/modules").data.decode()
    assert not any(line.split()[0] in driver.modules for line in loaded.splitlines())
    assert record.transcript.take_splats() == []
