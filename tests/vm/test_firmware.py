# SPDX-License-Identifier: GPL-2.0-only
"""The doubles' firmware carries out commands, keeps its journal and checks its caller.

Each test opens devices that are bound to the driver's real module.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from fixtures.device import Driver
from fixtures.device.double import Ability
from fixtures.device.firmware import Activity, Firmware, content, need
from fixtures.errors import NotThere
from fixtures.guest import Guest
from fixtures.oracle import StateMachine
from fixtures.plugin.run import Run
from fixtures.session import DataFd, Session, State, opened, transfer
from fixtures.uapi import PRECOPY_INFO_REINIT

SEED = 4242


@pytest.fixture(autouse=True)
def _has_a_double(request: pytest.FixtureRequest, driver: Driver) -> None:
    if driver.double is None and "mtty" not in request.node.originalname:
        pytest.skip(f"{driver.name} has no double, and needs none")


@pytest.fixture(params=[True, False], ids=["PRE_COPY", "STOP_COPY"])
def through_pre_copy(request: pytest.FixtureRequest, fsm: StateMachine) -> bool:
    """Whether the stream begins in PRE_COPY; not every driver has it."""
    if request.param:
        fsm.need(State.PRE_COPY)
    return bool(request.param)


def save(session: Session, through_pre_copy: bool) -> bytes:
    """Return the whole stream of ``session`` and leave it in STOP_COPY."""
    return transfer.save(session, *([State.PRE_COPY] if through_pre_copy else []))


def resume(session: Session, stream: bytes) -> None:
    """Load ``stream`` into ``session`` and leave it in RUNNING."""
    transfer.load(session, stream)
    session.move(State.STOP)
    session.move(State.RUNNING)


def test_the_state_reaches_another_device(
    session: Session,
    firmware: Firmware,
    open_session: Callable[[], Session],
    through_pre_copy: bool,
) -> None:
    firmware.set_state(firmware.sizes.large, SEED)
    other = open_session()
    resume(other, save(session, through_pre_copy))
    loaded = other.device.firmware
    assert loaded is not None
    assert loaded.loaded() == firmware.state() == loaded.state()
    assert loaded.violations() == firmware.violations() == []


def test_a_state_that_was_loaded_and_never_ran_is_saved_and_loaded_again(
    session: Session, firmware: Firmware, through_pre_copy: bool
) -> None:
    """No file of the double is read in between, because that makes it look at its registers."""
    firmware.set_state(firmware.sizes.large, SEED)
    state = firmware.state()
    stream = save(session, through_pre_copy)
    for _ in range(2):
        session.reset()
        transfer.load(session, stream)
        session.move(State.STOP)
        stream = transfer.save(session)
    session.move(State.RUNNING)
    assert firmware.loaded() == firmware.state() == state
    assert firmware.violations() == []


def test_the_state_is_what_its_seed_says(firmware: Firmware, driver: Driver) -> None:
    length = firmware.sizes.large
    firmware.set_state(length, SEED)
    wanted, state = bytearray(content(SEED, 0, length)), bytearray(firmware.state())
    for begin, end in reversed(need(driver).headers):
        del wanted[begin:end], state[begin:end]
    assert state == wanted


def test_the_journal_has_the_commands_and_can_be_cleared(
    session: Session, firmware: Firmware
) -> None:
    save(session, through_pre_copy=False)
    got = [line.split()[0] for line in firmware.journal()]
    assert {firmware.word("suspend"), firmware.word("save")} <= set(got)
    firmware.clear_journal()
    assert firmware.journal() == []


def test_a_command_fails_when_it_is_told_to(session: Session, firmware: Firmware) -> None:
    command, status = firmware.word("suspend"), firmware.status("internal_error")
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


def test_the_double_obeys_the_words_in_its_drivers_file(firmware: Firmware, driver: Driver) -> None:
    about = need(driver)
    for size in (about.sizes.small, about.sizes.usual, about.sizes.large):
        firmware.set_state(size, SEED)
    fail = {*about.commands.values(), *about.gives_back} - {*about.never_fail}
    for command in sorted(fail):
        for status in about.statuses.values():
            firmware.fail(command, status)
        if command not in about.never_late:
            firmware.fail(command, about.statuses["internal_error"], late=True)
    for command in about.never_fail:
        assert firmware.command(f"fail {command} 5").error == "EOPNOTSUPP"
    for command in about.never_late:
        assert firmware.command(f"fail {command} 5 late").error == "EOPNOTSUPP"


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_command_fails_before_and_after_its_effect(
    session: Session, firmware: Firmware, driver: Driver, late: bool
) -> None:
    suspend = firmware.word("suspend")
    if late and not any(failure.late for failure in firmware.failures(suspend)):
        raise NotThere(f"{suspend} of {driver.name} fails before its effect only")
    firmware.fail(suspend, firmware.status("internal_error"), late=late)
    assert session.set_state(State.STOP)[0].error
    # qat's banks stop one after the other, so that one that fails has had a part of its effect.
    had = late or driver.name == "qat"
    assert (firmware.activity() is not Activity.RUNS) is had
    session.reset()
    session.move(State.STOP)
    assert firmware.activity() is Activity.STOPPED


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_command_can_be_held_before_and_after_its_effect(
    session: Session, firmware: Firmware, after: bool
) -> None:
    suspend = firmware.word("suspend")
    firmware.clear_journal()
    firmware.hold(suspend, after=after)
    request = session.begin_state(State.STOP)
    assert request.end(200).error == "EINPROGRESS"
    assert any(line.startswith(suspend) for line in firmware.journal()) is after
    firmware.release(suspend)
    assert not request.end(5000).error
    assert any(line.startswith(suspend) for line in firmware.journal())


@pytest.mark.parametrize(
    ("ability", "words"),
    [("reinit", "reinit 16"), ("overtake", "overtake"), ("another", "event another")],
    ids=str,
)
def test_the_double_can_do_what_its_drivers_file_says(
    firmware: Firmware, ability: Ability, words: str
) -> None:
    assert (not firmware.command(words).error) is firmware.can(ability)


def test_the_double_restarts_with_the_words_in_its_drivers_file(firmware: Firmware) -> None:
    firmware.restart()


def test_a_save_can_be_held_if_the_drivers_file_says_so(firmware: Firmware) -> None:
    firmware.hold_save()
    firmware.release_save()


def test_a_status_of_no_answer_needs_a_vendors_numbers(firmware: Firmware, driver: Driver) -> None:
    taken = not firmware.command(f"fail {firmware.word('suspend')} -110").error
    assert taken is ("no_answer" in need(driver).statuses)


class TestMlx5:
    """Abilities of mlx5's firmware alone."""

    @pytest.fixture(autouse=True)
    def _is_mlx5(self, driver: Driver) -> None:
        if driver.name != "mlx5":
            pytest.skip("this is about mlx5's firmware")

    @pytest.mark.parametrize("reported", [True, False], ids=["all", "no-migration_state"])
    def test_new_initial_data_needs_the_capability(
        self,
        run: Run,
        guest: Guest,
        driver: Driver,
        api: str,
        reported: bool,
    ) -> None:
        commands = () if reported else need(driver).setups["no_reinit"]
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
        commands = need(driver).setups["chunks"]
        with (
            run.devices().make(driver, commands) as source,
            run.devices().make(driver, commands) as target,
            opened(guest, source, api) as saving,
            opened(guest, target, api) as resuming,
        ):
            assert source.firmware is not None
            assert target.firmware is not None
            length = source.firmware.sizes.large
            source.firmware.set_state(length, SEED)
            source.firmware.clear_journal()
            resume(resuming, save(saving, through_pre_copy=False))
            assert target.firmware.loaded() == source.firmware.state()
            save_command = source.firmware.word("save")
            saves = [line for line in source.firmware.journal() if line.startswith(save_command)]
            assert len(saves) >= length // 4096

    def test_new_initial_data_and_a_save_that_is_held(
        self, session: Session, firmware: Firmware
    ) -> None:
        assert not session.opt_in().error
        data_fd: DataFd = session.start(State.PRE_COPY)
        data_fd.read_on()
        firmware.reinit(4096)
        firmware.hold_save()
        asked = data_fd.precopy_info()
        assert asked.info.flags & PRECOPY_INFO_REINIT
        firmware.release_save()
        data, _ = data_fd.read_on()
        assert len(data) == asked.info.initial_bytes

    @pytest.mark.parametrize(
        ("status", "error"),
        [(-errno.ETIMEDOUT, "ETIMEDOUT"), (-errno.EBADR, "EBADR"), (0x6, "EBUSY"), (0x9, "EINVAL")],
        ids=str,
    )
    def test_a_command_ends_with_an_errno_or_a_status(
        self, session: Session, firmware: Firmware, status: int, error: str
    ) -> None:
        firmware.fail("SUSPEND_VHCA", status)
        assert session.set_state(State.STOP)[0].error == error
        assert firmware.activity() is Activity.RUNS

    @pytest.mark.parametrize("error", [errno.ENOMEM, errno.EAGAIN])
    def test_a_save_is_refused_once(self, session: Session, firmware: Firmware, error: int) -> None:
        firmware.refuse_save(error)
        assert not firmware.refused()
        assert session.set_state(State.STOP_COPY)[0].errno == error
        assert firmware.refused()
        assert not any(line.startswith("SAVE") for line in firmware.journal())
        assert session.state() is State.STOP
        transfer.save(session)

    def test_a_refusal_can_be_taken_back(self, session: Session, firmware: Firmware) -> None:
        for words, error in {
            "refuse": "EINVAL",
            "refuse -1": "EINVAL",
            "refuse 5000": "ERANGE",
        }.items():
            assert firmware.command(words).error == error
        firmware.refuse_save(errno.ENOMEM)
        firmware.refuse_save(0)
        transfer.save(session)

    def test_an_adapter_that_is_down_takes_no_commands(
        self, session: Session, firmware: Firmware
    ) -> None:
        firmware.go_down()
        assert session.set_state(State.STOP)[0].error == "ENOLINK"
        assert firmware.activity() is Activity.RUNS
        firmware.come_up()
        transfer.save(session)

    def test_a_save_ends_if_its_adapter_goes_down(
        self, session: Session, firmware: Firmware
    ) -> None:
        firmware.hold_save()
        data_fd = session.start(State.PRE_COPY)
        reading = data_fd.begin_read(1 << 16)
        firmware.go_down()
        reading.end(5000)
        firmware.settle()
        assert any(
            line.startswith("SAVE") and line.endswith(f"= -{errno.ENXIO}")
            for line in firmware.journal()
        )
        session.reset()
        firmware.come_up()

    def test_what_could_not_be_given_back_is_no_leak(
        self, run: Run, guest: Guest, driver: Driver, api: str
    ) -> None:
        with (
            run.devices().make(driver, ()) as device,
            opened(guest, device, api) as session,
        ):
            assert device.firmware is not None
            for command in ("DESTROY_MKEY", "DEALLOC_PD", "CREATE_MKEY", "ALLOC_PD"):
                for late in (False, True):
                    session.reset()
                    device.firmware.fail(command, 1, late=late)
                    session.set_state(State.STOP_COPY)
                    session.reset()
            assert device.firmware.violations() == []

    def test_a_chunk_has_twice_the_drivers_buffers_at_most(self, firmware: Firmware) -> None:
        assert not firmware.command(f"chunk {16 << 20}").error
        assert firmware.command(f"chunk {(16 << 20) + 1}").error == "ERANGE"


