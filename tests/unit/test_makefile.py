# SPDX-License-Identifier: GPL-2.0-only
"""The Makefile: the arguments of its programs, and its exit status."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.paths import CHECKOUT
from workflows.command import words

# Records its arguments; its exit status is in the file with the module's name.
STUB = r"""#!/bin/sh
here=$(dirname "$0")
printf '%s\0' "$@" >>"$here/calls"
printf '\n\0' >>"$here/calls"
[ ! -e "$here/$2" ] || exit "$(cat "$here/$2")"
"""
ODD = """it's "one" $HOME $(shell id) `id` \\ # ; * ~"""


class Checkout:
    """A copy of the Makefile with programs that do nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / ".venv" / "bin"
        self.bin.mkdir(parents=True)
        for name in ("Makefile", "variables.mk"):
            shutil.copy(CHECKOUT / name, folder)
        self._program(folder / "setup.sh", "#!/bin/sh\nexit 0\n")
        self._program(self.bin / "python", STUB)

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def ends(self, module: str, status: int) -> None:
        """Let the program ``module`` exit with ``status``."""
        (self.bin / module).write_text(str(status), encoding="utf-8")

    def make(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run make."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            ["make", *words],
            cwd=self.folder,
            env=kept | environment,
            capture_output=True,
            encoding="utf-8",
        )

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each program that ran."""
        path = self.bin / "calls"
        if not path.exists():
            return []
        calls = path.read_text(encoding="utf-8").split("\0\n\0")[:-1]
        return [call.split("\0") for call in calls]

    @property
    def modules(self) -> list[str]:
        """The name of each program that ran."""
        return [call[1] for call in self.calls]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def option(call: list[str], name: str) -> str:
    """Return the value of the option --name=value in a call."""
    (found,) = [word.removeprefix(f"{name}=") for word in call if word.startswith(f"{name}=")]
    return found


@pytest.mark.parametrize("status", [0, 1, 2])
@pytest.mark.parametrize(
    "goal",
    [
        *("check", "premerge", "matrix", "compat", "bisect", "baseline", "history", "selftests"),
        "coverage",
    ],
)
def test_a_job_ends_as_its_program_does(checkout: Checkout, goal: str, status: int) -> None:
    checkout.ends(f"workflows.{goal}", status)
    assert checkout.make(goal).returncode == status


@pytest.mark.parametrize(("ended", "status"), [(0, 0), (3, 1), (125, 2), (255, 2), (1, 2)])
def test_a_step_of_a_bisect(checkout: Checkout, ended: int, status: int) -> None:
    checkout.ends("workflows.bisect_step", ended)
    assert checkout.make("bisect-step").returncode == status


@pytest.mark.parametrize("options", ["-e", "-k", "-B", "-sj4"])
def test_options_of_make_do_not_change_what_a_job_ends_with(
    checkout: Checkout, options: str
) -> None:
    checkout.ends("workflows.check", 1)
    assert checkout.make(options, "check").returncode == 1
    assert checkout.modules == ["workflows.check"]


@pytest.mark.parametrize("options", ["-i", "-t", "-kt"])
def test_make_that_ends_with_0_in_any_case_is_refused(checkout: Checkout, options: str) -> None:
    done = checkout.make(options, "report", "check")
    assert done.returncode == 2
    assert "ends with 0, whatever becomes of check; leave it out" in done.stderr
    assert not checkout.calls


@pytest.mark.parametrize("options", ["-n", "-q"])
@pytest.mark.parametrize("goals", [["check"], ["check", "report"]])
def test_make_that_only_asks_runs_nothing(
    checkout: Checkout, options: str, goals: list[str]
) -> None:
    done = checkout.make(options, *goals)
    assert done.returncode == (1 if options == "-q" else 0)
    assert not checkout.calls


def test_the_installation_s_failure_is_no_deviation(checkout: Checkout) -> None:
    (checkout.folder / "setup.sh").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert checkout.make("check").returncode == 2
    assert not checkout.calls


