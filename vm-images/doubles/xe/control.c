// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device double for xe_vfio_pci: the functions that xe exports to it, and the
 * states of a virtual function.
 *
 * xe sends requests to the GuC of each GT, and waits for its worker. Here the
 * worker is never late, so that tests do not depend on its speed: it has done
 * its work when a call returns, except if a test holds it. xe's time limits end
 * at once if nobody is there who could still do the work.
 */
#include <drm/intel/xe_sriov_vfio.h>

#include "xe_double.h"

struct xe_device {
	struct vfio_double_pf pf;
	struct vfio_double_vf *asks;	/* the function whose driver asks now */
};

static const char * const xe_commands[] = VFIO_DOUBLE_NAMES(XE_COMMANDS);

static const char * const xe_capabilities[] =
	VFIO_DOUBLE_NAMES(XE_CAPABILITIES);

static struct vfio_double xe_double;

void xe_exit_wip(struct xe_gt *gt)
{
	if (gt->flags & (XE_SAVE_WIP | XE_RESTORE_WIP))
		xe_ring_free(gt);
	if (gt->flags & XE_SAVE_WIP)
		gt->flags &= ~(XE_SAVE_WIP | XE_SAVE_STEPS);
	if (gt->flags & XE_RESTORE_WIP)
		gt->flags &= ~(XE_RESTORE_WIP | XE_RESTORE_STEPS);
	gt->flags &= ~(XE_PAUSE_WIP | XE_FLR_WIP);
}

/* Calls begin and end */

static void xe_violation_of_all(struct xe_device *xe, unsigned int vfid,
				const char *what)
{
	struct vfio_double_vf *vf;
	int id;

	/* A test looks only at the functions that it uses */
	for (id = 0; id < pci_num_vf(xe->pf.pdev); id++) {
		vf = vfio_double_vf_by_id(&xe_double, xe->pf.pdev, id);
		if (vf)
			vfio_double_violation(vf, "%s of VF%u", what, vfid);
	}
}

/* NULL: the call returns -EINVAL */
static struct xe_vf *xe_find(struct xe_device *xe, unsigned int vfid,
			     const char *what)
{
	struct vfio_double_vf *vf = NULL;

	if (vfid)
		vf = vfio_double_vf_by_id(&xe_double, xe->pf.pdev, vfid - 1);
	if (!vf || !to_xe_vf(vf)->bound)
		xe_violation_of_all(xe, vfid, what);
	return vf ? to_xe_vf(vf) : NULL;
}

static struct xe_vf *xe_begin(struct xe_device *xe, unsigned int vfid,
			      enum xe_command cmd)
{
	struct xe_vf *xvf = xe_find(xe, vfid, xe_commands[cmd]);

	if (!xvf)
		return NULL;
	vfio_double_wait_released(&xvf->vf, cmd);
	mutex_lock(&xvf->vf.lock);
	vfio_double_catch_up(&xvf->vf);
	return xvf;
}

static int xe_end(struct xe_vf *xvf, enum xe_command cmd, int ret)
{
	bool runs = false;
	int id;

	for (id = 0; id < xe_nr_gts(&xvf->vf); id++)
		if (!(xvf->gts[id].flags & (XE_PAUSED | XE_STOPPED)))
			runs = true;
	xvf->vf.suspended = !runs;
	mutex_unlock(&xvf->vf.lock);
	vfio_double_wait_told(&xvf->vf, cmd);
	return ret;
}

/* Do this in all GTs, even if it has failed in one */
static int xe_in_all(struct xe_device *xe, unsigned int vfid,
		     enum xe_command cmd,
		     int (*act)(struct xe_vf *xvf, int id))
{
	struct xe_vf *xvf = xe_begin(xe, vfid, cmd);
	int id, err, result = 0;

	if (!xvf)
		return -EINVAL;
	for (id = 0; id < xe_nr_gts(&xvf->vf); id++) {
		err = act(xvf, id);
		vfio_double_journal(&xvf->vf, cmd, err, "gt=%d", id);
		result = result ? -EUCLEAN : err;
	}
	return xe_end(xvf, cmd, result);
}

