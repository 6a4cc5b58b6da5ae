# SPDX-License-Identifier: GPL-2.0-only
"""Hardware in a remote machine: the same suites over ssh, with a VM as the remote machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fixtures.device import Devices, known_drivers, machine_options
from fixtures.guest import Guest
from fixtures.machine import Machine, MachineSpec
from fixtures.plugin.run import Run
from fixtures.progress import Progress
from tests.vm.conftest import Suites

DRIVER = "qat"


class StandIn:
    """A machine with two bound devices, and a home folder with a key to log in to it."""

    def __init__(self, run: Run, folder: Path, cleanup: ExitStack) -> None:
        prepared = run.prepare()
        driver = known_drivers()[DRIVER]
        machine = Machine.boot(
            prepared.kernel,
            prepared.rootfs,
            folder / "machine",
            MachineSpec(prepared.machine["accelerator"], devices=tuple(machine_options([driver]))),
            Progress(),
        )
        cleanup.callback(machine.stop)
        # The devices stay bound while the agent's line is open.
        devices = Devices(Guest(machine))
        made = [cleanup.enter_context(devices.make(driver)) for _ in range(2)]
        self.addresses = [device.name for device in made]
        for device in made:
            # The run should judge the driver's firmware commands, but cannot see them.
            assert device.firmware is not None
            cleanup.callback(device.firmware.reset)
        transport = machine.ssh.get_transport()
        assert transport is not None
        host, port = transport.getpeername()
        self.target = f"ssh://root@{host}:{port}"
        self.home = folder / "home"
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True)
        (ssh / "id_ed25519").write_text(machine._user_key.private_text, encoding="utf-8")
        (ssh / "id_ed25519").chmod(0o600)
        key = machine._host_key.public_text
        (ssh / "known_hosts").write_text(f"[{host}]:{port} {key}", encoding="utf-8")


@pytest.fixture
def stand_in(run: Run, tmp_path: Path) -> Iterator[StandIn]:
    """A VM as the remote host."""
    with ExitStack() as cleanup:
        yield StandIn(run, tmp_path, cleanup)


def test_devices_named_by_address_on_a_host_reached_over_ssh(
    stand_in: StandIn, suites: Suites
) -> None:
    options = [f"--target={stand_in.target}", f"--driver={DRIVER}"]
    options += [f"--device={address}" for address in stand_in.addresses]
    home = {"HOME": str(stand_in.home)}
    done = suites.run(*options, environment=home)
    assert done.status == 0, done.output
    about = done.results.drivers[DRIVER]
    assert about.realization == "hardware"
    assert about.words["precopy_info.flags.v2"] == "zeroed"
    assert about.counts["broken"] == 0
    assert done.results.kernel.spec == stand_in.target


def test_a_host_that_is_not_known_is_refused(stand_in: StandIn, suites: Suites) -> None:
    (stand_in.home / ".ssh" / "known_hosts").write_text("", encoding="utf-8")
    done = suites.run(
        f"--target={stand_in.target}",
        f"--driver={DRIVER}",
        f"--device={stand_in.addresses[0]}",
        environment={"HOME": str(stand_in.home)},
    )
    assert done.status == 2
    assert "Error: " in done.output
    assert "not found in known_hosts" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target=ssh://host"], "--target needs --device"),
        (["--device=0000:08:00.1"], "--device needs --target"),
        (["--target=host", "--device=0000:08:00.1", "--driver=qat"], r"ssh://[user@]host[:port]"),
        (["--target=ssh://host", "--device=08:00", "--driver=qat"], "takes a PCI address"),
        (
            ["--target=ssh://host", "--device=0000:08:00.1", "--driver=mtty"],
            "its devices are not PCI functions",
        ),
    ],
)
def test_options_that_make_no_sense(suites: Suites, options: list[str], says: str) -> None:
    done = suites.run(*options)
    assert done.status == 2
    assert says in done.output
    assert "Traceback" not in done.output
    assert os.linesep not in done.output.strip()
