// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device double for pds_vfio_pci: the firmware's dirty page tracking, as
 * include/linux/pds/pds_adminq.h describes it.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pds_double.h"

/* The firmware rounds each region up to as many pages */
#define PAGES_ALIGN	64
/* 32 GiB in pages of 4096 bytes: what this adapter has memory for */
#define MAX_PAGES	SZ_8M

static_assert(sizeof(struct pds_lm_dirty_region_info) == 16);

void pds_double_dirty_free(struct pds_double_vf *v)
{
	kvfree(v->seq);
	kvfree(v->ack);
	v->seq = NULL;
	v->ack = NULL;
	v->bitmap_size = 0;
	v->nr_regions = 0;
}

static void fill_in(struct pds_double_vf *v,
		    struct pds_lm_dirty_status_comp *comp)
{
	bool able = vfio_double_has(&v->vf, CAP_DIRTY_TRACKING);

	comp->max_regions = able ? PDS_DOUBLE_MAX_REGIONS : 0;
	comp->num_regions = v->nr_regions;
	comp->bmp_type = v->nr_regions ? PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK :
					 PDS_LM_DIRTY_BMP_TYPE_NONE;
	comp->bmp_type_mask = cpu_to_le32(BIT(PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK));
}

/* Copy the region info buffer, of @nr entries, to or from memory */
static u8 copy_info(struct pds_double_vf *v, const char *name, __le64 dma,
		    struct pds_lm_dirty_region_info *info, unsigned int nr,
		    bool write)
{
	if (!vfio_double_dma(&v->vf, le64_to_cpu(dma), info, nr * sizeof(*info),
			     write))
		return PDS_RC_SUCCESS;
	vfio_double_violation(&v->vf, "%s: region info isn't mapped", name);
	return PDS_RC_BAD_ADDR;
}

static void describe(struct pds_double_vf *v,
		     struct pds_lm_dirty_region_info *info)
{
	unsigned int i;

	memset(info, 0, PDS_DOUBLE_MAX_REGIONS * sizeof(*info));
	for (i = 0; i < v->nr_regions; i++) {
		info[i].dma_base = cpu_to_le64(v->regions[i].base);
		info[i].page_count = cpu_to_le32(v->regions[i].pages);
		info[i].page_size_log2 = v->regions[i].page_size_log2;
	}
}

u8 pds_double_dirty_status(struct pds_double_vf *v,
			   const struct pds_lm_dirty_status_cmd *cmd,
			   struct pds_lm_dirty_status_comp *comp)
{
	struct pds_lm_dirty_region_info info[PDS_DOUBLE_MAX_REGIONS];
	unsigned int nr = min_t(unsigned int, cmd->max_regions, v->nr_regions);

	fill_in(v, comp);
	if (!nr)
		return PDS_RC_SUCCESS;
	describe(v, info);
	return copy_info(v, "DIRTY_STATUS", cmd->regions_dma, info, nr, true);
}

static bool overlap(const struct pds_double_region *a,
		    const struct pds_double_region *b)
{
	u64 a_last = a->base + ((u64)a->pages << a->page_size_log2) - 1;
	u64 b_last = b->base + ((u64)b->pages << b->page_size_log2) - 1;

	return a->base <= b_last && b->base <= a_last;
}

/* As ENABLE's text has them, before the firmware rounds them up */
static bool regions_sane(struct pds_double_vf *v, unsigned int nr)
{
	const struct pds_double_region *regions = v->regions;
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		if (!regions[i].pages ||
		    regions[i].page_size_log2 < PAGE_SHIFT ||
		    regions[i].page_size_log2 >= 32) {
			vfio_double_violation(&v->vf, "DIRTY_ENABLE of %u pages of 2^%u bytes",
					      regions[i].pages,
					      regions[i].page_size_log2);
			return false;
		}
		for (j = 0; j < i; j++) {
			if (!overlap(&regions[i], &regions[j]))
				continue;
			vfio_double_violation(&v->vf, "DIRTY_ENABLE: regions %u and %u overlap",
					      j, i);
			return false;
		}
	}
	return true;
}

static u8 track(struct pds_double_vf *v, unsigned int nr)
{
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		pages += round_up((u64)v->regions[i].pages, PAGES_ALIGN);
	if (pages > MAX_PAGES)
		return PDS_RC_ENOMEM;
	for (i = 0; i < nr; i++)
		v->regions[i].pages = round_up(v->regions[i].pages,
					       PAGES_ALIGN);

	v->bitmap_size = pages / BITS_PER_BYTE;
	v->seq = kvzalloc(v->bitmap_size, GFP_KERNEL);
	v->ack = kvzalloc(v->bitmap_size, GFP_KERNEL);
	if (!v->seq || !v->ack) {
		pds_double_dirty_free(v);
		return PDS_RC_ENOMEM;
	}
	v->nr_regions = nr;
	return PDS_RC_SUCCESS;
}

