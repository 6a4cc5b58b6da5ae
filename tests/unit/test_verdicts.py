# SPDX-License-Identifier: GPL-2.0-only
"""From what a test does to the exit status of a run: pytest runs small suites, and no machine.

The plugins are the suite's own; the kernel is one that does not exist.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from fixtures.device import Driver, Expectation, known_drivers
from fixtures.errors import GuestLost, HostFailed, RunError
from fixtures.kernel import Kernel
from fixtures.plugin import recording
from fixtures.plugin.run import Prepared, Run
from fixtures.record.model import Held, Results, load
from fixtures.splat import Splat

pytest_plugins = ["pytester"]

PLUGINS = ("selection", "baseline", "options", "recording", "retry", "arrows")
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
    """What came of a run: its exit status, what it printed, and its results."""

    status: int
    printed: str
    results: Results

    def held(self, clause: str, driver: str = "mtty") -> Held:
        return self.results.drivers[driver].clauses[clause]


class Suites:
    """Small suites, run by pytest in this process; ``machine`` is what the run's machine does."""

    def __init__(self, pytester: pytest.Pytester, patch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self.kernel = Kernel("fake", "7.3.4", NOWHERE, ("precopy_info_v2",), {}, {}, NOWHERE)
        # The controller's configuration is one of the process.
        patch.setattr(recording._Controller, "config", None)
        patch.setattr(Run, "prepare", lambda run: self._prepare(run))
        self.patch = patch
        pytester.makeconftest(
            f"pytest_plugins = {[f'fixtures.plugin.{name}' for name in PLUGINS]}\n"
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
            "-p",
            "no:hypothesispytest",
            f"--driver={driver}",
            f"--results={results}",
        ]
        done = self._pytester.runpytest_inprocess(*argv, *options)
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
    from fixtures.plugin.run import Run

    DRIVER = {{"spoilt": False}}
    Run.replace = lambda self: DRIVER.update(spoilt=False)  # another machine

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
    monkeypatch.setattr(Run, "replace", Run.replace)  # the suite replaces it
    done = suites.run(SPOILT.format(spoils=spoils))
    (failure,) = done.held(ARCS).failures
    assert done.status == 1
    assert failure.after.endswith(f"::test_before[mtty-{spoils}]")
    assert f"(only after {failure.after})" in done.printed


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


def test_each_fault_of_several_fixtures_counts(suites: Suites) -> None:
    done = suites.run("""
        @pytest.fixture
        def device(driver_name):
            yield
            raise Leak("open files: 7, 5 before")

        @pytest.fixture
        def session(device):
            yield
            raise FirmwareViolation("a rule")

        @arcs
        def test_it(record, session):
            pass
    """)
    assert done.status == 1
    assert {one.seen for one in done.held(ARCS).failures} == {"a rule"}
    assert done.held("leaks.references").verdict == "deviates"


def test_an_interrupt_is_one_though_the_kernel_complains(suites: Suites) -> None:
    with pytest.raises(KeyboardInterrupt):
        suites.run("""
            @arcs
            def test_it(record, driver_name):
                said(record, *KASAN)
                raise KeyboardInterrupt
        """)


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
        # An assertion of the harness itself is the harness's.
        "from fixtures.plugin.run import Run; Run.devices(type('x', (), dict(_devices=None,"
        " guest=lambda self: None))())",
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
        from fixtures.oracle.model import Model

        @arcs
        def test_it(record, driver_name):
            Model(None, lambda clause: False, True).check("a.rule", False, "it does not hold")
    """)
    assert (done.status, done.held(ARCS).why) == (1, "a.rule: it does not hold")


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


@pytest.mark.parametrize(
    ("fails", "seen", "status", "kind"),
    [
        (["half", "all_but_a_byte"], "a part is accepted", 0, "known"),
        (["half", "a_byte"], "a part is accepted", 1, "deviates"),
        (["half"], "4096 bytes of the kernel's heap", 1, "deviates"),
        ([], "", 1, "conforms"),  # the expectation has gone
    ],
)
def test_an_expectation_excuses_its_tests_and_what_they_see(
    suites: Suites, fails: list[str], seen: str, status: int, kind: str
) -> None:
    expectation = """
      - clause: data-transfer.truncated
        kernels: [">=6.12"]
        tests: ["*/*.py::test_a_bad_stream_is_refused[*half]",
                "*/*.py::test_a_bad_stream_is_refused[*all_but_a_byte]"]
        seen: a part is accepted
        reason: why
        fault: driver
    """
    drivers_with(suites, expectation)
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
        fault: driver
    """
    drivers_with(suites, expectation)
    assert suites.run(EXPECTED.format(fails=[], seen="")).status == 0


def drivers_with(suites: Suites, expectation: str) -> None:
    """Have mtty be known to deviate as ``expectation``, in YAML, says, and in nothing else."""
    (entry,) = yaml.safe_load(textwrap.dedent(expectation))
    entry = {key: tuple(one) if isinstance(one, list) else one for key, one in entry.items()}
    known = Expectation.model_validate(entry)
    mtty = known_drivers()["mtty"].model_copy(update={"expectations": (known,)})
    suites.patch.setattr("fixtures.plugin.options.chosen", lambda names: [mtty])
    suites.patch.setattr(Driver, "line_of", lambda self, one: "mtty.yaml:1")
    # The tests lie in no folder of the suites here.
    names, tried = Expectation.names_test, Expectation.was_tried
    suites.patch.setattr(
        Expectation, "names_test", lambda self, test: names(self, f"suites/x/{test}")
    )
    suites.patch.setattr(
        Expectation,
        "was_tried",
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
    assert f"worse: mtty: {REOPEN}: - -> deviates: new" in done.printed
    both = suites._pytester.path / "both.yaml"
    both.write_text(
        (suites._pytester.path / "results/latest/results.yaml").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    assert suites.run(deviates, f"--baseline={both}").status == 0
    assert suites.run(deviates.replace('"new"', '"else"'), f"--baseline={both}").status == 1


class Dead:
    """A machine that has died, or complained, since its last call."""

    at_boot: tuple[Splat, ...] = ()
    slowness = 1.0

    def __init__(self, death: GuestLost | None = None, *faults: Splat) -> None:
        self._death, self._faults = death, faults

    def death(self) -> GuestLost | None:
        return self._death

    def faults(self) -> list[Splat]:
        return list(self._faults)

    def stop(self) -> None:
        pass


OOPS = Splat("oops", "BUG: unable to handle page fault", "mtty_late+0x1/0x2 [mtty]")


@pytest.mark.parametrize(
    ("machine", "status", "fingerprint"),
    [
        (Dead(None, OOPS), 1, OOPS.fingerprint),
        (Dead(GuestLost("the kernel died", OOPS)), 1, OOPS.fingerprint),
        (Dead(HostFailed("QEMU ended with status -9")), 2, ""),
        (Dead(), 0, ""),
    ],
)
def test_what_comes_after_the_last_call_is_the_last_tests(
    suites: Suites, monkeypatch: pytest.MonkeyPatch, machine: Dead, status: int, fingerprint: str
) -> None:
    prepare = suites._prepare

    def with_machine(run: Run) -> Prepared:
        run._machine, run._guest = machine, Answering()  # type: ignore[assignment]
        return prepare(run)

    monkeypatch.setattr(Run, "prepare", with_machine)
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


class Answering:
    """A guest of which no call is made."""

    loss = None


def test_a_choice_of_no_test_is_told_and_leaves_nothing(suites: Suites) -> None:
    suites.patch.setattr("fixtures.plugin.options._has_suites", lambda config: True)
    results = suites._pytester.path / "results"
    with pytest.raises(RunError, match="No such file"):
        suites.run("def test_it(): pass", "-k", "no_such")
    assert not results.exists() or not list(results.iterdir())


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
