# SPDX-License-Identifier: GPL-2.0-only
"""The project's own tests: unit tests without a VM, VM tests with one."""
