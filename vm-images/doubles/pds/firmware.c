// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device double for pds_vfio_pci: the firmware's live migration commands.
 *
 * An image is a header, struct image, and seeded bytes. A driver restores it
 * from a buffer of PDS_LM_DEVICE_STATE_LENGTH bytes, of which the firmware
 * cannot see how many the driver was given. Therefore the header has a length
 * and a checksum, and the rest of the buffer has to be empty. "withhold
 * integrity" makes a firmware that checks only the header.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pds_double.h"

#define IMAGE_MAGIC	0x4d4c5350	/* "PSLM" in the stream */
#define IMAGE_VERSION	1
/* A scatter list of more elements than the largest image has pages */
#define MAX_SGE		(2 * PDS_LM_DEVICE_STATE_LENGTH / PDS_PAGE_SIZE)

struct image {
	__le32 magic;
	__le32 version;
	__le32 length;
	__le32 checksum;
};

static_assert(sizeof(struct image) == 16);

/* FNV-1a: bytes that change places are noticed, too */
static u32 checksum(const u8 *data, size_t len)
{
	u32 sum = 2166136261U;

	while (len--)
		sum = (sum ^ *data++) * 16777619U;
	return sum;
}

void pds_double_stamp(struct vfio_double_vf *vf, u8 *state, size_t size)
{
	struct image image = {
		.magic = cpu_to_le32(IMAGE_MAGIC),
		.version = cpu_to_le32(IMAGE_VERSION),
		.length = cpu_to_le32(size),
		.checksum = cpu_to_le32(checksum(state + sizeof(image),
						 size - sizeof(image))),
	};

	memcpy(state, &image, sizeof(image));
}

u8 pds_double_transfer(struct pds_double_vf *v, const char *name, u64 sgl,
		       u32 num_sge, u8 *data, size_t len, bool write)
{
	struct vfio_double_vf *vf = &v->vf;
	struct pds_lm_sg_elem elem;
	u32 i;

	for (i = 0; i < num_sge && len; i++) {
		size_t n;

		if (vfio_double_dma(vf, sgl + i * sizeof(elem), &elem,
				    sizeof(elem), false)) {
			vfio_double_violation(vf, "%s: scatter list isn't mapped",
					      name);
			return PDS_RC_BAD_ADDR;
		}
		n = min_t(size_t, len, le32_to_cpu(elem.len));
		if (vfio_double_dma(vf, le64_to_cpu(elem.addr), data, n,
				    write)) {
			vfio_double_violation(vf, "%s: memory of element %u isn't mapped",
					      name, i);
			return PDS_RC_BAD_ADDR;
		}
		data += n;
		len -= n;
	}
	if (len) {
		vfio_double_violation(vf, "%s: scatter list is %zu bytes too short",
				      name, len);
		return PDS_RC_ENOSPC;
	}
	return PDS_RC_SUCCESS;
}

void pds_double_go(struct pds_double_vf *v, enum pds_double_activity activity)
{
	v->activity = activity;
	v->vf.suspended = activity == PDS_DOUBLE_STOPPED;
	v->suspending = false;
}

/*
 * The command had its effect, and the driver does not know. A suspension ends
 * by itself. Where the function is, only the driver's next command tells.
 */
void pds_double_unheard(struct pds_double_vf *v, enum pds_double_command cmd)
{
	switch (cmd) {
	case CMD_SUSPEND:
		pds_double_go(v, v->next);
		v->unsure = true;
		break;
	case CMD_RESUME:
		v->unsure = true;
		break;
	case CMD_DIRTY_ENABLE:
		v->excused = true;
		break;
	default:
		break;
	}
}

static u8 host_vf_status(struct pds_double_vf *v,
			 const struct pds_lm_host_vf_status_cmd *cmd)
{
	if (cmd->status >= PDS_LM_STA_MAX) {
		vfio_double_violation(&v->vf, "HOST_VF_STATUS of unknown status %u",
				      cmd->status);
		return PDS_RC_EINVAL;
	}
	v->host_status = cmd->status;
	return PDS_RC_SUCCESS;
}

static bool type_known(struct pds_double_vf *v, const char *name, u8 type)
{
	if (type == PDS_LM_SUSPEND_RESUME_TYPE_FULL ||
	    type == PDS_LM_SUSPEND_RESUME_TYPE_P2P)
		return true;
	vfio_double_violation(&v->vf, "%s of unknown type %u", name, type);
	return false;
}

