// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device double for xe_vfio_pci: the packets of a migration.
 *
 * A stream is a descriptor, the packets of each GT, and a trailer; each begins
 * with struct xe_packet_hdr. The state image is divided among the packets:
 *
 *	0		GGTT of the main GT
 *	XE_MMIO		MMIO of the main GT
 *	XE_MEDIA	GuC and MMIO of the media GT, if there is one
 *	behind them	GuC of the main GT: all other bytes; or, with VRAM,
 *			XE_GUC_SIZE bytes, and all others are VRAM
 *
 * All of this is what xe does, also where it does too little: packets that are
 * left from one migration are there in the next one, and nobody looks for those
 * that are missing. Where xe would crash the double refuses.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>

#include "xe_double.h"

#define XE_VERSION	1

enum xe_type {
	XE_DESCRIPTOR = 1,
	XE_TRAILER,
	XE_GGTT,
	XE_MMIO_REGS,
	XE_GUC,
	XE_VRAM_CHUNK,
	XE_NO_TYPE = 0,
};

/* The order in which a GT is saved */
static const enum xe_type xe_order[] = {
	XE_GUC, XE_GGTT, XE_MMIO_REGS, XE_VRAM_CHUNK,
};

/* Offsets in the image, and sizes */
#define XE_GGTT_SIZE	1024
#define XE_MMIO		XE_GGTT_SIZE
#define XE_MMIO_SIZE	16
#define XE_MEDIA	(XE_MMIO + XE_MMIO_SIZE)
#define XE_GUC_SIZE	496
#define XE_MEDIA_SIZE	(XE_GUC_SIZE + XE_MMIO_SIZE)
/* xe has chunks of 512 MiB */
#define XE_CHUNK_SIZE	SZ_8K

/* The descriptor: keys, lengths and values; a key is above its length */
#define XE_KLV_DEVID	0xf001
#define XE_KLV_REVID	0xf002
#define XE_DESCRIPTOR_WORDS	4

struct xe_packet_hdr {
	u8 version;
	u8 type;
	u8 tile_id;
	u8 gt_id;
	u32 flags;
	u64 offset;
	u64 size;
} __packed;

struct xe_packet {
	struct xe_packet_hdr hdr;
	size_t hdr_left;
	size_t left;
	u8 *data;
};

static struct xe_packet *xe_packet_alloc(void)
{
	struct xe_packet *packet = kzalloc_obj(*packet);

	if (packet)
		packet->hdr_left = sizeof(packet->hdr);
	return packet;
}

static void xe_packet_free(struct xe_packet *packet)
{
	if (IS_ERR_OR_NULL(packet))
		return;
	kvfree(packet->data);
	kfree(packet);
}

static int xe_packet_room(struct xe_packet *packet)
{
	u64 size = packet->hdr.size;

	if (!size)
		return 0;
	/* xe asks for as much as the header says, and warns above 2 GiB */
	if (size > VFIO_DOUBLE_MAX_STATE)
		return -ENOMEM;
	packet->data = kvzalloc(size, GFP_KERNEL);
	return packet->data ? 0 : -ENOMEM;
}

static struct xe_packet *xe_packet_make(enum xe_type type, int id, u64 offset,
					size_t size)
{
	struct xe_packet *packet = xe_packet_alloc();

	if (!packet)
		return NULL;
	packet->hdr.version = XE_VERSION;
	packet->hdr.type = type;
	packet->hdr.gt_id = id;
	packet->hdr.offset = offset;
	packet->hdr.size = size;
	packet->left = size;
	if (xe_packet_room(packet)) {
		xe_packet_free(packet);
		return NULL;
	}
	return packet;
}

/* Rings */

static struct xe_packet *xe_ring_take(struct xe_gt *gt)
{
	struct xe_packet *packet;

	if (!gt->packets)
		return NULL;
	packet = gt->ring[gt->first];
	gt->first = (gt->first + 1) % XE_RING_SIZE;
	gt->packets--;
	return packet;
}

