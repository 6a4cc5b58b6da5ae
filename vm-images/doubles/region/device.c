// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device apart from its migration region: it creates and opens the device,
 * and describes its regions. See region2019.h.
 */
#include <linux/mdev.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "region2019.h"

#define NAME		"region2019"
#define MAX_DEVICES	8

#define OFFSET_SHIFT	40
#define OFFSET_MASK	((1ULL << OFFSET_SHIFT) - 1)

enum {
	MEMORY_REGION,
	MIGRATION_REGION,
	DMA_REGION,
	NR_REGIONS,
};

static struct platform_device *parent_device;
static struct mdev_parent parent;

static struct region2019 *to_region2019(struct vfio_device *vdev)
{
	return container_of(vdev, struct region2019, vdev);
}

static int region2019_init(struct vfio_device *vdev)
{
	struct region2019 *dev = to_region2019(vdev);

	dev->data = vmalloc_user(DATA_SIZE);
	if (!dev->data)
		return -ENOMEM;
	mutex_init(&dev->lock);
	return 0;
}

static void region2019_release(struct vfio_device *vdev)
{
	struct region2019 *dev = to_region2019(vdev);

	mutex_destroy(&dev->lock);
	vfree(dev->data);
}

/* An opened device runs, with zeroed memory */
static int region2019_open(struct vfio_device *vdev)
{
	struct region2019 *dev = to_region2019(vdev);

	mutex_lock(&dev->lock);
	memset(dev->memory, 0, sizeof(dev->memory));
	migration_begin(dev);
	mutex_unlock(&dev->lock);
	return 0;
}

static ssize_t read_memory(struct region2019 *dev, char __user *buf,
			   size_t count, loff_t offset)
{
	if (offset >= MEMORY_SIZE)
		return -EINVAL;
	count = min_t(size_t, count, MEMORY_SIZE - offset);
	if (copy_to_user(buf, dev->memory + offset, count))
		return -EFAULT;
	return count;
}

static ssize_t write_memory(struct region2019 *dev, const char __user *buf,
			    size_t count, loff_t offset)
{
	if (offset >= MEMORY_SIZE)
		return -EINVAL;
	/* A stopped device rejects work */
	if (!(dev->info.device_state & STATE_RUNNING))
		return -EBUSY;
	count = min_t(size_t, count, MEMORY_SIZE - offset);
	if (!count)
		return 0;
	if (copy_from_user(dev->memory + offset, buf, count))
		return -EFAULT;
	migration_memory_written(dev, offset, count);
	return count;
}

static ssize_t write_dma(struct region2019 *dev, const char __user *buf,
			 size_t count, loff_t offset)
{
	struct dma_command command;
	int ret;

	if (offset || count != sizeof(command))
		return -EINVAL;
	if (copy_from_user(&command, buf, sizeof(command)))
		return -EFAULT;
	ret = migration_dma(dev, &command);
	return ret ?: count;
}

/* How each region is read and written, with dev->lock held; NULL: it is not */
static const struct {
	ssize_t (*read)(struct region2019 *dev, char __user *buf, size_t count,
			loff_t offset);
	ssize_t (*write)(struct region2019 *dev, const char __user *buf,
			 size_t count, loff_t offset);
} regions[NR_REGIONS] = {
	[MEMORY_REGION] = { read_memory, write_memory },
	[MIGRATION_REGION] = { migration_read, migration_write },
	[DMA_REGION] = { NULL, write_dma },
};

static ssize_t region2019_read(struct vfio_device *vdev, char __user *buf,
			       size_t count, loff_t *ppos)
{
	struct region2019 *dev = to_region2019(vdev);
	u64 index = *ppos >> OFFSET_SHIFT;
	ssize_t ret;

	if (index >= NR_REGIONS || !regions[index].read)
		return -EINVAL;
	mutex_lock(&dev->lock);
	ret = regions[index].read(dev, buf, count, *ppos & OFFSET_MASK);
	mutex_unlock(&dev->lock);
	if (ret > 0)
		*ppos += ret;
	return ret;
}

static ssize_t region2019_write(struct vfio_device *vdev,
				const char __user *buf, size_t count,
				loff_t *ppos)
{
	struct region2019 *dev = to_region2019(vdev);
	u64 index = *ppos >> OFFSET_SHIFT;
	ssize_t ret;

	if (index >= NR_REGIONS)
		return -EINVAL;
	mutex_lock(&dev->lock);
	ret = regions[index].write(dev, buf, count, *ppos & OFFSET_MASK);
	mutex_unlock(&dev->lock);
	if (ret > 0)
		*ppos += ret;
	return ret;
}

/* Only the state's part of the data section can be mapped */
static int region2019_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	unsigned long region = vma->vm_pgoff >> (OFFSET_SHIFT - PAGE_SHIFT);
	unsigned long page = vma->vm_pgoff & (OFFSET_MASK >> PAGE_SHIFT);
	u64 offset = (u64)page << PAGE_SHIFT;

	if (region != MIGRATION_REGION || offset < DATA_OFFSET ||
	    offset + vma->vm_end - vma->vm_start > DATA_OFFSET + DATA_SIZE)
		return -EINVAL;
	return remap_vmalloc_range(vma, to_region2019(vdev)->data,
				   (offset - DATA_OFFSET) >> PAGE_SHIFT);
}

