# SPDX-License-Identifier: GPL-2.0-only
"""What a user sees when a kernel cannot be made.

The kernel tree here is a stand-in: a Makefile that says what kbuild says (recorded from real
builds of 7.3), so that each failure takes no time. Real builds are tested in tests/vm.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures.errors import BuildError, ConfigError, RunError
from fixtures.kernel import kconfig, parse, provide
from fixtures.kernel.provide import Needs
from fixtures.paths import CHECKOUT
from fixtures.progress import Progress

# The recipe that runs for each target; O and KCONFIG_ALLCONFIG are kbuild's own variables.
MAKEFILE = """\
allnoconfig:
\t@cp $(KCONFIG_ALLCONFIG) $(O)/.config
\t@{configured}
bzImage:
\t@{built}
%/:
\t@mkdir -p $(O)/$@
"""
COMPILER_ERROR = (
    "printf '%s\\\\n' '  CC      drivers/vfio/vfio_main.o'"
    " '/linux/drivers/vfio/vfio_main.c:12:1: error: unknown type name foo'"
    " 'make[3]: *** [scripts/Makefile.build:287: drivers/vfio/vfio_main.o] Error 1'; exit 1"
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def tree(tmp_path: Path, configured: str = "true", built: str = "true") -> Path:
    """Return a stand-in for a kernel tree."""
    folder = tmp_path / "linux"
    (folder / "include/uapi/linux").mkdir(parents=True)
    (folder / "drivers/vfio").mkdir(parents=True)
    for name in ("Kbuild", "Kconfig", "include/uapi/linux/vfio.h"):
        (folder / name).touch()
    (folder / "Makefile").write_text(MAKEFILE.format(configured=configured, built=built))
    return folder


def build(folder: Path) -> None:
    drivers = {"mtty": Needs({"CONFIG_VFIO_MDEV": "m"}, ("drivers/vfio/",), ("mtty",))}
    provide(parse(str(folder)), drivers, Progress())


def test_a_kernel_that_does_not_compile(tmp_path: Path) -> None:
    folder = tree(tmp_path, built=COMPILER_ERROR)
    with pytest.raises(BuildError, match=r"does not compile: .*vfio_main\.c:12:1: error") as caught:
        build(folder)
    message = str(caught.value)
    assert "\n" not in message
    log = Path(message.rpartition("the whole log: ")[2])
    assert "unknown type name" in log.read_text()


def test_an_option_that_does_not_hold(tmp_path: Path) -> None:
    folder = tree(tmp_path, configured="sed -i /CONFIG_IOMMUFD=/d $(O)/.config")
    (folder / "Kconfig").write_text("config VFIO\n")
    with pytest.raises(ConfigError, match=r"CONFIG_IOMMUFD=y \(this tree has no such option\)"):
        build(folder)
    (folder / "Kconfig").write_text("config IOMMUFD\n")
    with pytest.raises(ConfigError, match=r"do not hold after configuring: CONFIG_IOMMUFD=y;"):
        build(folder)


def test_the_tree_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tree(tmp_path, built=COMPILER_ERROR)
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    with pytest.raises(BuildError):
        build(folder)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    folder = tree(tmp_path, built="echo 'cc1: No space left on device'; exit 1")
    with pytest.raises(RunError, match=r"no space left on the file system of .*XDG_CACHE_HOME"):
        build(folder)


def test_a_compiler_that_was_killed_says_nothing_of_the_kernel(tmp_path: Path) -> None:
    folder = tree(tmp_path, built="echo 'cc1: fatal error: Killed signal terminated'; kill -9 $$$$")
    with pytest.raises(RunError, match="was killed, for want of memory as a rule") as caught:
        build(folder)
    assert not isinstance(caught.value, BuildError)


def test_a_build_folder_without_what_the_guest_needs(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    for name in ("arch/x86/boot/bzImage", "include/config/kernel.release"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    options = kconfig.fragment(kconfig.DEFAULT)
    del options["CONFIG_9P_FS"]
    (folder / ".config").write_text(kconfig.as_text(options))
    with pytest.raises(ConfigError, match="was built without CONFIG_9P_FS=y"):
        build(folder)


def test_a_build_folder_in_which_nothing_was_built(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / ".config").touch()
    with pytest.raises(ConfigError, match="build it first"):
        build(tmp_path / "build")


def test_a_program_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RunError, match="gcc is not installed; `make setup` installs"):
        build(tree(tmp_path))


def test_ctrl_c_while_building_leaves_no_process_and_no_entry(tmp_path: Path) -> None:
    folder = tree(tmp_path, built="echo '  CC      init/main.o'; sleep 1000")
    argv = [sys.executable, "-m", "pytest", "suites", f"--kernel={folder}", "--driver=mtty"]
    argv += [f"--results={tmp_path}/results"]
    process = subprocess.Popen(
        argv, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("building "):
            break
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2, output
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True)
    assert left.stdout == ""
    assert list((tmp_path / "cache/vfio-conformance/kernels").iterdir()) == []
