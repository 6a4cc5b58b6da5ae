# SPDX-License-Identifier: GPL-2.0-only
"""One step of a longer job: build a kernel and run the suites on it, unless that was done before.

Results of a step are kept in ``results/steps/``, by kernel, choice of tests and state of this
suite. A job that was stopped, or another job with the same kernel, reuses them.
"""

from __future__ import annotations

import contextlib
import functools
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib import metadata
from pathlib import Path

from fixtures import cache, holding, process, suite
from fixtures import kernel as kernels
from fixtures.device import all_needs, chosen
from fixtures.errors import BuildError, ConfigError, RunError, SpecError
from fixtures.kernel import DEFAULT, source
from fixtures.kernel.spec import RefSpec, Spec
from fixtures.machine import accelerator, provide_rootfs
from fixtures.machine.machine import qemu_version
from fixtures.machine.rootfs import INSTALLED
from fixtures.paths import CHECKOUT, SUITES
from fixtures.process import ProcessFailed
from fixtures.progress import Progress, ProgressStep
from fixtures.record import compare, level, model
from fixtures.record.model import BROKEN, FLAKY, Results
from fixtures.record.results import merged
from fixtures.vmm import chosen_vmms
from workflows import unfinished
from workflows.stop import Terminated

STEPS = CHECKOUT / "results" / "steps"
KEPT = 200  # steps, the most recently used
OUTPUT = "output.txt"  # what pytest printed
MADE_BY = "host"  # in the folder of a run: which other host made it, and its name there
_SHARE = re.compile(r"\[ *(\d+)%\]$")
_ERROR = re.compile(r"^(?:Error|ERROR): (.*)", re.MULTILINE)
_LOGS = ("; the whole log:", "; its console (")  # at the end of a problem
BOOTS = 2  # retry a machine that did not come up: the host may have been busy
NO_MACHINE = "the machine did not come up"
# A reason that begins like this would be the same in another run: a double does not compile, or the
# driver breaks a rule of its own.
_FOR_CERTAIN = (BuildError.__name__, "device.")
# Problems that end a run and are caused by the kernel.
_THE_KERNELS = (
    NO_MACHINE,
    "machines died in this run",
    "has none of the drivers",
)
_TIME = "--run-limit"  # caused by the kernel, or by a busy host
# QEMU ends with 0 when the guest does.
_QEMUS = re.compile(r"the machine did not come up: QEMU ended with status (?!0\b)")
_STATUS = {4: "pytest does not know one of the options", 5: "no test was chosen"}
# Requirements that have no effect on a run.
_TOOLS = ("kcidb-io", "mypy", "ruff", "selenium", "types-paramiko", "types-PyYAML")


class NotMade(RunError):
    """A step failed; ``runs`` are the results of its runs until then."""

    def __init__(self, why: str, runs: Mapping[Path, Results]) -> None:
        super().__init__(why)
        self.runs = dict(runs)


class Stage(Enum):
    """How far a step got, in the words of a report."""

    JUDGED = "judged"
    DOES_NOT_BUILD = "does not build"
    DOES_NOT_BOOT = "does not boot"
    CUT_SHORT = "was cut short"
    OUT_OF_TIME = "ran out of time"
    NOT_MADE = "could not be made"


@dataclass(frozen=True)
class Selection:
    """The choice for each step: tests, drivers, and flavour of the kernel.

    ``suites`` are folders in ``suites/``; ``words`` are more options for pytest. ``fail_on``
    selects the deviations that fail the run.
    """

    drivers: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    flavour: str = DEFAULT
    fail_on: level.FailOn = level.DEFAULT
    jobs: str = "auto"
    vmms: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def check(self) -> None:
        """Check that all named drivers, VMMs and folders exist.

        Raises SpecError.
        """
        chosen(self.drivers)
        chosen_vmms(self.vmms)
        for folder in self.suites:
            if not (SUITES / folder).is_dir():
                known = sorted({path.parent.name for path in SUITES.glob("*/test_*.py")})
                raise SpecError(
                    f"{folder}: no such folder of suites/; there are {', '.join(known)}"
                )

    @property
    def names(self) -> list[str]:
        """The drivers, by name."""
        return [driver.name for driver in chosen(self.drivers)]

    def argv(self) -> list[str]:
        """Return pytest's arguments for the choice of tests."""
        folders = [f"suites/{suite}" for suite in self.suites] or ["suites"]
        argv = [*folders, f"--flavour={self.flavour}", f"--model-seed={compare.SEED}", "-q"]
        argv += [f"--fail-on={self.fail_on}", f"--driver={','.join(self.names)}"]
        return [*argv, *self.vmm_options, *self.words]

    @property
    def vmm_options(self) -> list[str]:
        """Pytest's arguments for the VMMs that are named."""
        return [f"--vmm={','.join(self.vmms)}"] if self.vmms else []