static void xe_ring_add(struct xe_gt *gt, struct xe_packet *packet)
{
	gt->ring[(gt->first + gt->packets) % XE_RING_SIZE] = packet;
	gt->packets++;
}

void xe_ring_free(struct xe_gt *gt)
{
	struct xe_packet *packet;

	while ((packet = xe_ring_take(gt)))
		xe_packet_free(packet);
}

/* The image */

/* Where the bytes of a type are; returns their number */
static size_t xe_part(struct vfio_double_vf *vf, int id, enum xe_type type,
		      size_t *offset)
{
	bool vram = vfio_double_has(vf, XE_VRAM);
	size_t guc = XE_MEDIA;

	if (xe_nr_gts(vf) > 1)
		guc += XE_MEDIA_SIZE;

	switch (type) {
	case XE_GGTT:
		*offset = 0;
		return id ? 0 : XE_GGTT_SIZE;
	case XE_MMIO_REGS:
		*offset = id ? XE_MEDIA + XE_GUC_SIZE : XE_MMIO;
		return XE_MMIO_SIZE;
	case XE_GUC:
		*offset = id ? XE_MEDIA : guc;
		return id || vram ? XE_GUC_SIZE : vf->state_size - guc;
	case XE_VRAM_CHUNK:
		*offset = guc + XE_GUC_SIZE;
		return id || !vram ? 0 : vf->state_size - *offset;
	default:
		return 0;
	}
}

size_t xe_save_size(struct vfio_double_vf *vf)
{
	size_t total = 0, offset, size;
	unsigned int i;
	int id;

	/* Without descriptor and trailer, and with one header for all VRAM */
	for (id = 0; id < xe_nr_gts(vf); id++) {
		for (i = 0; i < ARRAY_SIZE(xe_order); i++) {
			size = xe_part(vf, id, xe_order[i], &offset);
			if (size)
				total += sizeof(struct xe_packet_hdr) + size;
		}
	}
	return total;
}

/* Saving */

int xe_init_save(struct xe_vf *xvf)
{
	struct pci_dev *pf = xvf->vf.pf->pdev;
	struct xe_packet *descriptor, *trailer;
	__le32 *words;

	descriptor = xe_packet_make(XE_DESCRIPTOR, 0, 0,
				    XE_DESCRIPTOR_WORDS * sizeof(*words));
	trailer = xe_packet_make(XE_TRAILER, 0, 0, 0);
	if (!descriptor || !trailer) {
		xe_packet_free(descriptor);
		xe_packet_free(trailer);
		return -ENOMEM;
	}
	words = (__le32 *)descriptor->data;
	words[0] = cpu_to_le32(XE_KLV_DEVID << 16 | 1);
	words[1] = cpu_to_le32(pf->device);
	words[2] = cpu_to_le32(XE_KLV_REVID << 16 | 1);
	words[3] = cpu_to_le32(pf->revision);

	xe_free_packets(xvf);
	xvf->descriptor = descriptor;
	xvf->trailer = trailer;
	return 0;
}

void xe_begin_save(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];
	unsigned int i;
	size_t offset;

	gt->todo = 0;
	gt->vram_saved = 0;
	for (i = 0; i < ARRAY_SIZE(xe_order); i++)
		if (xe_part(&xvf->vf, id, xe_order[i], &offset))
			gt->todo |= BIT(xe_order[i]);
	gt->flags |= XE_SAVE_WIP | XE_SAVE_PROCESS;
	xe_process_save(xvf, id);
}

