/* SPDX-License-Identifier: GPL-2.0-only */
/* Within the common module: see function_reset.c */
#ifndef VFIO_DOUBLE_FUNCTION_RESET_H
#define VFIO_DOUBLE_FUNCTION_RESET_H

struct vfio_double_pf;
struct vfio_double_vf;

int vfio_double_watch_pf(struct vfio_double_pf *pf);
void vfio_double_unwatch_pf(struct vfio_double_pf *pf);
void vfio_double_watch_vf(struct vfio_double_vf *vf);
void vfio_double_unwatch_vf(struct vfio_double_vf *vf);

#endif /* VFIO_DOUBLE_FUNCTION_RESET_H */
