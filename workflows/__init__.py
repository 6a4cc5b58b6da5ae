# SPDX-License-Identifier: GPL-2.0-only
"""Command-line jobs built on the fixtures that the suites use."""
