/* SPDX-License-Identifier: GPL-2.0-only */
/* Differences between the kernels that this device is compiled against */
#ifndef VFIO_REGION2019_COMPAT_H
#define VFIO_REGION2019_COMPAT_H

#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#ifndef HAVE_GET_REGION_INFO_CAPS

typedef int (*region_info_fn)(struct vfio_device *vdev,
			      struct vfio_region_info *info,
			      struct vfio_info_cap *caps);

/* VFIO_DEVICE_GET_REGION_INFO; newer kernels handle it in the VFIO core */
static inline long compat_get_region_info(struct vfio_device *vdev,
					  void __user *arg, region_info_fn get)
{
	unsigned long minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info = {};
	struct vfio_info_cap caps = {};
	long ret;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;

	ret = get(vdev, &info, &caps);
	if (ret)
		goto out;

	if (caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		info.cap_offset = 0;
		if (info.argsz >= sizeof(info) + caps.size) {
			info.cap_offset = sizeof(info);
			vfio_info_cap_shift(&caps, info.cap_offset);
			if (copy_to_user(arg + info.cap_offset, caps.buf,
					 caps.size))
				ret = -EFAULT;
		} else {
			info.argsz = sizeof(info) + caps.size;
		}
	}
	if (!ret && copy_to_user(arg, &info, minsz))
		ret = -EFAULT;
out:
	kfree(caps.buf);
	return ret;
}

#endif

#endif /* VFIO_REGION2019_COMPAT_H */
