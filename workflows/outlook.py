# SPDX-License-Identifier: GPL-2.0-only
"""Print what a first run on a host installs, downloads and builds, before it begins.

    python3 -m workflows.outlook --kernel=debian:newest

Prints nothing if a kernel was built before. Uses only the standard library: the system's Python
runs this before the virtual environment exists.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from fixtures import paths
from fixtures.errors import RunError

# Measured on Debian 12, with nothing installed but git, make and python3: MB, and minutes.
PACKAGES_MB, VENV_MB = 340, 240
ARCHIVE_MB, SOURCES_MB = 330, 1800  # the archive's lists; linux-source, unpacked
MADE_MB = 550  # build folder, kernel, root file systems
DOWNLOADED_MB, OF_SOURCES_MB = 240, 160
FETCHING_MINUTES = 4  # packages, sources, and the guest's root file system
BUILDING_MINUTES = 16  # on one core


def tell(kernel: str, cores: int) -> list[str]:
    """Return the lines about a first run for ``kernel``; none if it is not the first.

    Raises SpecError if the cache folder is not usable.
    """
    cache = paths.cache()
    if (cache / "kernels").is_dir():
        return []
    fetched = kernel.startswith("debian:")
    new = not (paths.CHECKOUT / ".venv" / "bin" / "python").exists()
    downloaded = DOWNLOADED_MB + (OF_SOURCES_MB if fetched else 0)
    cached = MADE_MB + (ARCHIVE_MB + SOURCES_MB if fetched else 0)
    minutes = FETCHING_MINUTES + BUILDING_MINUTES / cores
    place = next(one for one in (cache, *cache.parents) if one.exists())
    free = shutil.disk_usage(place).free // 10**6
    lines = ["the first run on this host; before its first test it"]
    if new:
        lines.append("  installs   the packages of packages.txt that are missing, and .venv")
        lines.append(f"             (at most {gigabytes(PACKAGES_MB + VENV_MB)})")
    downloads = "the kernel's sources, the guest's packages" if fetched else "the guest's packages"
    lines += [
        f"  downloads  {downloads} (at most {downloaded} MB)",
        "  builds     the guest's root file systems, the kernel and the doubles",
        f"             ({gigabytes(cached)} in {cache}; {gigabytes(free)} are free)",
        f"  takes      about {minutes:.0f} minutes with {cores} cores, most of it for the kernel;"
        " once",
    ]
    if free < cached:
        lines.append(
            f"warning: {gigabytes(cached)} do not fit into {cache}; free space, or set"
            " XDG_CACHE_HOME to a folder on another disk"
        )
    return lines


def gigabytes(megabytes: int) -> str:
    """Return a size in GB, as text."""
    return f"{megabytes / 1000:.1f} GB"


def main(argv: Sequence[str]) -> int:
    """Carry out the command line."""
    parser = argparse.ArgumentParser(prog="outlook", description="Show the work of a first run.")
    parser.add_argument("--kernel", default="debian:newest", help="the kernel under test")
    asked = parser.parse_args(argv)
    try:
        lines = tell(asked.kernel, len(os.sched_getaffinity(0)))
    except (RunError, OSError):  # the run itself reports it
        return 0
    for line in lines:
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
