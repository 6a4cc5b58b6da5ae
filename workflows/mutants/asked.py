# SPDX-License-Identifier: GPL-2.0-only
"""What a command line asks for: which mutants of a driver, and the rounds that they go through."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from fixtures import kernel as kernels
from fixtures.device import Driver
from fixtures.errors import SpecError
from workflows.command import check_flavour, words
from workflows.mutants import mutant
from workflows.mutants.marks import marks
from workflows.mutants.mutant import Mutant
from workflows.mutants.report import About, Report
from workflows.mutants.rounds import Round
from workflows.mutants.score import Score
from workflows.mutants.store import SURVIVED


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a kernel and a sample."""
    parser.add_argument("--kernel", default="debian:newest", help="the kernel under test")
    parser.add_argument(
        "--flavour",
        default=kernels.DEFAULT,
        help=f"in turn, for what survives: {', '.join(kernels.FLAVOURS)}",
    )
    parser.add_argument("--number", default="", help="how many mutants, at random (all)")
    parser.add_argument("--seed", default="1", help="of the random sample")
    parser.add_argument("--mutants", default="", help="the keys of mutants, judged anew")


def check(asked: argparse.Namespace) -> None:
    """Raise SpecError if the options of ``add_options`` make no sense."""
    flavours = words(asked.flavour)
    for flavour in flavours:
        check_flavour(flavour)
    if not flavours or len(set(flavours)) < len(flavours):
        raise SpecError(f"FLAVOUR={asked.flavour}: one or more, each once")
    for name, text in (("N", asked.number), ("SEED", asked.seed)):
        if text and not re.fullmatch("[0-9]+", text):
            raise SpecError(f"{name}={text}: is no number")


@dataclass(frozen=True)
class Asked:
    """The mutants ``wanted`` of ``driver``, in their order, and the rounds that they go through.

    Those that survive a round come into the next.
    """

    driver: Driver
    rounds: Sequence[Round]
    wanted: Sequence[Mutant]
    about: About

    @classmethod
    def of(cls, asked: argparse.Namespace, driver: Driver) -> Asked:
        """Return what the options of ``add_options`` ask for, of ``driver``.

        Raises RunError.
        """
        rounds = [Round.of(asked.kernel, one, driver) for one in words(asked.flavour)]
        wanted, about = _wanted(asked, rounds)
        return cls(driver, rounds, wanted, about)

    def open(self, number: int) -> list[Mutant]:
        """Return the mutants that the round of this ``number`` (0, 1, ...) still has to judge."""
        there = self._score(number).with_outcome(SURVIVED) if number else self.wanted
        known = self.rounds[number].known
        return [one for one in there if one.key not in known]

    @property
    def report(self) -> Report:
        """The report on what is known until now."""
        sources = self.rounds[0].module.sources
        clauses = marks().clauses(self.driver.name)
        return Report(self.about, self._score(len(self.rounds)), sources, clauses)

    def _score(self, rounds: int) -> Score:
        """Return what became of the mutants in so many ``rounds``."""
        known = {one.flavour: one.known for one in self.rounds[:rounds]}
        return Score(self.wanted, known, marks().equivalents(self.driver.name))


def _wanted(asked: argparse.Namespace, rounds: Sequence[Round]) -> tuple[list[Mutant], About]:
    module = rounds[0].module
    there = mutant.of_sources(module.sources)
    driver, kernel = module.driver.name, module.kernel
    marks().check(driver, there)
    flavours = [one.flavour for one in rounds]
    command = f"make mutants DRIVER={driver} KERNEL={shlex.quote(asked.kernel)}"
    if flavours != [kernels.DEFAULT]:
        command += f" FLAVOUR={shlex.quote(' '.join(flavours))}"
    title = f"{kernel.spec} ({kernel.release}), {_named(flavours)}"
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


def _named(flavours: Sequence[str]) -> str:
    if len(flavours) == 1:
        return f"flavour {flavours[0]}"
    return f"flavours {', then '.join(flavours)} for those that survive"
