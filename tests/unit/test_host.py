# SPDX-License-Identifier: GPL-2.0-only
"""How much of the host may be used, with /proc and /sys as a container sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures import host
from fixtures.plugin import running

GIB = 1 << 30
V1 = "31 30 0:26 {within} {mounted} rw,relatime - cgroup cgroup rw,{controllers}\n"
V2 = "30 23 0:25 {within} {mounted} rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"


def files(root: Path, texts: dict[str, str]) -> Path:
    """Write ``texts`` to files in ``root``, on a host with 64 GiB of free memory."""
    memory = {"proc/meminfo": "MemTotal: 1 kB\nMemAvailable: 67108864 kB\n"}
    for name, text in (memory | texts).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(autouse=True)
def _many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


def test_without_limits_all_is_there(tmp_path: Path) -> None:
    files(tmp_path, {})
    assert host.cores(tmp_path) == 64
    assert host.memory(tmp_path) == 64 * GIB


def test_affinity_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5})
    assert host.cores(files(tmp_path, {})) == 2


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 64), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1)],
)
def test_version_2_in_a_container(tmp_path: Path, quota: str, cores: int) -> None:
    group = "sys/fs/cgroup"
    files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2.format(within="/", mounted="/sys/fs/cgroup"),
            f"{group}/cpu.max": f"{quota}\n",
            f"{group}/memory.max": f"{4 * GIB}\n",
            f"{group}/memory.high": "max\n",
            f"{group}/memory.current": f"{3 * GIB}\n",
            # Page cache, for instance from a build, counts as available memory.
            f"{group}/memory.stat": f"anon {GIB}\ninactive_file {GIB}\nactive_file {GIB}\n",
        },
    )
    assert host.cores(tmp_path) == cores
    assert host.memory(tmp_path) == 3 * GIB


def test_a_group_above_limits_too(tmp_path: Path) -> None:
    files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/ci.slice/job.service\n",
            "proc/self/mountinfo": V2.format(within="/", mounted="/sys/fs/cgroup"),
            "sys/fs/cgroup/ci.slice/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/ci.slice/memory.max": f"{8 * GIB}\n",
            "sys/fs/cgroup/ci.slice/job.service/cpu.max": "max 100000\n",
            "sys/fs/cgroup/ci.slice/job.service/memory.max": "max\n",
        },
    )
    assert host.cores(tmp_path) == 3
    assert host.memory(tmp_path) == 8 * GIB


def test_version_1_in_a_container_that_sees_its_own_group_only(tmp_path: Path) -> None:
    job = "/docker/0123"
    mounts = V1.format(within=job, mounted="/sys/fs/cgroup/cpu,cpuacct", controllers="cpu,cpuacct")
    mounts += V1.format(within=job, mounted="/sys/fs/cgroup/memory", controllers="memory")
    files(
        tmp_path,
        {
            "proc/self/cgroup": f"4:memory:{job}\n3:cpu,cpuacct:{job}\n1:name=x:{job}\n0::/\n",
            "proc/self/mountinfo": mounts,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/memory.stat": "cache 1\ntotal_inactive_file 4096\n",
        },
    )
    assert host.cores(tmp_path) == 2
    assert host.memory(tmp_path) == GIB + 4096


def test_version_1_without_a_quota(tmp_path: Path) -> None:
    files(
        tmp_path,
        {
            "proc/self/cgroup": "3:cpu:/\n4:memory:/\n",
            "proc/self/mountinfo": V1.format(within="/", mounted="/cpu", controllers="cpu")
            + V1.format(within="/", mounted="/memory", controllers="memory"),
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.usage_in_bytes": f"{GIB}\n",
        },
    )
    assert host.cores(tmp_path) == 64
    assert host.memory(tmp_path) == 64 * GIB


@pytest.mark.parametrize(
    ("cores", "memory", "guest", "machines"),
    [(8, 4, None, 4), (2, 32, None, 2), (8, 0, None, 1), (8, 4, 1536, 2)],
)
def test_as_many_machines_as_there_is_room_for(
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    memory: int,
    guest: int | None,
    machines: int,
) -> None:
    monkeypatch.setattr(pytestconfig.option, "memory", guest)
    monkeypatch.setattr(host, "cores", lambda: cores)
    monkeypatch.setattr(host, "memory", lambda: memory * GIB + GIB // 2)
    assert running.pytest_xdist_auto_num_workers(pytestconfig) == machines
