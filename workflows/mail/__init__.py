# SPDX-License-Identifier: GPL-2.0-only
"""A series as it is on a mailing list: from a mailbox, a maildir or an archive to its patches."""
