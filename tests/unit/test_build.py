# SPDX-License-Identifier: GPL-2.0-only
"""Messages if a kernel cannot be built.

The kernel tree here is a Makefile that prints recorded messages of kbuild (from builds of 7.3), so
that each failure takes no time. tests/vm tests real builds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures import process
from fixtures.errors import BuildError, ConfigError, RunError
from fixtures.kernel import Kernel, identity, kconfig, make, parse, provide, source
from fixtures.kernel.provide import Needs
from fixtures.paths import CHECKOUT
from fixtures.plugin.prepared import Prepared
from fixtures.progress import Progress
from tests.unit.tools import needs

pytestmark = needs("gcc")

# The recipe for each target; O and KCONFIG_ALLCONFIG are kbuild's own variables.
MAKEFILE = """\
allnoconfig:
\t@cp $(KCONFIG_ALLCONFIG) $(O)/.config
\t@{configured}
bzImage:
\t@{built}
%/:
\t@mkdir -p $(O)/$@
%.ko: ;
"""
BUILT = (  # with one module
    "mkdir -p $(O)/arch/x86/boot $(O)/include/config $(O)/drivers/vfio;"
    " touch $(O)/arch/x86/boot/bzImage $(O)/drivers/vfio/vfio.ko;"
    " echo 7.3.4 > $(O)/include/config/kernel.release;"
    " echo drivers/vfio/vfio.o > $(O)/drivers/vfio/modules.order"
)
COMPILER_ERROR = (
    "printf '%s\\\\n' '  CC      drivers/vfio/vfio_main.o'"
    " '/linux/drivers/vfio/vfio_main.c:12:1: error: unknown type name foo'"
    " 'make[3]: *** [scripts/Makefile.build:287: drivers/vfio/vfio_main.o] Error 1'; exit 1"
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def tree(tmp_path: Path, configured: str = "true", built: str = "true") -> Path:
    """Return a folder that replaces a kernel tree."""
    folder = tmp_path / "linux"
    (folder / "include/uapi/linux").mkdir(parents=True)
    (folder / "drivers/vfio").mkdir(parents=True)
    for name in ("Kbuild", "Kconfig", "include/uapi/linux/vfio.h"):
        (folder / name).touch()
    (folder / "Makefile").write_text(
        MAKEFILE.format(configured=configured, built=built), encoding="utf-8"
    )
    return folder


DRIVERS = {"mtty": Needs({"CONFIG_VFIO_MDEV": "m"}, ("drivers/vfio/",), ("mtty",))}


def build(folder: Path) -> Kernel:
    return provide(parse(str(folder)), DRIVERS, Progress())


def environment_of(folder: Path) -> dict[str, str]:
    """Return make's environment, as the Makefile in ``folder`` has printed it."""
    with pytest.raises(BuildError) as caught:
        build(folder)
    log = Path(str(caught.value).rpartition("the whole log: ")[2])
    lines = (line.partition("=") for line in log.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in lines if name.isidentifier()}


def test_a_kernel_that_does_not_compile(tmp_path: Path) -> None:
    folder = tree(tmp_path, built=COMPILER_ERROR)
    with pytest.raises(BuildError, match=r"does not compile: .*vfio_main\.c:12:1: error") as caught:
        build(folder)
    message = str(caught.value)
    assert "\n" not in message
    log = Path(message.rpartition("the whole log: ")[2])
    assert "unknown type name" in log.read_text(encoding="utf-8")