@dataclass(frozen=True)
class StepResult:
    """The result of a step.

    ``runs`` are the results of all its runs, by folder, the oldest first: a later run never erases
    an earlier one. ``problem`` is the reason why the step was not judged. ``made_by`` is the other
    host that made it just now.
    """

    stage: Stage
    runs: dict[Path, Results] = field(default_factory=dict)
    problem: str = ""
    made_by: str = ""

    @functools.cached_property
    def results(self) -> Results | None:
        """The merged results of all runs; None without any."""
        return merged(self.runs.values()) if self.runs else None

    @property
    def folder(self) -> Path | None:
        """The folder with the results of the last run."""
        return next(reversed(self.runs), None)

    @property
    def host(self) -> str:
        """The host that made the step, "" if it was made here."""
        if self.made_by:
            return self.made_by
        try:
            said = (self.folder / MADE_BY).read_text(encoding="utf-8") if self.folder else ""
        except OSError:
            return ""
        return said.rpartition(" ")[0]

    @property
    def in_doubt(self) -> bool:
        """Whether another run may give a clearer result: a busy host may be the cause."""
        if self.stage is Stage.CUT_SHORT:
            return NO_MACHINE in self.problem
        if self.results is None:
            return False
        flaky = self.results.of_kind(FLAKY) and len(self.runs) == 1
        return bool(flaky) or any(
            not held.why.startswith(_FOR_CERTAIN) for *_, held in self.results.of_kind(BROKEN)
        )

    def with_earlier(self, earlier: StepResult) -> StepResult:
        """Return this result with the ``earlier`` runs of the same step added."""
        runs = {**earlier.runs, **self.runs}
        if self.stage is Stage.JUDGED or earlier.stage is not Stage.JUDGED:
            return replace(self, runs=runs)
        # Keep the first, partly doubtful result if the second run yields none.
        return replace(earlier, runs={**self.runs, **earlier.runs})


def run(
    spec: Spec, selection: Selection, name: str, progress: Progress, *, again: bool = False
) -> StepResult:
    """Build the kernel ``spec``, and run the chosen tests on it; messages call it ``name``.

    An earlier result of the same step is reused, unless ``again``, or if it is in doubt.

    Raises RunError if the step says nothing about the kernel, for instance if the disk is full.
    """
    if isinstance(spec, RefSpec):  # a branch may move during the step
        spec = RefSpec.of_commit(spec.tree, spec.commit)
    suite.check_unchanged()
    try:
        key = key_of(spec, selection, progress)
        folder = STEPS / key
        with cache.locked(f"step-{key}", progress):
            holding.hold(folder)
            unfinished.needs(folder)
            if not again and (done := judged(folder)) and not done.in_doubt:
                progress.note(f"{name}: already judged, results in {done.folder}")
                return done
            make_folder(folder)
            # A job has many steps: release the kernel here, as the run holds it itself.
            with holding.only_here():
                kernels.provide(spec, all_needs(), progress, selection.flavour)
                unfinished.needs(*holding.held())
            return _test(spec, selection, folder, name, progress)
    except (BuildError, ConfigError) as error:
        return StepResult(Stage.DOES_NOT_BUILD, problem=str(error))


def key_of(spec: Spec, selection: Selection, progress: Progress) -> str:
    """Return the name of the step's folder in ``STEPS``.

    Raises RunError.
    """
    kernel = kernels.identity(spec, all_needs(), progress, selection.flavour)
    return cache.digest(kernel, *selection.argv(), fingerprint())


def run_for_certain(
    spec: Spec, selection: Selection, name: str, progress: Progress, *, again: bool = False
) -> StepResult:
    """Do as ``run``, and repeat the step if its result is in doubt; both runs count.

    Raises RunError.
    """
    outcome = run(spec, selection, name, progress, again=again)
    if not outcome.in_doubt:
        return outcome
    progress.note(f"{name}: retry: {outcome.problem or 'some clauses are flaky or broken'}")
    try:
        return run(spec, selection, name, progress).with_earlier(outcome)
    except RunError as error:
        if outcome.stage is not Stage.JUDGED:
            raise NotMade(str(error), {**outcome.runs, **getattr(error, "runs", {})}) from error
        progress.note(f"{name}: the retry failed: {error}")
        return outcome
    except (KeyboardInterrupt, Terminated) as stopped:
        return StepResult(Stage.NOT_MADE, outcome.runs, why(stopped))


def run_or_tell(
    spec: Spec, selection: Selection, name: str, progress: Progress, *, again: bool = False
) -> StepResult:
    """Do as ``run_for_certain``; if the step cannot be run, return that as its result.

    The job can then still report its earlier steps, whatever ends it: Ctrl-C, a signal, a full
    disk.
    """
    try:
        return run_for_certain(spec, selection, name, progress, again=again)
    except RunError as error:
        return StepResult(Stage.NOT_MADE, getattr(error, "runs", {}), str(error))
    except (KeyboardInterrupt, Terminated) as stopped:
        return StepResult(Stage.NOT_MADE, problem=why(stopped))


