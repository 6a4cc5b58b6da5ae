// SPDX-License-Identifier: GPL-2.0-only
/*
 * The double for an mlx5 adapter: its firmware.
 *
 * Each virtual function has a state. SAVE_VHCA_STATE writes images of it (see
 * struct mlx5_double_extent) to memory that the driver has described with a
 * memory key; LOAD_VHCA_STATE reads them from there. Both access the memory
 * like the adapter, by the addresses in the key, through the physical
 * function's IOMMU domain.
 *
 * The file "loaded" has the data loaded since the last image with
 * MLX5_DOUBLE_FIRST. An image with MLX5_DOUBLE_FINAL makes it the function's
 * state; until then the state does not change.
 *
 * Rules for mlx5-vfio-pci; each broken rule is a violation:
 * - objects (protection domains, memory keys) are used only while they exist,
 *   destroyed once and only when unused, and all gone when the driver is
 *   unbound
 * - SAVE and LOAD stay within the key, with access rights and mapped memory
 * - one SAVE at a time; no SUSPEND, LOAD or incremental QUERY during a SAVE
 * - suspend the initiator first, then the responder; resume in the opposite
 *   order; do not suspend or resume anything twice
 * - track changes (SAVE with set_track) before any incremental command
 * - while suspended, do not begin tracking; while running, no LOAD, and no
 *   untracked SAVE except the one that ends tracking
 * - a SAVE has at least the memory that QUERY reports
 * - no chunks without that capability when the driver was bound
 * - commands name the function that they are for, and have full length
 */
#include <linux/slab.h>

#include "compat.h"
#include "firmware.h"

#define EXTENT_SIZE	sizeof(struct mlx5_double_extent)
#define CHUNK_SIZE	SZ_16K
#define CHUNK_MIN	(2 * EXTENT_SIZE)
/* Twice the driver's own limit, MAX_CHUNK_SIZE in main.c */
#define CHUNK_MAX	SZ_16M

/* mlx5_core's default for most commands */
#define TIMEOUT		(60 * HZ)

/*
 * Fields that older kernels do not know. An adapter may be newer than the
 * driver, so it has them with every kernel.
 */
struct mlx5_ifc_vfio_double_cap_2_bits {
	u8	reserved_at_0[0xd9];
	u8	migration_state[0x1];
	u8	reserved_at_da[0x6];
};

struct mlx5_ifc_vfio_double_query_out_bits {
	u8	reserved_at_0[0x60];
	u8	migration_state[0x4];
	u8	reserved_at_64[0x1c];
};

enum {
	MIGRATION_STATE_IDLE = 1,
	MIGRATION_STATE_READY = 2,
	MIGRATION_STATE_DIRTY = 3,
	MIGRATION_STATE_INIT = 4,
};

/**
 * struct mlx5_double_command - the firmware's implementation of a command
 * @opcode: in the command's first field
 * @in: minimum length of the input
 * @out: minimum length of the output
 * @begin: check the command, and execute it unless it has @finish
 * @finish: execute the command, if @begin returned MLX5_CMD_STAT_OK
 *
 * Both are called with the function's lock held, return MLX5_CMD_STAT_*, and
 * must not change anything if a test wants the call to fail.
 */
struct mlx5_double_command {
	u16 opcode;
	u16 in;
	u16 out;
	u8 (*begin)(struct mlx5_double_call *call);
	u8 (*finish)(struct mlx5_double_call *call);
};

static const char *call_name(struct mlx5_double_call *call);

void violation(struct mlx5_double_call *call, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list ap;

	va_start(ap, fmt);
	vaf.va = &ap;
	vfio_double_violation(&call->v->vf, "%s: %pV", call_name(call), &vaf);
	va_end(ap);
}

u8 wrong_state(struct mlx5_double_call *call, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list ap;

	va_start(ap, fmt);
	vaf.va = &ap;
	if (!call->v->untold)
		violation(call, "%pV", &vaf);
	va_end(ap);
	return MLX5_CMD_STAT_BAD_RES_STATE_ERR;
}

void note(struct mlx5_double_call *call, const char *fmt, ...)
{
	size_t len = strlen(call->args);
	va_list ap;

	va_start(ap, fmt);
	vscnprintf(call->args + len, sizeof(call->args) - len, fmt, ap);
	va_end(ap);
}

/* Capabilities */

static void fill_general(struct mlx5_double_vf *v, void *cap, bool pf)
{
	MLX5_SET(cmd_hca_cap, cap, vhca_id, pf ? 0 : mlx5_double_vhca_id(v));
	MLX5_SET(cmd_hca_cap, cap, migration,
		 vfio_double_has(&v->vf, CAP_MIGRATION));
	MLX5_SET(cmd_hca_cap, cap, adv_virtualization,
		 vfio_double_has(&v->vf, CAP_ADV_VIRTUALIZATION));
	MLX5_SET(cmd_hca_cap, cap, cqe_version, 1);
	MLX5_SET(cmd_hca_cap, cap, log_max_msg, 30);
}

static void fill_general_2(struct mlx5_double_vf *v, void *cap)
{
	struct vfio_double_vf *vf = &v->vf;

	MLX5_SET(cmd_hca_cap_2, cap, migratable,
		 vfio_double_has(vf, CAP_MIGRATABLE));
	MLX5_SET(cmd_hca_cap_2, cap, migration_multi_load,
		 vfio_double_has(vf, CAP_MIGRATION_MULTI_LOAD));
	MLX5_SET(cmd_hca_cap_2, cap, migration_tracking_state,
		 vfio_double_has(vf, CAP_MIGRATION_TRACKING_STATE));
	MLX5_SET(cmd_hca_cap_2, cap, migration_in_chunks,
		 vfio_double_has(vf, CAP_MIGRATION_IN_CHUNKS));
	MLX5_SET(vfio_double_cap_2, cap, migration_state,
		 vfio_double_has(vf, CAP_MIGRATION_STATE));
}

/* The driver reads these when it binds, and relies on them until unbound */
void mlx5_double_show_caps(struct mlx5_double_vf *v)
{
	struct mlx5_double_caps *caps = v->caps;

	fill_general(v, caps->general.cur, true);
	fill_general_2(v, caps->general_2.cur);
	fill_adv_virtualization(caps->adv_virtualization.cur);
	memcpy(caps->general.max, caps->general.cur, sizeof(caps->general.max));
	memcpy(caps->general_2.max, caps->general_2.cur,
	       sizeof(caps->general_2.max));

	mutex_lock(&v->vf.lock);
	v->in_chunks = vfio_double_has(&v->vf, CAP_MIGRATION_IN_CHUNKS);
	v->tracker.announced = vfio_double_has(&v->vf, CAP_ADV_VIRTUALIZATION);
	mutex_unlock(&v->vf.lock);
}

