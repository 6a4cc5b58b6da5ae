# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's selftests: their output read, and held against what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.errors import BuildError, DescriptionError, SpecError
from fixtures.kernel import parse, selftests
from fixtures.kernel.selftests import Selftests
from fixtures.progress import Progress
from tests.unit.tools import needs
from workflows import skips, tap
from workflows.selftests import failures, main
from workflows.skips import Expected, ExpectedSkip, Judgement, KnownFailure, Problem

# As vfio_pci_device_test printed it on 7.3.4, with one assertion of its own that fails.
OUTPUT = """\
TAP version 13
1..4
# Starting 4 tests from 4 test cases.
#  RUN           vfio_pci_device_test.config_space_read_write ...
Vendor: 1b36, Device: 0010
# vfio_pci_device_test.c:80:config_space_read_write:Expected 0 (0) != command & 4 (4)
# config_space_read_write: Test terminated by assertion
#          FAIL  vfio_pci_device_test.config_space_read_write
not ok 1 vfio_pci_device_test.config_space_read_write
#  RUN           vfio_pci_device_test.reset ...
#            OK  vfio_pci_device_test.reset
ok 2 vfio_pci_device_test.reset
#  RUN           vfio_pci_irq_test.msi.enable_trigger_disable ...
#      SKIP      MSI: not supported

#            OK  vfio_pci_irq_test.msi.enable_trigger_disable
ok 3 vfio_pci_irq_test.msi.enable_trigger_disable # SKIP MSI: not supported

#  RUN           vfio_pci_irq_test.msix.enable_trigger_disable ...
MSI-x: enabled 5 interrupts
#            OK  vfio_pci_irq_test.msix.enable_trigger_disable
ok 4 vfio_pci_irq_test.msix.enable_trigger_disable
# FAILED: 3 / 4 tests passed.
# 1 skipped test(s) detected. Consider enabling relevant config options to improve coverage.
# Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:0
"""
GOOD = OUTPUT.replace("not ok", "ok")
PROGRAM = "vfio_pci_device_test"
MSI = "vfio_pci_irq_test.msi.enable_trigger_disable"
SKIP = ExpectedSkip.model_validate(
    {"program": PROGRAM, "test": MSI, "says": "MSI: not", "number": 1, "reason": "MSI-X only"}
)
FAILS = KnownFailure(
    device="mlx5",
    program=PROGRAM,
    test="*.config_space_*",
    says="Expected 0 (0) != command",
    kernels=(">=6.12,<6.13", ">=7.3"),
    reason="because",
)


def judge(
    output: str = GOOD,
    status: int = 0,
    rules: Expected | None = None,
    *,
    kind: str = "mlx5",
    release: str = "7.3.4",
    others: tuple[Problem, ...] = (),
) -> Judgement:
    rules = rules or Expected(skips=(SKIP,), known=())
    return skips.judge(kind, release, {PROGRAM: tap.read(output, status)}, others, rules)


def whole(output: str, status: int) -> list[str]:
    """Return the first line of each failure of the program as a whole."""
    failures = tap.read(output, status).failures()
    return [one.lines[0] for one in failures if not one.test]


def test_results_are_counted_and_skips_have_reasons() -> None:
    report = tap.read(GOOD, 0)
    assert (report.passed, report.planned) == (3, 4)
    assert report.skips == [(MSI, "MSI: not supported")]
    assert not list(report.failures())


def test_a_failure_comes_with_what_was_printed_for_it() -> None:
    (failure,) = tap.read(OUTPUT, 1).failures()
    assert failure.test == "vfio_pci_device_test.config_space_read_write"
    assert failure.lines[0] == "Vendor: 1b36, Device: 0010"
    assert "Expected 0 (0) != command & 4 (4)" in failure.lines[1]


@pytest.mark.parametrize(
    ("output", "status", "said"),
    [
        (GOOD, 1, ["it ended with status 1 after 4 of 4 sub-tests"]),
        (GOOD, -11, ["it ended with signal 11 after 4 of 4 sub-tests"]),
        (OUTPUT, 0, ["it ended with status 0 after 4 of 4 sub-tests, some of which failed"]),
        (GOOD.replace("1..4", "1..5"), 0, ["it ended with status 0 after 4 of 5 sub-tests"]),
        (OUTPUT.replace("1..4", "1..5"), 1, ["it ended with status 1 after 4 of 5 sub-tests"]),
        ("", 0, ["it ended with status 0 and printed no plan"]),
        ("sh: not found\n", 127, ["it ended with status 127 after 0 of 0 sub-tests"]),
        (OUTPUT, 1, []),
        ("1..0 # SKIP no SR-IOV\n", 4, []),
    ],
)
def test_status_and_plan_must_fit_the_results(output: str, status: int, said: list[str]) -> None:
    assert whole(output, status) == said