/* Do this in one GT after the other, until it fails */
static int xe_in_turn(struct xe_device *xe, unsigned int vfid,
		      enum xe_command cmd,
		      int (*act)(struct xe_vf *xvf, int id))
{
	struct xe_vf *xvf = xe_begin(xe, vfid, cmd);
	int id, ret = 0;

	if (!xvf)
		return -EINVAL;
	for (id = 0; !ret && id < xe_nr_gts(&xvf->vf); id++) {
		ret = act(xvf, id);
		vfio_double_journal(&xvf->vf, cmd, ret, "gt=%d", id);
	}
	return xe_end(xvf, cmd, ret);
}

/*
 * Does the GuC refuse this request, with a positive errno, or not answer, with
 * a negative one? xe repeats a request until the GuC is not busy.
 */
static int xe_refused(struct xe_vf *xvf, enum xe_command cmd)
{
	int status = vfio_double_fail_take(&xvf->vf, cmd);

	return status == EBUSY ? 0 : status;
}

/* Pause, resume, stop */

static int xe_pause(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];
	int status;

	if (gt->flags & XE_STOPPED)
		return -EPERM;
	if (gt->flags & XE_PAUSED)
		return -ESTALE;
	if (gt->flags & XE_PAUSE_WIP)
		return -EALREADY;
	status = xe_refused(xvf, XE_PAUSE);
	if (status < 0) {
		gt->flags |= XE_PAUSE_WIP;
		return -ETIMEDOUT;
	}
	if (status)
		return -EIO;
	gt->flags |= XE_PAUSED;
	xe_exit_wip(gt);
	return 0;
}

int xe_sriov_vfio_suspend_device(struct xe_device *xe, unsigned int vfid)
{
	return xe_in_all(xe, vfid, XE_PAUSE, xe_pause);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_suspend_device);

static int xe_resume(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	if (!(gt->flags & XE_PAUSED))
		return -EPERM;
	if (gt->flags & (XE_SAVE_WIP | XE_RESTORE_WIP))
		return -EBUSY;
	if (xe_refused(xvf, XE_RESUME))
		return -EIO;
	gt->flags &= ~(XE_PAUSED | XE_RESTORED);
	xe_exit_wip(gt);
	return 0;
}

int xe_sriov_vfio_resume_device(struct xe_device *xe, unsigned int vfid)
{
	return xe_in_all(xe, vfid, XE_RESUME, xe_resume);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_resume_device);

static int xe_stop(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	if (gt->flags & XE_STOPPED)
		return -ESTALE;
	if (xe_refused(xvf, XE_STOP))
		return -EIO;
	gt->flags &= ~(XE_PAUSED | XE_RESTORED);
	gt->flags |= XE_STOPPED;
	xe_exit_wip(gt);
	return 0;
}

int xe_sriov_vfio_error(struct xe_device *xe, unsigned int vfid)
{
	return xe_in_all(xe, vfid, XE_STOP, xe_stop);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_error);

/* Function level resets */

static int xe_prepare_flr(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	if (gt->flags & XE_FLR_WIP)
		return -EALREADY;
	gt->flags |= XE_FLR_WIP;
	return 0;
}

int xe_sriov_vfio_flr_prepare(struct xe_device *xe, unsigned int vfid)
{
	struct xe_vf *xvf = xe_find(xe, vfid, xe_commands[XE_PREPARE_FLR]);

	if (xvf) {
		mutex_lock(&xvf->vf.lock);
		vfio_double_catch_up(&xvf->vf);
		if (xvf->flr_not_awaited)
			vfio_double_violation(&xvf->vf, "FLR without WAIT_FLR");
		xvf->flr_not_awaited = false;
		xvf->flr_announced = true;
		mutex_unlock(&xvf->vf.lock);
	}
	return xe_in_all(xe, vfid, XE_PREPARE_FLR, xe_prepare_flr);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_flr_prepare);

