# SPDX-License-Identifier: GPL-2.0-only
"""A function that its driver serves without migration: it works as it does with vfio-pci."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures.device import Driver
from fixtures.guest import Guest
from fixtures.plugin.run import Run
from fixtures.session import Feature, Session, opened
from fixtures.session.config_space import HEADER, ConfigSpace
from fixtures.uapi import FeatureMigration, Op
from suites.calls import OTHER_RESETS
from suites.device.told import told

pytestmark = [pytest.mark.every_variant, pytest.mark.clause("device.without-migration")]

RESETS: dict[str, Callable[[Session, Guest], None]] = {
    "ioctl": lambda session, _: _reset(session),
    **OTHER_RESETS,
}
BARS = slice(0x10, 0x28)  # in the header of the configuration space: the addresses of the regions


def _reset(session: Session) -> None:
    assert not session.reset().error


@pytest.fixture
def plain(
    run: Run, driver: Driver, variant: str, session: Session, guest: Guest, api: str
) -> Iterator[Session]:
    """Another function of the same kind, which vfio-pci serves."""
    commands = driver.variants[variant].firmware if variant else ()
    with run.devices().make_plain(driver, commands) as device, opened(guest, device, api) as one:
        yield one


def test_it_opens_and_says_that_it_cannot_migrate(session: Session) -> None:
    for _ in range(2):
        for op in (Op.PROBE, Op.PROBE | Op.GET):
            assert session.feature(op, Feature.MIGRATION).error == "ENOTTY"
        got = session.feature(Op.GET, Feature.MIGRATION, FeatureMigration.pack())
        assert got.error == "ENOTTY"
        session.reopen()


@pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS)
def test_its_resets_succeed(
    session: Session, guest: Guest, reset: Callable[[Session, Guest], None]
) -> None:
    config_space = ConfigSpace(session)
    before = config_space.read(HEADER, 0)
    assert before.ret == HEADER
    for _ in range(2):
        reset(session, guest)
        assert config_space.read(HEADER, 0).data == before.data


def test_its_interrupts_can_be_set_up_and_taken_away(session: Session, index: int) -> None:
    for _ in range(2):
        answer, event = session.arm_irq(index)
        assert not answer.error
        assert not session.disarm_irq(index).error
        assert not event.signalled


def shown(session: Session) -> dict[str, object]:
    """Return what a device shows of itself: its regions, interrupts and configuration space."""
    header = bytearray(ConfigSpace(session).read(HEADER, 0).data)
    header[BARS] = b""
    return told(session) | {"configuration space": bytes(header)}


def test_it_shows_what_it_shows_with_vfio_pci(session: Session, plain: Session) -> None:
    assert shown(session) == shown(plain)
