// SPDX-License-Identifier: GPL-2.0-only
/*
 * The migration region: struct vfio_device_migration_info of 2019 at its start,
 * followed by a data section. See region2019.h.
 *
 * The state is transferred in records. A record is a header and the bytes of
 * some blocks of the device's memory. At most one record is staged: reading
 * data_offset stages one. Reading its last byte consumes it. A reader that has
 * mapped the data section reads unseen: it is done when it reads pending_bytes
 * again, the first step of the protocol's loop, after data_size.
 */
#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "region2019.h"

#define RECORD_MAGIC	0x39313032

struct record {
	__le32 magic;
	__le32 offset;
	__le32 length;
	__le32 reserved;
	u8 bytes[];
};

#define RECORD_BLOCKS	((DATA_SIZE - sizeof(struct record)) / MEMORY_BLOCK)

#define READABLE	BIT(0)
#define WRITABLE	BIT(1)

struct field {
	u32 offset;
	u32 width;
	u32 access;
};

static const struct field fields[] = {
	{ offsetof(struct migration_info, device_state), 4, READABLE | WRITABLE },
	{ offsetof(struct migration_info, pending_bytes), 8, READABLE },
	{ offsetof(struct migration_info, data_offset), 8, READABLE },
	{ offsetof(struct migration_info, data_size), 8, READABLE | WRITABLE },
	{ offsetof(struct migration_info, start_pfn), 8, WRITABLE },
	{ offsetof(struct migration_info, page_size), 8, WRITABLE },
	{ offsetof(struct migration_info, total_pfns), 8, WRITABLE },
	{ offsetof(struct migration_info, copied_pfns), 8, READABLE },
};

/* An access must cover exactly one field */
static const struct field *field_at(loff_t offset, size_t count, u32 access)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].offset == offset && fields[i].width == count &&
		    fields[i].access & access)
			return &fields[i];
	}
	return NULL;
}

/* Saving */

/* Return the number of dirty blocks in the next record, and the first block */
static u32 next_record(struct region2019 *dev, u32 from, u32 *first)
{
	u32 end;

	*first = find_next_bit(dev->dirty_blocks, MEMORY_BLOCKS, from);
	if (*first >= MEMORY_BLOCKS)
		return 0;
	end = find_next_zero_bit(dev->dirty_blocks, MEMORY_BLOCKS, *first);
	return min_t(u32, end - *first, RECORD_BLOCKS);
}

static u64 pending_bytes(struct region2019 *dev)
{
	u64 pending = dev->staged;
	u32 first, blocks;

	if (!(dev->info.device_state & STATE_SAVING))
		return 0;
	for (u32 from = 0; (blocks = next_record(dev, from, &first));
	     from = first + blocks)
		pending += sizeof(struct record) + blocks * MEMORY_BLOCK;
	return pending;
}

static void stage_record(struct region2019 *dev)
{
	struct record *record = (struct record *)dev->data;
	u32 first, blocks, offset, length;

	if (dev->staged)
		return;
	dev->announced = false;
	dev->info.data_size = 0;
	blocks = next_record(dev, 0, &first);
	if (!blocks)
		return;

	offset = first * MEMORY_BLOCK;
	length = blocks * MEMORY_BLOCK;
	record->magic = cpu_to_le32(RECORD_MAGIC);
	record->offset = cpu_to_le32(offset);
	record->length = cpu_to_le32(length);
	record->reserved = 0;
	memcpy(record->bytes, dev->memory + offset, length);
	bitmap_clear(dev->dirty_blocks, first, blocks);
	dev->staged = sizeof(*record) + length;
	dev->info.data_size = dev->staged;
}

void migration_memory_written(struct region2019 *dev, u32 offset, u32 length)
{
	u32 first = offset / MEMORY_BLOCK;
	u32 last = (offset + length - 1) / MEMORY_BLOCK;

	bitmap_set(dev->dirty_blocks, first, last - first + 1);
}

/* Resuming */