/* The GuC has told xe of the reset, and xe's worker does its part */
static void xe_function_reset(struct vfio_double_vf *vf)
{
	struct xe_vf *xvf = to_xe_vf(vf);
	bool runs = false;
	struct xe_gt *gt;
	int id, status;

	for (id = 0; id < xe_nr_gts(vf); id++) {
		gt = &xvf->gts[id];
		status = xe_refused(xvf, XE_FLR);
		xe_exit_wip(gt);
		if (status)
			gt->flags |= XE_FLR_FAILED;
		else
			gt->flags &= XE_SAVE_STEPS | XE_RESTORE_STEPS;
		if (!(gt->flags & (XE_PAUSED | XE_STOPPED)))
			runs = true;
		vfio_double_journal(vf, XE_FLR, status, "gt=%d", id);
	}
	vf->suspended = !runs;
	xvf->flr_not_awaited = xvf->flr_announced;
	xvf->flr_announced = false;
}

static int xe_wait_flr(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	xvf->flr_not_awaited = false;
	if (gt->flags & XE_FLR_FAILED)
		return -EIO;
	return gt->flags & XE_FLR_WIP ? -ETIMEDOUT : 0;
}

int xe_sriov_vfio_wait_flr_done(struct xe_device *xe, unsigned int vfid)
{
	return xe_in_all(xe, vfid, XE_WAIT_FLR, xe_wait_flr);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_wait_flr_done);

/* Saving and restoring */

static int xe_may_migrate(struct xe_gt *gt, unsigned long other,
			  unsigned long same)
{
	if (!(gt->flags & XE_PAUSED))
		return -EPERM;
	if (gt->flags & other)
		return -EBUSY;
	return gt->flags & same ? -EALREADY : 0;
}

static int xe_trigger_save(struct xe_vf *xvf, int id)
{
	int ret = xe_may_migrate(&xvf->gts[id], XE_RESTORE_WIP, XE_SAVE_WIP);

	if (!ret && xe_refused(xvf, XE_TRIGGER_SAVE))
		ret = -EIO;
	if (!ret)
		xe_begin_save(xvf, id);
	return ret;
}

int xe_sriov_vfio_stop_copy_enter(struct xe_device *xe, unsigned int vfid)
{
	struct xe_vf *xvf = xe_find(xe, vfid, xe_commands[XE_TRIGGER_SAVE]);
	int ret;

	if (!xvf)
		return -EINVAL;
	if (mutex_lock_interruptible(&xvf->data_lock))
		return -EINTR;
	ret = xe_init_save(xvf);
	mutex_unlock(&xvf->data_lock);
	return ret ?: xe_in_turn(xe, vfid, XE_TRIGGER_SAVE, xe_trigger_save);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_stop_copy_enter);

static int xe_finish_save(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	if (xe_refused(xvf, XE_FINISH_SAVE) ||
	    !(gt->flags & XE_SAVE_DATA_DONE))
		return -EIO;
	xe_exit_wip(gt);
	return 0;
}

int xe_sriov_vfio_stop_copy_exit(struct xe_device *xe, unsigned int vfid)
{
	return xe_in_turn(xe, vfid, XE_FINISH_SAVE, xe_finish_save);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_stop_copy_exit);

static int xe_trigger_restore(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];
	int ret = xe_may_migrate(gt, XE_SAVE_WIP, XE_RESTORE_WIP);

	if (!ret && xe_refused(xvf, XE_TRIGGER_RESTORE))
		ret = -EIO;
	if (ret)
		return ret;
	if (!id)
		xe_begin_restore(xvf);
	gt->flags |= XE_RESTORE_WIP | XE_RESTORE_PROCESS;
	xe_process_restore(xvf, id);
	return 0;
}

int xe_sriov_vfio_resume_data_enter(struct xe_device *xe, unsigned int vfid)
{
	return xe_in_turn(xe, vfid, XE_TRIGGER_RESTORE, xe_trigger_restore);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_resume_data_enter);

static int xe_finish_restore(struct xe_vf *xvf, int id)
{
	struct xe_gt *gt = &xvf->gts[id];

	if (xe_refused(xvf, XE_FINISH_RESTORE) ||
	    gt->flags & XE_RESTORE_FAILED)
		return -EIO;
	/* xe waits for 20 s, but no more data can come */
	if (gt->flags & XE_RESTORE_WIP)
		return -ETIMEDOUT;
	return gt->flags & XE_RESTORED ? 0 : -EIO;
}