static u8 query_hca_cap(struct mlx5_double_call *call)
{
	struct mlx5_double_vf *v = call->v;
	u16 id = MLX5_GET(query_hca_cap_in, call->in, function_id);
	bool other = MLX5_GET(query_hca_cap_in, call->in, other_function);
	u16 type = MLX5_GET(query_hca_cap_in, call->in, op_mod) >> 1;
	void *cap = MLX5_ADDR_OF(query_hca_cap_out, call->out, capability);

	note(call, "type=0x%x other_function=%d function_id=%u", type, other, id);
	if (other && id != mlx5_double_function_id(v)) {
		violation(call, "function %u, but this is %u", id,
			  mlx5_double_function_id(v));
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	if (call->fail)
		return call->fail;

	switch (type) {
	case MLX5_CAP_GENERAL:
		fill_general(v, cap, !other);
		return MLX5_CMD_STAT_OK;
	case MLX5_CAP_GENERAL_2:
		fill_general_2(v, cap);
		return MLX5_CMD_STAT_OK;
	default:
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
}

/* Objects */

/*
 * @lost: nobody will give it back, as the driver has never heard of it, or has
 * asked for its destruction, and that failed: so it is not the driver's leak.
 */
struct pd {
	struct list_head link;
	u32 number;
	bool lost;
};

struct mkey {
	struct list_head link;
	struct pd *pd;
	bool lost;
	u32 mkey;
	u64 len;
	bool readable;
	bool writable;
	u32 nr_pages;
	u64 pages[];
};

struct pd *find_pd(struct mlx5_double_vf *v, u32 number)
{
	struct pd *pd;

	list_for_each_entry(pd, &v->pds, link)
		if (pd->number == number)
			return pd;
	return NULL;
}

static u8 alloc_pd(struct mlx5_double_call *call)
{
	struct mlx5_double_vf *v = call->v;
	struct pd *pd;

	if (call->fail)
		return call->fail;
	pd = kzalloc_obj(*pd);
	if (!pd)
		return MLX5_CMD_STAT_NO_RES_ERR;
	pd->number = v->next_pd++ & 0xffffff;
	pd->lost = call->late;
	list_add_tail(&pd->link, &v->pds);
	MLX5_SET(alloc_pd_out, call->out, pd, pd->number);
	note(call, "pd=%u", pd->number);
	return MLX5_CMD_STAT_OK;
}

static unsigned int users(struct mlx5_double_vf *v, struct pd *pd, bool lost)
{
	unsigned int nr = 0;
	struct mkey *mkey;

	list_for_each_entry(mkey, &v->mkeys, link)
		if (mkey->pd == pd && mkey->lost == lost)
			nr++;
	return nr + tracker_users(v, pd, lost);
}

static u8 dealloc_pd(struct mlx5_double_call *call)
{
	u32 number = MLX5_GET(dealloc_pd_in, call->in, pd);
	struct pd *pd = find_pd(call->v, number);
	unsigned int nr;

	note(call, "pd=%u", number);
	if (!pd) {
		violation(call, "there is no PD %u", number);
		return MLX5_CMD_STAT_BAD_RES_ERR;
	}
	nr = users(call->v, pd, false);
	if (nr) {
		violation(call, "PD %u is used by %u objects", number, nr);
		return MLX5_CMD_STAT_BAD_RES_STATE_ERR;
	}
	pd->lost = call->fail || users(call->v, pd, true);
	if (pd->lost)
		return call->fail ?: MLX5_CMD_STAT_BAD_RES_STATE_ERR;
	list_del(&pd->link);
	kfree(pd);
	return MLX5_CMD_STAT_OK;
}

static u8 create_mkey(struct mlx5_double_call *call)
{
	const void *mkc = MLX5_ADDR_OF(create_mkey_in, call->in,
				       memory_key_mkey_entry);
	const __be64 *mtt = MLX5_ADDR_OF(create_mkey_in, call->in, klm_pas_mtt);
	size_t room = call->in_size - MLX5_ST_SZ_BYTES(create_mkey_in);
	u32 octwords = MLX5_GET(create_mkey_in, call->in,
				translations_octword_actual_size);
	u32 log_page_size = MLX5_GET(mkc, mkc, log_page_size);
	u64 len = MLX5_GET64(mkc, mkc, len);
	struct mlx5_double_vf *v = call->v;
	u32 number = MLX5_GET(mkc, mkc, pd);
	struct pd *pd = find_pd(v, number);
	struct mkey *mkey;
	u64 nr_pages;
	u32 i;

	note(call, "pd=%u len=%llu", number, len);
	if (!pd) {
		violation(call, "there is no PD %u", number);
		return MLX5_CMD_STAT_BAD_RES_ERR;
	}
	if (MLX5_GET(mkc, mkc, access_mode_1_0) != MLX5_MKC_ACCESS_MODE_MTT ||
	    log_page_size != PAGE_SHIFT) {
		violation(call, "not a table of pages, or not of %lu bytes",
			  PAGE_SIZE);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	nr_pages = DIV_ROUND_UP_ULL(len, PAGE_SIZE);
	if (!len || nr_pages > 2ULL * octwords || octwords > room / 16) {
		violation(call, "%llu bytes, %u octwords, %zu bytes of table",
			  len, octwords, room);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	if (call->fail)
		return call->fail;

	mkey = kvzalloc(struct_size(mkey, pages, nr_pages), GFP_KERNEL);
	if (!mkey)
		return MLX5_CMD_STAT_NO_RES_ERR;
	mkey->pd = pd;
	mkey->lost = call->late;
	mkey->mkey = mlx5_idx_to_mkey(v->next_mkey++ & 0xffffff) |
		     MLX5_GET(mkc, mkc, mkey_7_0);
	mkey->len = len;
	mkey->readable = MLX5_GET(mkc, mkc, lr);
	mkey->writable = MLX5_GET(mkc, mkc, lw);
	mkey->nr_pages = nr_pages;
	for (i = 0; i < nr_pages; i++)
		/* The low bits are MLX5_MTT_PERM_* */
		mkey->pages[i] = be64_to_cpu(mtt[i]) & PAGE_MASK;
	list_add_tail(&mkey->link, &v->mkeys);
	MLX5_SET(create_mkey_out, call->out, mkey_index,
		 mlx5_mkey_to_idx(mkey->mkey));
	note(call, " mkey=0x%x", mkey->mkey);
	return MLX5_CMD_STAT_OK;
}

static void free_mkey(struct mkey *mkey)
{
	list_del(&mkey->link);
	kvfree(mkey);
}

static u8 destroy_mkey(struct mlx5_double_call *call)
{
	u32 index = MLX5_GET(destroy_mkey_in, call->in, mkey_index);
	struct mlx5_double_vf *v = call->v;
	struct mkey *mkey;

	list_for_each_entry(mkey, &v->mkeys, link) {
		if (mlx5_mkey_to_idx(mkey->mkey) != index)
			continue;
		note(call, "mkey=0x%x", mkey->mkey);
		if (v->saving && v->saving_mkey == mkey->mkey) {
			violation(call, "SAVE to mkey 0x%x is in flight",
				  mkey->mkey);
			return MLX5_CMD_STAT_BAD_RES_STATE_ERR;
		}
		if (call->fail) {
			mkey->lost = true;
			return call->fail;
		}
		free_mkey(mkey);
		return MLX5_CMD_STAT_OK;
	}

	note(call, "mkey=0x%x", mlx5_idx_to_mkey(index));
	violation(call, "there is no mkey 0x%x", mlx5_idx_to_mkey(index));
	return MLX5_CMD_STAT_BAD_RES_ERR;
}

/* The key for a transfer of @size bytes, or NULL after a violation */
static struct mkey *use_mkey(struct mlx5_double_call *call, u32 number,
			     size_t size, bool write)
{
	struct mkey *mkey;

	list_for_each_entry(mkey, &call->v->mkeys, link) {
		if (mkey->mkey != number)
			continue;
		if (size > mkey->len)
			violation(call, "%zu bytes, but mkey 0x%x has %llu",
				  size, number, mkey->len);
		else if (write ? !mkey->writable : !mkey->readable)
			violation(call, "mkey 0x%x doesn't allow that", number);
		else
			return mkey;
		return NULL;
	}
	violation(call, "there is no mkey 0x%x", number);
	return NULL;
}

/* Move bytes at @off in the key's memory, which may be unmapped by now */
static bool transfer(struct mlx5_double_call *call, struct mkey *mkey,
		     size_t off, void *data, size_t len, bool write)
{
	while (len) {
		size_t in_page = offset_in_page(off);
		size_t n = min(len, PAGE_SIZE - in_page);
		u64 page = mkey->pages[off / PAGE_SIZE];

		if (vfio_double_dma(&call->v->vf, page + in_page, data, n,
				    write)) {
			violation(call, "page %zu of mkey 0x%x isn't mapped",
				  off / PAGE_SIZE, mkey->mkey);
			return false;
		}
		off += n;
		data += n;
		len -= n;
	}
	return true;
}

bool write_to_mkey(struct mlx5_double_call *call, struct pd *pd, u32 number,
		   u64 off, void *data, size_t len)
{
	struct mkey *mkey = use_mkey(call, number, len, true);

	if (!mkey)
		return false;
	if (mkey->pd != pd || off > mkey->len - len) {
		violation(call, "%zu bytes at %llu of mkey 0x%x, of another PD or too small",
			  len, off, number);
		return false;
	}
	return transfer(call, mkey, off, data, len, true);
}

/*
 * The unsaved data. First come the state's bytes from @saved on, which were not
 * saved since tracking began. Then come the dirty bytes, from offset 0. Bytes
 * that are in both parts are saved twice.
 */
static void save_from_start(struct mlx5_double_vf *v)
{
	v->saved = 0;
	v->dirty_saved = 0;
	v->vf.dirty = 0;
	v->new_init = false;
	v->save_end = SIZE_MAX;
}

/* Suspending */

static bool other_vhca(struct mlx5_double_call *call, u16 vhca_id)
{
	note(call, "vhca_id=0x%x", vhca_id);
	if (vhca_id == mlx5_double_vhca_id(call->v))
		return false;
	violation(call, "vhca_id 0x%x, but this is 0x%x", vhca_id,
		  mlx5_double_vhca_id(call->v));
	return true;
}

static void set_stopped(struct mlx5_double_vf *v, bool stopped)
{
	v->responder_suspended = stopped;
	v->vf.suspended = stopped;
}

static u8 out_of_order(struct mlx5_double_call *call)
{
	struct mlx5_double_vf *v = call->v;

	return wrong_state(call, "initiator is %s, responder is %s",
			   v->initiator_suspended ? "suspended" : "running",
			   v->responder_suspended ? "suspended" : "running");
}

static u8 suspend_vhca(struct mlx5_double_call *call)
{
	u16 op_mod = MLX5_GET(suspend_vhca_in, call->in, op_mod);
	bool responder = op_mod == MLX5_SUSPEND_VHCA_IN_OP_MOD_SUSPEND_RESPONDER;
	struct mlx5_double_vf *v = call->v;

	if (other_vhca(call, MLX5_GET(suspend_vhca_in, call->in, vhca_id)))
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	note(call, " op_mod=%s", responder ? "responder" : "initiator");
	if (v->saving) {
		violation(call, "SAVE is in flight");
		return MLX5_CMD_STAT_RES_BUSY;
	}
	if (v->initiator_suspended != responder || v->responder_suspended)
		return out_of_order(call);
	if (call->fail)
		return call->fail;

	if (responder) {
		set_stopped(v, true);
		v->load_complete = false;
	} else {
		v->initiator_suspended = true;
	}
	return MLX5_CMD_STAT_OK;
}

static u8 resume_vhca(struct mlx5_double_call *call)
{
	u16 op_mod = MLX5_GET(resume_vhca_in, call->in, op_mod);
	bool responder = op_mod == MLX5_RESUME_VHCA_IN_OP_MOD_RESUME_RESPONDER;
	struct mlx5_double_vf *v = call->v;

	if (other_vhca(call, MLX5_GET(resume_vhca_in, call->in, vhca_id)))
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	note(call, " op_mod=%s", responder ? "responder" : "initiator");
	if (!v->initiator_suspended || v->responder_suspended != responder)
		return out_of_order(call);
	if (call->fail)
		return call->fail;

	if (!responder) {
		v->initiator_suspended = false;
		return MLX5_CMD_STAT_OK;
	}
	set_stopped(v, false);
	v->load_complete = false;
	v->final = false;
	return MLX5_CMD_STAT_OK;
}

/* Take up to @room unsaved bytes: return their number, and their offset in @off */
static size_t take_unsaved(struct mlx5_double_vf *v, size_t room, size_t *off)
{
	struct vfio_double_vf *vf = &v->vf;
	size_t n;

	if (v->saved < vf->state_size) {
		n = min(room, vf->state_size - v->saved);
		*off = v->saved;
		v->saved += n;
		return n;
	}
	n = min(room, min(vf->dirty, v->save_end) - v->dirty_saved);
	*off = v->dirty_saved;
	v->dirty_saved += n;
	if (v->dirty_saved == vf->dirty) {
		v->dirty_saved = 0;
		vf->dirty = 0;
	}
	return n;
}

/* Total length of the images, if each has at most @room bytes */
static size_t images_size(struct mlx5_double_vf *v, bool incremental,
			  size_t room)
{
	struct vfio_double_vf *vf = &v->vf;
	size_t left[] = { vf->state_size, 0 };
	size_t in_image = 0, total = 0;
	int i;

	if (incremental) {
		left[0] -= v->saved;
		left[1] = vf->dirty - v->dirty_saved;
	}
	for (i = 0; i < ARRAY_SIZE(left); i++) {
		while (left[i]) {
			size_t n;

			if (room - in_image <= EXTENT_SIZE)
				in_image = 0;
			n = min(left[i], room - in_image - EXTENT_SIZE);
			left[i] -= n;
			in_image += EXTENT_SIZE + n;
			total += EXTENT_SIZE + n;
		}
	}
	return total;
}

static size_t image_room(struct mlx5_double_vf *v)
{
	return v->chunked ? v->chunk_size : SIZE_MAX;
}

static u8 migration_state(struct mlx5_double_vf *v)
{
	if (!v->tracking)
		return MIGRATION_STATE_IDLE;
	if (v->new_init)
		return MIGRATION_STATE_INIT;
	return images_size(v, true, SIZE_MAX) ? MIGRATION_STATE_DIRTY :
						MIGRATION_STATE_READY;
}

static u8 query_vhca_migration_state(struct mlx5_double_call *call)
{
	const void *in = call->in;
	bool incremental = MLX5_GET(query_vhca_migration_state_in, in,
				    incremental);
	bool chunk = MLX5_GET(query_vhca_migration_state_in, in, chunk);
	struct mlx5_double_vf *v = call->v;
	size_t total, required;
	u8 state;

	if (other_vhca(call, MLX5_GET(query_vhca_migration_state_in, in,
				      vhca_id)))
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	note(call, " incremental=%d chunk=%d", incremental, chunk);
	if (chunk && !v->in_chunks) {
		violation(call, "chunk without migration_in_chunks");
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	if (incremental && v->saving) {
		violation(call, "incremental while SAVE is in flight");
		return MLX5_CMD_STAT_RES_BUSY;
	}
	if (incremental && !v->tracking)
		return wrong_state(call, "incremental, but not tracked");
	if (call->fail)
		return call->fail;

	v->chunked = chunk;
	total = images_size(v, incremental, image_room(v));
	/* A migration always has a last image */
	if (!total && v->responder_suspended)
		total = EXTENT_SIZE;
	required = min(total, image_room(v));
	MLX5_SET(query_vhca_migration_state_out, call->out, required_umem_size,
		 required);
	MLX5_SET64(query_vhca_migration_state_out, call->out,
		   remaining_total_size, total);
	/*
	 * Without CAP_MIGRATION_STATE this field is reserved. Fill it anyway, to
	 * expose a driver that uses the reserved field.
	 */
	state = migration_state(v);
	MLX5_SET(vfio_double_query_out, call->out, migration_state, state);
	note(call,
	     " required_umem_size=%zu remaining_total_size=%zu migration_state=%u",
	     required, total, state);
	return MLX5_CMD_STAT_OK;
}

/* Saving */

struct save {
	bool incremental;
	bool track;
	u32 mkey;
	size_t size;
};

static void get_save(struct mlx5_double_call *call, struct save *save)
{
	const void *in = call->in;

	save->incremental = MLX5_GET(save_vhca_state_in, in, incremental);
	save->track = MLX5_GET(save_vhca_state_in, in, set_track);
	save->mkey = MLX5_GET(save_vhca_state_in, in, mkey);
	save->size = MLX5_GET(save_vhca_state_in, in, size);
}

/* An aborted migration: this SAVE only ends the tracking, and writes nothing */
static bool ends_tracking(struct mlx5_double_vf *v, const struct save *save)
{
	return v->tracking && !v->responder_suspended && !save->incremental &&
	       !save->track;
}

static u8 save_begin(struct mlx5_double_call *call)
{
	struct mlx5_double_vf *v = call->v;
	struct save save;

	get_save(call, &save);
	if (other_vhca(call, MLX5_GET(save_vhca_state_in, call->in, vhca_id)))
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	note(call, " mkey=0x%x size=%zu incremental=%d set_track=%d", save.mkey,
	     save.size, save.incremental, save.track);
	if (v->saving) {
		violation(call, "another is in flight");
		return MLX5_CMD_STAT_RES_BUSY;
	}
	if (save.incremental && !v->tracking && !v->final)
		return wrong_state(call, "incremental, but not tracked");
	if (save.track && v->responder_suspended)
		return wrong_state(call, "set_track while suspended");
	if (!save.track && !v->responder_suspended && !ends_tracking(v, &save))
		return wrong_state(call, "the last one, but not suspended");
	/* A driver that aborts may have no key */
	if (!(ends_tracking(v, &save) && !save.size) &&
	    !use_mkey(call, save.mkey, save.size, true))
		return MLX5_CMD_STAT_BAD_RES_ERR;

	/* Even if this fails later: the driver then aborts as usual */
	if (save.track)
		v->tracking = true;
	if (!save.incremental)
		save_from_start(v);
	v->saving = true;
	v->saving_mkey = save.mkey;
	v->save_end = SIZE_MAX;
	v->aborted = false;
	v->timed_out = false;
	queue_delayed_work(v->wq, &v->timeout, TIMEOUT);
	return MLX5_CMD_STAT_OK;
}

static bool write_image(struct mlx5_double_call *call, struct mkey *mkey,
			size_t room, bool final, size_t *used)
{
	struct mlx5_double_vf *v = call->v;
	struct vfio_double_vf *vf = &v->vf;
	size_t left;

	*used = 0;
	do {
		struct mlx5_double_extent extent = {};
		bool first = !v->saved;
		size_t off = 0, n;
		u32 flags = 0;

		n = take_unsaved(v, room - *used - EXTENT_SIZE, &off);
		left = images_size(v, true, SIZE_MAX);
		if (first)
			flags |= MLX5_DOUBLE_FIRST;
		if (final && !left)
			flags |= MLX5_DOUBLE_FINAL;
		extent.magic = cpu_to_le32(MLX5_DOUBLE_MAGIC);
		extent.flags = cpu_to_le32(flags);
		extent.offset = cpu_to_le64(off);
		extent.length = cpu_to_le64(n);
		extent.total = cpu_to_le64(vf->state_size);
		if (!transfer(call, mkey, *used, &extent, EXTENT_SIZE, true) ||
		    !transfer(call, mkey, *used + EXTENT_SIZE, vf->state + off,
			      n, true))
			return false;
		*used += EXTENT_SIZE + n;
	} while (left && v->dirty_saved != v->save_end &&
		 room - *used > EXTENT_SIZE);
	return true;
}

static u8 save_write(struct mlx5_double_call *call)
{
	struct mlx5_double_vf *v = call->v;
	size_t room, needed, used, next = 0;
	struct mkey *mkey;
	struct save save;
	bool final;

	get_save(call, &save);
	if (ends_tracking(v, &save)) {
		v->tracking = false;
		save_from_start(v);
		note(call, " actual_image_size=0");
		return MLX5_CMD_STAT_OK;
	}
	mkey = use_mkey(call, save.mkey, save.size, true);
	if (!mkey)
		return MLX5_CMD_STAT_BAD_RES_ERR;

	/* A running function's state may grow after QUERY; the rest can wait */
	final = !save.track;
	needed = images_size(v, save.incremental, image_room(v));
	needed = min(needed, image_room(v));
	if (save.incremental && !final)
		needed = min(needed, EXTENT_SIZE + 1);
	if (save.size < max(needed, EXTENT_SIZE)) {
		wrong_state(call, "%zu bytes, but it needs %zu", save.size,
			    needed);
		return MLX5_CMD_STAT_LIM_ERR;
	}

	/* Again, because "dirty" may have run while this was held */
	if (!save.incremental)
		save_from_start(v);
	room = final ? min(save.size, image_room(v)) : save.size;
	if (!write_image(call, mkey, room, final, &used))
		return MLX5_CMD_STAT_BAD_RES_ERR;
	v->new_init = v->save_end != SIZE_MAX;
	if (final) {
		next = images_size(v, true, image_room(v));
		next = min(next, image_room(v));
		v->final = next;
		v->tracking = false;
	}
	MLX5_SET(save_vhca_state_out, call->out, actual_image_size, used);
	MLX5_SET(save_vhca_state_out, call->out, next_required_umem_size, next);
	note(call, " actual_image_size=%zu next_required_umem_size=%zu", used,
	     next);
	return MLX5_CMD_STAT_OK;
}

static u8 save_finish(struct mlx5_double_call *call)
{
	struct mlx5_double_vf *v = call->v;

	v->saving = false;
	cancel_delayed_work(&v->timeout);
	if (v->timed_out || v->down) {
		/* As mlx5_cmd_trigger_completions() for an adapter that is down */
		call->err = v->down ? -ENXIO : -ETIMEDOUT;
		return MLX5_CMD_STAT_OK;
	}
	if (v->aborted)
		return MLX5_CMD_STAT_BAD_SYS_STATE_ERR;
	return call->fail ?: save_write(call);
}

/* Do not wait forever for a command that a test has held and forgotten */
static void timeout(struct work_struct *work)
{
	struct mlx5_double_vf *v = container_of(to_delayed_work(work),
						struct mlx5_double_vf, timeout);

	mutex_lock(&v->vf.lock);
	if (v->saving)
		v->timed_out = true;
	mutex_unlock(&v->vf.lock);
	vfio_double_release_all(&v->vf);
}

/* Loading */

static u8 load_image(struct mlx5_double_call *call, const u8 *image,
		     size_t size)
{
	const struct mlx5_double_extent *extent;
	struct mlx5_double_vf *v = call->v;
	struct vfio_double_vf *vf = &v->vf;

	/* The image comes from another machine: errors are not the driver's fault */
	while (size) {
		u64 off, len, total;
		u32 flags;

		extent = (const void *)image;
		if (size < EXTENT_SIZE ||
		    le32_to_cpu(extent->magic) != MLX5_DOUBLE_MAGIC)
			return MLX5_CMD_STAT_BAD_PARAM_ERR;
		flags = le32_to_cpu(extent->flags);
		off = le64_to_cpu(extent->offset);
		len = le64_to_cpu(extent->length);
		total = le64_to_cpu(extent->total);
		image += EXTENT_SIZE;
		size -= EXTENT_SIZE;

		if (flags & MLX5_DOUBLE_FIRST)
			vfio_double_loaded_begin(vf);
		if (len > size || total > VFIO_DOUBLE_MAX_STATE ||
		    off > vf->loaded_size || len > total || off > total - len)
			return MLX5_CMD_STAT_BAD_PARAM_ERR;
		if (vfio_double_loaded_write(vf, off, image, len))
			return MLX5_CMD_STAT_LIM_ERR;
		image += len;
		size -= len;

		v->load_complete = flags & MLX5_DOUBLE_FINAL;
		if (!v->load_complete)
			continue;
		if (vf->loaded_size != total) {
			v->load_complete = false;
			return MLX5_CMD_STAT_BAD_PARAM_ERR;
		}
		if (vfio_double_state_set(vf, vf->loaded, vf->loaded_size))
			return MLX5_CMD_STAT_LIM_ERR;
		save_from_start(v);
	}
	return MLX5_CMD_STAT_OK;
}

static u8 load_vhca_state(struct mlx5_double_call *call)
{
	size_t size = MLX5_GET(load_vhca_state_in, call->in, size);
	u32 number = MLX5_GET(load_vhca_state_in, call->in, mkey);
	struct mlx5_double_vf *v = call->v;
	struct mkey *mkey;
	u8 *image, status;

	if (other_vhca(call, MLX5_GET(load_vhca_state_in, call->in, vhca_id)))
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	note(call, " mkey=0x%x size=%zu", number, size);
	if (v->saving) {
		violation(call, "SAVE is in flight");
		return MLX5_CMD_STAT_RES_BUSY;
	}
	if (!v->responder_suspended)
		return wrong_state(call, "not suspended");
	mkey = use_mkey(call, number, size, false);
	if (!mkey)
		return MLX5_CMD_STAT_BAD_RES_ERR;
	if (call->fail)
		return call->fail;

	image = kvmalloc(size, GFP_KERNEL);
	if (!image)
		return MLX5_CMD_STAT_NO_RES_ERR;
	if (transfer(call, mkey, 0, image, size, false))
		status = load_image(call, image, size);
	else
		status = MLX5_CMD_STAT_BAD_RES_ERR;
	kvfree(image);
	note(call, " loaded=%zu complete=%d", v->vf.loaded_size,
	     v->load_complete);
	return status;
}

/* Commands */

#define COMMAND_OF(opcode_, in_, out_, begin_, finish_) {		\
	.opcode = MLX5_CMD_OP_##opcode_,				\
	.in = MLX5_ST_SZ_BYTES(in_),					\
	.out = MLX5_ST_SZ_BYTES(out_),					\
	.begin = begin_,						\
	.finish = finish_,						\
}

#define COMMAND(opcode_, layout, begin_, finish_)			\
	COMMAND_OF(opcode_, layout##_in, layout##_out, begin_, finish_)

/* Of objects of any type; @layout is the input of a PAGE_TRACK object */
#define OBJECT_COMMAND(opcode_, layout, begin_)				\
	COMMAND_OF(opcode_##_GENERAL_OBJECT, layout,			\
		   general_obj_out_cmd_hdr, begin_, NULL)

static const struct mlx5_double_command commands[] = {
	[CMD_QUERY_HCA_CAP] =
		COMMAND(QUERY_HCA_CAP, query_hca_cap, query_hca_cap, NULL),
	[CMD_ALLOC_PD] =
		COMMAND(ALLOC_PD, alloc_pd, alloc_pd, NULL),
	[CMD_DEALLOC_PD] =
		COMMAND(DEALLOC_PD, dealloc_pd, dealloc_pd, NULL),
	[CMD_CREATE_MKEY] =
		COMMAND(CREATE_MKEY, create_mkey, create_mkey, NULL),
	[CMD_DESTROY_MKEY] =
		COMMAND(DESTROY_MKEY, destroy_mkey, destroy_mkey, NULL),
	[CMD_SUSPEND_VHCA] =
		COMMAND(SUSPEND_VHCA, suspend_vhca, suspend_vhca, NULL),
	[CMD_RESUME_VHCA] =
		COMMAND(RESUME_VHCA, resume_vhca, resume_vhca, NULL),
	[CMD_QUERY_VHCA_MIGRATION_STATE] =
		COMMAND(QUERY_VHCA_MIGRATION_STATE, query_vhca_migration_state,
			query_vhca_migration_state, NULL),
	[CMD_SAVE_VHCA_STATE] =
		COMMAND(SAVE_VHCA_STATE, save_vhca_state, save_begin,
			save_finish),
	[CMD_LOAD_VHCA_STATE] =
		COMMAND(LOAD_VHCA_STATE, load_vhca_state, load_vhca_state,
			NULL),
	[CMD_ALLOC_UAR] =
		COMMAND(ALLOC_UAR, alloc_uar, alloc_uar, NULL),
	[CMD_DEALLOC_UAR] =
		COMMAND(DEALLOC_UAR, dealloc_uar, dealloc_uar, NULL),
	[CMD_CREATE_CQ] =
		COMMAND(CREATE_CQ, create_cq, create_cq, NULL),
	[CMD_DESTROY_CQ] =
		COMMAND(DESTROY_CQ, destroy_cq, destroy_cq, NULL),
	[CMD_CREATE_QP] =
		COMMAND(CREATE_QP, create_qp, create_qp, NULL),
	[CMD_DESTROY_QP] =
		COMMAND(DESTROY_QP, destroy_qp, destroy_qp, NULL),
	[CMD_RST2INIT_QP] =
		COMMAND(RST2INIT_QP, rst2init_qp, rst2init_qp, NULL),
	[CMD_INIT2RTR_QP] =
		COMMAND(INIT2RTR_QP, init2rtr_qp, init2rtr_qp, NULL),
	[CMD_RTR2RTS_QP] =
		COMMAND(RTR2RTS_QP, rtr2rts_qp, rtr2rts_qp, NULL),
	[CMD_CREATE_GENERAL_OBJECT] =
		OBJECT_COMMAND(CREATE, create_page_track_obj_in,
			       create_general_object),
	[CMD_DESTROY_GENERAL_OBJECT] =
		OBJECT_COMMAND(DESTROY, general_obj_in_cmd_hdr,
			       destroy_general_object),
	[CMD_MODIFY_GENERAL_OBJECT] =
		OBJECT_COMMAND(MODIFY, modify_page_track_obj_in,
			       modify_general_object),
	[CMD_QUERY_GENERAL_OBJECT] =
		OBJECT_COMMAND(QUERY, general_obj_in_cmd_hdr,
			       query_general_object),
	[CMD_REPORT] = {},
};

static const char * const command_names[] =
	VFIO_DOUBLE_NAMES(MLX5_DOUBLE_COMMANDS);

unsigned int call_number(struct mlx5_double_call *call)
{
	return call->command - commands;
}

void begin_report(struct mlx5_double_call *call, struct mlx5_double_vf *v)
{
	*call = (struct mlx5_double_call){
		.v = v,
		.command = &commands[CMD_REPORT],
	};
}

static const char *call_name(struct mlx5_double_call *call)
{
	return command_names[call_number(call)];
}

static void call_done(struct mlx5_double_call *call, u8 status)
{
	call->status = status;
	MLX5_SET(vfio_double_out, call->out, status, status);
	vfio_double_journal(&call->v->vf, call_number(call),
			    call->err ?: status, "%s", call->args);
}

/* The command has had its effect, or none; what its caller hears is another thing */
static void call_end(struct mlx5_double_call *call, u8 status)
{
	bool late = call->late && !status && !call->err;

	call->err = call->err ?: call->no_answer;
	if (late) {
		memset(call->out, 0, call->out_size);
		call->err = min(call->late, 0);
		status = max(call->late, 0);
		call->v->untold = true;
	}
	call_done(call, call->err ? 0 : status);
}

static void find_command(struct mlx5_double_call *call)
{
	u16 opcode = MLX5_GET(vfio_double_in, call->in, opcode);
	int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].begin && commands[i].opcode == opcode)
			call->command = &commands[i];
	if (!call->command)
		vfio_double_violation(&call->v->vf, "unknown command 0x%x",
				      opcode);
}

/*
 * mlx5_core does not give the adapter a command while it is down: it lets those
 * succeed that give something back, without any effect, and fails all others.
 * Compare mlx5_cmd_check() and mlx5_internal_err_ret_value().
 */
static void call_down(struct mlx5_double_call *call)
{
	call->fail = MLX5_DOUBLE_STATUS_ABORTED;
	switch (call->command->opcode) {
	case MLX5_CMD_OP_DEALLOC_PD:
	case MLX5_CMD_OP_DESTROY_MKEY:
	case MLX5_CMD_OP_DEALLOC_UAR:
	case MLX5_CMD_OP_DESTROY_CQ:
	case MLX5_CMD_OP_DESTROY_QP:
	case MLX5_CMD_OP_DESTROY_GENERAL_OBJECT:
		call->command->begin(call);
		call_done(call, 0);
		break;
	default:
		call->err = -ENOLINK;
		call_done(call, call->fail);
	}
}

bool mlx5_double_begin(struct mlx5_double_call *call)
{
	const struct mlx5_double_command *command;
	struct mlx5_double_vf *v = call->v;
	bool unfinished;
	u8 status;
	int fail;

	memset(call->out, 0, call->out_size);
	find_command(call);
	command = call->command;
	if (!command) {
		call->status = MLX5_CMD_STAT_BAD_OP_ERR;
		MLX5_SET(vfio_double_out, call->out, status, call->status);
		return false;
	}
	if (call->in_size < command->in || call->out_size < command->out) {
		violation(call, "%zu bytes in, %zu out; it needs %u and %u",
			  call->in_size, call->out_size, command->in,
			  command->out);
		call_done(call, call->in_size < command->in ?
				MLX5_CMD_STAT_BAD_INP_LEN_ERR :
				MLX5_CMD_STAT_BAD_OUTP_LEN_ERR);
		return false;
	}

	/* Commands with a finish() are held between begin() and finish() */
	if (!command->finish)
		vfio_double_wait_released(&v->vf, call_number(call));

	mutex_lock(&v->vf.lock);
	vfio_double_catch_up(&v->vf);
	if (v->detached)
		violation(call, "given while the function is detached");
	if (v->down) {
		call_down(call);
		mutex_unlock(&v->vf.lock);
		return false;
	}
	fail = vfio_double_fail_take(&v->vf, call_number(call));
	call->late = vfio_double_fail_late(&v->vf, call_number(call));
	call->no_answer = min(fail, 0);
	/* Which status does not matter to one that is not answered */
	call->fail = fail < 0 ? MLX5_CMD_STAT_INT_ERR : fail;
	status = command->begin(call);
	unfinished = command->finish && !status;
	if (!unfinished)
		call_end(call, status);
	mutex_unlock(&v->vf.lock);
	if (!command->finish)
		vfio_double_wait_told(&v->vf, call_number(call));
	return unfinished;
}

void mlx5_double_finish(struct mlx5_double_call *call)
{
	struct mlx5_double_vf *v = call->v;
	u8 status;

	vfio_double_wait_released(&v->vf, call_number(call));

	mutex_lock(&v->vf.lock);
	vfio_double_catch_up(&v->vf);
	status = call->command->finish(call);
	call_end(call, status);
	mutex_unlock(&v->vf.lock);
	vfio_double_wait_told(&v->vf, call_number(call));
}

/* The function */

static void function_reset(struct vfio_double_vf *vf)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);

	v->resets++;
	v->initiator_suspended = false;
	set_stopped(v, false);
	v->untold = false;
	v->tracking = false;
	v->final = false;
	v->load_complete = false;
	save_from_start(v);
	if (v->saving) {
		v->aborted = true;
		vfio_double_release_all(vf);
	}
}

/*
 * mlx5_core notifies the driver before the physical function goes down, for
 * instance for a reset, and when it is up again. The driver issues commands in
 * these notifications.
 */
static void notify(struct work_struct *work)
{
	struct mlx5_double_vf *v = container_of(work, struct mlx5_double_vf,
						notify);
	size_t pds = 0, mkeys = 0, others;
	struct mkey *mkey;
	struct pd *pd;
	bool detach;

	mutex_lock(&v->vf.lock);
	detach = v->detach;
	if (!detach)
		v->detached = false;
	mutex_unlock(&v->vf.lock);

	blocking_notifier_call_chain(&v->notifier,
				     detach ? MLX5_PF_NOTIFY_DISABLE_VF :
					      MLX5_PF_NOTIFY_ENABLE_VF,
				     &v->mdev);

	mutex_lock(&v->vf.lock);
	v->detached = detach;
	list_for_each_entry(pd, &v->pds, link)
		pds += !pd->lost;
	list_for_each_entry(mkey, &v->mkeys, link)
		mkeys += !mkey->lost;
	others = tracker_objects(v);
	if (detach && (pds || mkeys || others))
		vfio_double_violation(&v->vf,
				      "detached, but %zu PDs, %zu mkeys and %zu of the tracker's objects are left",
				      pds, mkeys, others);
	mutex_unlock(&v->vf.lock);
}

static int vf_init(struct vfio_double_vf *vf)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);
	struct mlx5_core_dev *mdev = &v->mdev;
	int i;

	v->caps = kvzalloc_obj(*v->caps);
	if (!v->caps)
		return -ENOMEM;
	v->wq = alloc_workqueue("vfio_double_mlx5", WQ_UNBOUND, 0);
	if (!v->wq) {
		kvfree(v->caps);
		return -ENOMEM;
	}

	mutex_init(&mdev->intf_state_mutex);
	mdev->device = &vf->pf->pdev->dev;
	mdev->pdev = vf->pf->pdev;
	mdev->priv.numa_node = NUMA_NO_NODE;
	for (i = 0; i < MLX5_CAP_NUM; i++)
		mdev->caps.hca[i] = &v->caps->other;
	mdev->caps.hca[MLX5_CAP_GENERAL] = &v->caps->general;
	mdev->caps.hca[MLX5_CAP_GENERAL_2] = &v->caps->general_2;
	mdev->caps.hca[MLX5_CAP_ADV_VIRTUALIZATION] =
		&v->caps->adv_virtualization;

	BLOCKING_INIT_NOTIFIER_HEAD(&v->notifier);
	spin_lock_init(&v->event_queue);
	INIT_LIST_HEAD(&v->pds);
	INIT_LIST_HEAD(&v->mkeys);
	INIT_DELAYED_WORK(&v->timeout, timeout);
	INIT_WORK(&v->notify, notify);
	v->next_pd = 1;
	v->next_mkey = 1;
	tracker_init(v);
	mlx5_double_queues_init(v);
	v->chunk_size = CHUNK_SIZE;
	return 0;
}

