# SPDX-License-Identifier: GPL-2.0-only
"""From a test's actions to the exit status of a run: pytest runs small suites without a machine.

The plugins are the suites' own; the kernel does not exist.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from fixtures.device import Driver, Expectation, known_drivers
from fixtures.errors import DeafProcessor, GuestLost, HostFailed, KernelDied, RunError
from fixtures.kernel import Kernel
from fixtures.plugin import recording
from fixtures.plugin.machines import Machines
from fixtures.plugin.prepared import Prepared
from fixtures.plugin.run import Run
from fixtures.record import table
from fixtures.record.model import Judgement, Results, load
from fixtures.splat import Splat

pytest_plugins = ["pytester"]

PLUGINS = (
    *("selection", "baseline", "options", "interrupt", "running", "recorder", "listening"),
    *("recording", "summary", "onfailure", "retry", "fixtures"),
)
NOWHERE = Path("/nonexistent")
ARCS, REOPEN = "state-machine.arcs", "state-machine.reopen"
KASAN = (
    "[    1.0] BUG: KASAN: slab-use-after-free in mtty_read+0x1/0x2 [mtty]",
    "[    1.0] Call Trace:",
    "[    1.0]  mtty_read+0x1/0x2 [mtty]",
)
WARNING = (
    "[    9.0] WARNING: CPU: 0 PID: 1 at vfio_main.c:1 vfio_x+0x1/0x2",
    "[    9.0] Call Trace:",
    "[    9.0]  vfio_x+0x1/0x2",
)
HEAD = f"""
import pytest
from fixtures.device import FirmwareViolation, Leak
from fixtures.errors import Deviation, GuestError, GuestLost, HostFailed, KernelDied, NotThere
from fixtures.guest import Answer
from fixtures.splat import Splat

KASAN = {KASAN!r}
WARNING = {WARNING!r}
arcs = pytest.mark.clause("{ARCS}")
reopen = pytest.mark.clause("{REOPEN}")
said = lambda record, *lines: record.transcript.add("close", {{"fd": 3}}, Answer(0, log=lines))
"""


@dataclass(frozen=True)
class Done:
    """A run's exit status, output and results."""

    status: int
    printed: str
    results: Results

    def held(self, clause: str, driver: str = "mtty") -> Judgement:
        return self.results.drivers[driver].clauses[clause]


