/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions that virtio_vfio_pci imports, with different names: the guest's
 * own virtio_pci already exports the real ones. redefine-syms renames the
 * imports in a copy of the driver's module. Apart from the names this equals
 * <linux/virtio_pci_admin.h>.
 */
#ifndef VFIO_DOUBLE_VIRTIO_H
#define VFIO_DOUBLE_VIRTIO_H

#include <linux/types.h>

struct pci_dev;
struct scatterlist;

bool vfio_double_virtio_pci_admin_has_dev_parts(struct pci_dev *pdev);
int vfio_double_virtio_pci_admin_mode_set(struct pci_dev *pdev, u8 mode);
int vfio_double_virtio_pci_admin_obj_create(struct pci_dev *pdev, u16 obj_type,
					    u8 operation_type, u32 *obj_id);
int vfio_double_virtio_pci_admin_obj_destroy(struct pci_dev *pdev, u16 obj_type,
					     u32 id);
int vfio_double_virtio_pci_admin_dev_parts_metadata_get(struct pci_dev *pdev,
							u16 obj_type, u32 id,
							u8 metadata_type,
							u32 *out);
int vfio_double_virtio_pci_admin_dev_parts_get(struct pci_dev *pdev,
					       u16 obj_type, u32 id,
					       u8 get_type,
					       struct scatterlist *res_sg,
					       u32 *res_size);
int vfio_double_virtio_pci_admin_dev_parts_set(struct pci_dev *pdev,
					       struct scatterlist *data_sg);

#endif /* VFIO_DOUBLE_VIRTIO_H */