def test_an_option_that_does_not_hold(tmp_path: Path) -> None:
    folder = tree(tmp_path, configured="sed -i /CONFIG_IOMMUFD=/d $(O)/.config")
    (folder / "Kconfig").write_text("config VFIO\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"CONFIG_IOMMUFD=y \(this tree has no such option\)"):
        build(folder)
    (folder / "Kconfig").write_text("config IOMMUFD\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"do not hold after configuring: CONFIG_IOMMUFD=y;"):
        build(folder)


def test_the_tree_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tree(tmp_path, built=COMPILER_ERROR)
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    with pytest.raises(BuildError):
        build(folder)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "is_full", lambda _: True)
    folder = tree(tmp_path, built="echo 'cc1: No space left on device'; exit 1")
    with pytest.raises(RunError, match=r"no space left on the file system of .*XDG_CACHE_HOME"):
        build(folder)


def test_a_compiler_that_was_killed_says_nothing_of_the_kernel(tmp_path: Path) -> None:
    folder = tree(tmp_path, built="echo 'cc1: fatal error: Killed signal terminated'; kill -9 $$$$")
    with pytest.raises(RunError, match="was killed, usually for lack of memory") as caught:
        build(folder)
    assert not isinstance(caught.value, BuildError)


def test_nothing_of_the_environment_reaches_a_build_but_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tree(tmp_path, built="env; echo UTS=$(ARCH); exit 1")
    for name in (
        *("ARCH", "SUBARCH", "CROSS_COMPILE", "KRUSTFLAGS", "HOSTCFLAGS", "USERCFLAGS", "CC"),
        *("KCONFIG_CONFIG", "KCONFIG_SEED", "KBUILD_OUTPUT", "KBUILD_EXTMOD", "KBUILD_EXTRA_WARN"),
        *("KBUILD_BUILD_TIMESTAMP", "SOURCE_DATE_EPOCH", "LOCALVERSION", "CFLAGS_MODULE"),
        *("INSTALL_MOD_STRIP", "OBJTOOL_ARGS", "EXTRA_CFLAGS", "MAKEFLAGS", "MAKEFILES", "LD"),
        *("CPATH", "C_INCLUDE_PATH", "GCC_EXEC_PREFIX", "COMPILER_PATH", "PYTHONPATH", "BASH_ENV"),
    ):
        monkeypatch.setenv(name, "/other")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    seen = environment_of(folder)
    assert "/other" not in seen.values()
    assert seen["UTS"] == "x86_64"
    assert (seen["TMPDIR"], seen["LC_ALL"], seen["LOCALVERSION"]) == (str(tmp_path), "C", "")
    assert seen["PATH"].startswith(os.environ["PATH"])


def test_what_is_asked_of_the_compiler_reaches_it_and_is_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tree(tmp_path, built="env; exit 1")

    def key() -> str:
        return identity(parse(str(folder)), DRIVERS, Progress())

    plain, keys = key(), set()
    monkeypatch.setenv("ARCH", "arm64")
    monkeypatch.setenv("KBUILD_EXTRA_WARN", "1")
    assert key() == plain
    for name in ("KCFLAGS", "KAFLAGS", "KCPPFLAGS", "LLVM_IAS"):
        monkeypatch.setenv(name, "-DX")
        assert environment_of(folder)[name] == "-DX"
        keys.add(key())
    assert len(keys | {plain}) == 5
    monkeypatch.setenv("LLVM", "-99")
    assert key() not in keys
    with pytest.raises(RunError, match=r"^clang-99 is not installed, and a build with LLVM=-99 "):
        build(folder)


@pytest.mark.parametrize(
    ("llvm", "compiler"), [("1", "clang"), ("-17", "clang-17"), ("/opt/llvm/", "/opt/llvm/clang")]
)
def test_the_compiler_that_llvm_names(
    monkeypatch: pytest.MonkeyPatch, llvm: str, compiler: str
) -> None:
    monkeypatch.setenv("LLVM", llvm)
    versions = make.toolchain()
    assert f"LLVM={llvm}" in versions
    assert f"{compiler}: not installed" in versions or "clang version" in versions[0]


def test_another_linker_is_another_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path)
    before = identity(parse(str(folder)), DRIVERS, Progress())
    linker = tmp_path / "bin/ld"
    linker.parent.mkdir()
    linker.write_text("#!/bin/sh\necho GNU ld 99\n", encoding="utf-8")
    linker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{linker.parent}:{os.environ['PATH']}")
    assert identity(parse(str(folder)), DRIVERS, Progress()) != before


def test_modules_for_a_kernel_are_built_by_its_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    gcc, clang = {"CONFIG_CC_IS_GCC": "y"}, {"CONFIG_CC_IS_CLANG": "y"}
    assert "LLVM" not in make.environment(gcc)
    assert make.environment(clang)["LLVM"] == "1"
    monkeypatch.setenv("LLVM", "-17")
    assert "LLVM" not in make.environment(gcc)
    assert make.environment(clang)["LLVM"] == make.environment()["LLVM"] == "-17"