def why(stopped: BaseException) -> str:
    """Return what stopped a step, in words."""
    return str(stopped) or "interrupted"


def names_a_log(problem: str) -> bool:
    """Return whether the ``problem`` of a step names a file of the host that made it."""
    return any(more in problem for more in _LOGS)


def for_a_mail(problem: str, spec: RefSpec) -> str:
    """Return the ``problem`` of a step without the paths of this machine."""
    for more in _LOGS:
        problem = problem.partition(more)[0]
    problem = problem.replace(f"{spec.text} ", "").replace("does not compile: ", "", 1)
    return problem.replace(f"{source.worktree_folder(spec.tree)}/", "")


def make_folder(folder: Path) -> None:
    """Make a step's folder, and hold it.

    Raises RunError if that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be created: {error.strerror}") from error
    holding.hold(folder)
    cache.trim(STEPS, KEPT)


def _test(
    spec: Spec, selection: Selection, folder: Path, name: str, progress: Progress
) -> StepResult:
    for _ in range(BOOTS):
        with progress.step(f"testing {name}") as shown:
            status = _pytest(spec, selection, folder, shown)
        outcome = judged(folder) or _failed(folder, status)
        if outcome.stage is not Stage.DOES_NOT_BOOT:
            break
    return outcome


def judged(folder: Path) -> StepResult | None:
    """Return the result of a step if its last run is complete, else None."""
    return judged_by(runs_in(folder))


def judged_by(runs: dict[Path, Results]) -> StepResult | None:
    """Return the result of a step with these ``runs`` if the last one is complete, else None."""
    last = next(reversed(runs.values()), None)
    return StepResult(Stage.JUDGED, runs) if last and last.complete and last.drivers else None


def runs_in(folder: Path) -> dict[Path, Results]:
    """Return the results of all runs of a step, except those with an older schema."""
    found = sorted(path.parent for path in folder.glob("[!.]*/results.yaml"))
    runs = {}
    for path in found:
        if path.is_symlink():  # latest
            continue
        with contextlib.suppress(RunError):
            runs[path] = model.load(path)
    return runs


def _failed(folder: Path, status: int) -> StepResult:
    """Return the result of a step that failed; its results, if there are any, name the problem.

    Raises RunError if the problem says nothing about the kernel.
    """
    latest = folder / "latest"
    this = model.load(latest) if (latest / "results.yaml").exists() else model.nothing()
    problem, runs = this.error, runs_in(folder)
    if not problem:
        problems = _ERROR.findall((folder / OUTPUT).read_text(errors="replace", encoding="utf-8"))
        problem = problems[0] if problems else _STATUS.get(status, f"pytest: status {status}")
    if not _QEMUS.search(problem):
        if NO_MACHINE in problem and not this.drivers:
            return StepResult(Stage.DOES_NOT_BOOT, problem=problem)
        if any(words in problem for words in _THE_KERNELS):
            return StepResult(Stage.CUT_SHORT, runs, problem)
        if _TIME in problem:
            return StepResult(Stage.OUT_OF_TIME, runs, problem)
    raise NotMade(f"{problem}; the whole output: {folder / OUTPUT}", runs)


def _pytest(spec: Spec, selection: Selection, folder: Path, shown: ProgressStep) -> int:
    (folder / "latest").unlink(missing_ok=True)  # left by a run that was cut short
    argv = [sys.executable, "-m", "pytest", *selection.argv(), "-n", selection.jobs]
    argv += [f"--kernel={spec.text}", f"--results={folder}"]

    def on_line(line: str) -> None:
        if share := _SHARE.search(line):
            shown.update(f"{share[1]} %")

    try:
        # The user's PYTEST_ADDOPTS is not part of this step's key, so it must have no effect.
        environment = process.clean_environment(PYTEST_ADDOPTS="")
        process.run(argv, folder / OUTPUT, on_line=on_line, environment=environment, cwd=CHECKOUT)
    except ProcessFailed as failure:
        return failure.status
    return 0


@functools.cache
def fingerprint() -> str:
    """Return a digest of everything but the kernel and the selection that affects a run's results.

    These are the files of this checkout, the software that runs them, and the parts of a machine.
    The guest's root file system is built on first use.

    Raises RunError if it cannot be built.
    """
    return cache.digest(*(f"{name} {value}" for name, value in traits().items()), suite.digest())


def traits() -> dict[str, str]:
    """Return the versions of what runs the suites on this host, by name.

    The guest's root file system is built on first use. Raises RunError if it cannot be built.
    """
    try:
        guest = (provide_rootfs(Progress()) / INSTALLED).read_bytes()
    except BuildError as error:  # not caused by the kernel under test
        raise RunError(str(error)) from error
    lines = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [match[0] for line in lines if (match := re.match(r"[\w.-]+", line))]
    return {
        "QEMU": qemu_version(),
        "accelerator": "perhaps kvm" if accelerator.kvm_is_there() else "tcg",
        "guest": cache.digest(guest),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in names if name not in _TOOLS},
    }
