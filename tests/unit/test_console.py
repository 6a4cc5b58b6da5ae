# SPDX-License-Identifier: GPL-2.0-only
"""What a console tells of: which of many complaints the machine died of."""

from __future__ import annotations

from pathlib import Path

from fixtures.machine.console import Console

AT_BOOT = "[    1.000000] WARNING: kernel/rcu/tree.c:1 at something_of_the_boot+0x1/0x2\n"
CASCADE = """\
[  194.630162] BUG: scheduling while atomic: python3/58/0x00000002
[  194.640000] Call Trace:
[  194.650000]  misbehave_atomic+0x1/0x2
[  195.120979] refcount_t: underflow; use-after-free.
[  195.121014] WARNING: lib/refcount.c:28 at refcount_warn_saturate+0x33/0x90, CPU#0: kworker/0:0/8
"""


def test_of_what_follows_from_one_another_the_first_is_the_fault(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    console.path.write_text(AT_BOOT)
    fault = console.fault()
    assert fault is not None
    assert fault.kind == "warning"  # a machine that does not come up has no other
    console.is_up()
    assert console.fault() is None
    console.path.write_text(AT_BOOT + CASCADE)
    fault = console.fault()
    assert fault is not None
    assert (fault.kind, fault.top) == ("atomic-sleep", ["misbehave_atomic"])