/* The driver is unbound: objects that it still holds are leaked */
static void free_objects(struct mlx5_double_vf *v, bool leaked)
{
	struct mkey *mkey, *next_mkey;
	struct pd *pd, *next_pd;

	mutex_lock(&v->vf.lock);
	if (leaked && v->saving)
		vfio_double_violation(&v->vf, "unbound, but SAVE is in flight");
	tracker_free(v, leaked);
	list_for_each_entry_safe(mkey, next_mkey, &v->mkeys, link) {
		if (leaked && !mkey->lost)
			vfio_double_violation(&v->vf,
					      "unbound, but mkey 0x%x is left",
					      mkey->mkey);
		free_mkey(mkey);
	}
	list_for_each_entry_safe(pd, next_pd, &v->pds, link) {
		if (leaked && !pd->lost)
			vfio_double_violation(&v->vf,
					      "unbound, but PD %u is left",
					      pd->number);
		list_del(&pd->link);
		kfree(pd);
	}
	mutex_unlock(&v->vf.lock);
}

static void vf_unbound(struct vfio_double_vf *vf)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);

	free_objects(v, true);
	mlx5_double_queues_unbound(v);
	/* The next driver starts with an attached function */
	mutex_lock(&vf->lock);
	v->detach = false;
	v->detached = false;
	v->down = false;
	mutex_unlock(&vf->lock);
}

