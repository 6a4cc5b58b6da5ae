# SPDX-License-Identifier: GPL-2.0-only
"""setup.sh: when and where it installs something. The programs that it runs do nothing here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.paths import CHECKOUT

TOOLS = ("sh", "cat", "sed", "grep", "readlink", "flock", "mktemp", "rm", "dirname", "mkdir", "cp")
PYTHON = """#!/bin/sh
case "$1 $2" in
"-V ") echo "Python {version}" ;;
"-m venv")
	mkdir -p "$4/bin"
	cp "$0" "$4/bin/python"
	;;
"-m pip") ;;
esac
"""
# The file "absent" lists packages that dpkg knows, but has not installed. All other packages are
# installed for two architectures. The file "installed" records apt-get's arguments.
DPKG = r"""#!/bin/sh
here=$(dirname "$0")
shift 3
for package; do
	while read -r absent; do
		[ "$package" = "$absent" ] && echo " not-installed $package;" && continue 2
	done <"$here/absent"
	printf ' installed %s;\n' "$package" "$package"
done
"""
APT = r"""#!/bin/sh
here=$(dirname "$0")
echo "$@" >>"$here/installed"
: >"$here/absent"
"""
MADE = "making the virtual environment .venv"


class Host:
    """A copy of setup.sh, on a host with only the necessary programs."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        self.checkout.mkdir()
        self.bin.mkdir()
        for name in ("setup.sh", "packages.txt", "packages-test.txt", "requirements.txt"):
            shutil.copy(CHECKOUT / name, self.checkout)
        for name in TOOLS:
            path = shutil.which(name)
            assert path
            (self.bin / name).symlink_to(path)
        self.program("python3", PYTHON.format(version="3.11.7"))
        self.program("id", "#!/bin/sh\necho 0\n")
        self.program("dpkg-query", DPKG)
        self.program("apt-get", APT)
        self.absent()

    def program(self, name: str, text: str) -> None:
        """Let ``text`` run as the program ``name``."""
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def absent(self, *packages: str) -> None:
        """Let these packages be missing."""
        text = "".join(f"{name}\n" for name in packages)
        (self.bin / "absent").write_text(text, encoding="utf-8")

    def setup(
        self, *lists: str, folder: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run setup.sh."""
        return subprocess.run(
            [(folder or self.checkout) / "setup.sh", *lists],
            env={"PATH": str(self.bin), **environment},
            capture_output=True,
            encoding="utf-8",
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def quiet(done: subprocess.CompletedProcess[str]) -> bool:
    """Return whether nothing was done or printed."""
    return (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_environment_is_made_once(host: Host) -> None:
    assert host.setup().stdout == f"{MADE}\n"
    assert quiet(host.setup())


def test_it_is_made_anew_where_the_requirements_change(host: Host) -> None:
    host.setup()
    with (host.checkout / "requirements.txt").open("a", encoding="utf-8") as file:
        file.write("another\n")
    assert MADE in host.setup().stdout
    assert quiet(host.setup())


def test_it_is_made_anew_where_the_checkout_was_moved(host: Host) -> None:
    host.setup()
    moved = host.checkout.rename(host.checkout.with_name("it's elsewhere"))
    assert MADE in host.setup(folder=moved).stdout
    assert quiet(host.setup(folder=moved))


def test_it_is_made_anew_where_the_checkout_was_copied(host: Host) -> None:
    host.setup()
    copy = host.checkout.with_name("copy")
    shutil.copytree(host.checkout, copy)
    assert MADE in host.setup(folder=copy).stdout
    assert quiet(host.setup())


def test_a_checkout_may_be_reached_another_way(host: Host) -> None:
    host.setup()
    way = host.checkout.with_name("way")
    way.symlink_to(host.checkout)
    assert quiet(host.setup(folder=way))


@pytest.mark.parametrize("there", [True, False])
def test_an_environment_that_is_a_link_stays_one(host: Host, there: bool) -> None:
    place = host.checkout.with_name("environment")
    if there:
        place.mkdir()
    (host.checkout / ".venv").symlink_to(place)
    assert MADE in host.setup().stdout
    assert (host.checkout / ".venv").is_symlink()
    assert (place / "bin" / "python").exists()
    assert quiet(host.setup())


def test_the_python_that_was_chosen_is_kept(host: Host) -> None:
    host.program("python3.13", PYTHON.format(version="3.13.5"))
    assert MADE in host.setup(PYTHON="python3.13").stdout
    assert quiet(host.setup())
    assert quiet(host.setup(PYTHON="python3.13"))
    assert MADE in host.setup(PYTHON="python3").stdout


def test_a_python_that_is_not_there(host: Host) -> None:
    done = host.setup(PYTHON="python3.99")
    assert done.returncode == 2
    assert done.stderr == "error: python3.99 is not installed; install Python 3.11 or newer\n"


def test_packages_that_are_missing_are_installed(host: Host) -> None:
    host.setup()
    host.absent("flex", "chromium")
    done = host.setup()
    assert done.stdout == "installing packages: flex\n"
    assert quiet(host.setup())
    assert (host.bin / "installed").read_text(encoding="utf-8").splitlines() == [
        "-q update",
        "-q -y --no-install-recommends install flex",
    ]


def test_where_there_is_nothing_to_install_nothing_is_written(host: Host) -> None:
    host.setup()
    lock = host.checkout / ".setup.lock"
    lock.unlink()
    assert quiet(host.setup())
    assert not lock.exists()


def test_a_checkout_that_cannot_be_written_to(host: Host) -> None:
    (host.checkout / ".setup.lock").mkdir()
    done = host.setup()
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {host.checkout} cannot be written to")
    assert len(done.stderr.splitlines()) == 1


def test_without_sudo(host: Host) -> None:
    host.program("id", "#!/bin/sh\necho 1000\n")
    host.absent("flex", "bc")
    done = host.setup()
    assert done.returncode == 2
    assert done.stderr.endswith("as root: apt-get install bc flex\n")


def test_a_host_of_another_kind(host: Host) -> None:
    (host.bin / "dpkg-query").unlink()
    (host.bin / "apt-get").unlink()
    programs = ("bc", "bison", "depmod", "file", "flex", "gcc", "git", "newuidmap", "pgrep", "xz")
    for name in (*programs, "qemu-system-x86_64"):
        host.program(name, "#!/bin/sh\n")
    done = host.setup()
    assert done.returncode == 2
    assert done.stderr.startswith("error: install by hand what is missing")
    assert "to do it: mmdebstrap (" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    host.program("mmdebstrap", "#!/bin/sh\n")
    assert MADE in host.setup().stdout
