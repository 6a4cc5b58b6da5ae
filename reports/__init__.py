# SPDX-License-Identifier: GPL-2.0-only
"""A run's results as others read them: a page, JUnit XML, KTAP, KCIDB, the table.

One renderer each, all from what ``reports.run`` loads; none reads the folder of a run by itself.
"""