static int take_record(struct region2019 *dev, u64 size)
{
	struct record *mapped = (struct record *)dev->data;
	u32 offset, length, end;
	struct record record;

	if (!(dev->info.device_state & STATE_RESUMING))
		return -EINVAL;
	if (size < sizeof(record) || size > DATA_SIZE)
		return -EINVAL;
	/* Once, because a user may change it meanwhile */
	record.magic = READ_ONCE(mapped->magic);
	record.offset = READ_ONCE(mapped->offset);
	record.length = READ_ONCE(mapped->length);
	record.reserved = READ_ONCE(mapped->reserved);
	offset = le32_to_cpu(record.offset);
	length = le32_to_cpu(record.length);
	if (le32_to_cpu(record.magic) != RECORD_MAGIC || record.reserved ||
	    length != size - sizeof(record) ||
	    check_add_overflow(offset, length, &end) || end > MEMORY_SIZE)
		return -EINVAL;

	memcpy(dev->memory + offset, mapped->bytes, length);
	dev->info.data_size = size;
	return 0;
}

/* Dirty pages */

int migration_dma(struct region2019 *dev, const struct dma_command *command)
{
	u64 first, last;

	if (!(dev->info.device_state & STATE_RUNNING))
		return -EBUSY;
	if (!command->length ||
	    check_add_overflow(command->iova, command->length - 1, &last))
		return -EINVAL;
	first = command->iova >> DMA_SHIFT;
	last >>= DMA_SHIFT;
	if (last >= DMA_PAGES)
		return -EINVAL;
	if (dev->info.device_state & STATE_SAVING)
		bitmap_set(dev->dirty_pages, first, last - first + 1);
	return 0;
}

static bool page_is_dirty(struct region2019 *dev, u64 pfn, u32 pages)
{
	u64 end = (pfn + 1) * pages;

	return find_next_bit(dev->dirty_pages, end, pfn * pages) < end;
}

/* Answer the query, and mark the reported pages clean */
static int query_dirty_pages(struct region2019 *dev, u64 *copied)
{
	u64 start = dev->info.start_pfn, total = dev->info.total_pfns;
	u64 end, nr_dirty = 0;
	u32 pages;

	dev->bitmap_offered = false;
	if (!(dev->info.device_state & STATE_SAVING) || !total ||
	    check_add_overflow(start, total, &end))
		return -EINVAL;

	/* Pages that the device cannot reach are clean */
	pages = dev->info.page_size >> DMA_SHIFT;
	end = min_t(u64, end, DMA_PAGES / pages);
	for (u64 pfn = start; pfn < end; pfn++)
		nr_dirty += page_is_dirty(dev, pfn, pages);
	if (!nr_dirty) {
		*copied = DIRTY_PFNS_NONE;
		return 0;
	}
	if (nr_dirty == total) {
		bitmap_clear(dev->dirty_pages, start * pages, total * pages);
		*copied = DIRTY_PFNS_ALL;
		return 0;
	}

	total = min_t(u64, total, BITMAP_PFNS);
	end = min_t(u64, end, start + total);
	memset(dev->bitmap, 0, sizeof(dev->bitmap));
	for (u64 pfn = start; pfn < end; pfn++)
		if (page_is_dirty(dev, pfn, pages))
			__set_bit_le(pfn - start, dev->bitmap);
	bitmap_clear(dev->dirty_pages, start * pages, (end - start) * pages);
	dev->bitmap_bytes = ALIGN(total, BITS_PER_TYPE(u64)) / BITS_PER_BYTE;
	dev->bitmap_offered = true;
	*copied = total;
	return 0;
}

/* The structure's fields */

static int set_device_state(struct region2019 *dev, u64 state)
{
	bool was_saving = dev->info.device_state & STATE_SAVING;

	if (state & ~STATE_MASK)
		return -EINVAL;
	/* A device cannot run or be saved while its state is loaded */
	if (state & STATE_RESUMING && state != STATE_RESUMING)
		return -EINVAL;

	dev->info.device_state = state;
	dev->bitmap_offered = false;
	if (state & STATE_SAVING && was_saving)
		return 0;
	dev->staged = 0;
	dev->info.data_size = 0;
	bitmap_zero(dev->dirty_pages, DMA_PAGES);
	bitmap_fill(dev->dirty_blocks, MEMORY_BLOCKS);
	return 0;
}

void migration_begin(struct region2019 *dev)
{
	memset(&dev->info, 0, sizeof(dev->info));
	dev->info.page_size = BIT(DMA_SHIFT);
	set_device_state(dev, STATE_RUNNING);
}

