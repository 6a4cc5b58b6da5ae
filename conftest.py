# SPDX-License-Identifier: GPL-2.0-only
"""Registers the plugin, and what pytest rewrites; nothing else belongs here."""

import pytest

# The checks that suites share explain a failed assertion as their tests do.
pytest.register_assert_rewrite("suites")

pytest_plugins = [
    "fixtures.plugin.selection",
    "fixtures.plugin.baseline",
    "fixtures.plugin.options",
    "fixtures.plugin.interrupt",
    "fixtures.plugin.running",
    "fixtures.plugin.recorder",
    "fixtures.plugin.listening",
    "fixtures.plugin.recording",
    "fixtures.plugin.coverage",
    "fixtures.plugin.summary",
    "fixtures.plugin.onfailure",
    "fixtures.plugin.retry",
    "fixtures.plugin.fixtures",
]