int xe_sriov_vfio_resume_data_exit(struct xe_device *xe, unsigned int vfid)
{
	struct xe_vf *xvf = xe_find(xe, vfid, xe_commands[XE_FINISH_RESTORE]);

	if (xvf)
		vfio_double_wait_released(&xvf->vf, XE_RESTORE);
	return xe_in_turn(xe, vfid, XE_FINISH_RESTORE, xe_finish_restore);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_resume_data_exit);

/* Data */

static struct xe_vf *xe_begin_data(struct xe_device *xe, unsigned int vfid,
				   const char *what, unsigned long needed)
{
	struct xe_vf *xvf = xe_find(xe, vfid, what);
	bool wrong = false;
	int id;

	if (!xvf)
		return ERR_PTR(-EINVAL);
	mutex_lock(&xvf->vf.lock);
	for (id = 0; id < xe_nr_gts(&xvf->vf); id++)
		if (!(xvf->gts[id].flags & needed))
			wrong = true;
	if (wrong)
		vfio_double_violation(&xvf->vf, "%s of no migration", what);
	mutex_unlock(&xvf->vf.lock);
	if (mutex_lock_interruptible(&xvf->data_lock))
		return ERR_PTR(-EINTR);
	return xvf;
}

ssize_t xe_sriov_vfio_data_read(struct xe_device *xe, unsigned int vfid,
				char __user *buf, size_t len)
{
	struct xe_vf *xvf = xe_begin_data(xe, vfid, "data_read",
					  XE_SAVE_WIP | XE_SAVE_FAILED);
	ssize_t ret;

	if (IS_ERR(xvf))
		return PTR_ERR(xvf);
	ret = xe_read(xvf, buf, len);
	mutex_unlock(&xvf->data_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_data_read);

ssize_t xe_sriov_vfio_data_write(struct xe_device *xe, unsigned int vfid,
				 const char __user *buf, size_t len)
{
	struct xe_vf *xvf = xe_begin_data(xe, vfid, "data_write",
					  XE_RESTORE_WIP | XE_RESTORE_FAILED |
					  XE_RESTORED);
	ssize_t ret;

	if (IS_ERR(xvf))
		return PTR_ERR(xvf);
	ret = xe_write(xvf, buf, len);
	mutex_unlock(&xvf->data_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_data_write);

ssize_t xe_sriov_vfio_stop_copy_size(struct xe_device *xe, unsigned int vfid)
{
	struct xe_vf *xvf = xe_begin(xe, vfid, XE_SIZE);
	ssize_t size;
	int ret;

	if (!xvf)
		return -EINVAL;
	ret = -abs(xe_refused(xvf, XE_SIZE));
	size = ret ?: xe_save_size(&xvf->vf);
	vfio_double_journal(&xvf->vf, XE_SIZE, ret, "size=%zd", size);
	xe_end(xvf, XE_SIZE, ret);
	return size;
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_stop_copy_size);

/* Functions */

struct xe_device *xe_sriov_vfio_get_pf(struct pci_dev *pdev)
{
	struct vfio_double_vf *vf = vfio_double_vf(&xe_double, pdev);
	struct xe_device *xe;

	if (!vf)
		return NULL;
	xe = container_of(vf->pf, struct xe_device, pf);
	WRITE_ONCE(xe->asks, vf);
	return xe;
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_get_pf);

bool xe_sriov_vfio_migration_supported(struct xe_device *xe)
{
	/*
	 * An adapter has it or not, but a test says so of one function, and
	 * may have others. A driver asks this next after it has got @xe.
	 */
	return vfio_double_has(READ_ONCE(xe->asks), XE_MIGRATION);
}
EXPORT_SYMBOL_GPL(xe_sriov_vfio_migration_supported);

static int xe_vf_init(struct vfio_double_vf *vf)
{
	init_waitqueue_head(&to_xe_vf(vf)->wq);
	mutex_init(&to_xe_vf(vf)->data_lock);
	return 0;
}

static void xe_vf_binding(struct vfio_double_vf *vf)
{
	mutex_lock(&vf->lock);
	to_xe_vf(vf)->bound = true;
	mutex_unlock(&vf->lock);
}

static void xe_vf_unbound(struct vfio_double_vf *vf)
{
	struct xe_vf *xvf = to_xe_vf(vf);
	int id;

	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	xvf->bound = false;
	for (id = 0; id < xe_nr_gts(vf); id++)
		if (xvf->gts[id].flags & (XE_PAUSED | XE_STOPPED))
			vfio_double_violation(vf, "unbound while stopped in GT%d",
					      id);
	if (xvf->flr_not_awaited)
		vfio_double_violation(vf, "FLR without WAIT_FLR");
	mutex_unlock(&vf->lock);
}

static void xe_vf_release(struct vfio_double_vf *vf)
{
	struct xe_vf *xvf = to_xe_vf(vf);
	int id;

	for (id = 0; id < XE_MAX_GTS; id++)
		xe_ring_free(&xvf->gts[id]);
	xe_free_packets(xvf);
	mutex_destroy(&xvf->data_lock);
}

static void xe_vfs_disabling(struct vfio_double_pf *pf)
{
	int id, nr_vfs = pci_num_vf(pf->pdev);
	struct vfio_double_vf *vf;

	/* Nobody waits for data any more, or drivers could not be unbound */
	for (id = 0; id < nr_vfs; id++) {
		vf = vfio_double_vf_by_id(&xe_double, pf->pdev, id);
		if (!vf)
			continue;
		mutex_lock(&vf->lock);
		to_xe_vf(vf)->going = true;
		mutex_unlock(&vf->lock);
		wake_up_all(&to_xe_vf(vf)->wq);
	}
}

/* The worker continues */
static void xe_released(struct vfio_double_vf *vf, unsigned int cmd)
{
	int id;

	mutex_lock(&vf->lock);
	for (id = 0; id < xe_nr_gts(vf); id++) {
		if (cmd == XE_SAVE)
			xe_process_save(to_xe_vf(vf), id);
		else if (cmd == XE_RESTORE)
			xe_process_restore(to_xe_vf(vf), id);
	}
	mutex_unlock(&vf->lock);
}

static int xe_resized(struct vfio_double_vf *vf, size_t size)
{
	return size % sizeof(u32) ? -EINVAL : 0;
}

static void xe_info(struct vfio_double_vf *vf, struct seq_file *m)
{
	struct xe_vf *xvf = to_xe_vf(vf);
	bool in_flight = false;
	int id;

	for (id = 0; id < xe_nr_gts(vf); id++) {
		if (xvf->gts[id].flags & (XE_SAVE_PROCESS | XE_RESTORE_PROCESS))
			in_flight = true;
		seq_printf(m, "gt%d=%#lx\nring%d=%u\n", id, xvf->gts[id].flags,
			   id, xvf->gts[id].packets);
	}
	seq_printf(m, "in_flight=%d\n", in_flight);
}

static const struct vfio_double_ops xe_ops = {
	.name = "xe",
	.vf_size = sizeof(struct xe_vf),
	.pf_size = sizeof(struct xe_device),
	.commands = xe_commands,
	.holdable = ~BIT(XE_FLR),
	.never_fail = BIT(XE_PREPARE_FLR) | BIT(XE_WAIT_FLR),
	.never_late = ~0UL,
	.capabilities = xe_capabilities,
	.default_capabilities = BIT(XE_MIGRATION) | BIT(XE_MEDIA_GT),
	.default_state = SZ_64K,
	.min_state = SZ_4K,
	.max_status = MAX_ERRNO,
	.vfs_disabling = xe_vfs_disabling,
	.vf_init = xe_vf_init,
	.vf_binding = xe_vf_binding,
	.vf_unbound = xe_vf_unbound,
	.vf_release = xe_vf_release,
	.resized = xe_resized,
	.function_reset = xe_function_reset,
	.released = xe_released,
	.info = xe_info,
};

module_vfio_double(xe_double, xe_ops);