static void vf_release(struct vfio_double_vf *vf)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);

	cancel_delayed_work_sync(&v->timeout);
	tracker_release(v);
	destroy_workqueue(v->wq);
	free_objects(v, false);
	mutex_destroy(&v->mdev.intf_state_mutex);
	kvfree(v->caps);
}

/* Refuse if the state is constant, or if it grows while a SAVE is in flight */
static int resized(struct vfio_double_vf *vf, size_t size)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);

	if (v->responder_suspended || (v->saving && size > vf->state_size))
		return -EBUSY;
	save_from_start(v);
	return 0;
}

/* Like "dirty", but the next SAVE brings new initial data */
static int reinit(struct mlx5_double_vf *v, int argc, char **argv)
{
	struct vfio_double_vf *vf = &v->vf;
	u64 bytes;
	size_t i;
	int ret;

	ret = vfio_double_only_number(argc, argv, vf->state_size - vf->dirty,
				      &bytes);
	if (ret)
		return ret;
	if (!bytes)
		return -EINVAL;
	if (v->responder_suspended)
		return -EBUSY;

	vf->epoch++;
	for (i = vf->dirty; i < vf->dirty + bytes; i++)
		vf->state[i] = vfio_double_byte(vf->seed + vf->epoch, i);
	if (v->saving)
		v->save_end = min(v->save_end, vf->dirty);
	vf->dirty += bytes;
	v->new_init = true;
	return 0;
}