u8 pds_double_dirty_enable(struct pds_double_vf *v,
			   const struct pds_lm_dirty_enable_cmd *cmd,
			   struct pds_lm_dirty_status_comp *comp)
{
	struct pds_lm_dirty_region_info info[PDS_DOUBLE_MAX_REGIONS];
	unsigned int i, nr = cmd->num_regions;
	u8 status;

	if (!vfio_double_has(&v->vf, CAP_DIRTY_TRACKING)) {
		vfio_double_violation(&v->vf, "DIRTY_ENABLE without dirty tracking");
		return PDS_RC_ENOSUPP;
	}
	if (v->nr_regions) {
		vfio_double_violation(&v->vf, "DIRTY_ENABLE while enabled");
		return PDS_RC_EEXIST;
	}
	if (cmd->bmp_type != PDS_LM_DIRTY_BMP_TYPE_SEQ_ACK) {
		vfio_double_violation(&v->vf, "DIRTY_ENABLE of unknown bitmap type %u",
				      cmd->bmp_type);
		return PDS_RC_EINVAL;
	}
	if (!nr || nr > PDS_DOUBLE_MAX_REGIONS) {
		vfio_double_violation(&v->vf, "DIRTY_ENABLE of %u regions", nr);
		return PDS_RC_EINVAL;
	}

	status = copy_info(v, "DIRTY_ENABLE", cmd->regions_dma, info, nr,
			   false);
	if (status != PDS_RC_SUCCESS)
		return status;
	for (i = 0; i < nr; i++) {
		v->regions[i].base = le64_to_cpu(info[i].dma_base);
		v->regions[i].pages = le32_to_cpu(info[i].page_count);
		v->regions[i].page_size_log2 = info[i].page_size_log2;
	}
	if (!regions_sane(v, nr))
		return PDS_RC_EINVAL;
	status = track(v, nr);
	if (status != PDS_RC_SUCCESS)
		return status;

	describe(v, info);
	status = copy_info(v, "DIRTY_ENABLE", cmd->regions_dma, info, nr, true);
	if (status != PDS_RC_SUCCESS)
		pds_double_dirty_free(v);
	fill_in(v, comp);
	return status;
}

/* Allowed in any state, also while tracking is disabled */
u8 pds_double_dirty_disable(struct pds_double_vf *v,
			    struct pds_lm_dirty_status_comp *comp)
{
	pds_double_dirty_free(v);
	fill_in(v, comp);
	return PDS_RC_SUCCESS;
}

/* @page counts the pages of all regions */
static void make_dirty(struct pds_double_vf *v, size_t page)
{
	u8 bit = BIT(page % BITS_PER_BYTE);

	if (!((v->seq[page / BITS_PER_BYTE] ^ v->ack[page / BITS_PER_BYTE]) &
	      bit))
		v->seq[page / BITS_PER_BYTE] ^= bit;
}

void pds_double_dirty_write(struct pds_double_vf *v, u64 iova, u64 last)
{
	unsigned int i;
	size_t first = 0;

	for (i = 0; i < v->nr_regions; i++) {
		const struct pds_double_region *region = &v->regions[i];
		u64 size = (u64)region->pages << region->page_size_log2;
		u64 from = max(iova, region->base);
		u64 to = min(last, region->base + size - 1);
		u64 page;

		for (page = (from - region->base) >> region->page_size_log2;
		     from <= to &&
		     page <= (to - region->base) >> region->page_size_log2;
		     page++)
			make_dirty(v, first + page);
		first += region->pages;
	}
}

u8 pds_double_dirty_seq_ack(struct pds_double_vf *v,
			    const struct pds_lm_dirty_seq_ack_cmd *cmd,
			    bool read)
{
	const char *name = read ? "DIRTY_READ_SEQ" : "DIRTY_WRITE_ACK";
	u64 off = le32_to_cpu(cmd->off_bytes);
	u64 len = le32_to_cpu(cmd->len_bytes);

	if (!v->nr_regions) {
		vfio_double_violation(&v->vf, "%s while disabled", name);
		return PDS_RC_EINVAL;
	}
	if (!len || off + len > v->bitmap_size) {
		vfio_double_violation(&v->vf, "%s of %llu bytes at %llu, the bitmap has %zu",
				      name, len, off, v->bitmap_size);
		return PDS_RC_ERANGE;
	}
	return pds_double_transfer(v, name, le64_to_cpu(cmd->sgl_addr),
				   le16_to_cpu(cmd->num_sge),
				   (read ? v->seq : v->ack) + off, len, read);
}