class Suites:
    """Small suites, run by pytest in this process."""

    def __init__(self, pytester: pytest.Pytester, patch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self.kernel = Kernel("fake", "7.3.4", NOWHERE, ("precopy_info_v2",), {}, {}, NOWHERE)
        # The controller's configuration is global in the process.
        patch.setattr(recording._Controller, "config", None)
        patch.setattr(Run, "prepare", lambda run: self._prepare(run))
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # these tests need no other plugins
        self.patch = patch
        pytester.makeconftest(
            "from fixtures.plugin.run import of\n"
            "def pytest_collection_finish(session): of(session.config).prepare()\n"
        )

    def _prepare(self, run: Run) -> Prepared:
        run.prepared = Prepared(self.kernel, NOWHERE, {"accelerator": "tcg", "qemu": "7.2"})
        return run.prepared

    def run(self, source: str, *options: str, driver: str = "mtty") -> Done:
        self._pytester.makepyfile(HEAD + textwrap.dedent(source))
        results = self._pytester.path / "results"
        argv = [
            "-q",
            "-p",
            "no:cacheprovider",
            f"--driver={driver}",
            f"--results={results}",
        ]
        # By name, pytest would look each of them up in all that is installed.
        plugins = [import_module(f"fixtures.plugin.{name}") for name in PLUGINS]
        done = self._pytester.runpytest_inprocess(
            *argv, *options, plugins=plugins, no_reraise_ctrlc=True
        )
        return Done(int(done.ret), "\n".join(done.outlines), load(results / "latest"))


@pytest.fixture
def suites(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suites:
    return Suites(pytester, monkeypatch)


def test_a_fault_of_the_kernel_counts_though_it_came_once(suites: Suites) -> None:
    done = suites.run("""
        LOGS = iter([KASAN, ()])

        @arcs
        def test_race(record, driver_name):
            said(record, *next(LOGS))
    """)
    assert (done.status, done.held(ARCS).verdict) == (1, "deviates")
    assert done.held(ARCS).fingerprints == ("kasan-060c1a1e",)


@pytest.mark.parametrize(
    "raised",
    [
        'FirmwareViolation("SUSPEND while suspended")',
        'Leak("open files: 7 after the device is gone, 5 before")',
        'KernelDied("the kernel died: panic", Splat("panic", "panic"))',
        'KernelDied("QEMU ended with status 0")',
    ],
)
def test_evidence_is_no_flake(suites: Suites, raised: str) -> None:
    done = suites.run(f"""
        TRIES = iter([True, False])

        @pytest.fixture
        def device(driver_name):
            yield
            if next(TRIES):
                raise {raised}

        @arcs
        def test_it(record, device):
            pass
    """)
    assert done.status == 1
    assert any(held.fingerprints for *_, held in done.results.held())


CONFORMS = """
        @arcs
        def test_it(record, driver_name):
            pass
"""


def test_a_failure_without_evidence_that_does_not_come_again_is_flaky(suites: Suites) -> None:
    done = suites.run("""
        TRIES = iter([True, False])

        @arcs
        def test_it(record, driver_name):
            assert not next(TRIES), "what was seen"
    """)
    assert (done.status, done.held(ARCS).verdict) == (0, "flaky")
    assert "mtty: state-machine.arcs: flaky: not on a fresh machine: what was seen" in done.printed


def test_evidence_of_a_second_try_counts(suites: Suites) -> None:
    done = suites.run("""
        TRIES = iter([True, False])

        @arcs
        def test_it(record, driver_name):
            if next(TRIES):
                pytest.fail("once")
            said(record, *KASAN)
    """)
    assert (done.status, done.held(ARCS).fingerprints) == (1, ("kasan-060c1a1e",))


SPOILT = """
    from fixtures.plugin.machines import Machines

    DRIVER = {{"spoilt": False}}
    Machines.replace = lambda self: DRIVER.update(spoilt=False)  # another machine

    @reopen
    @pytest.mark.parametrize("number", range(5))
    def test_before(record, driver_name, number):
        if number == {spoils}:
            DRIVER["spoilt"] = True

    @arcs
    def test_it(record, driver_name):
        assert not DRIVER["spoilt"], "the target's state is not the source's"
"""


@pytest.mark.parametrize("spoils", range(5))
def test_the_test_that_spoils_another_is_found(
    suites: Suites, monkeypatch: pytest.MonkeyPatch, spoils: int
) -> None:
    monkeypatch.setattr(Machines, "replace", Machines.replace)  # the suite replaces it
    done = suites.run(SPOILT.format(spoils=spoils))
    (failure,) = done.held(ARCS).failures
    assert done.status == 1
    assert failure.after.endswith(f"::test_before[mtty-{spoils}]")
    assert f"(only after {failure.after})" in done.printed


@pytest.mark.parametrize(("error", "runs"), [("HostFailed", 1), ("RuntimeError", 2)])
def test_no_other_test_is_sought_for_a_failure_of_the_host(
    suites: Suites, monkeypatch: pytest.MonkeyPatch, error: str, runs: int
) -> None:
    monkeypatch.setenv("RUNS", str(suites._pytester.path / "runs"))
    monkeypatch.setattr("fixtures.plugin.machines.Machines.replace", lambda self: None)
    done = suites.run(f"""
        import os

        TRIES = iter([True, False, False, False])

        @reopen
        def test_before(record, driver_name):
            with open(os.environ["RUNS"], "a") as runs:
                runs.write("x")

        @arcs
        def test_it(record, driver_name):
            if next(TRIES):
                raise {error}("QEMU ended with status 139")
    """)
    assert done.held(ARCS).kind == "flaky"
    assert len((suites._pytester.path / "runs").read_text(encoding="utf-8")) == runs


def test_each_splat_of_a_test_counts(suites: Suites) -> None:
    done = suites.run("""
        @arcs
        def test_it(record, driver_name):
            said(record, *KASAN, *WARNING)
            pytest.fail("and a wrong answer")
    """)
    kinds = {failure.fingerprint.partition("-")[0] for failure in done.held(ARCS).failures}
    assert kinds == {"kasan", "warning", ""}


def test_each_fault_of_a_teardown_counts(suites: Suites) -> None:
    done = suites.run("""
        @pytest.fixture
        def device(driver_name):
            yield
            try:
                raise FirmwareViolation("one rule", "another rule")
            finally:
                raise Leak("open files: 7, 5 before", "mdevs: 1, 0 before")

        @arcs
        def test_it(record, device):
            pass
    """)
    assert {one.seen for one in done.held(ARCS).failures} == {"one rule", "another rule"}
    leaks = {one.seen.partition(":")[0] for one in done.held("leaks.references").failures}
    assert leaks == {"open files", "mdevs"}


def test_a_leak_that_is_known_in_one_test_excuses_no_other(suites: Suites) -> None:
    done = suites.run(
        """
        @pytest.fixture
        def device(driver_name):
            yield
            raise Leak("references to mlx5_vfio_pci: 7 after the device is gone, 0 before")

        @arcs
        def test_it(record, device):
            pass
        """,
        driver="mlx5",
    )
    assert (done.status, done.held("leaks.references", "mlx5").kind) == (1, "deviates")
    assert done.held(ARCS, "mlx5").verdict == "conforms"


@pytest.mark.parametrize(
    ("raised", "clause"),
    [
        ('GuestError("module mtty does not load: x", "device.load")', "device.load"),
        ('GuestError("mtty cannot be bound: ENODEV")', "device.bind"),
        ('GuestError("the group does not open the device: EIO", "device.open")', "device.open"),
    ],
)
def test_a_driver_that_cannot_be_brought_up_deviates(
    suites: Suites, raised: str, clause: str
) -> None:
    done = suites.run(f"""
        @pytest.fixture
        def device(driver_name):
            raise {raised}

        @arcs
        def test_it(record, device):
            pass
    """)
    assert (done.status, done.held(clause).verdict) == (1, "deviates")
    assert done.held(ARCS).verdict == "broken"
    assert done.held(ARCS).why.startswith(f"{clause}: ")


@pytest.mark.parametrize(
    "body",
    [
        'raise HostFailed("QEMU ended with status -9")',
        'from fixtures.device import Devices; Devices(None)._mdev_("x")',
        "from fixtures.record import table; table.aligned(None)",
        # A failed assertion in the harness itself is an error of the harness.
        "from fixtures.plugin.run import Run; Run.devices(type('x', (), dict("
        "guest=lambda self: None, machines=type('y', (), dict(devices=None))))())",
        'raise OSError(28, "No space left on device")',
    ],
)
def test_what_the_host_or_the_harness_did_is_no_drivers(suites: Suites, body: str) -> None:
    done = suites.run(f"""
        @arcs
        def test_it(record, driver_name):
            {body}
    """)
    assert (done.status, done.held(ARCS).verdict) == (2, "broken")


def test_a_judgement_of_a_fixture_is_the_drivers(suites: Suites) -> None:
    done = suites.run("""
        from fixtures.errors import Deviation

        @arcs
        def test_it(record, driver_name):
            raise Deviation("it does not hold")
    """)
    assert (done.status, done.held(ARCS).why) == (1, "it does not hold")


@pytest.mark.parametrize(
    ("clause", "too"),
    [("state-machine.same", True), ("precopy-info.initial-bytes.falls", False)],
    ids=["MUST", "SHOULD"],
)
def test_a_rule_that_the_model_finds_broken_is_of_its_own_level(
    suites: Suites, clause: str, too: bool
) -> None:
    done = suites.run(f"""
        from fixtures.oracle.model import Model

        @arcs
        def test_it(record, driver_name):
            Model(None, lambda clause: False, True).check("{clause}", False, "it does not hold")
    """)
    held = {name: one.why for name, one in done.results.drivers["mtty"].clauses.items()}
    broken = [clause, ARCS] if too else [clause]
    assert done.status == 1
    assert held == dict.fromkeys(broken, f"{clause}: it does not hold")


def test_an_assertion_without_words_says_what_it_asserts(suites: Suites) -> None:
    done = suites.run("""
        @arcs
        def test_it(record, driver_name):
            refused = False
            assert refused
    """)
    assert done.held(ARCS).why == "assert False in `assert refused`"


def test_drivers_that_should_be_there_and_are_not_end_the_run_with_2(suites: Suites) -> None:
    suites.kernel = replace(suites.kernel, lacking={"qat": "no CONFIG_X"})
    done = suites.run(
        """
        @arcs
        def test_it(record, driver_name, kernel):
            if reason := kernel.lacking.get(driver_name):
                raise NotThere(reason)
        """,
        driver="mtty,qat",
    )
    assert (done.status, done.results.missing) == (2, {"qat": "no CONFIG_X"})
    assert "Error: qat should be in this kernel, and is not: no CONFIG_X" in done.printed


EXPECTED = """
    @pytest.mark.parametrize("spoil", ["half", "all_but_a_byte", "a_byte"])
    @pytest.mark.clause("data-transfer.truncated")
    def test_a_bad_stream_is_refused(record, driver_name, spoil):
        if spoil in {fails}:
            pytest.fail("{seen}")
"""


PART_IS_ACCEPTED = """
      - clause: data-transfer.truncated
        kernels: [">=6.12"]
        tests: ["*/*.py::test_a_bad_stream_is_refused[*half]",
                "*/*.py::test_a_bad_stream_is_refused[*all_but_a_byte]"]
        seen: a part is accepted
        reason: why
        blame: driver
"""


@pytest.mark.parametrize(
    ("fails", "seen", "status", "kind"),
    [
        (["half", "all_but_a_byte"], "a part is accepted", 0, "known"),
        (["half", "a_byte"], "a part is accepted", 1, "deviates"),
        (["half"], "4096 bytes of the kernel's heap", 1, "deviates"),
        ([], "", 1, "conforms"),  # the expectation is gone
    ],
)
def test_an_expectation_excuses_its_tests_and_what_they_see(
    suites: Suites, fails: list[str], seen: str, status: int, kind: str
) -> None:
    drivers_with(suites, PART_IS_ACCEPTED)
    done = suites.run(EXPECTED.format(fails=fails, seen=seen))
    assert (done.status, done.held("data-transfer.truncated").kind) == (status, kind)
    gone = "mtty: data-transfer.truncated conforms now: drop this expectation" in done.printed
    assert gone is (not fails)


def test_what_a_choice_of_tests_leaves_out_has_not_gone(suites: Suites) -> None:
    expectation = """
      - clause: data-transfer.truncated
        kernels: [">=6.12"]
        tests: ["*/*.py::test_a_bad_stream_is_refused[*half]", "*/*.py::test_elsewhere[*]"]
        seen: a part is accepted
        reason: why
        blame: driver
    """
    drivers_with(suites, expectation)
    assert suites.run(EXPECTED.format(fails=[], seen="")).status == 0


def drivers_with(suites: Suites, expectation: str) -> None:
    """Give mtty only this ``expectation``, a YAML text."""
    (entry,) = yaml.safe_load(textwrap.dedent(expectation))
    entry = {key: tuple(one) if isinstance(one, list) else one for key, one in entry.items()}
    known = Expectation.model_validate(entry)
    mtty = known_drivers()["mtty"].model_copy(update={"expectations": (known,)})
    suites.patch.setattr("fixtures.plugin.options.chosen", lambda names: [mtty])
    suites.patch.setattr(Driver, "line_of", lambda self, one: "mtty.yaml:1")
    # The tests here are outside the suites' folders.
    suites.patch.setattr("fixtures.plugin.expected.check", lambda drivers: None)
    names, tried = Expectation.names_test, Expectation.must_be_seen
    suites.patch.setattr(
        Expectation, "names_test", lambda self, test: names(self, f"suites/x/{test}")
    )
    suites.patch.setattr(
        Expectation,
        "must_be_seen",
        lambda self, tests: tried(self, [f"suites/x/{test}" for test in tests]),
    )


def test_a_baseline_that_lacks_something_excuses_nothing(suites: Suites) -> None:
    conforms = """
        @arcs
        def test_it(record, driver_name):
            pass
    """
    deviates = """
        @arcs
        def test_it(record, driver_name):
            pass

        @reopen
        def test_that(record, driver_name):
            pytest.fail("new")
    """
    baseline = suites.run(conforms)
    path = suites._pytester.path / "baseline.yaml"
    path.write_text(
        (suites._pytester.path / "results/latest/results.yaml").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    assert suites.run(conforms, f"--baseline={path}").status == 0
    done = suites.run(deviates, f"--baseline={path}")
    assert (baseline.status, done.status) == (0, 1)
    assert f"worse: mtty: {REOPEN} (MUST): - -> deviates: new" in done.printed
    both = suites._pytester.path / "both.yaml"
    both.write_text(
        (suites._pytester.path / "results/latest/results.yaml").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    assert suites.run(deviates, f"--baseline={both}").status == 0
    assert suites.run(deviates.replace('"new"', '"else"'), f"--baseline={both}").status == 1


class Dead:
    """A machine that died, or printed a splat, after its last call."""

    at_boot: tuple[Splat, ...] = ()
    slowness = 1.0

    def __init__(self, death: GuestLost | None = None, *faults: Splat) -> None:
        self._death, self._faults = death, faults

    def death(self) -> GuestLost | None:
        return self._death

    def splats(self) -> list[Splat]:
        return list(self._faults)

    def deaf(self) -> HostFailed | None:
        return None

    def stop(self) -> None:
        pass


class Deaf(Dead):
    """One of whose processors takes no interrupts."""

    def deaf(self) -> HostFailed | None:
        return DeafProcessor("the emulator lost an interrupt")


OOPS = Splat("oops", "BUG: unable to handle page fault", "mtty_late+0x1/0x2 [mtty]")
STALL = Splat("rcu-stall", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:")


@pytest.mark.parametrize(
    ("machine", "status", "fingerprint"),
    [
        (Dead(None, OOPS), 1, OOPS.fingerprint),
        (Dead(GuestLost("the kernel died", OOPS)), 1, OOPS.fingerprint),
        (Dead(HostFailed("QEMU ended with status -9")), 2, ""),
        (Dead(), 0, ""),
        (Dead(None, STALL), 1, STALL.fingerprint),
        (Deaf(None, STALL), 2, ""),
        (Deaf(None, STALL, OOPS), 1, OOPS.fingerprint),
        (Deaf(), 0, ""),
    ],
)
def test_what_comes_after_the_last_call_is_the_last_tests(
    suites: Suites, monkeypatch: pytest.MonkeyPatch, machine: Dead, status: int, fingerprint: str
) -> None:
    with_machine(suites, monkeypatch, machine)
    done = suites.run(
        """
        @arcs
        def test_it(record, driver_name):
            pass
    """,
        "--retries=0",
    )
    assert done.status == status
    assert done.held(ARCS).fingerprints == ((fingerprint,) if fingerprint else ())


STALLS = "[ 47.553282] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"
OOPSES = "[ 47.553282] BUG: unable to handle page fault for address: 0000000000000000"


@pytest.mark.parametrize(
    ("machine", "lines", "kind"),
    [
        (Dead(), [STALLS], "deviates"),
        (Deaf(), [STALLS], "broken"),
        (Deaf(), [STALLS, OOPSES], "deviates"),
        (Deaf(), [OOPSES], "deviates"),
        (Deaf(), [], "conforms"),
    ],
)
@pytest.mark.parametrize("then", ["pass", "assert False"])
def test_a_stall_is_the_hosts_if_a_processor_is_deaf(
    suites: Suites,
    monkeypatch: pytest.MonkeyPatch,
    machine: Dead,
    lines: list[str],
    kind: str,
    then: str,
) -> None:
    with_machine(suites, monkeypatch, machine)
    done = suites.run(
        f"""
        @arcs
        def test_it(record, driver_name):
            said(record, *{lines})
            {then}
    """,
        "--retries=0",
    )
    fails = then != "pass" and kind == "conforms"
    assert done.held(ARCS).kind == ("deviates" if fails else kind)
    seen = {one.partition("-")[0] for one in done.held(ARCS).fingerprints}
    stalls, oopses = STALLS in lines and type(machine) is Dead, OOPSES in lines
    assert seen == {name for name, told in (("rcu", stalls), ("oops", oopses)) if told}


@pytest.mark.parametrize("then", ["pass", "assert False"])
def test_it_is_if_the_console_alone_has_it(
    suites: Suites, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    with_machine(suites, monkeypatch, Deaf(None, STALL))
    done = suites.run(
        f"""
        from fixtures.record.transcript import LOST

        @arcs
        def test_it(record, driver_name):
            said(record, LOST)
            {then}
    """,
        "--retries=0",
    )
    assert (done.held(ARCS).kind, done.held(ARCS).fingerprints) == ("broken", ())


def test_evidence_counts_though_a_processor_is_deaf(
    suites: Suites, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_machine(suites, monkeypatch, Deaf())
    done = suites.run(
        f"""
        @arcs
        def test_it(record, driver_name):
            said(record, "{STALLS}")
            raise FirmwareViolation("SUSPEND while suspended")
    """,
        "--retries=0",
    )
    assert done.held(ARCS).kind == "deviates"
    assert any("SUSPEND while suspended" in one.seen for one in done.held(ARCS).failures)


class Answering:
    """A guest that gets no call."""

    loss = None


def test_a_choice_of_no_test_is_told_and_leaves_nothing(suites: Suites) -> None:
    suites.patch.setattr("fixtures.plugin.running._has_suites", lambda config: True)
    results = suites._pytester.path / "results"
    with pytest.raises(RunError, match="No such file"):
        suites.run("def test_it(): pass", "-k", "no_such")
    assert not results.exists() or not list(results.iterdir())


def test_faults_that_two_fixtures_find_as_they_end_both_count(suites: Suites) -> None:
    done = suites.run("""
        @pytest.fixture
        def device(driver_name):
            yield
            raise Leak("open files: 7 after the device is gone, 5 before")

        @pytest.fixture
        def session(device):
            yield
            raise FirmwareViolation("SUSPEND while suspended")

        @arcs
        def test_it(record, session):
            pass
    """)
    assert (done.status, done.held(ARCS).verdict) == (1, "deviates")
    assert done.held(ARCS).why == "SUSPEND while suspended"
    assert done.held("leaks.references").verdict == "deviates"


def test_a_known_deviation_hides_no_broken_test(suites: Suites) -> None:
    drivers_with(suites, PART_IS_ACCEPTED)
    source = (
        EXPECTED.format(fails=["half"], seen="a part is accepted")
        + """
        if spoil == "a_byte":
            raise HostFailed("QEMU ended with status -9")
    """
    )
    done = suites.run(source)
    assert (done.status, done.held("data-transfer.truncated").kind) == (2, "broken")
    baseline = suites._pytester.path / "results" / "latest"
    assert suites.run(source, f"--baseline={baseline}").status == 2
    assert "QEMU ended with status -9" in "\n".join(table.render(done.results))


def test_a_known_deviation_hides_no_flaky_test(suites: Suites) -> None:
    drivers_with(suites, PART_IS_ACCEPTED)
    done = suites.run(
        "    TRIES = iter([True, False])\n"
        + EXPECTED.format(fails=["half"], seen="a part is accepted")
        + """
        if spoil == "a_byte":
            assert not next(TRIES), "what was seen"
    """
    )
    assert (done.status, done.held("data-transfer.truncated").kind) == (0, "flaky")
    assert "flaky: not on a fresh machine: what was seen" in done.printed


def test_an_expectation_has_not_gone_where_its_test_was_broken(suites: Suites) -> None:
    drivers_with(suites, PART_IS_ACCEPTED)
    done = suites.run(
        EXPECTED.format(fails=[], seen="")
        + """
        if spoil == "half":
            raise HostFailed("QEMU ended with status -9")
    """
    )
    assert done.status == 2
    assert "conforms now" not in done.printed


def test_an_expectation_has_not_gone_where_the_run_was_cut_short(suites: Suites) -> None:
    drivers_with(suites, PART_IS_ACCEPTED.replace("[*half]", "[*]"))
    done = suites.run(
        EXPECTED.format(fails=[], seen="")
        + """
        if spoil == "a_byte":
            raise KeyboardInterrupt
    """
    )
    assert not done.results.complete
    assert "conforms now" not in done.printed


STRAY = """
    from fixtures.plugin.run import of

    @arcs
    def test_it(record, driver_name):
        pass

    @reopen
    def test_next(record, driver_name, request):
        machines = of(request.config).machines
        machines.drop_what_died()
        record.stray = machines.take_stray()
"""


@pytest.mark.parametrize("retries", ["0", "10"])
@pytest.mark.parametrize(
    "machine",
    [
        lambda: Dead(KernelDied("the kernel died", OOPS)),
        lambda: Dead(None, OOPS),
    ],
)
def test_what_kills_a_machine_between_two_tests_counts(
    suites: Suites, monkeypatch: pytest.MonkeyPatch, machine: Callable[[], Dead], retries: str
) -> None:
    with_machine(suites, monkeypatch, machine())
    done = suites.run(
        STRAY.replace("machines.drop", "machines.replace() or machines.drop"),
        f"--retries={retries}",
    )
    assert (done.status, done.held(ARCS).fingerprints) == (1, (OOPS.fingerprint,))
    assert done.held(REOPEN).verdict == "conforms"


def with_machine(suites: Suites, monkeypatch: pytest.MonkeyPatch, machine: Dead) -> None:
    """Let the run's first machine be ``machine``."""
    prepare = suites._prepare

    def prepared(run: Run) -> Prepared:
        machines = run.machines
        machines._machine, machines.guest = machine, Answering()  # type: ignore[assignment]
        return prepare(run)

    monkeypatch.setattr(Run, "prepare", prepared)


def test_a_fault_that_is_printed_after_a_failure_is_evidence_of_it(
    suites: Suites, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_machine(suites, monkeypatch, Dead(None, OOPS))
    done = suites.run("""
        from fixtures.plugin.run import of
        TRIES = iter([True, False])

        @arcs
        def test_it(record, driver_name, request):
            record.stray = of(request.config).machines.take_stray()
            assert not next(TRIES), "what was seen"

        @reopen
        def test_next(record, driver_name):
            pass
    """)
    assert (done.status, done.held(ARCS).fingerprints) == (1, (OOPS.fingerprint,))


def test_the_faults_of_each_boot_are_told(suites: Suites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dead, "at_boot", (OOPS,))
    with_machine(suites, monkeypatch, Dead())
    done = suites.run("""
        from fixtures.plugin.run import of

        @arcs
        @pytest.mark.parametrize("number", range(2))
        def test_it(record, driver_name, request, number):
            machines = of(request.config).machines
            record.at_boot = machines.at_boot(driver_name)
            machines._machine.at_boot += (Splat("warning", "WARNING: x", "vfio_x+0x1/0x2"),)
    """)
    assert done.status == 1
    assert len(done.held("device.boot").fingerprints) == 2


def test_ctrl_c_ends_a_run_though_the_kernel_complained(suites: Suites) -> None:
    done = suites.run("""
        @arcs
        def test_it(record, driver_name):
            said(record, *KASAN)
            raise KeyboardInterrupt

        @reopen
        def test_that(record, driver_name):
            pass
    """)
    assert (done.status, done.results.complete) == (2, False)
    assert done.held(ARCS).fingerprints == ("kasan-060c1a1e",)
    assert REOPEN not in done.results.drivers["mtty"].clauses


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_ends_a_run_though_python_drops_it(suites: Suites) -> None:
    done = suites.run("""
        import os
        import signal

        class Last:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)

        @arcs
        def test_it(record, driver_name):
            Last()

        @reopen
        def test_that(record, driver_name):
            pass
    """)
    assert (done.status, done.results.complete) == (2, False)
    assert done.held(ARCS).verdict == "conforms"
    assert REOPEN not in done.results.drivers["mtty"].clauses


@pytest.mark.parametrize("why", ['pytest.skip("no such thing")', 'raise NotThere("nothing")'])
def test_a_skip_after_a_complaint_is_no_failure_of_its_own(suites: Suites, why: str) -> None:
    done = suites.run(f"""
        @arcs
        def test_it(record, driver_name):
            said(record, *KASAN)
            {why}
    """)
    assert [one.verdict for one in done.held(ARCS).failures] == ["deviates"]


@pytest.mark.parametrize(
    ("tries", "status", "verdict"),
    [
        # A host that runs out of memory proves nothing about the driver, and confirms nothing.
        (["deviates", "host", "passes"], 0, "flaky"),
        (["deviates", "host", "deviates"], 1, "deviates"),
        # Nor does it replace the driver's behaviour.
        (["host", "deviates", "deviates"], 1, "deviates"),
        (["host", "deviates", "passes"], 0, "flaky"),
        (["host", "passes"], 0, "flaky"),
        (["host", "host"], 2, "broken"),
    ],
)
def test_what_the_host_does_confirms_and_hides_nothing(
    suites: Suites, tries: list[str], status: int, verdict: str
) -> None:
    done = suites.run(f"""
        TRIES = iter({tries})

        @arcs
        def test_it(record, driver_name):
            what = next(TRIES)
            if what == "host":
                raise HostFailed("QEMU ended with status -9")
            assert what == "passes", "a wrong answer"
    """)
    assert (done.status, done.held(ARCS).kind) == (status, verdict)


def test_a_failure_is_believed_at_once_only_if_it_is_one_that_came_again(suites: Suites) -> None:
    done = suites.run("""
        TRIES = {"flake": 0, "same": 0, "other": 0}

        @arcs
        @pytest.mark.parametrize("what", ["same", "flake", "other"])
        def test_it(record, driver_name, what):
            TRIES[what] += 1
            if what == "flake":
                assert TRIES[what] > 1, "something else"
            else:
                pytest.fail(f"it answers {TRIES[what]}")

        def test_tries():
            assert TRIES["other"] == 1
    """)
    verdicts = {one.test[-6:-1]: one.verdict for one in done.held(ARCS).failures}
    assert verdicts == {"-same": "deviates", "flake": "flaky", "other": "deviates"}
    assert "::test_tries" not in done.printed


def test_what_is_known_to_kill_excuses_the_clause_that_is_named_and_no_other(
    suites: Suites,
) -> None:
    drivers_with(
        suites,
        f"""
      - clause: {ARCS}
        kernels: [">=6.12"]
        tests: ["*/*.py::test_it[*]"]
        splat: {{kind: oops, function: mtty_late}}
        reason: why
        blame: driver
    """,
    )
    done = suites.run("""
        OOPS = Splat("oops", "BUG: unable to handle page fault", "mtty_late+0x1/0x2 [mtty]")

        @arcs
        @reopen
        @pytest.mark.parametrize("number", range(2))
        def test_it(record, may_run, driver_name, number):
            raise KernelDied("the kernel died", OOPS)
    """)
    assert done.held(ARCS).kind == "known"
    assert [one.known for one in done.held(REOPEN).failures] == [""]


@pytest.mark.parametrize("raised", ["KernelDied", "GuestLost"])
def test_an_expectation_of_any_words_excuses_no_death(suites: Suites, raised: str) -> None:
    drivers_with(suites, PART_IS_ACCEPTED.replace("seen: a part is accepted", 'seen: "*"'))
    done = suites.run(
        EXPECTED.format(fails=["half"], seen="x").replace(
            'pytest.fail("x")', f'raise {raised}("QEMU ended with status 0")'
        )
    )
    assert (done.status, done.held("data-transfer.truncated").kind) == (1, "deviates")


def test_no_mark_of_a_test_hides_what_it_finds(suites: Suites) -> None:
    with pytest.raises(RunError, match="No such file"):  # the run did not start
        suites.run(CONFORMS.replace("@arcs", "@pytest.mark.xfail\n        @arcs"))


def test_a_call_of_xfail_hides_no_complaint(suites: Suites) -> None:
    done = suites.run("""
        @arcs
        def test_it(record, driver_name):
            said(record, *KASAN)
            pytest.xfail("as I say")
    """)
    assert (done.status, done.held(ARCS).fingerprints) == (1, ("kasan-060c1a1e",))


def test_fixtures_that_end_badly_in_the_second_try_are_heard(suites: Suites) -> None:
    done = suites.run("""
        TRIES = iter([1, 2, 3])

        @pytest.fixture
        def device(driver_name):
            number = next(TRIES)
            yield number
            if number == 2:
                raise FirmwareViolation("SUSPEND while suspended")

        @arcs
        def test_it(record, device):
            assert device != 1, "once"
    """)
    assert done.status == 1
    assert any(one.startswith("firmware-") for one in done.held(ARCS).fingerprints)


def test_what_a_first_try_found_out_about_a_device_is_found_out_again(suites: Suites) -> None:
    done = suites.run("""
        from fixtures.plugin.run import Abilities, of
        from fixtures.session import Migration

        TRIES = iter([True, False])

        @arcs
        def test_it(record, driver_name, request):
            run = of(request.config)
            if ("mtty", "") not in run.abilities:
                record.behaviour("feature.pre_copy", "supported")
                run.abilities["mtty", ""] = Abilities(Migration(0), (), request.node.nodeid)
            assert not next(TRIES), "once"
    """)
    assert done.held(ARCS).verdict == "flaky"
    assert done.results.drivers["mtty"].words == {"feature.pre_copy": "supported"}
