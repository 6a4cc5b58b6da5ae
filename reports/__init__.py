# SPDX-License-Identifier: GPL-2.0-only
"""Renderers of a run's results: a page, JUnit XML, KTAP, KCIDB, the table.

Each format has one module. All get the run from ``reports.run``; only that reads its folder.
"""
