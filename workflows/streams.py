# SPDX-License-Identifier: GPL-2.0-only
"""Keep the streams that a kernel's drivers save, for the tests of later kernels: ``make streams``.

    python -m workflows.streams --kernel=debian:6.12 --drivers=mtty

Writes ``<release>-<way>.stream`` and ``.state``, what the device held, into the driver's folder of
``suites/data_transfer/kept/``. States are small, and chosen by a fixed seed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from fixtures import kernel as kernels
from fixtures.device import Driver, chosen
from fixtures.progress import Progress
from suites.data_transfer.kept import KEPT, STREAM, WAYS, series
from suites.data_transfer.loads import SMALL, saved_by
from workflows.command import add_guest, arguments, check_flavour, machine_of, run_main, words
from workflows.lab import Lab

SEED = 41


def main(argv: Sequence[str]) -> int:
    """Carry out the command line.

    Raises RunError.
    """
    asked = arguments(argv, "streams", "Keep the streams of drivers.", add_guest)
    check_flavour(asked.flavour)
    lab = Lab.of(
        kernels.parse(asked.kernel),
        asked.flavour,
        chosen(list(words(asked.drivers))),
        machine_of(asked),
        Progress(),
    )
    with closing(lab):
        for driver in lab.drivers:
            for path in _keep(lab, driver):
                print(
                    f"{driver.name}: {path.name.removesuffix(STREAM)}: {path.stat().st_size} bytes"
                )
    return 0


def _keep(lab: Lab, driver: Driver) -> Iterator[Path]:
    """Save the streams of ``driver``, in each way that it has; yield their files."""
    for way in WAYS:
        with lab.opened(driver) as (session, contents):
            saved = saved_by(session, contents, way, SMALL, SEED)
        if saved is not None:
            yield saved.write(KEPT / driver.name, f"{series(lab.kernel.release)}-{way}")


if __name__ == "__main__":
    sys.exit(run_main(main))