/* What a SUSPEND of this type leads to */
static enum pds_double_activity suspended(u8 type)
{
	return type == PDS_LM_SUSPEND_RESUME_TYPE_P2P ? PDS_DOUBLE_P2P :
							PDS_DOUBLE_STOPPED;
}

/* Starts the suspension; SUSPEND_STATUS tells when it has ended */
static u8 suspend(struct pds_double_vf *v, const struct pds_lm_suspend_cmd *cmd)
{
	enum pds_double_activity next = suspended(cmd->type);

	if (!type_known(v, "SUSPEND", cmd->type))
		return PDS_RC_EINVAL;
	if (!v->unsure && v->activity > next) {
		vfio_double_violation(&v->vf, "SUSPEND P2P while stopped");
		return PDS_RC_EINVAL;
	}
	if (!v->unsure && next == PDS_DOUBLE_STOPPED &&
	    v->activity == PDS_DOUBLE_RUNS) {
		vfio_double_violation(&v->vf, "SUSPEND FULL before P2P%s",
				      v->suspending ? " has ended" : "");
		return PDS_RC_EINVAL;
	}
	v->unsure = false;
	v->suspending = true;
	v->next = next;
	v->polls = v->polls_needed;
	return PDS_RC_SUCCESS;
}

static u8 suspend_status(struct pds_double_vf *v,
			 const struct pds_lm_suspend_status_cmd *cmd)
{
	enum pds_double_activity next = suspended(cmd->type);

	if (!type_known(v, "SUSPEND_STATUS", cmd->type))
		return PDS_RC_EINVAL;
	if (v->suspending ? v->next != next : v->activity != next) {
		vfio_double_violation(&v->vf, "SUSPEND_STATUS without SUSPEND");
		return PDS_RC_EINVAL;
	}
	if (!v->suspending)
		return PDS_RC_SUCCESS;
	if (v->polls) {
		v->polls--;
		return PDS_RC_EAGAIN;
	}
	pds_double_go(v, next);
	return PDS_RC_SUCCESS;
}

/* P2P: from stopped to a function that begins no DMA. FULL: from there */
static u8 resume(struct pds_double_vf *v, const struct pds_lm_resume_cmd *cmd)
{
	bool p2p = cmd->type == PDS_LM_SUSPEND_RESUME_TYPE_P2P;

	if (!type_known(v, "RESUME", cmd->type))
		return PDS_RC_EINVAL;
	if (v->suspending) {
		vfio_double_violation(&v->vf, "RESUME before SUSPEND has ended");
		return PDS_RC_EBUSY;
	}
	if (!v->unsure && v->activity == PDS_DOUBLE_RUNS) {
		vfio_double_violation(&v->vf, "RESUME while running");
		return PDS_RC_EINVAL;
	}
	if (!v->unsure && !p2p && v->activity == PDS_DOUBLE_STOPPED) {
		vfio_double_violation(&v->vf, "RESUME FULL before P2P");
		return PDS_RC_EINVAL;
	}
	v->unsure = false;
	pds_double_go(v, p2p ? PDS_DOUBLE_P2P : PDS_DOUBLE_RUNS);
	return PDS_RC_SUCCESS;
}

static bool is_stopped(struct pds_double_vf *v, const char *name)
{
	if (v->activity == PDS_DOUBLE_STOPPED)
		return true;
	/* The driver could not know */
	if (v->unsure)
		return false;
	vfio_double_violation(&v->vf, "%s while %s", name,
			      v->suspending ? "SUSPEND has not ended" :
					      "running");
	return false;
}

static bool sgl_sane(struct pds_double_vf *v, const char *name, u32 num_sge)
{
	if (num_sge && num_sge <= MAX_SGE)
		return true;
	vfio_double_violation(&v->vf, "%s: scatter list of %u elements", name,
			      num_sge);
	return false;
}

static u8 save(struct pds_double_vf *v, const struct pds_lm_save_cmd *cmd)
{
	u32 num_sge = le32_to_cpu(cmd->num_sge);
	u8 status;

	if (!is_stopped(v, "SAVE"))
		return PDS_RC_EPERM;
	if (!sgl_sane(v, "SAVE", num_sge))
		return PDS_RC_EINVAL;
	status = pds_double_transfer(v, "SAVE", le64_to_cpu(cmd->sgl_addr),
				     num_sge, v->vf.state, v->vf.state_size,
				     true);
	if (status == PDS_RC_SUCCESS)
		v->vf.dirty = 0;
	return status;
}