/* "chunk <bytes>": maximum size of an image in chunk mode */
static int chunk(struct mlx5_double_vf *v, int argc, char **argv)
{
	u64 bytes;
	int ret;

	ret = vfio_double_only_number(argc, argv, CHUNK_MAX, &bytes);
	if (ret)
		return ret;
	if (bytes < CHUNK_MIN)
		return -ERANGE;
	if (v->final)
		return -EBUSY;
	v->chunk_size = bytes;
	return 0;
}

/* "detach", "attach": done when info shows detached=1, or detached=0 */
static int detach(struct mlx5_double_vf *v, int argc, bool detach)
{
	if (argc != 1)
		return -EINVAL;
	v->detach = detach;
	queue_work(v->wq, &v->notify);
	return 0;
}

/* "overtake": see struct mlx5_double_vf */
static int overtake(struct mlx5_double_vf *v, int argc)
{
	if (argc != 1)
		return -EINVAL;
	WRITE_ONCE(v->overtake, true);
	return 0;
}

/* "refuse <errno>": see struct mlx5_double_vf */
static int refuse(struct mlx5_double_vf *v, int argc, char **argv)
{
	u64 error;
	int ret = vfio_double_only_number(argc, argv, MAX_ERRNO, &error);

	if (!ret)
		WRITE_ONCE(v->refuse, -(int)error);
	return ret;
}

