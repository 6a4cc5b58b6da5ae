// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device doubles: a function's state, and the image that was loaded into it.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

static void fill(u8 *data, size_t from, size_t to, u32 seed)
{
	size_t off;

	for (off = from; off < to; off++)
		data[off] = vfio_double_byte(seed, off);
}

/* Takes ownership of @data on success */
static int state_replace(struct vfio_double_vf *vf, u8 *data, size_t size)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	int ret;

	if (ops->resized) {
		ret = ops->resized(vf, size);
		if (ret)
			return ret;
	}
	swap(vf->state, data);
	vf->state_size = size;
	vf->dirty = 0;
	kvfree(data);
	return 0;
}

int vfio_double_state_fill(struct vfio_double_vf *vf, size_t size, u32 seed)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	u8 *data;
	int ret;

	lockdep_assert_held(&vf->lock);

	if (size < ops->min_state || size > vfio_double_max_state(ops))
		return -ERANGE;
	data = kvzalloc(size ?: 1, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	fill(data, 0, size, seed);
	if (ops->stamp)
		ops->stamp(vf, data, size);

	ret = state_replace(vf, data, size);
	if (ret) {
		kvfree(data);
		return ret;
	}
	vf->seed = seed;
	vf->epoch = 0;
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_state_fill);

int vfio_double_state_set(struct vfio_double_vf *vf, const void *data,
			  size_t len)
{
	u8 *copy;

	lockdep_assert_held(&vf->lock);

	if (len > VFIO_DOUBLE_MAX_STATE)
		return -EFBIG;
	copy = kvzalloc(len ?: 1, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);

	swap(vf->state, copy);
	vf->state_size = len;
	vf->dirty = 0;
	kvfree(copy);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_state_set);

int vfio_double_state_dirty(struct vfio_double_vf *vf, size_t bytes)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	size_t from = ops->dirty_base + vf->dirty;

	if (ops->no_dirty)
		return -EOPNOTSUPP;
	if (!bytes)
		return -EINVAL;
	if (vf->suspended)
		return -EBUSY;
	if (from > vf->state_size || bytes > vf->state_size - from)
		return -ERANGE;

	vf->epoch++;
	fill(vf->state, from, from + bytes, vf->seed + vf->epoch);
	vf->dirty += bytes;
	if (ops->stamp)
		ops->stamp(vf, vf->state, vf->state_size);
	return 0;
}

void vfio_double_loaded_begin(struct vfio_double_vf *vf)
{
	lockdep_assert_held(&vf->lock);

	kvfree(vf->loaded);
	vf->loaded = NULL;
	vf->loaded_size = 0;
	vf->loaded_room = 0;
}
EXPORT_SYMBOL_GPL(vfio_double_loaded_begin);

int vfio_double_loaded_write(struct vfio_double_vf *vf, size_t off,
			     const void *data, size_t len)
{
	size_t end;

	lockdep_assert_held(&vf->lock);

	if (check_add_overflow(off, len, &end) || end > VFIO_DOUBLE_MAX_STATE)
		return -EFBIG;
	if (end > vf->loaded_room) {
		/* Double it, because an image arrives in many small pieces */
		size_t room = max3(end, 2 * vf->loaded_room, PAGE_SIZE);
		u8 *larger = kvzalloc(room, GFP_KERNEL);

		if (!larger)
			return -ENOMEM;
		if (vf->loaded)
			memcpy(larger, vf->loaded, vf->loaded_size);
		kvfree(vf->loaded);
		vf->loaded = larger;
		vf->loaded_room = room;
	}
	memcpy(vf->loaded + off, data, len);
	vf->loaded_size = max(vf->loaded_size, end);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_loaded_write);
