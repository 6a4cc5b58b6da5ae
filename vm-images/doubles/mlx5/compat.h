/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that this double is compiled against. What
 * the adapter's own interface has gained since isn't here but in firmware.c:
 * an adapter has it whatever the kernel.
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
