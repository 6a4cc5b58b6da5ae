# SPDX-License-Identifier: GPL-2.0-only
"""``./new``: the skeletons are valid, and nothing is overwritten."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.device import known_drivers
from fixtures.paths import CHECKOUT
from fixtures.record import catalogue
from workflows.clauses import gaps

ID = "data-transfer.skeleton"
LIFE = CHECKOUT / "vm-images" / "doubles" / "common" / "life.c"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout's folders that receive skeletons."""
    shutil.copy(CHECKOUT / "new", tmp_path)
    for name in ("suites", "reports", "fixtures/drivers"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=leave)
    (tmp_path / "vm-images" / "doubles").mkdir(parents=True)
    return tmp_path


def new(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ./new."""
    argv = [sys.executable, str(checkout / "new"), *words]
    return subprocess.run(argv, capture_output=True, encoding="utf-8")


def check_form(*files: Path) -> None:
    """Check that ruff accepts ``files``."""
    for words in (["check", "--config", str(CHECKOUT / "pyproject.toml")], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *map(str, files)],
            cwd=CHECKOUT,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout


def test_help_is_no_error(checkout: Path) -> None:
    for words in (["--help"], ["driver", "-h"]):
        done = new(checkout, *words)
        assert done.returncode == 0
        assert done.stdout.startswith("usage: ./new clause ID")


def test_a_clause_has_an_entry_and_a_test(checkout: Path) -> None:
    done = new(checkout, "clause", ID)
    assert done.returncode == 0, done.stderr
    clauses = catalogue.read(checkout / "suites/clauses.yaml").clauses
    assert clauses[ID].level == "MUST"
    assert f"{ID}: its text is not written yet" in gaps({}, clauses)
    names = list(clauses)
    assert names[names.index(ID) - 1].startswith("data-transfer.")
    test = checkout / "suites/data_transfer/test_skeleton.py"
    assert f'@pytest.mark.clause("{ID}")' in test.read_text(encoding="utf-8")
    check_form(test)


def test_a_driver_is_one_that_can_be_read(checkout: Path) -> None:
    done = new(checkout, "driver", "nic")
    assert done.returncode == 0, done.stderr
    assert known_drivers(checkout / "fixtures/drivers")["nic"].realization == "double"
    double = checkout / "vm-images/doubles/nic"
    demanded = re.search(
        r"^static bool ops_valid.*?^}", LIFE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert demanded
    written = (double / "vfio_double_nic.c").read_text(encoding="utf-8")
    for member in set(re.findall(r"ops->(\w+)", demanded[0])):
        assert f"\t.{member} = " in written
    assert {path.name for path in double.iterdir()} == {"Kbuild", "vfio_double_nic.c"}


def test_a_report_is_registered(checkout: Path) -> None:
    done = new(checkout, "report", "csv")
    assert done.returncode == 0, done.stderr
    main = (checkout / "reports/__main__.py").read_text(encoding="utf-8")
    assert '    "csv": ("report.csv", csv.render),\n' in main
    check_form(checkout / "reports/csv.py", checkout / "reports/__main__.py")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "usage: ./new clause ID | driver NAME | report NAME"),
        (("class", "x"), "usage: "),
        (("clause", "Nonsense"), "error: Nonsense: a clause is called like "),
        (("clause", "reinit.once"), "error: reinit.once: there is such a clause"),
        (("clause", "no-such-part.x"), "error: no-such-part.x: no part of the protocol is called"),
        (("driver", "mlx5"), "error: fixtures/drivers/mlx5.yaml is there already"),
        (("driver", "Nic"), "error: Nic: a driver is called like hisi_acc"),
        (("report", "ktap"), "error: reports/ktap.py is there already"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    checkout: Path, words: tuple[str, ...], said: str
) -> None:
    done = new(checkout, *words)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
