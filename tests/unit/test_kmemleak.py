# SPDX-License-Identifier: GPL-2.0-only
"""kmemleak's reports: a test is blamed for memory that was allocated while it ran."""

from __future__ import annotations

from fixtures.guest.kmemleak import MemoryLost, lost_since

OLD = """\
unreferenced object 0xff11000006feb000 (size 1024):
  comm "python3", pid 58, jiffies 4294960391
  hex dump (first 32 bytes):
    80 f3 b8 04 00 00 11 ff 00 00 00 00 00 00 00 00  ................
  backtrace (crc 6c6c6855):
    __kmalloc_cache_noprof+0x30f/0x540
    mlx5vf_pci_save_device_data+0xa4/0x8f0 [mlx5_vfio_pci]
    vfio_device_fops_unl_ioctl+0xa96/0xc40 [vfio]
"""
NEW = """\
unreferenced object 0xff11000004b8f380 (size 344):
  comm "python3", pid 58, jiffies 4294978922
  hex dump (first 32 bytes):
    00 00 00 00 ad 4e ad de ff ff ff ff 00 00 00 00  .....N..........
  backtrace (crc 539e8f99):
    kmem_cache_alloc_noprof+0x357/0x4f0
    alloc_empty_file+0x3f/0x130
    mtty_save_state+0xc8/0x8f0 [mtty]
"""


def test_what_was_lost_before_is_left_out() -> None:
    (lost,) = lost_since(OLD + NEW, 4294978000)
    assert lost.kind == "leak"
    assert lost.headline == "unreferenced object (size 344):"
    assert lost.top == ["mtty_save_state"]
    assert lost_since(OLD, 4294978000) == []
    assert lost_since("", 0) == []


def test_other_kernels_write_it_in_other_ways() -> None:
    percpu = NEW.replace("object 0x", "object (percpu) 0x")
    assert [lost.headline for lost in lost_since(percpu, 0)] == ["unreferenced object (size 344):"]
    aged = NEW.replace("4294978922", "4294978922 (age 10.2s)")
    assert lost_since(aged, 4294978923) == []
    assert len(lost_since(NEW.replace(", jiffies 4294978922", ""), 4294978923)) == 1


def test_a_loss_is_told_with_who_allocated_it_and_how_much_more_there_is() -> None:
    lost = MemoryLost(lost_since(OLD + NEW, 0))
    said = "unreferenced object (size 1024), allocated by mlx5vf_pci_save_device_data, and 1 more"
    assert str(lost) == said
    assert lost.lost[0].fingerprint != lost_since(NEW, 0)[0].fingerprint