@pytest.mark.parametrize(
    ("goals", "status", "run"),
    [
        (["check", "report"], {}, ["workflows.check", "reports"]),
        (["check", "report"], {"workflows.check": 1}, ["workflows.check", "reports"]),
        (["check", "report"], {"workflows.check": 2}, ["workflows.check"]),
        (["-k", "check", "report"], {"workflows.check": 2}, ["workflows.check", "reports"]),
        (["check", "report"], {"workflows.check": 1, "reports": 2}, ["workflows.check", "reports"]),
        (["setup", "check"], {"workflows.check": 1}, ["workflows.check"]),
        (["lint", "check"], {"ruff": 1}, ["ruff"]),
        (
            ["-j4", "lint", "check"],
            {},
            ["ruff", "ruff", "mypy", "workflows.lint", "workflows.check"],
        ),
        (["matrix", "check"], {"workflows.check": 1}, ["workflows.matrix", "workflows.check"]),
    ],
)
def test_several_goals_are_made_in_order(
    checkout: Checkout, goals: list[str], status: dict[str, int], run: list[str]
) -> None:
    for module, ended in status.items():
        checkout.ends(module, ended)
    done = checkout.make(*goals)
    assert checkout.modules == run
    # For a program that is not a job make ends with 2, whatever the program's status.
    ended = max([0, *(2 if name == "ruff" else one for name, one in status.items())])
    assert done.returncode == ended


def test_a_goal_that_is_not_there_is_told_before_the_others_are_made(checkout: Checkout) -> None:
    done = checkout.make("check", "reprot")
    assert done.returncode == 2
    assert "reprot" in done.stderr
    assert not checkout.calls


@pytest.mark.parametrize("given", ["argument", "environment", "one of two goals"])
@pytest.mark.parametrize(
    ("goal", "options"),
    [
        ("check", "kernel baseline suites flavour jobs pytest clause behaviour tests"),
        ("premerge", "tree base series version expect"),
        ("bisect", "good bad"),
    ],
)
def test_a_value_arrives_as_it_is(checkout: Checkout, goal: str, options: str, given: str) -> None:
    names = options.split()
    values = {name.upper(): f"{ODD}{name}" for name in names}
    if given == "environment":
        done = checkout.make(goal, **values)
    else:
        other = ["report"] if given == "one of two goals" else []
        done = checkout.make(goal, *other, *(f"{name}={value}" for name, value in values.items()))
    assert done.returncode == 0, done.stderr
    assert {name.upper(): option(checkout.calls[0], f"--{name}") for name in names} == values


def test_a_value_that_is_no_option_arrives_as_it_is(checkout: Checkout) -> None:
    values = {
        name: f"{name}{ODD}" for name in ("BASELINE", "KERNELS", "RUNS", "RESULTS", "FORMATS")
    }
    arguments = [f"{name}={value}" for name, value in values.items()]
    assert checkout.make("baseline", "matrix", "soak", "report", *arguments).returncode == 0
    baseline, matrix, soak, report = checkout.calls
    assert baseline[2] == values["BASELINE"]
    assert matrix[2] == values["KERNELS"]
    assert soak[2] == values["RUNS"]
    assert report[2:] == [values["RESULTS"], values["FORMATS"]]


@pytest.mark.parametrize(
    "goal", ["check", "vmm", "premerge", "matrix", "bisect", "bisect-step", "baseline", "soak"]
)
def test_every_job_is_told_what_fails_it(checkout: Checkout, goal: str) -> None:
    assert checkout.make(goal).returncode == 0
    assert checkout.make(goal, "FAIL_ON=must").returncode == 0
    assert [option(call, "--fail-on") for call in checkout.calls] == ["should", "must"]


def test_all_vmms_migrate_unless_some_are_named(checkout: Checkout) -> None:
    for words_of_make in (["vmm"], ["vmm", "VMMS=qemu10"], ["check", "VMMS=all"], ["check"]):
        assert checkout.make(*words_of_make).returncode == 0
    last = [
        [word for word in call if word.startswith(("--suites=", "--vmms="))][-2:]
        for call in checkout.calls
    ]
    assert last == [
        ["--suites=vmm", "--vmms=all"],
        ["--suites=vmm", "--vmms=qemu10"],
        ["--suites=", "--vmms=all"],
        ["--suites=", "--vmms="],
    ]