/*
 * "down": the adapter has failed, and mlx5_core gives it no more commands. Those
 * in progress end with an error. "up": it was recovered.
 */
static int go_down(struct mlx5_double_vf *v, int argc, bool down)
{
	if (argc != 1)
		return -EINVAL;
	WRITE_ONCE(v->down, down);
	if (down)
		vfio_double_release_all(&v->vf);
	else
		function_reset(&v->vf);
	return 0;
}

/* "write <iova> <bytes>": the device writes to memory, as far as the log goes */
static int write(struct mlx5_double_vf *v, int argc, char **argv)
{
	u64 iova, last;
	int ret;

	ret = vfio_double_bytes(argc, argv, &iova, &last);
	if (ret)
		return ret;
	if (v->initiator_suspended)
		return -EBUSY;
	return tracker_write(v, iova, last);
}

static int control(struct vfio_double_vf *vf, int argc, char **argv)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);

	if (!strcmp(argv[0], "write"))
		return write(v, argc, argv);
	if (!strcmp(argv[0], "tracker"))
		return argc == 2 ? tracker_fault(v, argv[1]) : -EINVAL;
	if (!strcmp(argv[0], "reinit"))
		return reinit(v, argc, argv);
	if (!strcmp(argv[0], "chunk"))
		return chunk(v, argc, argv);
	if (!strcmp(argv[0], "detach"))
		return detach(v, argc, true);
	if (!strcmp(argv[0], "attach"))
		return detach(v, argc, false);
	if (!strcmp(argv[0], "down"))
		return go_down(v, argc, true);
	if (!strcmp(argv[0], "up"))
		return go_down(v, argc, false);
	if (!strcmp(argv[0], "overtake"))
		return overtake(v, argc);
	if (!strcmp(argv[0], "refuse"))
		return refuse(v, argc, argv);
	return -EINVAL;
}

