# SPDX-License-Identifier: GPL-2.0-only
"""A guest's output is only text for the host, also if the kernel's own script decodes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.kernel import Kernel
from fixtures.kernel.decode import decode

# How scripts/decode_stacktrace.sh of 7.3 looks up a symbol and evaluates arithmetic.
SCRIPT = r"""
while read -r line; do
    echo "$line"
    read -ra words <<<"$line"
    symbol=${words[-1]}
    [[ $symbol != "[mtty]" ]] || symbol=${words[-2]#*:}
    name=${symbol%+*}
    address=$(printf '1 t mtty_ioctl\n1 t x\n' | awk '$3 == "'$name'" {print $1; exit}')
    [[ $address ]] || continue
    expr=${symbol%/*}
    offset=${expr#*+}
    offset=$((offset))
done
"""
HONEST = [
    "[    1.000000] RIP: 0010:mtty_ioctl.isra.0+0x1f/0x2a0 [mtty]",
    "[    1.000000]  (mtty_ioctl+0x1f/0x2a0)",
    "[    1.000000]  ? mtty_ioctl+0x1f/0x2a0",
]


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    build, folder = tmp_path / "build", tmp_path / "kernel"
    (build / "source" / "scripts").mkdir(parents=True)
    (build / "source" / "scripts" / "decode_stacktrace.sh").write_text(SCRIPT, encoding="utf-8")
    (build / "vmlinux").touch()
    (build / "arch/x86/boot").mkdir(parents=True)
    folder.mkdir()
    for image in (build / "arch/x86/boot/bzImage", folder / "bzImage"):
        image.write_text("the same", encoding="utf-8")
    (folder / "config").write_text("CONFIG_DEBUG_INFO=y\n", encoding="utf-8")
    return Kernel("x", "7.3.4", folder, (), {}, {}, build)


@pytest.mark.parametrize(
    "hostile",
    [
        'x"||system(">{0}")||"y+0x1/0x2',
        "x+a[$(touch>{0})0]/0x10",
        "x+a[`touch>{0}`0]/0x10",
    ],
)
def test_a_line_of_a_trace_runs_no_command(kernel: Kernel, tmp_path: Path, hostile: str) -> None:
    mark = tmp_path / "mark"
    decoded = decode(kernel, [*HONEST, f"[    1.1]  {hostile.format(mark)}", *HONEST])
    assert not mark.exists()
    assert decoded[: len(HONEST)] == decoded[-len(HONEST) :] == HONEST