static int add_mapped_part(struct vfio_info_cap *caps)
{
	DEFINE_RAW_FLEX(struct vfio_region_info_cap_sparse_mmap, sparse, areas,
			1);

	sparse->header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	sparse->header.version = 1;
	sparse->nr_areas = 1;
	sparse->areas[0].offset = DATA_OFFSET;
	sparse->areas[0].size = DATA_SIZE;
	return vfio_info_add_capability(caps, &sparse->header,
					__struct_size(sparse));
}

static int region2019_region_info(struct vfio_device *vdev,
				  struct vfio_region_info *info,
				  struct vfio_info_cap *caps)
{
	struct vfio_region_info_cap_type type = {
		.header.id = VFIO_REGION_INFO_CAP_TYPE,
		.header.version = 1,
		.type = REGION_TYPE_MIGRATION,
		.subtype = REGION_SUBTYPE_MIGRATION,
	};
	int ret;

	if (info->index >= NR_REGIONS)
		return -EINVAL;
	info->offset = (u64)info->index << OFFSET_SHIFT;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	switch (info->index) {
	case MIGRATION_REGION:
		info->size = MIGRATION_SIZE;
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		ret = add_mapped_part(caps);
		if (ret)
			return ret;
		return vfio_info_add_capability(caps, &type.header,
						sizeof(type));
	case DMA_REGION:
		info->size = sizeof(struct dma_command);
		info->flags = VFIO_REGION_INFO_FLAG_WRITE;
		return 0;
	default:
		info->size = MEMORY_SIZE;
		return 0;
	}
}

static long get_info(void __user *arg)
{
	unsigned long minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;

	info.flags = 0;
	info.num_regions = NR_REGIONS;
	info.num_irqs = 0;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long region2019_ioctl(struct vfio_device *vdev, unsigned int cmd,
			     unsigned long arg)
{
	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return get_info((void __user *)arg);
#ifndef HAVE_GET_REGION_INFO_CAPS
	case VFIO_DEVICE_GET_REGION_INFO:
		return compat_get_region_info(vdev, (void __user *)arg,
					      region2019_region_info);
#endif
	default:
		return -ENOTTY;
	}
}

static const struct vfio_device_ops region2019_ops = {
	.name = NAME,
	.init = region2019_init,
	.release = region2019_release,
	.open_device = region2019_open,
	.read = region2019_read,
	.write = region2019_write,
	.mmap = region2019_mmap,
	.ioctl = region2019_ioctl,
#ifdef HAVE_GET_REGION_INFO_CAPS
	.get_region_info_caps = region2019_region_info,
#endif
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
};

static int region2019_probe(struct mdev_device *mdev)
{
	struct region2019 *dev;
	int ret;

	dev = vfio_alloc_device(region2019, vdev, &mdev->dev, &region2019_ops);
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	ret = vfio_register_emulated_iommu_dev(&dev->vdev);
	if (ret) {
		vfio_put_device(&dev->vdev);
		return ret;
	}
	dev_set_drvdata(&mdev->dev, dev);
	return 0;
}

static void region2019_remove(struct mdev_device *mdev)
{
	struct region2019 *dev = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&dev->vdev);
	vfio_put_device(&dev->vdev);
}

static struct mdev_driver region2019_driver = {
	.device_api = "vfio-" NAME,
	.max_instances = MAX_DEVICES,
	.driver = {
		.name = NAME,
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe = region2019_probe,
	.remove = region2019_remove,
};

static struct mdev_type region2019_type = {
	.sysfs_name = NAME,
	.pretty_name = "migrates by the protocol of 2019",
};

static struct mdev_type *region2019_types[] = { &region2019_type };

static int __init region2019_module_init(void)
{
	int ret;

	ret = mdev_register_driver(&region2019_driver);
	if (ret)
		return ret;

	parent_device = platform_device_register_simple(NAME,
							PLATFORM_DEVID_NONE,
							NULL, 0);
	if (IS_ERR(parent_device)) {
		ret = PTR_ERR(parent_device);
		goto err_driver;
	}

	ret = mdev_register_parent(&parent, &parent_device->dev,
				   &region2019_driver, region2019_types,
				   ARRAY_SIZE(region2019_types));
	if (ret)
		goto err_device;
	return 0;

err_device:
	platform_device_unregister(parent_device);
err_driver:
	mdev_unregister_driver(&region2019_driver);
	return ret;
}
module_init(region2019_module_init);

static void __exit region2019_module_exit(void)
{
	mdev_unregister_parent(&parent);
	platform_device_unregister(parent_device);
	mdev_unregister_driver(&region2019_driver);
}
module_exit(region2019_module_exit);

MODULE_DESCRIPTION("Software device with the region-based migration of 2019");
MODULE_AUTHOR("The VFIO migration conformance suite");
MODULE_LICENSE("GPL");
