# SPDX-License-Identifier: GPL-2.0-only
"""VFIO_MIG_GET_PRECOPY_INFO and its arguments."""

from __future__ import annotations

import pytest

from fixtures.session import DataFd, Session, State
from fixtures.session.session import UNMAPPED
from fixtures.uapi import PRECOPY_INFO, Ioctl, PrecopyInfo

SIZE = PRECOPY_INFO.size
NOT_AN_IOCTL_OF_VFIO = 0x3BFF


@pytest.mark.clause("precopy-info.support")
def test_it_works_in_pre_copy(session: Session) -> None:
    answer, data_fd = session.set_state(State.PRE_COPY)
    assert not answer.error
    assert data_fd is not None
    assert not data_fd.precopy_info(argsz=SIZE).error


@pytest.mark.clause("precopy-info.argsz.short")
@pytest.mark.parametrize("argsz", [0, 1, 8, 16, SIZE - 1])
def test_a_short_argsz_is_refused(pre_copy: DataFd, argsz: int) -> None:
    given = PRECOPY_INFO.pack(argsz, 0x5A5A5A5A, 0x1122334455667788, 0x99AABBCCDDEEFF00)
    answer = pre_copy.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, given)
    assert answer.error == "EINVAL"
    assert answer.data == given


@pytest.mark.clause("precopy-info.argsz.long")
@pytest.mark.parametrize("more", [1, 8, 4096 - SIZE])
def test_a_long_argsz_is_accepted(pre_copy: DataFd, more: int) -> None:
    given = PRECOPY_INFO.pack(SIZE + more, 0, 0, 0) + b"\xa5" * more
    answer = pre_copy.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, given)
    assert not answer.error
    assert answer.data[SIZE:] == given[SIZE:]
    assert PrecopyInfo.unpack(answer.data).argsz == SIZE + more


@pytest.mark.clause("precopy-info.bad-pointer")
@pytest.mark.parametrize("address", [0, UNMAPPED])
def test_a_bad_pointer_is_refused(pre_copy: DataFd, address: int) -> None:
    assert pre_copy.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, address).error == "EFAULT"


@pytest.mark.clause("precopy-info.bad-pointer")
@pytest.mark.parametrize("there", [0, 4, SIZE // 2, SIZE - 1])
def test_a_structure_that_ends_in_no_memory_is_refused(
    session: Session, pre_copy: DataFd, there: int
) -> None:
    given = PRECOPY_INFO.pack(SIZE, 0, 0, 0)[:there]
    address = session.memory(given)
    assert pre_copy.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, address).error == "EFAULT"


@pytest.mark.clause("precopy-info.bad-pointer")
def test_an_answer_that_cannot_be_given_is_an_error(session: Session, pre_copy: DataFd) -> None:
    address = session.memory(PRECOPY_INFO.pack(SIZE, 0, 0, 0), writable=False)
    assert pre_copy.ioctl(Ioctl.VFIO_MIG_GET_PRECOPY_INFO, address).error == "EFAULT"


@pytest.mark.clause("precopy-info.unknown-ioctl")
@pytest.mark.parametrize("request_", [0, NOT_AN_IOCTL_OF_VFIO, Ioctl.VFIO_DEVICE_FEATURE], ids=hex)
def test_an_unknown_ioctl_is_refused(pre_copy: DataFd, request_: int) -> None:
    assert pre_copy.ioctl(request_, bytes(SIZE)).error == "ENOTTY"
