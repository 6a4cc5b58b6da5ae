/* SPDX-License-Identifier: GPL-2.0-only */
/* Differences between the kernels that the doubles are compiled against */
#ifndef VFIO_DOUBLE_COMPAT_H
#define VFIO_DOUBLE_COMPAT_H

#include <linux/slab.h>

/* Since 7.0 */
#ifndef kzalloc_obj
#define kzalloc_obj(obj)	kzalloc(sizeof(obj), GFP_KERNEL)
#endif

#endif /* VFIO_DOUBLE_COMPAT_H */
