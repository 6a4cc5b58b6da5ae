# SPDX-License-Identifier: GPL-2.0-only
"""Lost memory: a test is blamed for what was allocated while it ran."""

from __future__ import annotations

from fixtures.guest.memory import MemoryLost, lost_since, more_pages, pages_of_modules

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


PAGES = """\
 get_page_from_freelist+0x100/0x200
 __alloc_frozen_pages_noprof+0x10/0x20
 alloc_pages_bulk_noprof+0x1/0x2
 virtiovf_add_migration_pages+0x9d/0x1f0 [virtio_vfio_pci]
 virtiovf_pci_save_device_data+0x1/0x2 [virtio_vfio_pci]
nr_base_pages: {pages}

 get_page_from_freelist+0x100/0x200
 allocate_slab+0x10/0x20
 __kmalloc_cache_noprof+0x1/0x2
 virtiovf_pci_save_device_data+0x1/0x2 [virtio_vfio_pci]
nr_base_pages: {slabs}

 get_page_from_freelist+0x100/0x200
 iommu_alloc_pages_node_sz+0x1/0x2
 intel_iommu_map+0x1/0x2
 vfio_iommu_map+0x1/0x2 [vfio_iommu_type1]
nr_base_pages: {tables}

 get_page_from_freelist+0x100/0x200
 alloc_pages_mpol+0x1/0x2
 ___kmalloc_large_node+0x1/0x2
 vfio_double_state_set+0x1/0x2 [vfio_double]
nr_base_pages: {tables}

 get_page_from_freelist+0x100/0x200
 alloc_pages_bulk_noprof+0x1/0x2
 virtiovf_add_migration_pages+0x9d/0x1f0 [virtio_vfio_pci]
 virtiovf_pci_save_device_data+0x1/0x2 [virtio_vfio_pci]
 by_another_way+0x1/0x2
 and_on+0x1/0x2
nr_base_pages: 4
"""


def test_pages_that_a_module_asked_for_are_counted() -> None:
    before = pages_of_modules(PAGES.format(pages=3, slabs=1, tables=1))
    assert more_pages(before, before) == []
    (lost,) = more_pages(before, pages_of_modules(PAGES.format(pages=5, slabs=7, tables=9)))
    assert lost.kind == "leak"
    assert lost.headline == "2 pages more than before"
    assert lost.top[0] == "virtiovf_add_migration_pages"
    assert sum(before.values()) == 3 + 4
    assert pages_of_modules("") == {}
