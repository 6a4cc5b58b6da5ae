# SPDX-License-Identifier: GPL-2.0-only
"""The doubles' firmware obeys, keeps its journal, and watches its caller.

Each test opens real devices, bound to the driver's own module.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.device import Driver
from fixtures.device.firmware import Firmware, content
from fixtures.guest import Guest
from fixtures.plugin.run import Run
from fixtures.session import DataFd, Session, State, opened, transfer
from fixtures.uapi import PRECOPY_INFO_REINIT

SEED = 4242
# How much state a test gives the device, and where in it the firmware's own headers lie.
SIZES = {"mlx5": 65536, "virtio": 65536, "qat": 4096, "hisi_acc": 84}
HEADERS = {"qat": [(0, 16), (512, 528)], "virtio": [(0, 16)]}
# A command that suspends the device, a status that it can fail with, and how often it may be
# tried before it is needed; in the firmware's own words.
SUSPEND = {"mlx5": ("SUSPEND_VHCA", 1), "qat": ("SUSPEND", 5), "hisi_acc": ("PAUSE_QM", 5)}
JOURNAL = {
    "mlx5": ("SUSPEND_VHCA", "SAVE_VHCA_STATE"),
    "qat": ("SUSPEND", "SAVE_STATE"),
    "virtio": ("DEV_MODE_SET", "DEV_PARTS_GET"),
    "hisi_acc": ("PAUSE_QM", "SQC_BT_GET"),
}


@pytest.fixture(autouse=True)
def _has_a_double(request: pytest.FixtureRequest, driver: Driver) -> None:
    if driver.double is None and "mtty" not in request.node.originalname:
        pytest.skip(f"{driver.name} has no double, and needs none")


def save(session: Session, through_pre_copy: bool) -> bytes:
    """Return the whole stream of ``session``, which ends in STOP_COPY."""
    return transfer.save(session, *([State.PRE_COPY] if through_pre_copy else []))


def resume(session: Session, stream: bytes) -> None:
    """Load ``stream`` into ``session``, which ends in RUNNING."""
    transfer.load(session, stream)
    session.move(State.STOP)
    session.move(State.RUNNING)


@pytest.mark.parametrize("through_pre_copy", [True, False], ids=["PRE_COPY", "STOP_COPY"])
def test_the_state_reaches_another_device(
    session: Session,
    firmware: Firmware,
    open_session: Callable[[], Session],
    driver: Driver,
    through_pre_copy: bool,
) -> None:
    firmware.set_state(SIZES[driver.name], SEED)
    other = open_session()
    resume(other, save(session, through_pre_copy))
    loaded = other.device.firmware
    assert loaded is not None
    assert loaded.loaded() == firmware.state() == loaded.state()
    assert loaded.violations() == firmware.violations() == []


def test_the_state_is_what_its_seed_says(firmware: Firmware, driver: Driver) -> None:
    length = SIZES[driver.name]
    firmware.set_state(length, SEED)
    wanted, state = bytearray(content(SEED, 0, length)), bytearray(firmware.state())
    for begin, end in reversed(HEADERS.get(driver.name, [])):
        del wanted[begin:end], state[begin:end]
    assert state == wanted


def test_the_journal_has_the_commands_and_can_be_cleared(
    session: Session, firmware: Firmware, driver: Driver
) -> None:
    save(session, through_pre_copy=False)
    got = [line.split()[0] for line in firmware.journal()]
    assert set(JOURNAL[driver.name]) <= set(got)
    firmware.clear_journal()
    assert firmware.journal() == []


def test_a_command_fails_when_it_is_told_to(
    session: Session, firmware: Firmware, driver: Driver
) -> None:
    if driver.name not in SUSPEND:
        pytest.skip(f"{driver.name} has no command that suspends; mlx5, qat and hisi_acc have")
    command, status = SUSPEND[driver.name]
    firmware.fail(command, status)
    answer, _ = session.set_state(State.STOP)
    assert answer.error
    assert any(
        command in line and line.endswith((f"= {status}", f"= -{status}"))
        for line in firmware.journal()
    )


@pytest.mark.parametrize(
    "words", ["", "nonsense", "state", "state -1 0", "state 99999999999 0", "fail X 1", "dirty x"]
)
def test_a_command_that_makes_no_sense_gets_an_errno_and_a_log_line(
    firmware: Firmware, words: str
) -> None:
    answer = firmware.command(words)
    assert answer.error in ("EINVAL", "ERANGE", "EOPNOTSUPP")
    assert any("vfio-double" in line or "vfio_double" in line for line in answer.log)


class TestMlx5:
    """What only mlx5's firmware can do."""

    @pytest.fixture(autouse=True)
    def _is_mlx5(self, driver: Driver) -> None:
        if driver.name != "mlx5":
            pytest.skip("this is about mlx5's firmware")

    @pytest.mark.parametrize(
        ("commands", "reported"),
        [((), True), (("withhold migration_state",), False)],
        ids=["all", "no-migration_state"],
    )
    def test_new_initial_data_needs_the_capability(
        self,
        run: Run,
        guest: Guest,
        driver: Driver,
        api: str,
        commands: tuple[str, ...],
        reported: bool,
    ) -> None:
        with (
            run.devices().make(driver, commands) as device,
            opened(guest, device, api) as session,
        ):
            assert device.firmware is not None
            assert not session.opt_in().error
            data_fd = session.start(State.PRE_COPY)
            device.firmware.reinit(4096)
            assert bool(data_fd.precopy_info().info.flags & PRECOPY_INFO_REINIT) is reported

    def test_the_state_travels_in_chunks(
        self, run: Run, guest: Guest, driver: Driver, api: str
    ) -> None:
        commands = ("grant migration_in_chunks", "chunk 4096")
        with (
            run.devices().make(driver, commands) as source,
            run.devices().make(driver, commands) as target,
            opened(guest, source, api) as saving,
            opened(guest, target, api) as resuming,
        ):
            assert source.firmware is not None
            assert target.firmware is not None
            source.firmware.set_state(SIZES["mlx5"], SEED)
            source.firmware.clear_journal()
            resume(resuming, save(saving, through_pre_copy=False))
            assert target.firmware.loaded() == source.firmware.state()
            saves = [line for line in source.firmware.journal() if line.startswith("SAVE_VHCA")]
            assert len(saves) >= SIZES["mlx5"] // 4096

    def test_new_initial_data_and_a_save_that_is_held(
        self, session: Session, firmware: Firmware
    ) -> None:
        assert not session.opt_in().error
        data_fd: DataFd = session.start(State.PRE_COPY)
        data_fd.read_on()
        firmware.reinit(4096)
        firmware.hold("SAVE_VHCA_STATE")
        asked = data_fd.precopy_info()
        assert asked.info.flags & PRECOPY_INFO_REINIT
        firmware.release("SAVE_VHCA_STATE")
        data, _ = data_fd.read_on()
        assert len(data) == asked.info.initial_bytes


def test_virtio_without_device_parts_does_not_migrate(
    run: Run, guest: Guest, driver: Driver, api: str
) -> None:
    if driver.name != "virtio":
        pytest.skip("this is about virtio's firmware")
    with (
        run.devices().make(driver, ("withhold dev_parts",)) as device,
        opened(guest, device, api) as session,
    ):
        assert session.capabilities() is None


@pytest.mark.parametrize("through_pre_copy", [True, False], ids=["PRE_COPY", "STOP_COPY"])
def test_what_mtty_loads_it_saves_again(
    session: Session,
    open_session: Callable[[], Session],
    driver: Driver,
    through_pre_copy: bool,
) -> None:
    if driver.name != "mtty":
        pytest.skip("the doubles' firmware says what was loaded")
    other = open_session()
    stream = save(session, through_pre_copy)
    resume(other, stream)
    assert save(other, through_pre_copy) == stream