static void reset(struct vfio_double_vf *vf)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);

	v->chunk_size = CHUNK_SIZE;
	WRITE_ONCE(v->overtake, false);
	WRITE_ONCE(v->refuse, 0);
	WRITE_ONCE(v->down, false);
	v->untold = false;
	tracker_reset(v);
	if (v->detach)
		detach(v, 1, false);
}

static void info(struct vfio_double_vf *vf, struct seq_file *m)
{
	struct mlx5_double_vf *v = to_mlx5_double_vf(vf);

	seq_printf(m, "vhca_id=0x%x\n", mlx5_double_vhca_id(v));
	seq_printf(m, "initiator_suspended=%d\n", v->initiator_suspended);
	seq_printf(m, "responder_suspended=%d\n", v->responder_suspended);
	seq_printf(m, "tracking=%d\n", v->tracking);
	seq_printf(m, "saving=%d\n", v->saving);
	seq_printf(m, "in_flight=%d\n", atomic_read(&v->in_flight));
	seq_printf(m, "refuse=%d\n", -READ_ONCE(v->refuse));
	seq_printf(m, "unsaved=%zu\n", images_size(v, v->tracking, SIZE_MAX));
	seq_printf(m, "migration_state=%u\n", migration_state(v));
	seq_printf(m, "chunk=%zu\n", v->chunk_size);
	seq_printf(m, "load_complete=%d\n", v->load_complete);
	seq_printf(m, "pds=%zu\n", list_count_nodes(&v->pds));
	seq_printf(m, "mkeys=%zu\n", list_count_nodes(&v->mkeys));
	tracker_info(v, m);
	seq_printf(m, "detached=%d\n", v->detached);
	seq_printf(m, "down=%d\n", v->down);
	seq_printf(m, "event=%d\n", !!work_busy(&v->notify));
	seq_printf(m, "function_resets=%u\n", v->resets);
}

