# SPDX-License-Identifier: GPL-2.0-only
"""Programs over the same fixtures as the suites."""
