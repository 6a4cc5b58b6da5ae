# SPDX-License-Identifier: GPL-2.0-only
"""Check the form of shell scripts and C files, with the tools that this host has.

    python -m workflows.lint

shellcheck is Debian's package; checkpatch comes with a kernel tree: ``KERNEL_TREE``, or the newest
Debian source in the cache. Ends with 1 if a tool has complaints. A missing tool is reported and
does not fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fixtures import paths, process

CHECKPATCH = Path("scripts/checkpatch.pl")
# The misbehaving module dies on purpose. A macro that takes a macro or the name of a member cannot
# put it in parentheses.
IGNORED = (
    "--ignore=AVOID_BUG,VOLATILE,COMPLEX_MACRO,"
    "MACRO_ARG_PRECEDENCE,MACRO_ARG_REUSE,MACRO_ARG_UNUSED"
)
OPTIONS = ("--no-tree", "--strict", "--terse", "--no-summary", "--show-types", IGNORED, "-f")


def tracked() -> list[Path]:
    """Return the files of the checkout: those in git's index, or without git those on disk."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=paths.CHECKOUT, capture_output=True, encoding="utf-8"
    )
    names = listed.stdout.splitlines()
    if listed.returncode:
        folders = (paths.CHECKOUT / name for name in ("vm-images", "tests", ".ci"))
        found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        names = ["setup.sh", *(str(path.relative_to(paths.CHECKOUT)) for path in found)]
    return [path for path in map(paths.CHECKOUT.joinpath, names) if path.is_file()]


def is_shell(path: Path) -> bool:
    """Return whether a file is a shell script, by its first line."""
    with path.open("rb") as file:
        return bool(re.match(rb"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b", file.readline(80)))


def checkpatch() -> Path | None:
    """Return the checkpatch of ``KERNEL_TREE``, or of the newest source in the cache."""
    chosen = os.environ.get("KERNEL_TREE")
    trees = [Path(chosen)] if chosen else (paths.cache() / "sources").glob("*/tree")
    found = [tree / CHECKPATCH for tree in trees if (tree / CHECKPATCH).is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def main() -> int:
    """Run the tools, and return the exit status."""
    files = tracked()
    status = 0
    if shutil.which("shellcheck"):
        status |= _run(["shellcheck", *(str(path) for path in files if is_shell(path))])
    else:
        print("shellcheck is not installed; skipped (apt-get install shellcheck)")
    program = checkpatch()
    if program is not None and shutil.which("perl"):
        sources = [str(path) for path in files if path.suffix in (".c", ".h")]
        status |= _run(["perl", str(program), *OPTIONS, *sources])
    else:
        print("no checkpatch; skipped (KERNEL_TREE=~/linux make lint)")
    return status


def _run(argv: Sequence[str]) -> int:
    """Run a tool, and return 1 if it complains."""
    done = subprocess.run(argv, cwd=paths.CHECKOUT, env=process.clean_environment())
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
