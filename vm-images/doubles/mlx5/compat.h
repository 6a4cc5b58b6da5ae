/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the kernels that this double is compiled against.
 * Additions to the adapter's own interface are in firmware.c, because an
 * adapter has them with every kernel.
 */
#ifndef VFIO_DOUBLE_MLX5_COMPAT_H
#define VFIO_DOUBLE_MLX5_COMPAT_H

#include <linux/slab.h>

/* Since 7.0 */
#ifndef kzalloc_obj
#define kzalloc_obj(obj)	kzalloc(sizeof(obj), GFP_KERNEL)
#define kvzalloc_obj(obj)	kvzalloc(sizeof(obj), GFP_KERNEL)
#endif

#endif /* VFIO_DOUBLE_MLX5_COMPAT_H */