def fail_to_build_twice(folder: Path) -> None:
    """Build ``folder`` two times with one display; both fail."""
    progress = Progress()
    for _ in range(2):
        with pytest.raises(BuildError):
            provide(parse(str(folder)), DRIVERS, progress)


def test_what_does_not_reach_a_build_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tree(tmp_path, built=COMPILER_ERROR)
    for name in [name for name in os.environ if process.NOT_FOR_BUILDS.fullmatch(name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ARCH", "x86_64")
    monkeypatch.setenv("LOCALVERSION", "")
    fail_to_build_twice(folder)
    assert "environment" not in capsys.readouterr().err
    monkeypatch.setenv("ARCH", "arm64")
    monkeypatch.setenv("CROSS_COMPILE", "aarch64-linux-gnu-")
    fail_to_build_twice(folder)
    said = capsys.readouterr().err
    assert (
        said.count("ARCH, CROSS_COMPILE in the environment: not passed to the kernel's build") == 1
    )


def test_results_say_what_a_kernel_was_built_by_and_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = 'CONFIG_CC_VERSION_TEXT="gcc (Debian 12.2.0-14) 12.2.0"'
    folder = tree(tmp_path, f"echo '{version}' >> $(O)/.config", BUILT)
    monkeypatch.setenv("KCFLAGS", "-O3 -g")
    kernel = build(folder)
    assert kernel.compiler == "gcc (Debian 12.2.0-14) 12.2.0 KCFLAGS='-O3 -g'"
    whole = hashlib.sha256((kernel.folder / "config").read_bytes()).hexdigest()
    about = {"spec": str(folder), "release": "7.3.4", "config": kernel.config}
    assert kernel.about == about | {"compiler": kernel.compiler}
    assert len(kernel.config) == 16
    assert whole.startswith(kernel.config)
    assert build(folder) == kernel


def test_one_kernel_of_two_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = parse(str(tree(tmp_path, built=BUILT)))
    sources = source.of(spec, Progress())
    kernels: list[Kernel] = []
    for commit, dirty in (("1234", False), ("5678", True)):
        said = dataclasses.replace(sources, commit=commit, dirty=dirty)
        monkeypatch.setattr(source, "of", lambda *_, said=said: said)
        kernels.append(provide(spec, DRIVERS, Progress()))
    assert kernels[0].folder == kernels[1].folder
    assert [kernel.about.get("commit") for kernel in kernels] == ["1234", "5678"]
    assert [kernel.about.get("dirty") for kernel in kernels] == [None, True]
    for kernel in kernels:  # an xdist worker gets the same kernel
        assert Prepared.from_wire(Prepared(kernel, tmp_path, {}).to_wire()).kernel == kernel


def test_a_build_folder_without_what_the_guest_needs(tmp_path: Path) -> None:
    folder = tmp_path / "build"
    for name in ("arch/x86/boot/bzImage", "include/config/kernel.release"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    options = kconfig.fragment(kconfig.DEFAULT)
    del options["CONFIG_9P_FS"]
    (folder / ".config").write_text(kconfig.as_text(options), encoding="utf-8")
    with pytest.raises(ConfigError, match="was built without CONFIG_9P_FS=y"):
        build(folder)


def test_a_build_folder_in_which_nothing_was_built(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / ".config").touch()
    with pytest.raises(ConfigError, match="build it first"):
        build(tmp_path / "build")


def test_a_program_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RunError, match=r"(gcc|sync) is not installed; `make setup` installs"):
        build(tree(tmp_path))


def test_ctrl_c_while_building_leaves_no_process_and_no_entry(tmp_path: Path) -> None:
    folder = tree(tmp_path, built="echo '  CC      init/main.o'; sleep 1000")
    argv = [sys.executable, "-m", "pytest", "suites/leaks", f"--kernel={folder}"]
    argv += ["--driver=mtty", f"--results={tmp_path}/results"]
    running = subprocess.Popen(
        argv, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("building "):
            break
    time.sleep(0.5)
    os.kill(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 2, output
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, encoding="utf-8")
    assert left.stdout == ""
    assert list((tmp_path / "cache/vfio-conformance/kernels").iterdir()) == []
