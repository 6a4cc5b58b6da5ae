# SPDX-License-Identifier: GPL-2.0-only
"""What kernels say of their faults, as consoles had it, shortened."""

from __future__ import annotations

import pytest

from fixtures import splat

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
    # That which KASAN has just told of may be what the processor trips over next.
    at_once = OOPS.replace("[    5.", "[   12.")
    assert [one.kind for one in splat.parse((KASAN + at_once).splitlines())] == ["kasan"]


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


@pytest.mark.parametrize(
    "line",
    [
        "virtme-ng-init: WARNING: failed to run systemd-tmpfiles",
        "hisi_acc_vfio_pci 0000:03:00.1: Hardware bug: VF reports bogus INTx pin 1",
        "ACPI: LAPIC_NMI (acpi_id[0xff] dfl dfl lint[0x1])",
        "vfio_double: loading out-of-tree module taints kernel.",
        "DMA-API: preallocated 65536 debug entries",
        "DMA-API: debugging enabled by kernel config",
        "kfence: initialized - using 2097152 bytes for 255 objects",
        "SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=1, Nodes=1",
        "rcu: Preemptible hierarchical RCU implementation.",
        "ODEBUG: selftest passed",
        "mlx5_core 0000:02:00.1: DEBUG: nothing is wrong",
        "Freeing unused kernel image (initmem) memory: 2048K",
        "clocksource: Switched to clocksource tsc",
        "Warning: unable to open an initial console.",
        "kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)",
    ],
)
def test_what_is_no_fault_is_none(line: str) -> None:
    assert splat.parse([f"[    1.0] {line}"]) == []


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("BUG: KASAN: slab-use-after-free in misbehave_freed+0x50/0x60 [vfio_misbehave]", "kasan"),
        ("BUG: sleeping function called from invalid context at mm/slab.h:1", "atomic-sleep"),
        ("BUG: scheduling while atomic: python3/56/0x00000002", "atomic-sleep"),
        ("WARNING: possible circular locking dependency detected", "lockdep"),
        ("INFO: task python3:60 blocked for more than 10 seconds.", "hung-task"),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu-stall"),
        ("list_del corruption. prev->next should be 1, but was 2", "list"),
        ("DMA-API: mlx5_vfio_pci 0000:02:00.1: device driver frees DMA memory with", "dma"),
        ("DMAR: [DMA Write] Request device [03:00.1] fault addr 0x0", "dma"),
        ("Out of memory: Killed process 56 (python3)", "memory"),
        ("kernel BUG at mm/slub.c:1!", "bug"),
        ("WARNING: CPU: 0 PID: 1 at drivers/vfio/vfio_main.c:1 f+0x1/0x2", "warning"),
        ("Kernel panic - not syncing: misbehave: as commanded", "panic"),
        # mm/slub.c, kernel/irq/spurious.c, fs/sysfs/dir.c, lib/kobject.c
        ("BUG kmalloc-64 (Tainted: G    B      O      ): Poison overwritten", "slab"),
        ("BUG kmalloc-64 (Not tainted): Left Redzone overwritten", "slab"),
        ("BUG vfio (Not tainted): Objects remaining on __kmem_cache_shutdown()", "slab"),
        ('irq 16: nobody cared (try booting with the "irqpoll" option)', "irq"),
        ("sysfs: cannot create duplicate filename '/devices/virtual/mtty/mtty'", "duplicate"),
        (
            "kobject: kobject_add_internal failed for mtty with -EEXIST, don't try to register",
            "duplicate",
        ),
        # lib/debugobjects.c, lib/string_helpers.c, mm/usercopy.c, kernel/cfi.c
        ("ODEBUG: free active (active state 0) object: 0 object type: timer_list", "debug-object"),
        ("memcpy: detected buffer overflow: 9 byte write of buffer size 8", "fortify"),
        ("memcpy: detected field-spanning write (size 9) of single field", "fortify"),
        ("usercopy: Kernel memory exposure attempt detected from SLUB object 'x'!", "usercopy"),
        ("CFI failure at mtty_ioctl+0x1/0x2 [mtty] (target: f+0x0/0x1; expected type: 0x1)", "cfi"),
        ("Missing ENDBR: mtty_ioctl+0x0/0x1 [mtty]", "cfi"),
        ("invalid opcode: 0000 [#1] PREEMPT SMP", "oops"),
        ("traps: PANIC: double fault, error_code: 0x0", "oops"),
        ("bad: scheduling from the idle thread!", "atomic-sleep"),
        ("rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... }", "rcu-stall"),
        ("BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!", "complaint"),
        ("VFS: Busy inodes after unmount of debugfs (debugfs)", "busy-inodes"),
    ],
)
def test_each_kind_is_known_by_its_headline(line: str, kind: str) -> None:
    assert only(f"[    1.0] {line}").kind == kind
