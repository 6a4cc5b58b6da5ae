# SPDX-License-Identifier: GPL-2.0-only
"""Mutants: what the suites would miss, as a number.

    make mutants DRIVER=mtty N=40 SEED=1

which mutants   ``code`` (functions of a C file), ``operators`` (a kind of mistake each), ``mutant``
a driver        ``module`` (its sources), ``bench`` (compiles mutants of it)
the run         ``loop`` (a pytest plugin: mutant after mutant, in one process), ``judge`` (what
                kills), ``swap`` (the module in the guest), ``order`` (which tests come first)
what came of it ``store``, ``marks`` (equivalent ones, by a person), ``report``, ``power``
"""
