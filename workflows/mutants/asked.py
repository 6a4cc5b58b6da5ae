# SPDX-License-Identifier: GPL-2.0-only
"""What a command line asks for: a driver's module in a kernel, and which mutants of it."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from fixtures import cache, suite
from fixtures import kernel as kernels
from fixtures.device import Driver, all_needs
from fixtures.errors import SpecError
from fixtures.progress import Progress
from workflows.command import check_flavour, words
from workflows.mutants import mutant
from workflows.mutants.marks import marks
from workflows.mutants.module import Module, module_of
from workflows.mutants.mutant import Mutant
from workflows.mutants.report import About, Report
from workflows.mutants.score import Score
from workflows.mutants.store import ROOT, Store


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a kernel and a sample."""
    parser.add_argument("--kernel", default="debian:newest", help="the kernel under test")
    parser.add_argument("--flavour", default=kernels.DEFAULT, help=", ".join(kernels.FLAVOURS))
    parser.add_argument("--number", default="", help="how many mutants, at random (all)")
    parser.add_argument("--seed", default="1", help="of the random sample")
    parser.add_argument("--mutants", default="", help="the keys of mutants, judged anew")


def check(asked: argparse.Namespace) -> None:
    """Raise SpecError if the options of ``add_options`` make no sense."""
    check_flavour(asked)
    for name, text in (("N", asked.number), ("SEED", asked.seed)):
        if text and not re.fullmatch("[0-9]+", text):
            raise SpecError(f"{name}={text}: is no number")


@dataclass(frozen=True)
class Asked:
    """The mutants ``wanted`` of ``module``, in their order, and where verdicts on them are kept."""

    module: Module
    wanted: Sequence[Mutant]
    about: About
    store: Store

    @classmethod
    def of(cls, asked: argparse.Namespace, driver: Driver) -> Asked:
        """Return what the options of ``add_options`` ask for, of ``driver``.

        Raises RunError.
        """
        spec = kernels.parse(asked.kernel)
        kernel = kernels.provide(spec, all_needs(), Progress(), asked.flavour)
        identity = kernels.identity(spec, all_needs(), Progress(), asked.flavour)
        module = module_of(driver, kernel)
        wanted, about = _wanted(asked, module)
        return cls(module, wanted, about, Store(ROOT / f"{driver.name}-{cache.digest(identity)}"))

    @property
    def open(self) -> list[Mutant]:
        """The mutants without a verdict of these suites."""
        known = self.store.verdicts(suite.digest())
        return [one for one in self.wanted if one.key not in known]

    @property
    def report(self) -> Report:
        """The report on what is known until now."""
        name, known = self.module.driver.name, self.store.verdicts(suite.digest())
        score = Score(self.wanted, known, marks().equivalents(name))
        return Report(self.about, score, self.module.sources, marks().clauses(name))


def _wanted(asked: argparse.Namespace, module: Module) -> tuple[list[Mutant], About]:
    there = mutant.of_sources(module.sources)
    driver, kernel = module.driver.name, module.kernel
    command = f"make mutants DRIVER={driver} KERNEL={shlex.quote(asked.kernel)}"
    if asked.flavour != kernels.DEFAULT:
        command += f" FLAVOUR={asked.flavour}"
    title = f"{kernel.spec} ({kernel.release}), flavour {kernel.flavour}"
    if asked.mutants:
        wanted, unknown = mutant.named(there, words(asked.mutants))
        if unknown:
            raise SpecError(f"MUTANT={unknown[0]}: {driver} has no such mutant on this kernel")
        return wanted, About(driver, title, "by name", f"{command} MUTANT={asked.mutants}", command)
    there = marks().in_scope(driver, there)
    number, seed = int(asked.number or len(there)), int(asked.seed)
    wanted = mutant.sample(there, number, seed)
    sample = f"{len(wanted)} of {len(there)} mutants, at random, seed {seed}"
    again = f"{command} N={number} SEED={seed}" if asked.number else command
    return wanted, About(driver, title, sample, again, command)