def test_a_failure_before_a_skip_of_the_program_counts() -> None:
    assert [one.test for one in tap.read(OUTPUT, 4).failures()]


@pytest.mark.parametrize(
    "output", ["1..0 # SKIP No driver found\n", "TAP version 13\nNo driver found\n"]
)
def test_a_program_that_skips_says_why(output: str) -> None:
    assert tap.read(output, 4).skips == [("", "No driver found")]


def test_an_xfail_is_a_skip_of_its_own_kind() -> None:
    output = "1..1\nok 1 a.b # XFAIL too slow\n"
    assert tap.read(output, 0).skips == [("a.b", "XFAIL too slow")]


def test_the_expected_skips_are_no_problem() -> None:
    judged = judge()
    assert (judged.passed, judged.skipped, judged.problems) == (3, 1, [])


def test_a_skip_without_a_rule_is_a_problem() -> None:
    (problem,) = judge(rules=Expected(skips=(), known=())).problems
    assert problem.where == f"{PROGRAM}: {MSI}"
    assert problem.lines == ("it skips, which is not expected: MSI: not supported",)


@pytest.mark.parametrize("change", [{"says": "no room"}, {"but_not_on": ("mlx5",)}])
def test_a_rule_is_for_one_reason_and_some_devices(change: dict[str, object]) -> None:
    rules = Expected(skips=(SKIP.model_copy(update=change),), known=())
    assert "not expected" in str(judge(rules=rules).problems)


def test_another_number_of_skips_is_a_problem() -> None:
    output = GOOD.replace(" # SKIP MSI: not supported", "")
    (problem,) = judge(output).problems
    assert problem.lines == ("0 skips, 1 expected: MSI-X only",)


def test_a_program_that_failed_need_not_come_to_its_skips() -> None:
    lines = OUTPUT.splitlines()[:9]
    problems = judge("\n".join(lines), -11).problems
    assert not [one for one in problems if "expected" in one.lines[0]]


@pytest.mark.parametrize(
    ("kind", "release", "is_known"),
    [
        ("mlx5", "7.3.4", True),
        ("mlx5", "6.12.1", True),
        ("mlx5", "7.1", False),
        ("qat", "7.3", False),
    ],
)
def test_a_known_failure_is_of_one_device_and_some_kernels(
    kind: str, release: str, is_known: bool
) -> None:
    rules = Expected(skips=(SKIP,), known=(FAILS,))
    judged = judge(OUTPUT, 1, rules, kind=kind, release=release)
    assert bool(judged.known) is is_known
    assert bool(judged.problems) is not is_known


def test_a_known_failure_that_does_not_come_is_a_problem() -> None:
    (problem,) = judge(rules=Expected(skips=(SKIP,), known=(FAILS,))).problems
    assert "is known to fail" in problem.lines[0]


def test_a_known_failure_need_not_come_where_its_program_did_not_run() -> None:
    rules = Expected(skips=(), known=(FAILS.model_copy(update={"program": "another"}),))
    assert "known to fail" not in str(judge(rules=rules).problems)


def test_a_device_that_cannot_be_had_may_be_known() -> None:
    refused = Problem("", "", ("it does not bind to 0000:01:00.1",))
    known = FAILS.model_copy(update={"program": "", "test": "", "says": "it does not bind"})
    rules = Expected(skips=(), known=(known,))
    judged = skips.judge("mlx5", "7.3.4", {}, [refused], rules)
    assert (len(judged.known), judged.problems) == (1, [])
    assert skips.judge("mlx5", "7.3.4", {}, [], rules).problems


def test_a_program_may_be_for_some_kernels_only() -> None:
    rules = skips.expected()
    assert "vfio_pci_sriov_uapi_test" in rules.not_for("6.12.117")
    assert not rules.not_for("7.3.4")


def test_of_manyfailures_of_a_program_the_first_few_are_shown() -> None:
    problems = [Problem(PROGRAM, f"a.{number}", ("why",)) for number in range(9)]
    shown = list(failures("mlx5", [*problems, Problem("", "", ("a leak",))]))
    assert shown[:2] == [f"mlx5: {PROGRAM}: a.0: fails:", "    why"]
    assert f"mlx5: {PROGRAM}: 6 more failures: see mlx5/{PROGRAM}.log" in shown
    assert "    a leak" in shown
    assert len(shown) == 2 * 4 + 1