/* Produce a packet of this type: all of it, or a chunk of VRAM */
static int xe_save(struct xe_vf *xvf, int id, enum xe_type type)
{
	struct vfio_double_vf *vf = &xvf->vf;
	struct xe_gt *gt = &xvf->gts[id];
	size_t offset, size, done = 0;
	struct xe_packet *packet;
	int ret;

	ret = -abs(vfio_double_fail_take(vf, XE_SAVE));
	size = xe_part(vf, id, type, &offset);
	if (type == XE_VRAM_CHUNK) {
		done = min(gt->vram_saved, size);
		size = min_t(size_t, size - done, XE_CHUNK_SIZE);
	}
	packet = ret ? NULL : xe_packet_make(type, id, done, size);
	if (!ret && !packet)
		ret = -ENOMEM;
	vfio_double_journal(vf, XE_SAVE, ret, "gt=%d type=%d size=%zu", id,
			    type, size);
	if (ret)
		return ret;

	memcpy(packet->data, vf->state + offset + done, size);
	xe_ring_add(gt, packet);
	gt->vram_saved += type == XE_VRAM_CHUNK ? size : 0;
	if (type != XE_VRAM_CHUNK ||
	    gt->vram_saved >= xe_part(vf, id, type, &offset))
		gt->todo &= ~BIT(type);
	vf->dirty = 0;
	return 0;
}

void xe_process_save(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];
	unsigned int i;

	while (gt->flags & XE_SAVE_PROCESS &&
	       !vfio_double_held(&xvf->vf, XE_SAVE)) {
		if (gt->packets == XE_RING_SIZE) {
			gt->flags ^= XE_SAVE_PROCESS | XE_SAVE_WAIT;
			break;
		}
		for (i = 0; i < ARRAY_SIZE(xe_order); i++)
			if (gt->todo & BIT(xe_order[i]))
				break;
		if (i == ARRAY_SIZE(xe_order)) {
			gt->flags ^= XE_SAVE_PROCESS | XE_SAVE_DATA_DONE;
		} else if (xe_save(xvf, id, xe_order[i])) {
			xe_exit_wip(gt);
			gt->flags |= XE_SAVE_FAILED;
		}
	}
	wake_up_all(&xvf->wq);
}

/* The next packet; NULL at the end; -EAGAIN if there will be more */
static struct xe_packet *xe_consume(struct xe_vf *xvf)
{
	struct xe_packet *packet;
	bool more = false;
	struct xe_gt *gt;
	int id;

	for (id = 0; id < xe_nr_gts(&xvf->vf); id++) {
		gt = &xvf->gts[id];
		packet = xe_ring_take(gt);
		if (gt->flags & XE_SAVE_FAILED) {
			xe_packet_free(packet);
			return ERR_PTR(-EIO);
		}
		if (packet) {
			if (gt->flags & XE_SAVE_WAIT)
				gt->flags ^= XE_SAVE_WAIT | XE_SAVE_PROCESS;
			xe_process_save(xvf, id);
			return packet;
		}
		if (!(gt->flags & XE_SAVE_DATA_DONE))
			more = true;
	}
	if (!more)
		return NULL;
	return ERR_PTR(xvf->going ? -EIO : -EAGAIN);
}

/* Without vf.lock, as a waiting task must not sleep: who is woken looks again */
static bool xe_data_ready(struct xe_vf *xvf)
{
	int id;

	if (READ_ONCE(xvf->going))
		return true;
	for (id = 0; id < xe_nr_gts(&xvf->vf); id++)
		if (READ_ONCE(xvf->gts[id].flags) &
		    (XE_SAVE_FAILED | XE_SAVE_DATA_DONE) ||
		    READ_ONCE(xvf->gts[id].packets))
			return true;
	return false;
}

static struct xe_packet *xe_wait_for_packet(struct xe_vf *xvf)
{
	struct xe_packet *packet;
	int ret;

	for (;;) {
		mutex_lock(&xvf->vf.lock);
		packet = xe_consume(xvf);
		mutex_unlock(&xvf->vf.lock);
		if (PTR_ERR(packet) != -EAGAIN)
			return packet;
		/* A reset does not wake this: nor does xe's */
		ret = wait_event_interruptible(xvf->wq, xe_data_ready(xvf));
		if (ret)
			return ERR_PTR(ret);
	}
}