static int set_page_size(struct region2019 *dev, u64 size)
{
	if (!is_power_of_2(size) || size < BIT(DMA_SHIFT) ||
	    size > (u64)DMA_PAGES << DMA_SHIFT)
		return -EINVAL;
	dev->info.page_size = size;
	return 0;
}

static u64 data_offset(struct region2019 *dev)
{
	if (dev->bitmap_offered)
		return BITMAP_OFFSET;
	if (dev->info.device_state & STATE_SAVING)
		stage_record(dev);
	return DATA_OFFSET;
}

static int get_field(struct region2019 *dev, const struct field *field,
		     u64 *value)
{
	switch (field->offset) {
	case offsetof(struct migration_info, device_state):
		*value = dev->info.device_state;
		return 0;
	case offsetof(struct migration_info, pending_bytes):
		if (dev->announced)
			dev->staged = 0;
		*value = pending_bytes(dev);
		/* The reader continues with the device's data */
		dev->bitmap_offered = false;
		return 0;
	case offsetof(struct migration_info, data_offset):
		*value = data_offset(dev);
		return 0;
	case offsetof(struct migration_info, data_size):
		*value = dev->info.data_size;
		dev->announced = dev->staged;
		return 0;
	case offsetof(struct migration_info, copied_pfns):
		return query_dirty_pages(dev, value);
	default:
		return -EINVAL;
	}
}

static int set_field(struct region2019 *dev, const struct field *field,
		     u64 value)
{
	switch (field->offset) {
	case offsetof(struct migration_info, device_state):
		return set_device_state(dev, value);
	case offsetof(struct migration_info, data_size):
		return take_record(dev, value);
	case offsetof(struct migration_info, start_pfn):
		dev->info.start_pfn = value;
		return 0;
	case offsetof(struct migration_info, page_size):
		return set_page_size(dev, value);
	case offsetof(struct migration_info, total_pfns):
		dev->info.total_pfns = value;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The data section */

static ssize_t read_section(char __user *buf, size_t count, const u8 *section,
			    size_t size, loff_t at)
{
	if (at < 0 || at >= size)
		return -EINVAL;
	count = min_t(size_t, count, size - at);
	return copy_to_user(buf, section + at, count) ? -EFAULT : count;
}

static ssize_t read_data(struct region2019 *dev, char __user *buf, size_t count,
			 loff_t offset)
{
	loff_t at = offset - DATA_OFFSET;
	ssize_t ret;

	if (!(dev->info.device_state & STATE_SAVING))
		return -EINVAL;
	if (offset >= BITMAP_OFFSET)
		return read_section(buf, count, dev->bitmap,
				    dev->bitmap_offered ? dev->bitmap_bytes : 0,
				    offset - BITMAP_OFFSET);

	ret = read_section(buf, count, dev->data, dev->info.data_size, at);
	if (ret > 0 && at + ret == dev->info.data_size)
		dev->staged = 0;
	return ret;
}

static ssize_t write_data(struct region2019 *dev, const char __user *buf,
			  size_t count, loff_t offset)
{
	loff_t at = offset - DATA_OFFSET;

	if (!(dev->info.device_state & STATE_RESUMING) || at < 0 ||
	    at >= DATA_SIZE || count > DATA_SIZE - at)
		return -EINVAL;
	return copy_from_user(dev->data + at, buf, count) ? -EFAULT : count;
}

ssize_t migration_read(struct region2019 *dev, char __user *buf, size_t count,
		       loff_t offset)
{
	const struct field *field;
	u64 value;
	int ret;

	if (offset >= sizeof(struct migration_info))
		return read_data(dev, buf, count, offset);

	field = field_at(offset, count, READABLE);
	if (!field)
		return -EINVAL;
	ret = get_field(dev, field, &value);
	if (ret)
		return ret;
	/* Little endian, like all hosts that this runs on */
	return copy_to_user(buf, &value, count) ? -EFAULT : count;
}

ssize_t migration_write(struct region2019 *dev, const char __user *buf,
			size_t count, loff_t offset)
{
	const struct field *field;
	u64 value = 0;
	int ret;

	if (offset >= sizeof(struct migration_info))
		return write_data(dev, buf, count, offset);

	field = field_at(offset, count, WRITABLE);
	if (!field)
		return -EINVAL;
	if (copy_from_user(&value, buf, count))
		return -EFAULT;
	ret = set_field(dev, field, value);
	return ret ?: count;
}