/* The data is the user's, so none of this is a violation */
static bool is_image(struct pds_double_vf *v, const u8 *data, size_t *len)
{
	struct image image;

	memcpy(&image, data, sizeof(image));
	*len = le32_to_cpu(image.length);
	if (le32_to_cpu(image.magic) != IMAGE_MAGIC ||
	    le32_to_cpu(image.version) != IMAGE_VERSION ||
	    *len < sizeof(image) || *len > PDS_LM_DEVICE_STATE_LENGTH)
		return false;
	if (!vfio_double_has(&v->vf, CAP_INTEGRITY))
		return true;
	return le32_to_cpu(image.checksum) ==
	       checksum(data + sizeof(image), *len - sizeof(image)) &&
	       !memchr_inv(data + *len, 0, PDS_LM_DEVICE_STATE_LENGTH - *len);
}

static u8 restore(struct pds_double_vf *v, const struct pds_lm_restore_cmd *cmd)
{
	u32 num_sge = le32_to_cpu(cmd->num_sge);
	struct vfio_double_vf *vf = &v->vf;
	size_t len;
	u8 *data;
	u8 status;

	if (!is_stopped(v, "RESTORE"))
		return PDS_RC_EPERM;
	if (!sgl_sane(v, "RESTORE", num_sge))
		return PDS_RC_EINVAL;
	data = kvzalloc(PDS_LM_DEVICE_STATE_LENGTH, GFP_KERNEL);
	if (!data)
		return PDS_RC_ENOMEM;
	status = pds_double_transfer(v, "RESTORE", le64_to_cpu(cmd->sgl_addr),
				     num_sge, data, PDS_LM_DEVICE_STATE_LENGTH,
				     false);
	if (status == PDS_RC_SUCCESS && !is_image(v, data, &len))
		status = PDS_RC_EINVAL;
	if (status == PDS_RC_SUCCESS) {
		vfio_double_loaded_begin(vf);
		if (vfio_double_loaded_add(vf, data, len) ||
		    vfio_double_state_set(vf, data, len))
			status = PDS_RC_ENOMEM;
	}
	kvfree(data);
	return status;
}

/*
 * Does this command continue something that a restart has ended? Until its
 * driver has been told, it is no mistake.
 */
static bool is_lost(struct pds_double_vf *v, enum pds_double_command cmd,
		    const union pds_core_adminq_cmd *req)
{
	if (!v->untold || v->activity != PDS_DOUBLE_RUNS || v->suspending)
		return false;
	switch (cmd) {
	case CMD_SUSPEND:
		return req->lm_suspend.type == PDS_LM_SUSPEND_RESUME_TYPE_FULL;
	case CMD_SUSPEND_STATUS:
	case CMD_RESUME:
	case CMD_SAVE:
	case CMD_RESTORE:
	case CMD_DIRTY_READ_SEQ:
	case CMD_DIRTY_WRITE_ACK:
		return true;
	default:
		return false;
	}
}

u8 pds_double_execute(struct pds_double_vf *v, enum pds_double_command cmd,
		      union pds_core_adminq_cmd *req,
		      union pds_core_adminq_comp *comp)
{
	lockdep_assert_held(&v->vf.lock);

	if (is_lost(v, cmd, req))
		return PDS_RC_EIO;
	switch (cmd) {
	case CMD_HOST_VF_STATUS:
		return host_vf_status(v, &req->lm_host_vf_status);
	case CMD_STATE_SIZE:
		comp->lm_state_size.size = cpu_to_le64(v->vf.state_size);
		return PDS_RC_SUCCESS;
	case CMD_SUSPEND:
		return suspend(v, &req->lm_suspend);
	case CMD_SUSPEND_STATUS:
		return suspend_status(v, &req->lm_suspend_status);
	case CMD_RESUME:
		return resume(v, &req->lm_resume);
	case CMD_SAVE:
		return save(v, &req->lm_save);
	case CMD_RESTORE:
		return restore(v, &req->lm_restore);
	case CMD_DIRTY_STATUS:
		return pds_double_dirty_status(v, &req->lm_dirty_status,
					       &comp->lm_dirty_status);
	case CMD_DIRTY_ENABLE:
		return pds_double_dirty_enable(v, &req->lm_dirty_enable,
					       &comp->lm_dirty_status);
	case CMD_DIRTY_DISABLE:
		return pds_double_dirty_disable(v, &comp->lm_dirty_status);
	case CMD_DIRTY_READ_SEQ:
		return pds_double_dirty_seq_ack(v, &req->lm_dirty_seq_ack,
						true);
	case CMD_DIRTY_WRITE_ACK:
		return pds_double_dirty_seq_ack(v, &req->lm_dirty_seq_ack,
						false);
	default:
		return PDS_RC_EOPCODE;
	}
}
