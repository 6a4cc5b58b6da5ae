# SPDX-License-Identifier: GPL-2.0-only
"""Renderers of a run's results in other formats, which ``__main__`` lists.

Each format has one module. All get the run from ``reports.run``; only that reads its folder.
"""