static struct xe_packet **xe_to_read(struct xe_vf *xvf)
{
	if (xvf->descriptor)
		return &xvf->descriptor;
	/* An error stays there */
	if (!xvf->pending)
		xvf->pending = xe_wait_for_packet(xvf);
	if (xvf->pending)
		return &xvf->pending;
	return xvf->trailer ? &xvf->trailer : NULL;
}

static ssize_t xe_read_one(struct xe_packet **place, char __user *buf,
			   size_t len)
{
	struct xe_packet *packet = *place;
	const u8 *from;
	size_t *left;

	if (packet->hdr_left) {
		left = &packet->hdr_left;
		from = (u8 *)&packet->hdr + sizeof(packet->hdr) - *left;
	} else {
		left = &packet->left;
		from = packet->data + packet->hdr.size - *left;
	}
	len = min(len, *left);
	if (copy_to_user(buf, from, len))
		return -EFAULT;
	*left -= len;

	if (!packet->hdr_left && !packet->left) {
		xe_packet_free(packet);
		*place = NULL;
	}
	return len;
}

ssize_t xe_read(struct xe_vf *xvf, char __user *buf, size_t len)
{
	struct xe_packet **place;
	size_t done = 0;
	ssize_t ret;

	while (done < len) {
		place = xe_to_read(xvf);
		if (!place)
			break;
		if (IS_ERR(*place))
			return PTR_ERR(*place);
		ret = xe_read_one(place, buf + done, len - done);
		if (ret < 0)
			return ret;
		done += ret;
	}
	return done;
}

/* Restoring */

void xe_begin_restore(struct xe_vf *xvf)
{
	struct vfio_double_vf *vf = &xvf->vf;

	vfio_double_loaded_begin(vf);
	/* What no packet brings stays as it is */
	vfio_double_loaded_add(vf, vf->state, vf->state_size);
}

static int xe_restore(struct xe_vf *xvf, int id, struct xe_packet *packet)
{
	struct vfio_double_vf *vf = &xvf->vf;
	const struct xe_packet_hdr *hdr = &packet->hdr;
	enum xe_type type = hdr->type;
	size_t offset, size, done = 0;
	int ret;

	ret = -abs(vfio_double_fail_take(vf, XE_RESTORE));
	if (ret)
		return ret;

	size = xe_part(vf, id, type, &offset);
	switch (type) {
	case XE_GGTT:
	case XE_MMIO_REGS:
		if (hdr->size != size)
			return -EINVAL;
		break;
	case XE_GUC:
		/* A GuC refuses what is no state of its own */
		if (!hdr->size || hdr->size % sizeof(u32) ||
		    (size == XE_GUC_SIZE && hdr->size != size))
			return -EIO;
		break;
	case XE_VRAM_CHUNK:
		if (!vfio_double_has(vf, XE_VRAM))
			return -ENXIO;
		/* Here a function has as much VRAM as the stream brings */
		done = hdr->offset;
		if (!done)
			vf->loaded_size = offset;
		if (offset + done > vf->loaded_size ||
		    hdr->size > VFIO_DOUBLE_MAX_STATE)
			return -EINVAL;
		break;
	default:
		/* xe skips what it does not know */
		return 0;
	}
	ret = vfio_double_loaded_write(vf, offset + done, packet->data,
				       hdr->size);
	/* The state of the main GuC is last in the image, and may be shorter */
	if (!ret && type == XE_GUC && size != XE_GUC_SIZE)
		vf->loaded_size = offset + hdr->size;
	return ret;
}

static void xe_restored(struct xe_vf *xvf)
{
	struct vfio_double_vf *vf = &xvf->vf;
	int id;

	for (id = 0; id < xe_nr_gts(vf); id++)
		if (!(xvf->gts[id].flags & XE_RESTORED))
			return;
	vfio_double_state_set(vf, vf->loaded, vf->loaded_size);
}

