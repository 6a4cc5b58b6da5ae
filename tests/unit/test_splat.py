# SPDX-License-Identifier: GPL-2.0-only
"""Splats from consoles, shortened.

In splats/, the *.log files are recordings; headlines.tsv has headlines from the kernel's sources.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fixtures import splat
from fixtures.headlines import HEADLINES
from fixtures.record.transcript import LOST

SPLATS = Path(__file__).with_name("splats")


def recorded(name: str) -> list[str]:
    return (SPLATS / name).read_text(encoding="utf-8").splitlines()


with (SPLATS / "headlines.tsv").open(encoding="utf-8", newline="") as table:
    EXAMPLES = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))

OOPS = """\
[    5.1] mtty: registered
[    5.2] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    5.2] #PF: supervisor write access in kernel mode
[    5.2] Oops: Oops: 0002 [#1] SMP
[    5.2] RIP: 0010:misbehave_oops+0x7/0x10 [vfio_misbehave]
[    5.2] Call Trace:
[    5.2]  <TASK>
[    5.2]  control_write+0x7e/0xa0 [vfio_misbehave]
[    5.2]  ? do_sys_openat2+0x94/0xd0
[    5.2]  full_proxy_write.isra.0+0x51/0x80
[    5.2]  vfs_write+0xaf/0x2e0
[    5.2] RIP: 0033:0x7f097a90b350
[    5.2] Kernel panic - not syncing: Fatal exception
[    5.2] ---[ end Kernel panic - not syncing: Fatal exception ]---
"""
REFCOUNT = """\
[    5.2] ------------[ cut here ]------------
[    5.2] refcount_t: addition on 0; use-after-free.
[    5.2] WARNING: lib/refcount.c:25 at refcount_warn_saturate+0x55/0x90, CPU#0: python3/57
[    5.2] RIP: 0010:refcount_warn_saturate+0x55/0x90
[    5.2] Call Trace:
[    5.2]  misbehave_refcount+0x30/0x40 [vfio_misbehave]
[    5.2]  control_write+0x7e/0xa0 [vfio_misbehave]
"""
LOCKUP = """\
[   18.3] watchdog: BUG: soft lockup - CPU#0 stuck for 13s! [python3:56]
[   18.3] RIP: 0010:misbehave_spin+0xa/0x10 [vfio_misbehave]
[   18.3] Kernel panic - not syncing: softlockup: hung tasks
"""
STACKS = """\
[   34.9] task:sshd            state:S stack:0     pid:53    tgid:53    ppid:38
[   34.9] Call Trace:
[   34.9]  schedule+0x23/0x70
[   34.9] task:python3         state:D stack:0     pid:56    tgid:56    ppid:53
[   34.9] Call Trace:
[   34.9]  <TASK>
[   34.9]  __schedule+0x2da/0x6c0
[   34.9]  schedule+0x23/0x70
[   34.9]  misbehave_block+0x51/0x60 [vfio_misbehave]
[   34.9]  ? completion_done+0x30/0x30
[   34.9]  control_write+0x7e/0xa0 [vfio_misbehave]
[   34.9] task:kworker/0:2     state:I stack:0     pid:45
"""


def only(text: str) -> splat.Splat:
    (found,) = splat.parse(text.splitlines())
    return found


@pytest.mark.parametrize(
    ("text", "kind", "headline", "top"),
    [
        (
            OOPS,
            "oops",
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
            ["misbehave_oops", "control_write", "full_proxy_write"],
        ),
        (
            REFCOUNT,
            "refcount",
            "refcount_t: addition on 0; use-after-free.",
            ["misbehave_refcount", "control_write"],
        ),
        (LOCKUP, "soft-lockup", "watchdog: BUG: soft lockup", ["misbehave_spin"]),
    ],
)
def test_one_fault_is_one_splat(text: str, kind: str, headline: str, top: list[str]) -> None:
    found = only(text)
    assert (found.kind, found.headline, found.top) == (kind, headline, top)


def test_the_fingerprint_is_that_of_the_functions_and_not_of_offsets_or_times() -> None:
    moved = OOPS.replace("+0x7/", "+0x9/").replace("[    5.2]", "[   77.0]")
    assert only(moved).fingerprint == only(OOPS).fingerprint
    elsewhere = OOPS.replace("misbehave_oops", "another_function")
    assert only(elsewhere).fingerprint != only(OOPS).fingerprint
    assert only(OOPS).fingerprint.startswith("oops-")


def test_a_splat_keeps_its_lines_and_no_others() -> None:
    assert only(OOPS).lines == OOPS.splitlines()[1:]


def test_two_faults_are_two_splats() -> None:
    found = splat.parse((REFCOUNT + LOCKUP).splitlines())
    assert [one.kind for one in found] == ["refcount", "soft-lockup"]


KASAN = """\
[   12.0] ==================================================================
[   12.0] BUG: KASAN: slab-use-after-free in vfio_df_close+0x1a/0x90 [vfio]
[   12.0] Call Trace:
[   12.0]  vfio_df_close+0x1a/0x90 [vfio]
[   12.1] ==================================================================
[   12.1] Disabling lock debugging due to kernel taint
"""


def test_an_oops_long_after_another_fault_is_one_of_its_own() -> None:
    later = OOPS.replace("[    5.", "[   90.")
    found = splat.parse((KASAN + later).splitlines())
    assert [one.kind for one in found] == ["kasan", "oops"]
    assert found[0].lines == KASAN.splitlines()[1:5]
    assert found[1].top == only(OOPS).top


def test_an_oops_is_what_kasan_reported_only_where_both_blame_one_place() -> None:
    at_once = OOPS.replace("[    5.", "[   12.")
    elsewhere = splat.parse((KASAN + at_once).splitlines())
    assert [one.kind for one in elsewhere] == ["kasan", "oops"]
    there = at_once.replace("misbehave_oops+0x7/0x10 [vfio_misbehave]", "vfio_df_close+0x1c/0x90")
    same = only(KASAN + there)
    assert same.kind == "kasan"
    assert same.lines[-1] == "[   12.2] ---[ end Kernel panic - not syncing: Fatal exception ]---"


def test_an_oops_is_the_same_where_kasan_is_the_first_to_tell() -> None:
    at_once = OOPS.replace("[    5.", "[   12.")
    there = at_once.replace("misbehave_oops+0x7/0x10 [vfio_misbehave]", "vfio_df_close+0x1c/0x90")
    told = KASAN.replace("slab-use-after-free", "null-ptr-deref")
    same = only(told + there)
    assert same.fingerprint == only(told).fingerprint
    assert same.kind == "oops"


def test_a_panic_long_after_a_warning_is_a_fault_of_its_own() -> None:
    warning = "[    1.0] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n[    1.0] Call Trace:\n"
    panic = "[   {}] Kernel panic - not syncing: Attempted to kill init!\n"
    kinds = [one.kind for one in splat.parse((warning + panic.format("9.0")).splitlines())]
    assert kinds == ["warning", "panic"]
    assert only(warning + panic.format("1.2")).kind == "warning"


def test_a_driver_that_has_the_core_trip_is_a_place_of_it() -> None:
    waits = OOPS.replace("misbehave_oops+0x7/0x10 [vfio_misbehave]", "_raw_spin_lock_irq+0x10/0x20")
    waits = waits.replace(
        "[    5.2]  control_write",
        "[    5.2]  __wait_for_common+0x27/0x170\n[    5.2]  wait_for_completion+0x1b/0x30\n"
        "[    5.2]  control_write",
    )
    assert "control_write" not in only(waits).top
    assert only(waits).places == [*only(waits).top, "control_write"]


def test_the_task_that_blocks_is_found_among_all() -> None:
    found = splat.blocked_task(STACKS.splitlines(), "python3")
    assert found is not None
    assert found.where == "misbehave_block+0x51/0x60"
    assert found.top == ["misbehave_block", "control_write"]
    assert splat.blocked_task(STACKS.splitlines(), "bash") is None


RUNS = """\
[  100.1] task:python3         state:R  running task     stack:0     pid:56
[  100.1] Call Trace:
[  100.1]  asm_sysvec_apic_timer_interrupt+0x16/0x20
[  100.1]  mtty_ioctl+0x7/0x20 [mtty]
"""
SLEEPS = RUNS.replace("state:R ", "state:S ")
STALE = "[  100.1]  ? mtty_ioctl+0x7/0x20 [mtty]\n"
IDLES = SLEEPS.replace("mtty_ioctl+0x7/0x20 [mtty]", "pipe_read+0x7/0x20") + STALE


@pytest.mark.parametrize("others", ["", IDLES])
@pytest.mark.parametrize("stack", [RUNS, SLEEPS])
def test_a_task_blocks_too_that_runs_or_sleeps_in_a_driver(others: str, stack: str) -> None:
    found = splat.blocked_task((others + stack).splitlines(), "python3")
    assert found is not None
    assert found.where == "mtty_ioctl+0x7/0x20"


def test_a_task_that_waits_for_something_to_do_does_not_block() -> None:
    assert splat.blocked_task(IDLES.splitlines(), "python3") is None


@pytest.mark.parametrize("line", recorded("ordinary.txt"))
def test_what_is_no_fault_is_none(line: str) -> None:
    assert splat.parse([f"[    1.0] {line}"]) == []


def test_a_boot_without_a_fault_has_none() -> None:
    assert splat.parse(recorded("boot-7.3.log")) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one["line"][:40])
def test_each_kind_is_known_by_its_headline(example: dict[str, str]) -> None:
    found = only(f"[    1.0] {example['line']}")
    assert found.kind == example["kind"]
    # A reproducer recognises the splat by the part that never changes.
    shown = splat.SPLAT.search(found.headline)
    assert shown is not None
    assert shown[0] in example["line"]


def test_a_headline_does_not_say_who_was_running_where() -> None:
    place = "at drivers/vfio/vfio_main.c:1 vfio_df_close+0x1/0x2 [vfio]"
    found = only(f"[    1.0] WARNING: CPU: 0 PID: 56 {place}")
    assert found.headline == f"WARNING: {place}"
    found = only(f"[    1.0] WARNING: {place}, CPU#0: python3/56")
    assert found.headline == f"WARNING: {place}"


def test_each_headline_has_an_example() -> None:
    found = [splat.SPLAT.find(example["line"]) for example in EXAMPLES]
    assert {one[0] for one in found if one} == set(HEADLINES)


@pytest.mark.parametrize(
    ("name", "kind", "fingerprint"),
    [
        ("oops-7.3.log", "oops", "oops-7ee3ac36"),
        ("refcount-7.3.log", "refcount", "refcount-8288954c"),
    ],
)
def test_a_recorded_report_has_the_fingerprint_that_results_have(
    name: str, kind: str, fingerprint: str
) -> None:
    (found,) = splat.parse(recorded(name))
    assert (found.kind, found.fingerprint) == (kind, fingerprint)
    assert not any("iommu group" in line for line in found.lines)


def trace(*functions: str, at: float = 1.0) -> str:
    """Return a stack trace as dump_stack() prints it."""
    lines = ["CPU: 0 UID: 0 PID: 56 Comm: python3 Not tainted 7.3.4 #1 PREEMPT", "Call Trace:"]
    lines += [" <TASK>", " dump_stack_lvl+0x4d/0x70"]
    lines += [f" {name}+0x1/0x90" for name in functions] + [" </TASK>"]
    return stamped(*lines, at=at)


def stamped(*lines: str, at: float = 1.0, caller: str = "") -> str:
    return "".join(f"[{at:12.6f}]{caller} {line}\n" for line in lines)


def kinds(text: str) -> list[str]:
    return [one.kind for one in splat.parse(text.splitlines())]


CUT, END = "------------[ cut here ]------------", "---[ end trace 0000000000000000 ]---"
WARNING = "WARNING: a.c:1 at {0}+0x1/0x2, CPU#0: python3/56"


def warned(function: str, *before: str, at: float = 1.0) -> str:
    head = stamped(CUT, *before, WARNING.format(function), at=at)
    return head + trace(function, at=at) + stamped(END, at=at)


def test_what_a_warning_says_in_its_own_words_is_a_line_of_it() -> None:
    said = "a device has no driver"
    assert said in "\n".join(only(warned("f", said)).lines)
    # If the words themselves have a known kind, the WARNING and its trace belong to that splat.
    for words in (
        "refcount_t: underflow; use-after-free.",
        "list_del corruption, ffff888001e37e00->next is NULL",
        "ODEBUG: free active (active state 0) object: 0 object type: timer_list hint: 0x0",
        "memcpy: detected field-spanning write (size 9) of single field",
        "VFS: Busy inodes after unmount of a (a)",
        "DMA-API: mtty mtty: device driver frees DMA memory with different size",
        "BUG kmalloc-64 (Not tainted): Object already free",
        "CFI failure at f+0x1/0x2 (no target information)",
    ):
        found = only(warned("f", words))
        assert found.headline == words
        assert found.top == ["f"]


@pytest.mark.parametrize(
    "words",
    [
        "usercopy: Kernel memory exposure attempt detected from null address (offset 0, size 9)!",
        "list_del corruption, ffff888001e37e00->next is NULL",
        "Missing ENDBR: f+0x0/0x10",
    ],
)
def test_what_a_bug_says_in_its_own_words_names_it(words: str) -> None:
    bug = stamped(words, CUT, "kernel BUG at a.c:1!", "Oops: invalid opcode: 0000 [#1] SMP")
    bug += stamped("RIP: 0010:f+0x1/0x2") + trace("g") + stamped(END)
    found = only(bug + stamped("Kernel panic - not syncing: Fatal exception"))
    assert found.headline == words
    assert found.top == ["f", "g"]


def test_a_warning_and_the_bug_that_it_comes_before_are_one_fault() -> None:
    words = "memcpy: detected buffer overflow: 9 byte write of buffer size 8"
    report = stamped(CUT, words, WARNING.format("__fortify_report"))
    report += stamped("RIP: 0010:__fortify_report+0x1/0x2")
    report += trace("__fortify_panic", "mtty_write") + stamped(END)
    bug = stamped(CUT, "kernel BUG at lib/string_helpers.c:1!")
    bug += stamped("Oops: invalid opcode: 0000 [#1] SMP", "RIP: 0010:__fortify_panic+0x1/0x2")
    bug += trace("mtty_write") + stamped(END)
    assert only(report + bug).headline == words
    assert only(report + bug).top == ["mtty_write"]
    assert kinds(report + bug.replace("mtty_write", "another")) == ["fortify", "bug"]


def test_a_fault_that_is_like_the_one_before_is_another_one() -> None:
    refcount = warned("g", "refcount_t: underflow; use-after-free.", at=1.1)
    found = splat.parse((warned("f") + refcount).splitlines())
    assert [one.kind for one in found] == ["warning", "refcount"]
    assert [one.top for one in found] == [["f"], ["g"]]
    hung = "INFO: task {}:60 blocked for more than 10 seconds."
    assert kinds(stamped(hung.format("a")) + stamped(hung.format("b"))) == ["hung-task"] * 2
    slept = "BUG: sleeping function called from invalid context at a.c:1"
    twice = stamped(slept) + trace("f") + stamped(slept) + trace("g")
    assert kinds(twice) == ["atomic-sleep"] * 2
    leak = "unreferenced object 0xff11000006feb000 (size 1024):\n  backtrace (crc 6c6c6855):\n"
    lost = splat.parse(f"{leak}    f+0x1/0x2\n{leak}    g+0x1/0x2\n".splitlines())
    assert [one.top for one in lost] == [["f"], ["g"]]


def test_what_a_report_adds_after_its_trace_is_a_part_of_it() -> None:
    twice = "sysfs: cannot create duplicate filename '/a'"
    failed = "kobject: kobject_add_internal failed for {} with -EEXIST, don't try to register"
    duplicate = stamped(twice) + trace("sysfs_warn_dup", "kobject_add", "device_add", "mtty_init")
    assert only(duplicate + stamped(failed.format("a"))).top == ["mtty_init"]
    both = duplicate + stamped(failed.format("a"))
    assert kinds(both + both) == ["duplicate"] * 2
    killed = stamped("python3 invoked oom-killer: gfp_mask=0xcc0") + trace("f")
    killed += stamped("oom-kill:constraint=CONSTRAINT_NONE")
    assert kinds(killed + stamped("Out of memory: Killed process 56 (python3)")) == ["memory"]
    hung = stamped("INFO: task a:1 blocked for more than 10 seconds.") + trace("f")
    assert kinds(hung + stamped("INFO: task a:1 is blocked on a mutex likely owned by")) == [
        "hung-task"
    ]


def test_an_interrupt_is_blamed_on_who_should_have_cared() -> None:
    def report(interrupted: str) -> splat.Splat:
        text = stamped('irq 16: nobody cared (try booting with the "irqpoll" option)')
        text += stamped(f"RIP: 0010:{interrupted}+0x1/0x2") + trace("note_interrupt", interrupted)
        text += stamped("handlers:", "[<00000000a1b2c3d4>] mtty_interrupt [mtty]")
        return only(text + stamped("Disabling IRQ #16"))

    assert report("f").top == ["mtty_interrupt"]
    assert report("f").fingerprint == report("g").fingerprint


def test_a_panic_follows_from_a_fault_only_where_it_says_so() -> None:
    panic = "Kernel panic - not syncing: "
    assert kinds(warned("f") + stamped(panic + "kernel: panic_on_warn set ...")) == ["warning"]
    assert kinds(warned("f") + stamped(panic + "misbehave: as commanded")) == ["warning", "panic"]


def test_a_line_that_is_a_report_by_itself_takes_nothing_with_it() -> None:
    fault = "DMAR: [DMA Read NO_PASID] Request device [0000:03:00.1] fault addr 0x{} [fault reason"
    two = stamped(fault.format("1000"), fault.format("2000"))
    assert kinds(two + warned("f")) == ["dma", "dma", "warning"]


def test_without_a_trace_the_words_tell_one_fault_from_another() -> None:
    def name(line: str) -> str:
        return only(stamped(line)).fingerprint

    fault = "DMAR: [DMA {0} NO_PASID] Request device [0000:03:00.1] fault addr 0x{1} [fault reason"
    assert name(fault.format("Read", "fffff000")) == name(fault.format("Read", "1000"))
    assert name(fault.format("Read", "fffff000")) != name(fault.format("Write", "fffff000"))
    panic = "Kernel panic - not syncing: "
    assert name(panic + "a") != name(panic + "b")


def test_a_trace_without_a_word_before_it_is_read_as_well() -> None:
    report = stamped("BUG: KFENCE: use-after-free read in f+0x1/0x2", " f+0x1/0x2", " g+0x1/0x2")
    assert only(report).top == ["f", "g"]


UNKNOWN = stamped("mtty: the hinge of the door is loose") + trace("mtty_ioctl")


def test_a_report_of_a_kind_that_is_not_known_is_known_by_its_stack() -> None:
    found = only(UNKNOWN)
    assert (found.kind, found.headline) == ("complaint", "mtty: the hinge of the door is loose")
    assert found.top == ["mtty_ioctl"]
    # A trace after a headline belongs to that headline, not to a new splat.
    for before in ("BUG: spinlock bad magic on CPU#0, python3/56", "WARNING: Nested lock was not"):
        assert only(stamped(before) + trace("f")).top == ["f"]
    nested = stamped("WARNING: Nested lock was not taken") + trace("f")
    assert kinds(nested + stamped("stack backtrace:") + trace("f")) == ["lockdep"]
    assert kinds(warned("f") + UNKNOWN) == ["warning", "complaint"]


@pytest.mark.parametrize(
    "before",
    [
        "FAULT_INJECTION: forcing a failure.\n[    1.000000] name failslab, interval 1, times 1",
        "python3: vmalloc error: size 8192, failed to allocate pages, mode:0xcc0(GFP_KERNEL)",
        "percpu: allocation failed, size=8 align=8 atomic=0, alloc from reserved chunk failed",
        "slab_common: __kmem_cache_create_args(mtty) failed with error -12",
        "sysrq: Show backtrace of all active CPUs",
    ],
)
def test_a_stack_that_no_fault_has_the_kernel_show_is_none(before: str) -> None:
    assert kinds(stamped(before) + trace("f")) == []
    assert only(warned("g") + stamped(before) + trace("f")).top == ["g"]


@pytest.mark.parametrize(
    "words", [LOST, "** 12 printk messages dropped **"], ids=["by-the-agent", "by-the-console"]
)
def test_a_report_whose_beginning_is_lost_is_one_all_the_same(words: str) -> None:
    rest = trace("mtty_ioctl") + stamped(END)
    found = only(f"{words}\n{rest}")
    assert (found.kind, found.headline) == ("complaint", splat.LOST_HEADLINE)
    assert found.top == ["mtty_ioctl"]
    traced = rest[rest.index("[", 1) :]
    assert only(f"{words}\n{traced}").top == ["mtty_ioctl"]
    # Lines after the gap do not belong to a report that began before it.
    both = splat.parse(f"{stamped('BUG: KASAN: x in f+0x1/0x2')}{words}\n{rest}".splitlines())
    assert [one.top for one in both] == [[], ["mtty_ioctl"]]
    assert both[1].headline == splat.LOST_HEADLINE
    # A log that begins in the middle of a report: its headline came earlier.
    assert splat.parse(rest.splitlines()) == []


def test_what_a_program_prints_on_the_console_is_none_of_it() -> None:
    printed = "BUG: KASAN: so says a program\n"
    assert splat.parse((stamped("mtty: registered") + printed).splitlines()) == []
    report = warned("f").splitlines()
    found = only("\n".join([*report[:3], "Accepted publickey for root", *report[3:]]))
    assert found.lines == report
    unfinished = only("Accepted publ" + "\n".join(report))
    assert unfinished.lines == report


def test_what_two_processors_say_is_told_apart_by_the_caller() -> None:
    one = [line.replace("] ", "][   T56] ", 1) for line in warned("f").splitlines()]
    other = [line.replace("] ", "][    C1] ", 1) for line in warned("g").splitlines()]
    mixed = [line for pair in zip(one, other, strict=True) for line in pair]
    assert [found.top for found in splat.parse(mixed)] == [["f"], ["g"]]
    # Without a caller in the lines both splats are still found.
    assert kinds(stamped("BUG: KASAN: x in f+0x1/0x2") + warned("g")) == ["kasan", "warning"]


def test_a_line_without_an_end_takes_no_time() -> None:
    for words in ("DMAR: [", "INFO: task ", "Oops ", "BUG x ", "a "):
        assert len(splat.parse([f"[    1.000000] {words * 100000}"])) <= 1