static void released(struct vfio_double_vf *vf, unsigned int cmd)
{
	if (cmd == CMD_REPORT)
		tracker_continue(to_mlx5_double_vf(vf));
}

static const char * const capability_names[] =
	VFIO_DOUBLE_NAMES(MLX5_DOUBLE_CAPABILITIES);

const struct vfio_double_ops mlx5_double_ops = {
	.name = "mlx5",
	.vf_size = sizeof(struct mlx5_double_vf),
	.pf_size = sizeof(struct vfio_double_pf),
	.commands = command_names,
	.holdable = ~0UL,
	.never_fail = BIT(CMD_REPORT),
	.never_late = BIT(CMD_REPORT),
	.capabilities = capability_names,
	/* In one piece, which is easier to read; a test may grant chunks */
	.default_capabilities = BIT(CAP_MIGRATION) | BIT(CAP_MIGRATABLE) |
				BIT(CAP_MIGRATION_MULTI_LOAD) |
				BIT(CAP_MIGRATION_TRACKING_STATE) |
				BIT(CAP_MIGRATION_STATE) |
				BIT(CAP_ADV_VIRTUALIZATION),
	.default_state = SZ_64K,
	.min_state = 1,
	.max_status = U8_MAX,
	.vf_init = vf_init,
	.vf_unbound = vf_unbound,
	.vf_release = vf_release,
	.resized = resized,
	.control = control,
	.reset = reset,
	.function_reset = function_reset,
	.released = released,
	.info = info,
};
