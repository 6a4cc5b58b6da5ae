# SPDX-License-Identifier: GPL-2.0-only
"""What calls that meet may come to."""

from __future__ import annotations

import errno

# What the header and the system calls' own rules have. A broken driver gives numbers that are the
# kernel's own, or EFAULT, which only a write may: it says that the stream is refused.
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