def test_a_known_failure_covers_no_other() -> None:
    other = Problem(PROGRAM, "", ("the kernel complains: BUG",))
    judged = judge(OUTPUT, 1, Expected(skips=(SKIP,), known=(FAILS,)), others=(other,))
    assert (len(judged.known), judged.problems) == (1, [other])


def test_the_file_of_what_is_expected_is_valid() -> None:
    assert {rule.program for rule in skips.expected().skips}


def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "selftests.yaml"
    path.write_text(
        "skips:\n  - program: a\n    says: b\n    number: 0\n    reason: c\nknown: []\n",
        encoding="utf-8",
    )
    with pytest.raises(DescriptionError, match=r"selftests\.yaml:4: skips\.0\.number"):
        skips.expected(path)


@pytest.mark.parametrize("drivers", ["mtty", "mtty,region2019"])
def test_a_driver_without_a_pci_function_has_no_part(drivers: str) -> None:
    with pytest.raises(SpecError, match="has no PCI function, and so no part in"):
        main([f"--drivers={drivers}"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--drivers=mlx6"], "mlx6: no such driver"),
        (["--flavour=sweet"], "FLAVOUR=sweet: there are"),
        (["--drivers=mlx5", "--kernel=/nowhere"], "/nowhere: no such folder"),
    ],
)
def test_a_wrong_name_is_told_in_a_line(options: list[str], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        main(options)


# A tree that is one as far as the build of the selftests goes.
TREE = {
    "Kbuild": "",
    "Kconfig": "",
    "include/uapi/linux/vfio.h": "",
    "drivers/vfio/vfio_main.c": "",
    "Makefile": "headers:\n\tmkdir -p $(O)/usr/include && echo 1 >$(O)/usr/include/it.h\n",
    f"{selftests.FOLDER}/Makefile": (
        "all:\n\tcp a_test $(OUTPUT) && cp a_test.o $(OUTPUT)\n"
        "\tcp $(subst -isystem ,,$(KHDR_INCLUDES))/it.h $(OUTPUT)/$(firstword $(LDFLAGS))_test\n"
        "\tchmod +x $(OUTPUT)/*_test\n"
    ),
    f"{selftests.FOLDER}/a_test": "#!/bin/sh\n",
    f"{selftests.FOLDER}/a_test.o": "",
}


def a_tree(folder: Path, *, without: str = "nothing") -> Path:
    for name, text in TREE.items():
        if not name.startswith(without):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def built(tree: Path) -> Selftests:
    return selftests.provide(parse(str(tree)), Progress())


@pytest.fixture
def in_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@needs("make", "gcc", "ld")
@pytest.mark.usefixtures("in_a_cache")
def test_they_are_built_again_only_after_an_edit_of_theirs(tmp_path: Path) -> None:
    tree = a_tree(tmp_path / "linux")
    first = built(tree)
    assert first.programs == ["-static_test", "a_test"]
    assert not (tree / "usr").exists()
    (tree / "drivers/vfio/vfio_main.c").write_text("int x;", encoding="utf-8")
    assert built(tree) == first
    (tree / "include/uapi/linux/vfio.h").write_text("int x;", encoding="utf-8")
    assert built(tree) != first


@needs("make", "gcc", "ld")
@pytest.mark.usefixtures("in_a_cache")
def test_a_tree_without_them_gets_those_of_the_newest_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = a_tree(tmp_path / "old", without="tools")
    new = a_tree(tmp_path / "new")
    monkeypatch.setattr(selftests, "DebianSpec", lambda *_: parse(str(new)))
    assert built(old).spec == str(new)
    assert f"{old} has no {selftests.FOLDER}" in capsys.readouterr().err


@needs("make", "gcc", "ld")
@pytest.mark.usefixtures("in_a_cache")
def test_what_does_not_compile_is_told_in_a_line(tmp_path: Path) -> None:
    tree = a_tree(tmp_path / "linux")
    broken = "all:\n\t@echo 'a_test.c:1: error: no semicolon'; exit 1\n"
    (tree / selftests.FOLDER / "Makefile").write_text(broken, encoding="utf-8")
    with pytest.raises(BuildError, match=r"do not compile: a_test\.c:1: error: no semicolon$"):
        built(tree)


def test_a_build_folder_leads_to_its_sources(tmp_path: Path) -> None:
    tree, build = a_tree(tmp_path / "linux"), tmp_path / "build"
    build.mkdir()
    (build / ".config").touch()
    assert selftests.sources_of(parse(str(build))) is None
    (build / "source").symlink_to(tree)
    assert selftests.sources_of(parse(str(build))) == parse(str(tree))
