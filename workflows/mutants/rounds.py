# SPDX-License-Identifier: GPL-2.0-only
"""The flavours of a kernel in which mutants are judged, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from fixtures import cache, suite
from fixtures import kernel as kernels
from fixtures.device import Driver, all_needs
from fixtures.progress import Progress
from workflows.mutants.module import Module, module_of
from workflows.mutants.store import ROOT, Store, Verdict


@dataclass(frozen=True)
class Round:
    """A ``flavour`` of a kernel: its ``module`` of the driver, and the verdicts on its mutants."""

    flavour: str
    module: Module
    store: Store

    @classmethod
    def of(cls, kernel: str, flavour: str, driver: Driver) -> Round:
        """Return the round of ``driver`` in the kernel that a spec names; it is built if need be.

        Raises RunError.
        """
        spec = kernels.parse(kernel)
        built = kernels.provide(spec, all_needs(), Progress(), flavour)
        identity = kernels.identity(spec, all_needs(), Progress(), flavour)
        store = Store(ROOT / f"{driver.name}-{cache.digest(identity)}")
        return cls(flavour, module_of(driver, built), store)

    @property
    def known(self) -> dict[str, Verdict]:
        """The verdicts of the suites as they are, by the keys of the mutants."""
        return self.store.verdicts(suite.digest())

    @property
    def passed(self) -> set[str]:
        """The tests that a mutant which survived has passed; none if that is not known."""
        known = self.store.baseline(suite.digest())
        return {test for test, one in known.items() if one.applies}
