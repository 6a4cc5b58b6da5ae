/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device doubles: declarations shared by the files of the common module. A
 * vendor's double uses only vfio_double.h.
 *
 * control.c		a test's commands, and their effect on the firmware
 * dma.c		the device's access to memory
 * files.c		debugfs files that show a function
 * function_reset.c	function level resets
 * life.c		physical and virtual functions appear and disappear
 * log.c		journal and violations
 * state.c		state image and loaded image
 */
#ifndef VFIO_DOUBLE_INTERNAL_H
#define VFIO_DOUBLE_INTERNAL_H

#include "vfio_double.h"

struct file_operations;

static inline size_t vfio_double_max_state(const struct vfio_double_ops *ops)
{
	return ops->max_state ?: VFIO_DOUBLE_MAX_STATE;
}

/* control.c */
extern const struct file_operations vfio_double_control_fops;

/* @commands: bit mask; @going: the function goes away, so refuse "hold" */
void vfio_double_release_commands(struct vfio_double_vf *vf,
				  unsigned long commands, bool going);

/* files.c; the files are removed with vf->dir */
void vfio_double_add_files(struct vfio_double_vf *vf);

/* function_reset.c */
int vfio_double_watch_pf(struct vfio_double_pf *pf);
void vfio_double_unwatch_pf(struct vfio_double_pf *pf);
void vfio_double_watch_vf(struct vfio_double_vf *vf);
void vfio_double_unwatch_vf(struct vfio_double_vf *vf);

/* log.c */
__printf(2, 3)
void vfio_double_warn(struct vfio_double_vf *vf, const char *fmt, ...);
void vfio_double_log_init(struct vfio_double_log *log);
void vfio_double_log_clear(struct vfio_double_vf *vf,
			   struct vfio_double_log *log);
void vfio_double_log_show(struct seq_file *m, struct vfio_double_vf *vf,
			  struct vfio_double_log *log);

/* state.c; with vf->lock held */
int vfio_double_state_dirty(struct vfio_double_vf *vf, size_t bytes);

#endif /* VFIO_DOUBLE_INTERNAL_H */