def test_both_names_of_drivers_count(checkout: Checkout) -> None:
    checkout.make("check", "DRIVERS=mtty,qat", "DRIVER=pds")
    assert words(option(checkout.calls[0], "--drivers")) == ("mtty", "qat", "pds")


def test_more_options_of_pytest_are_read_as_a_shell_does(checkout: Checkout) -> None:
    checkout.make("test", "PYTEST=-k 'one and two' -x")
    assert checkout.calls[-1][-3:] == ["-k", "one and two", "-x"]


@pytest.mark.parametrize(
    ("goal", "lists"), [("check", ""), ("selftests", "packages-selftests.txt")]
)
def test_a_package_is_asked_for_by_what_needs_it(checkout: Checkout, goal: str, lists: str) -> None:
    recorder = '#!/bin/sh\necho "$@" >"$(dirname "$0")/lists"\n'
    (checkout.folder / "setup.sh").write_text(recorder, encoding="utf-8")
    assert checkout.make(goal).returncode == 0
    assert (checkout.folder / "lists").read_text(encoding="utf-8").strip() == lists
    assert (CHECKOUT / lists).exists()


def test_what_is_not_given_is_the_default(checkout: Checkout) -> None:
    done = checkout.make("check", KERNEL="", TREE="/elsewhere")
    (call,) = checkout.calls
    assert option(call, "--kernel") == "debian:newest"
    assert option(call, "--jobs") == "auto"
    assert done.stderr == ""


def test_what_the_environment_sets_is_told(checkout: Checkout) -> None:
    done = checkout.make("premerge", "TREE=/a", BASE="v7.1", TREE="/b", GOOD="v7.0")
    assert done.stderr.splitlines() == [
        f"{done.stderr.partition(' ')[0]} from the environment: BASE=v7.1"
    ]
    assert option(checkout.calls[0], "--tree") == "/a"
    assert option(checkout.calls[0], "--base") == "v7.1"


def test_of_several_goals_the_environment_is_told_once(checkout: Checkout) -> None:
    done = checkout.make("check", "report", "DRIVER=mtty", KERNEL="/a")
    assert done.stderr.count("from the environment") == 1


def test_what_a_goal_does_not_take_is_not_told(checkout: Checkout) -> None:
    assert checkout.make("lint", KERNEL="/a", PYTEST="-x").stderr == ""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["check", "DRIVRES=mtty"], "DRIVRES= is no variable of this Makefile; is it DRIVERS?"),
        (["report", "RESULT=x"], "RESULT= is no variable of this Makefile; is it RESULTS?"),
        (["check", "report", "KERNLE=x"], "is it KERNEL?"),
        (["check", "ARCH=x"], "ARCH= is no variable of this Makefile; `make help` lists them"),
        (["check", "SERIES=x"], "SERIES= is not for make check; it is for premerge"),
        (["setup", "check", "SERIES=x"], "SERIES= is not for make setup check; it is for premerge"),
        (["clauses", "CLAUSE=x"], "CLAUSE= is not for make clauses; it is for check"),
        (["history", "TESTS=x"], "TESTS= is not for make history; it is for check vmm bisect"),
        (["check", "KERNEL="], "KERNEL= is empty; leave it out for debian:newest"),
    ],
)
def test_an_argument_that_would_have_no_effect_is_refused(
    checkout: Checkout, given: list[str], says: str
) -> None:
    done = checkout.make(*given)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not checkout.calls


@pytest.mark.parametrize(
    "given", [["check", "XDG_CACHE_HOME=/a"], ["check", "PYTHON=python3"], ["help", "KERNEL=x"]]
)
def test_other_arguments_are_taken(checkout: Checkout, given: list[str]) -> None:
    assert checkout.make(*given).returncode == 0


def test_help_names_every_goal_and_variable(checkout: Checkout) -> None:
    shown = checkout.make().stdout
    database = checkout.make("-pn", "help").stdout
    (targets,) = [line for line in database.splitlines() if line.startswith(".PHONY: ")]
    (variables,) = [line for line in database.splitlines() if line.startswith("variables := ")]
    for goal in targets.split()[1:]:
        assert f"  make {goal} " in shown
    for variable in variables.split()[2:]:
        assert variable in shown