void xe_process_restore(struct xe_vf *xvf, int id)
{
	struct vfio_double_vf *vf = &xvf->vf;
	struct xe_gt *gt = &xvf->gts[id];
	struct xe_packet *packet;
	int ret;

	while (gt->flags & XE_RESTORE_PROCESS &&
	       !vfio_double_held(vf, XE_RESTORE)) {
		packet = xe_ring_take(gt);
		if (!packet && gt->flags & XE_RESTORE_DATA_DONE) {
			xe_exit_wip(gt);
			gt->flags |= XE_RESTORED;
			xe_restored(xvf);
			break;
		}
		if (!packet) {
			gt->flags ^= XE_RESTORE_PROCESS | XE_RESTORE_WAIT;
			break;
		}
		ret = xe_restore(xvf, id, packet);
		vfio_double_journal(vf, XE_RESTORE, ret, "gt=%d type=%d size=%llu",
				    id, packet->hdr.type, packet->hdr.size);
		xe_packet_free(packet);
		if (ret) {
			xe_exit_wip(gt);
			gt->flags |= XE_RESTORE_FAILED;
		}
	}
	wake_up_all(&xvf->wq);
}

/* There is something for the GT: a packet, or the trailer */
static void xe_continue_restore(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	if (gt->flags & XE_RESTORE_FAILED) {
		xe_ring_free(gt);
		return;
	}
	/* Behind the trailer nobody takes packets out of the ring */
	if (gt->flags & XE_RESTORE_WAIT)
		gt->flags ^= XE_RESTORE_WAIT | XE_RESTORE_PROCESS;
	xe_process_restore(xvf, id);
}

/* Without vf.lock, like xe_data_ready() */
static bool xe_has_room(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	return READ_ONCE(xvf->going) ||
	       READ_ONCE(gt->flags) & XE_RESTORE_FAILED ||
	       READ_ONCE(gt->packets) < XE_RING_SIZE;
}

/* Takes ownership of @packet on success */
static int xe_give_packet(struct xe_vf *xvf, int id, struct xe_packet *packet)
{
	struct xe_gt *gt = &xvf->gts[id];
	bool given = false;
	int ret = 0;

	while (!given) {
		mutex_lock(&xvf->vf.lock);
		if (xvf->going || gt->flags & XE_RESTORE_FAILED) {
			ret = -EIO;
		} else if (gt->packets < XE_RING_SIZE) {
			xe_ring_add(gt, packet);
			xe_continue_restore(xvf, id);
			given = true;
		}
		mutex_unlock(&xvf->vf.lock);
		if (!ret && !given)
			ret = wait_event_interruptible(xvf->wq,
						       xe_has_room(xvf, id));
		if (ret)
			return ret;
	}
	return 0;
}

static int xe_check_descriptor(struct xe_vf *xvf, struct xe_packet *packet)
{
	struct pci_dev *pf = xvf->vf.pf->pdev;
	size_t words = packet->hdr.size / sizeof(u32);
	u32 key, length, value;
	size_t at = 0;

	if (packet->hdr.size % sizeof(u32))
		return -EINVAL;
	/* First whether it is made of keys and lengths, then what they say */
	while (at < words)
		at += 1 + (u16)get_unaligned_le32(packet->data + at * 4);
	if (at != words)
		return -ENODATA;

	for (at = 0; at < words; at += 1 + length) {
		key = get_unaligned_le32(packet->data + at * 4);
		length = (u16)key;
		key >>= 16;
		if (!length || (key != XE_KLV_DEVID && key != XE_KLV_REVID))
			continue;
		value = get_unaligned_le32(packet->data + (at + 1) * 4);
		if (value != (key == XE_KLV_DEVID ? pf->device : pf->revision))
			return -ENODEV;
	}
	return 0;
}

static void xe_take_trailer(struct xe_vf *xvf)
{
	int id;

	mutex_lock(&xvf->vf.lock);
	for (id = 0; id < xe_nr_gts(&xvf->vf); id++) {
		if (xvf->gts[id].flags & XE_RESTORE_DATA_DONE)
			continue;
		xvf->gts[id].flags |= XE_RESTORE_DATA_DONE;
		xe_continue_restore(xvf, id);
	}
	mutex_unlock(&xvf->vf.lock);
}

