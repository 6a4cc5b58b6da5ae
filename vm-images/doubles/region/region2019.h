/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A software device that migrates by the region-based protocol of 2019, and by
 * no other.
 *
 * Its state is a piece of memory, which is its region 0. It writes to the
 * system's memory when it is told to through its region 2; nothing is written
 * in truth, but the pages count as dirtied. Region 1 is the migration region.
 */
#ifndef VFIO_REGION2019_H
#define VFIO_REGION2019_H

#include <linux/bits.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/vfio.h>

/* The uapi header of today has a remnant of the protocol, without dirty pages */
#define REGION_TYPE_MIGRATION		3
#define REGION_SUBTYPE_MIGRATION	1

#define STATE_RUNNING	BIT(0)
#define STATE_SAVING	BIT(1)
#define STATE_RESUMING	BIT(2)
#define STATE_MASK	(STATE_RUNNING | STATE_SAVING | STATE_RESUMING)

#define DIRTY_PFNS_NONE	0ULL
#define DIRTY_PFNS_ALL	(~0ULL)

/* What the migration region begins with */
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

/* System memory that the device can write to: IOVAs from 0 on */
#define DMA_SHIFT	12
#define DMA_PAGES	(SZ_256M >> DMA_SHIFT)

/* The data section of the migration region: a part for state, one for bitmaps */
#define DATA_OFFSET	SZ_4K
#define DATA_SIZE	SZ_4K
#define BITMAP_OFFSET	(DATA_OFFSET + DATA_SIZE)
#define BITMAP_SIZE	512
#define BITMAP_PFNS	(BITMAP_SIZE * BITS_PER_BYTE)
#define MIGRATION_SIZE	(BITMAP_OFFSET + SZ_4K)

/* What is written to region 2: the device writes to so many bytes there */
struct dma_command {
	u64 iova;
	u64 length;
};

struct region2019 {
	struct vfio_device vdev;
	/* Protects all that follows */
	struct mutex lock;
	struct migration_info info;
	/* Saving: so much of data is a record that was not read to its end */
	u32 staged;
	/* Saving: bitmap holds the answer to a query, so many bytes of it */
	u32 bitmap_bytes;
	bool bitmap_offered;
	DECLARE_BITMAP(dirty_blocks, MEMORY_BLOCKS);
	DECLARE_BITMAP(dirty_pages, DMA_PAGES);
	u8 memory[MEMORY_SIZE];
	u8 data[DATA_SIZE] __aligned(8);
	u8 bitmap[BITMAP_SIZE] __aligned(8);
};

/* All with the lock held */
void migration_begin(struct region2019 *dev);
void migration_memory_written(struct region2019 *dev, u32 offset, u32 length);
int migration_dma(struct region2019 *dev, const struct dma_command *command);
ssize_t migration_read(struct region2019 *dev, char __user *buf, size_t count,
		       loff_t offset);
ssize_t migration_write(struct region2019 *dev, const char __user *buf,
			size_t count, loff_t offset);

#endif /* VFIO_REGION2019_H */
