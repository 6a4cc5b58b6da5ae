// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device doubles: the device's access to memory.
 */
#include <linux/highmem.h>
#include <linux/iommu.h>

#include "internal.h"

int vfio_double_dma(struct vfio_double_vf *vf, dma_addr_t iova, void *data,
		    size_t len, bool write)
{
	struct iommu_domain *domain;

	domain = iommu_get_domain_for_dev(&vf->pf->pdev->dev);
	while (len) {
		size_t in_page = offset_in_page(iova);
		size_t n = min(len, PAGE_SIZE - in_page);
		phys_addr_t phys;
		u8 *page;

		phys = domain ? iommu_iova_to_phys(domain, iova) : iova;
		if (!phys || !pfn_valid(PHYS_PFN(phys)))
			return -EFAULT;
		page = kmap_local_page(pfn_to_page(PHYS_PFN(phys)));
		if (write)
			memcpy(page + in_page, data, n);
		else
			memcpy(data, page + in_page, n);
		kunmap_local(page);

		iova += n;
		data += n;
		len -= n;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_dma);
