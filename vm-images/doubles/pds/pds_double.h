/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device double for pds_vfio_pci.
 *
 * core.c	pds_core's part: admin queue, clients, events, PFs and VFs
 * dirty.c	the firmware's dirty page tracking
 * firmware.c	the firmware's other live migration commands
 */
#ifndef PDS_DOUBLE_H
#define PDS_DOUBLE_H

/* Before pds_common.h, which needs it and does not include it */
#include <linux/pci.h>

#include <linux/pds/pds_common.h>
#include <linux/pds/pds_core_if.h>
#include <linux/pds/pds_adminq.h>

#include "../common/vfio_double.h"

#define PDS_DOUBLE_COMMANDS(row)			\
	row(CMD_CLIENT_REG, "CLIENT_REG")		\
	row(CMD_CLIENT_UNREG, "CLIENT_UNREG")		\
	row(CMD_HOST_VF_STATUS, "HOST_VF_STATUS")	\
	row(CMD_STATE_SIZE, "STATE_SIZE")		\
	row(CMD_SUSPEND, "SUSPEND")			\
	row(CMD_SUSPEND_STATUS, "SUSPEND_STATUS")	\
	row(CMD_RESUME, "RESUME")			\
	row(CMD_SAVE, "SAVE")				\
	row(CMD_RESTORE, "RESTORE")			\
	row(CMD_DIRTY_STATUS, "DIRTY_STATUS")		\
	row(CMD_DIRTY_ENABLE, "DIRTY_ENABLE")		\
	row(CMD_DIRTY_DISABLE, "DIRTY_DISABLE")		\
	row(CMD_DIRTY_READ_SEQ, "DIRTY_READ_SEQ")	\
	row(CMD_DIRTY_WRITE_ACK, "DIRTY_WRITE_ACK")

enum pds_double_command { PDS_DOUBLE_COMMANDS(VFIO_DOUBLE_NUMBER) };

#define PDS_DOUBLE_CAPABILITIES(row)			\
	row(CAP_DIRTY_TRACKING, "dirty_tracking")	\
	row(CAP_INTEGRITY, "integrity")

enum pds_double_capability { PDS_DOUBLE_CAPABILITIES(VFIO_DOUBLE_NUMBER) };

/* What the function does, from all to nothing; a P2P function begins no DMA */
enum pds_double_activity {
	PDS_DOUBLE_RUNS,
	PDS_DOUBLE_P2P,
	PDS_DOUBLE_STOPPED,
};

/* As many ranges of guest memory as the firmware can track */
#define PDS_DOUBLE_MAX_REGIONS	8

/*
 * A tracked range. A page is dirty while its bits in seq and ack differ: the
 * device toggles seq, and the driver copies seq to ack when it has read it.
 */
struct pds_double_region {
	u64 base;
	u32 pages;
	u8 page_size_log2;
};

struct pds_double_vf {
	struct vfio_double_vf vf;

	/* Protected by vf.lock */
	u16 client;			/* 0: none */
	bool excused;			/* see GIVES_BACK */
	u8 host_status;			/* enum pds_lm_host_vf_status */
	bool unsure;			/* an answer was lost: the driver may be wrong */
	bool untold;			/* restarted, and the driver does not know */
	enum pds_double_activity activity;
	bool suspending;		/* to ... */
	enum pds_double_activity next;
	u64 polls;			/* ... after so many more polls */
	u64 polls_needed;		/* see "suspending" */
	struct pds_double_region regions[PDS_DOUBLE_MAX_REGIONS];
	unsigned int nr_regions;	/* 0: tracking is disabled */
	u8 *seq;
	u8 *ack;
	size_t bitmap_size;		/* of each of the two, in bytes */
};

static inline struct pds_double_vf *to_pds_double_vf(struct vfio_double_vf *vf)
{
	return container_of(vf, struct pds_double_vf, vf);
}

/*
 * The firmware's commands: with v->vf.lock held, they return enum
 * pds_core_status_code and fill in the completion's other fields.
 */
u8 pds_double_execute(struct pds_double_vf *v, enum pds_double_command cmd,
		      union pds_core_adminq_cmd *req,
		      union pds_core_adminq_comp *comp);
u8 pds_double_dirty_status(struct pds_double_vf *v,
			   const struct pds_lm_dirty_status_cmd *cmd,
			   struct pds_lm_dirty_status_comp *comp);
u8 pds_double_dirty_enable(struct pds_double_vf *v,
			   const struct pds_lm_dirty_enable_cmd *cmd,
			   struct pds_lm_dirty_status_comp *comp);
u8 pds_double_dirty_disable(struct pds_double_vf *v,
			    struct pds_lm_dirty_status_comp *comp);
u8 pds_double_dirty_seq_ack(struct pds_double_vf *v,
			    const struct pds_lm_dirty_seq_ack_cmd *cmd,
			    bool read);
/* The device has written to memory from @iova to @last */
void pds_double_dirty_write(struct pds_double_vf *v, u64 iova, u64 last);
void pds_double_dirty_free(struct pds_double_vf *v);

/*
 * Copy @len bytes to or from the memory in a scatter list, which has room for
 * as many; @name is what a violation calls it.
 */
u8 pds_double_transfer(struct pds_double_vf *v, const char *name, u64 sgl,
		       u32 num_sge, u8 *data, size_t len, bool write);

/* From now on, the function does this; no suspension is under way */
void pds_double_go(struct pds_double_vf *v, enum pds_double_activity activity);

/* A command that had its effect is not answered, or with an error */
void pds_double_unheard(struct pds_double_vf *v, enum pds_double_command cmd);

/* Write the header of a new state image */
void pds_double_stamp(struct vfio_double_vf *vf, u8 *state, size_t size);

#endif /* PDS_DOUBLE_H */
