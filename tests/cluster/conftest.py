# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of the unit tests: a repository, and no results of earlier runs."""

from tests.unit.conftest import _no_results, made, no_results, tree

__all__ = ["_no_results", "made", "no_results", "tree"]
