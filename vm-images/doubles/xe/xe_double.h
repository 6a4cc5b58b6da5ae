/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device double for xe_vfio_pci: the part of the Xe driver (xe) for the physical
 * function that controls and migrates virtual functions.
 *
 * A virtual function has a part in each GT of the adapter: the main one, and
 * the media GT. Each GT has the function's state of its own, as flags, and a
 * ring for the packets of a migration.
 */
#ifndef XE_DOUBLE_H
#define XE_DOUBLE_H

#include <linux/bits.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "../common/vfio_double.h"

#define XE_MAX_GTS	2
#define XE_RING_SIZE	5

#define XE_COMMANDS(row)				\
	row(XE_PAUSE, "PAUSE")				\
	row(XE_RESUME, "RESUME")			\
	row(XE_STOP, "STOP")				\
	row(XE_PREPARE_FLR, "PREPARE_FLR")		\
	row(XE_FLR, "FLR")				\
	row(XE_WAIT_FLR, "WAIT_FLR")			\
	row(XE_TRIGGER_SAVE, "TRIGGER_SAVE")		\
	row(XE_SAVE, "SAVE")				\
	row(XE_FINISH_SAVE, "FINISH_SAVE")		\
	row(XE_TRIGGER_RESTORE, "TRIGGER_RESTORE")	\
	row(XE_RESTORE, "RESTORE")			\
	row(XE_FINISH_RESTORE, "FINISH_RESTORE")	\
	row(XE_SIZE, "SIZE")

enum xe_command { XE_COMMANDS(VFIO_DOUBLE_NUMBER) };

#define XE_CAPABILITIES(row)		\
	row(XE_MIGRATION, "migration")	\
	row(XE_MEDIA_GT, "media_gt")	\
	row(XE_VRAM, "vram")

enum xe_capability { XE_CAPABILITIES(VFIO_DOUBLE_NUMBER) };

/* The states of a function in a GT */
#define XE_PAUSED		BIT(0)
#define XE_STOPPED		BIT(1)
#define XE_PAUSE_WIP		BIT(2)	/* until the GuC says that it is paused */
#define XE_FLR_WIP		BIT(3)
#define XE_FLR_FAILED		BIT(4)
#define XE_SAVE_WIP		BIT(5)
#define XE_SAVE_PROCESS		BIT(6)	/* there is more to produce */
#define XE_SAVE_WAIT		BIT(7)	/* for room in the ring */
#define XE_SAVE_DATA_DONE	BIT(8)
#define XE_SAVE_FAILED		BIT(9)
#define XE_RESTORE_WIP		BIT(10)
#define XE_RESTORE_PROCESS	BIT(11)	/* there may be packets in the ring */
#define XE_RESTORE_WAIT		BIT(12)	/* for packets */
#define XE_RESTORE_DATA_DONE	BIT(13)	/* the trailer has come */
#define XE_RESTORE_FAILED	BIT(14)
#define XE_RESTORED		BIT(15)

#define XE_SAVE_STEPS \
	(XE_SAVE_PROCESS | XE_SAVE_WAIT | XE_SAVE_DATA_DONE)
#define XE_RESTORE_STEPS \
	(XE_RESTORE_PROCESS | XE_RESTORE_WAIT | XE_RESTORE_DATA_DONE)

struct xe_packet;

struct xe_gt {
	unsigned long flags;
	unsigned long todo;		/* types of packets still to save */
	size_t vram_saved;
	struct xe_packet *ring[XE_RING_SIZE];
	unsigned int first;
	unsigned int packets;
};

struct xe_vf {
	struct vfio_double_vf vf;
	struct xe_gt gts[XE_MAX_GTS];	/* protected by vf.lock */
	bool bound;			/* to a driver; protected by vf.lock */
	bool flr_announced;		/* by PREPARE_FLR; protected by vf.lock */
	bool flr_not_awaited;		/* protected by vf.lock */
	bool going;			/* protected by vf.lock */
	wait_queue_head_t wq;

	/* Held while data is transferred; taken before vf.lock */
	struct mutex data_lock;
	struct xe_packet *descriptor;
	struct xe_packet *pending;	/* of a save or a restore; or an error */
	struct xe_packet *trailer;
};

static inline struct xe_vf *to_xe_vf(struct vfio_double_vf *vf)
{
	return container_of(vf, struct xe_vf, vf);
}

static inline int xe_nr_gts(struct vfio_double_vf *vf)
{
	return vfio_double_has(vf, XE_MEDIA_GT) ? 2 : 1;
}

/* control.c; what was in progress in a GT has ended */
void xe_exit_wip(struct xe_gt *gt);

/* migration.c; with vf.lock held, if it does not say something else */

/* Continue to produce packets, or to take them; wakes those who wait */
void xe_process_save(struct xe_vf *xvf, int id);
void xe_process_restore(struct xe_vf *xvf, int id);
void xe_begin_save(struct xe_vf *xvf, int id);
void xe_begin_restore(struct xe_vf *xvf);
void xe_ring_free(struct xe_gt *gt);
/* The packets that a save begins and ends with; with data_lock held */
int xe_init_save(struct xe_vf *xvf);
/* What a save will produce, in bytes, as xe announces it */
size_t xe_save_size(struct vfio_double_vf *vf);
/* With data_lock held, and without vf.lock */
ssize_t xe_read(struct xe_vf *xvf, char __user *buf, size_t len);
ssize_t xe_write(struct xe_vf *xvf, const char __user *buf, size_t len);
void xe_free_packets(struct xe_vf *xvf);

#endif /* XE_DOUBLE_H */