/* A whole packet has come. Takes ownership of it on success */
static int xe_take_packet(struct xe_vf *xvf, struct xe_packet *packet)
{
	const struct xe_packet_hdr *hdr = &packet->hdr;
	int ret = 0;

	switch (hdr->type) {
	case XE_DESCRIPTOR:
		if (hdr->tile_id || hdr->gt_id)
			return -EINVAL;
		ret = xe_check_descriptor(xvf, packet);
		break;
	case XE_TRAILER:
		if (hdr->tile_id || hdr->gt_id || hdr->offset || hdr->size)
			return -EINVAL;
		xe_take_trailer(xvf);
		break;
	default:
		if (hdr->tile_id || hdr->type == XE_NO_TYPE ||
		    hdr->gt_id >= xe_nr_gts(&xvf->vf))
			return -EINVAL;
		return xe_give_packet(xvf, hdr->gt_id, packet);
	}
	if (!ret)
		xe_packet_free(packet);
	return ret;
}

static ssize_t xe_write_header(struct xe_vf *xvf, struct xe_packet *packet,
			       const char __user *buf, size_t len)
{
	struct xe_packet_hdr *hdr = &packet->hdr;
	int ret;

	len = min(len, packet->hdr_left);
	if (copy_from_user((u8 *)hdr + sizeof(*hdr) - packet->hdr_left, buf,
			   len))
		return -EFAULT;
	packet->hdr_left -= len;
	if (packet->hdr_left)
		return len;

	if (hdr->version != XE_VERSION)
		return -EINVAL;
	packet->left = hdr->size;
	if (hdr->gt_id >= xe_nr_gts(&xvf->vf))
		return -EINVAL;
	ret = xe_packet_room(packet);
	return ret ?: len;
}

static ssize_t xe_write_data(struct xe_packet *packet, const char __user *buf,
			     size_t len)
{
	len = min(len, packet->left);
	/*
	 * After a header that was refused there is no memory for the data. xe
	 * goes on with this packet, too, and writes to a NULL pointer.
	 */
	if (!packet->data ||
	    copy_from_user(packet->data + packet->hdr.size - packet->left, buf,
			   len))
		return -EFAULT;
	packet->left -= len;
	return len;
}

static ssize_t xe_write_one(struct xe_vf *xvf, const char __user *buf,
			    size_t len)
{
	struct xe_packet *packet = xvf->pending;
	ssize_t ret;
	int refused;

	/* What an earlier transfer has left is continued */
	if (IS_ERR_OR_NULL(packet)) {
		packet = xe_packet_alloc();
		xvf->pending = packet;
		if (!packet)
			return -ENOMEM;
	}
	ret = packet->hdr_left ? xe_write_header(xvf, packet, buf, len) :
				 xe_write_data(packet, buf, len);
	if (packet->hdr_left || packet->left)
		return ret;

	xvf->pending = NULL;
	/* xe uses a packet whose header it has refused, without its data */
	refused = ret < 0 ? ret : xe_take_packet(xvf, packet);
	if (refused)
		xe_packet_free(packet);
	return refused ?: ret;
}

ssize_t xe_write(struct xe_vf *xvf, const char __user *buf, size_t len)
{
	size_t done = 0;
	ssize_t ret;

	while (done < len) {
		ret = xe_write_one(xvf, buf + done, len - done);
		if (ret < 0)
			return ret;
		done += ret;
	}
	return done;
}

void xe_free_packets(struct xe_vf *xvf)
{
	xe_packet_free(xvf->descriptor);
	xe_packet_free(xvf->pending);
	xe_packet_free(xvf->trailer);
	xvf->descriptor = NULL;
	xvf->pending = NULL;
	xvf->trailer = NULL;
}