class TestHisiAcc:
    """Abilities of hisi_acc's firmware alone."""

    @pytest.fixture(autouse=True)
    def _is_hisi_acc(self, driver: Driver) -> None:
        if driver.name != "hisi_acc":
            pytest.skip("this is about hisi_acc's firmware")

    def test_one_reset_of_the_adapter_at_a_time(self, firmware: Firmware) -> None:
        firmware.begin_adapter_reset()
        assert firmware.command("resetting 1").error == "EBUSY"
        assert firmware.command("resetting 2").error == "ERANGE"
        firmware.end_adapter_reset()
        firmware.end_adapter_reset()
        firmware.begin_adapter_reset()
        firmware.reset()  # ends it, too
        firmware.begin_adapter_reset()
        firmware.end_adapter_reset()

    def test_a_function_is_not_reset_meanwhile(self, session: Session, firmware: Firmware) -> None:
        firmware.begin_adapter_reset()
        reset = session.begin_reset()
        waits = reset.end(200).error == "EINPROGRESS"
        firmware.end_adapter_reset()
        reset.end(5000)
        broken = "function reset while the PF is reset" in "".join(firmware.violations())
        firmware.forgive()
        assert waits is not broken


class TestVirtio:
    """Abilities of virtio's firmware alone."""

    @pytest.fixture(autouse=True)
    def _is_virtio(self, driver: Driver, fsm: StateMachine) -> None:
        if driver.name != "virtio":
            pytest.skip("this is about virtio's firmware")
        fsm.need(State.STOP_COPY)

    @pytest.mark.parametrize("cuts", [True, False])
    def test_a_buffer_that_is_too_short(
        self, session: Session, firmware: Firmware, cuts: bool
    ) -> None:
        if not cuts:
            firmware.obey(*firmware.setup("refuses_short"))
        firmware.announce(4096)
        session.set_state(State.STOP_COPY)
        (got,) = [line for line in firmware.journal() if line.startswith("DEV_PARTS_GET")]
        assert got.endswith("size=4096 = 0" if cuts else f"size=0 = -{errno.ENOMEM}")


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
