/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the kernels that this double is compiled against. Before
 * 6.13 virtio's header has no device parts, and the driver has no migration.
 * The double compiles nevertheless, so that a run can report that.
 */
#ifndef VFIO_DOUBLE_VIRTIO_COMPAT_H
#define VFIO_DOUBLE_VIRTIO_COMPAT_H

#include <linux/types.h>
#include <linux/virtio_pci.h>

#ifndef VIRTIO_RESOURCE_OBJ_DEV_PARTS

#define VIRTIO_RESOURCE_OBJ_DEV_PARTS			0
#define VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_GET		0
#define VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_SET		1
#define VIRTIO_ADMIN_CMD_DEV_PARTS_METADATA_TYPE_SIZE	0
#define VIRTIO_ADMIN_CMD_DEV_PARTS_GET_TYPE_ALL		1
#define VIRTIO_ADMIN_CMD_DEV_MODE_F_STOPPED		0

struct virtio_admin_cmd_resource_obj_cmd_hdr {
	__le16 type;
	__u8 reserved[2];
	__le32 id;
};

struct virtio_dev_part_hdr {
	__le16 part_type;
	__u8 flags;
	__u8 reserved;
	__u8 selector[8];
	__le32 length;
};

#endif

#endif /* VFIO_DOUBLE_VIRTIO_COMPAT_H */
