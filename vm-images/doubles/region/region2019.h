/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A software device that has only the region-based migration protocol of 2019.
 *
 * Its state is its memory, region 0. Region 1 is the migration region. A write
 * to region 2 starts DMA to the system's memory; no memory is written, but the
 * pages count as dirty.
 */
#ifndef VFIO_REGION2019_H
#define VFIO_REGION2019_H

#include <linux/bits.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/vfio.h>

/* Today's uapi header has only a part of the protocol, without dirty pages */
#define REGION_TYPE_MIGRATION		3
#define REGION_SUBTYPE_MIGRATION	1

#define STATE_RUNNING	BIT(0)
#define STATE_SAVING	BIT(1)
#define STATE_RESUMING	BIT(2)
#define STATE_MASK	(STATE_RUNNING | STATE_SAVING | STATE_RESUMING)

#define DIRTY_PFNS_NONE	0ULL
#define DIRTY_PFNS_ALL	(~0ULL)

/* The beginning of the migration region */
struct migration_info {
	u32 device_state;
	u32 reserved;
	u64 pending_bytes;
	u64 data_offset;
	u64 data_size;
	u64 start_pfn;
	u64 page_size;
	u64 total_pfns;
	u64 copied_pfns;
};

#define MEMORY_SIZE	SZ_16K
#define MEMORY_BLOCK	256
#define MEMORY_BLOCKS	(MEMORY_SIZE / MEMORY_BLOCK)

/* System memory that the device can write to: IOVAs from 0 */
#define DMA_SHIFT	12
#define DMA_PAGES	(SZ_256M >> DMA_SHIFT)

/*
 * The data section of the migration region: a part for state, which can be
 * mapped, and one for bitmaps
 */
#define DATA_OFFSET	SZ_4K
#define DATA_SIZE	SZ_4K
#define BITMAP_OFFSET	(DATA_OFFSET + DATA_SIZE)
#define BITMAP_SIZE	512
#define BITMAP_PFNS	(BITMAP_SIZE * BITS_PER_BYTE)
#define MIGRATION_SIZE	(BITMAP_OFFSET + SZ_4K)

/* A write to region 2: the device writes @length bytes at @iova */
struct dma_command {
	u64 iova;
	u64 length;
};

struct region2019 {
	struct vfio_device vdev;
	/* Protects all members below */
	struct mutex lock;
	struct migration_info info;
	/* Saving: length of the record in data that was not read completely */
	u32 staged;
	/* Saving: the reader knows that record's length, and may see it mapped */
	bool announced;
	/* Saving: bytes in bitmap that answer a query */
	u32 bitmap_bytes;
	bool bitmap_offered;
	DECLARE_BITMAP(dirty_blocks, MEMORY_BLOCKS);
	DECLARE_BITMAP(dirty_pages, DMA_PAGES);
	u8 memory[MEMORY_SIZE];
	/* A page, or more; a user that has mapped it can write to it at any time */
	u8 *data;
	u8 bitmap[BITMAP_SIZE] __aligned(8);
};

/* Call all of these with the lock held */
void migration_begin(struct region2019 *dev);
void migration_memory_written(struct region2019 *dev, u32 offset, u32 length);
int migration_dma(struct region2019 *dev, const struct dma_command *command);
ssize_t migration_read(struct region2019 *dev, char __user *buf, size_t count,
		       loff_t offset);
ssize_t migration_write(struct region2019 *dev, const char __user *buf,
			size_t count, loff_t offset);

#endif /* VFIO_REGION2019_H */
