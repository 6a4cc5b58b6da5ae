# SPDX-License-Identifier: GPL-2.0-only
"""Errors that calls may return when they race."""

from __future__ import annotations

import errno

# Errors that the header and the system calls allow. A broken driver returns errors that the kernel
# uses internally, or EFAULT, which only a write may return: it means that the stream is refused.
LEGAL = {0} | {
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOMSG,
    errno.ENODEV,
    errno.EBADF,
    errno.EAGAIN,
    errno.EBUSY,
    errno.EIO,
    errno.ENOMEM,
    errno.EPERM,
    errno.ENOSPC,
    errno.EOPNOTSUPP,
}
