// SPDX-License-Identifier: GPL-2.0-only
/*
 * The double for an mlx5 adapter: its page tracker, for DMA logging.
 *
 * The driver creates a UAR, a completion queue (CQ), two connected queue pairs
 * (QP) and a PAGE_TRACK object. From then on the tracker keeps a log of the
 * pages that the function writes. When the driver sets the object's state to
 * REPORTING, the tracker sends the log of a range through the firmware's QP: as
 * messages with the pages' addresses, to the buffers in the host's QP, each with
 * a completion in the CQ. The last message has the state TRACKING, and may be
 * empty. A page that was sent is removed from the log.
 *
 * The queues lie in the driver's memory, and are read and written there by
 * their DMA addresses. The tracker waits while no buffer is posted. It raises a
 * completion event if the driver has rung the doorbell in the UAR for one.
 *
 * Rules for mlx5-vfio-pci; each broken rule is a violation:
 * - objects are used only while they exist, destroyed once and only when
 *   unused, and all gone when the driver is unbound
 * - the sizes in contexts are those of the memory behind them
 * - QPs go from RST to INIT, RTR and RTS, in this order, with their peer's number
 * - the object's ranges, pages and messages are within the capabilities, and its
 *   QP can send
 * - no report is asked for while there is one
 * - buffers have room for a message and are in memory that the QP may write;
 *   the CQ has room for a completion
 */
#include <linux/maple_tree.h>
#include <linux/mlx5/cq.h>
#include <linux/mlx5/doorbell.h>
#include <linux/mlx5/qp.h>
#include <linux/xarray.h>

#include "compat.h"
#include "firmware.h"

/* The adapter's limits, of which there are no public numbers */
#define MAX_RANGES		16
#define LOG_MIN_ADDR_SPACE	12
#define LOG_MAX_ADDR_SPACE	48
#define LOG_MIN_MSG_SIZE	12
/* 32 buffers in the driver's memory of 2 MiB, so that their numbers wrap soon */
#define LOG_MAX_MSG_SIZE	16
#define LOG_MIN_PAGE_SIZE	12
#define LOG_MAX_PAGE_SIZE	21

#define ENTRY_SIZE		MLX5_ST_SZ_BYTES(page_track_report_entry)
#define CQE_SIZE		sizeof(struct mlx5_cqe64)
#define WQE_SIZE		sizeof(struct mlx5_wqe_data_seg)

/* A driver posts a buffer before it gives the completion's place back */
#define CQ_PATIENCE		HZ
/* What QPs retry without an end, if no buffer is posted */
#define RNR_FOREVER		7

#define DIRTY			xa_mk_value(1)

enum kind { UAR, CQ, QP, PAGE_TRACK };

static const char * const kind_names[] = {
	[UAR] = "UAR",
	[CQ] = "CQ",
	[QP] = "QP",
	[PAGE_TRACK] = "PAGE_TRACK",
};

/* @lost: see struct pd in firmware.c */
struct object {
	struct list_head link;
	enum kind kind;
	u32 number;
	bool lost;
	struct object *uses[2];
	struct pd *pd;
};

struct uar {
	struct object object;
	void *page;
};

/* A queue's place in the driver's memory */
struct memory {
	u64 doorbell;
	u8 page_shift;
	u32 nr_pages;
	u64 *pages;
};

struct cq {
	struct object object;
	struct memory memory;
	u8 log_size;
	u32 produced;
	u8 arm_sn;
	unsigned long full_since;
};

struct qp {
	struct object object;
	struct memory memory;
	u8 state;
	bool receives;
	u8 log_size;
	u32 remote;
	u8 rnr_retry;
	u16 consumed;
};

struct tracked {
	u64 start;
	u64 last;
};

/*
 * @pages: the log; its indices are page numbers
 * @next, @last: the pages that are still to be reported
 */
struct page_track {
	struct object object;
	u8 state;
	u8 page_shift;
	u32 msg_size;
	struct maple_tree pages;
	unsigned long next;
	unsigned long last;
	__be64 *message;
	unsigned int nr_ranges;
	struct tracked ranges[MAX_RANGES];
};

enum fault {
	NO_FAULT,
	CQ_ERROR,
	WQ_ERROR,
	OBJECT_ERROR,
	CQE_ERROR,
	STATUS_ERROR,
	LATE_COMPLETION,
	OTHERS,
	NR_FAULTS,
};

static const char * const fault_names[] = {
	[CQ_ERROR] = "cq_error",
	[WQ_ERROR] = "wq_error",
	[OBJECT_ERROR] = "object_error",
	[CQE_ERROR] = "cqe_error",
	[STATUS_ERROR] = "status_error",
	[LATE_COMPLETION] = "late_completion",
	[OTHERS] = "others",
};

void fill_adv_virtualization(void *cap)
{
	MLX5_SET(adv_virtualization_cap, cap, pg_track_max_num_range, MAX_RANGES);
	MLX5_SET(adv_virtualization_cap, cap, pg_track_log_min_addr_space,
		 LOG_MIN_ADDR_SPACE);
	MLX5_SET(adv_virtualization_cap, cap, pg_track_log_max_addr_space,
		 LOG_MAX_ADDR_SPACE);
	MLX5_SET(adv_virtualization_cap, cap, pg_track_log_min_msg_size,
		 LOG_MIN_MSG_SIZE);
	MLX5_SET(adv_virtualization_cap, cap, pg_track_log_max_msg_size,
		 LOG_MAX_MSG_SIZE);
	MLX5_SET(adv_virtualization_cap, cap, pg_track_log_min_page_size,
		 LOG_MIN_PAGE_SIZE);
	MLX5_SET(adv_virtualization_cap, cap, pg_track_log_max_page_size,
		 LOG_MAX_PAGE_SIZE);
}

/* Objects */

static struct object *find(struct mlx5_double_vf *v, enum kind kind, u32 number)
{
	struct object *object;

	list_for_each_entry(object, &v->tracker.objects, link)
		if (object->kind == kind && object->number == number)
			return object;
	return NULL;
}

/* An object for a command to use, or NULL after a violation */
static struct object *use(struct mlx5_double_call *call, enum kind kind,
			  u32 number)
{
	struct object *object = find(call->v, kind, number);

	if (!object)
		violation(call, "there is no %s %u", kind_names[kind], number);
	return object;
}

static void add(struct mlx5_double_call *call, struct object *object,
		enum kind kind)
{
	struct mlx5_double_tracker *tracker = &call->v->tracker;

	object->kind = kind;
	object->number = tracker->next_object++ & 0xffffff;
	object->lost = call->late;
	list_add_tail(&object->link, &tracker->objects);
	note(call, " %s=%u", kind_names[kind], object->number);
}

static void free_object(struct object *object)
{
	list_del(&object->link);
	switch (object->kind) {
	case UAR:
		free_page((unsigned long)container_of(object, struct uar,
						      object)->page);
		break;
	case CQ:
		kfree(container_of(object, struct cq, object)->memory.pages);
		break;
	case QP:
		kfree(container_of(object, struct qp, object)->memory.pages);
		break;
	case PAGE_TRACK:
		mtree_destroy(&container_of(object, struct page_track,
					    object)->pages);
		kvfree(container_of(object, struct page_track, object)->message);
		break;
	}
	/* It is the first member of each */
	kfree(object);
}

static unsigned int users(struct mlx5_double_vf *v, struct object *used,
			  bool lost)
{
	struct object *object;
	unsigned int nr = 0;

	list_for_each_entry(object, &v->tracker.objects, link)
		if (object->lost == lost && (object->uses[0] == used ||
					     object->uses[1] == used))
			nr++;
	return nr;
}

unsigned int tracker_users(struct mlx5_double_vf *v, struct pd *pd, bool lost)
{
	struct object *object;
	unsigned int nr = 0;

	list_for_each_entry(object, &v->tracker.objects, link)
		nr += object->pd == pd && object->lost == lost;
	return nr;
}

unsigned int tracker_objects(struct mlx5_double_vf *v)
{
	struct object *object;
	unsigned int nr = 0;

	list_for_each_entry(object, &v->tracker.objects, link)
		nr += !object->lost;
	return nr;
}

static u8 destroy(struct mlx5_double_call *call, enum kind kind, u32 number)
{
	struct object *object = use(call, kind, number);
	unsigned int nr;

	note(call, "%s=%u", kind_names[kind], number);
	if (!object)
		return MLX5_CMD_STAT_BAD_RES_ERR;
	nr = users(call->v, object, false);
	if (nr) {
		violation(call, "%s %u is used by %u objects", kind_names[kind],
			  number, nr);
		return MLX5_CMD_STAT_BAD_RES_STATE_ERR;
	}
	object->lost = call->fail || users(call->v, object, true);
	if (object->lost)
		return call->fail ?: MLX5_CMD_STAT_BAD_RES_STATE_ERR;
	free_object(object);
	return MLX5_CMD_STAT_OK;
}

void tracker_free(struct mlx5_double_vf *v, bool leaked)
{
	struct object *object, *next;

	list_for_each_entry_safe(object, next, &v->tracker.objects, link) {
		if (leaked && !object->lost)
			vfio_double_violation(&v->vf,
					      "unbound, but %s %u is left",
					      kind_names[object->kind],
					      object->number);
		free_object(object);
	}
}

/* Memory of queues */

static bool get_memory(struct mlx5_double_call *call, struct memory *memory,
		       u8 log_page_size, u64 doorbell, const __be64 *pas,
		       size_t room, size_t size)
{
	u32 i;

	memory->doorbell = doorbell;
	memory->page_shift = log_page_size + MLX5_ADAPTER_PAGE_SHIFT;
	memory->nr_pages = DIV_ROUND_UP(size, BIT(memory->page_shift));
	if (memory->nr_pages > room / sizeof(*pas)) {
		violation(call, "%zu bytes of queue, but %zu pages", size,
			  room / sizeof(*pas));
		return false;
	}
	memory->pages = kcalloc(memory->nr_pages, sizeof(*memory->pages),
				GFP_KERNEL);
	if (!memory->pages)
		return false;
	for (i = 0; i < memory->nr_pages; i++)
		memory->pages[i] = be64_to_cpu(pas[i]);
	return true;
}

static bool at_queue(struct mlx5_double_call *call, struct memory *memory,
		     size_t off, void *data, size_t len, bool write)
{
	u64 page = memory->pages[off >> memory->page_shift];
	u64 at = page + (off & (BIT(memory->page_shift) - 1));

	if (!vfio_double_dma(&call->v->vf, at, data, len, write))
		return true;
	violation(call, "a queue isn't mapped");
	return false;
}

static bool read_doorbell(struct mlx5_double_call *call, struct memory *memory,
			  u32 *value)
{
	__be32 doorbell;

	if (vfio_double_dma(&call->v->vf, memory->doorbell, &doorbell,
			    sizeof(doorbell), false)) {
		violation(call, "a doorbell record isn't mapped");
		return false;
	}
	*value = be32_to_cpu(doorbell);
	return true;
}

static bool has_address(const struct memory *memory, dma_addr_t address)
{
	u32 i;

	for (i = 0; i < memory->nr_pages; i++)
		if (memory->pages[i] == address)
			return true;
	return memory->nr_pages && memory->doorbell == address;
}

bool mlx5_double_in_use(struct mlx5_double_vf *v, dma_addr_t address)
{
	struct object *object;

	list_for_each_entry(object, &v->tracker.objects, link) {
		if (object->lost)
			continue;
		if (object->kind == CQ &&
		    has_address(&container_of(object, struct cq, object)->memory,
				address))
			return true;
		if (object->kind == QP &&
		    has_address(&container_of(object, struct qp, object)->memory,
				address))
			return true;
	}
	return false;
}

/* UARs */

u8 alloc_uar(struct mlx5_double_call *call)
{
	struct uar *uar;

	if (call->fail)
		return call->fail;
	uar = kzalloc_obj(*uar);
	if (!uar)
		return MLX5_CMD_STAT_NO_RES_ERR;
	uar->page = (void *)get_zeroed_page(GFP_KERNEL);
	if (!uar->page) {
		kfree(uar);
		return MLX5_CMD_STAT_NO_RES_ERR;
	}
	add(call, &uar->object, UAR);
	MLX5_SET(alloc_uar_out, call->out, uar, uar->object.number);
	return MLX5_CMD_STAT_OK;
}

u8 dealloc_uar(struct mlx5_double_call *call)
{
	return destroy(call, UAR, MLX5_GET(dealloc_uar_in, call->in, uar));
}

void *mlx5_double_uar(struct mlx5_double_vf *v, u32 number)
{
	struct object *object = find(v, UAR, number);

	return object ? container_of(object, struct uar, object)->page : NULL;
}

/* Completion queues */

u8 create_cq(struct mlx5_double_call *call)
{
	const void *cqc = MLX5_ADDR_OF(create_cq_in, call->in, cq_context);
	size_t room = call->in_size - MLX5_ST_SZ_BYTES(create_cq_in);
	u8 log_size = MLX5_GET(cqc, cqc, log_cq_size);
	u32 eqn = MLX5_GET(cqc, cqc, c_eqn_or_apu_element);
	struct object *uar;
	struct cq *cq;

	uar = use(call, UAR, MLX5_GET(cqc, cqc, uar_page));
	if (!uar)
		return MLX5_CMD_STAT_BAD_RES_ERR;
	if (!mlx5_double_is_comp_eq(eqn)) {
		violation(call, "there is no EQ %u", eqn);
		return MLX5_CMD_STAT_BAD_RES_ERR;
	}
	if (call->fail)
		return call->fail;

	cq = kzalloc_obj(*cq);
	if (!cq)
		return MLX5_CMD_STAT_NO_RES_ERR;
	if (!get_memory(call, &cq->memory, MLX5_GET(cqc, cqc, log_page_size),
			MLX5_GET64(cqc, cqc, dbr_addr),
			MLX5_ADDR_OF(create_cq_in, call->in, pas), room,
			CQE_SIZE << log_size)) {
		kfree(cq);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	cq->log_size = log_size;
	cq->object.uses[0] = uar;
	add(call, &cq->object, CQ);
	MLX5_SET(create_cq_out, call->out, cqn, cq->object.number);
	return MLX5_CMD_STAT_OK;
}

u8 destroy_cq(struct mlx5_double_call *call)
{
	return destroy(call, CQ, MLX5_GET(destroy_cq_in, call->in, cqn));
}

/* How many completions the driver has not taken */
static bool unread(struct mlx5_double_call *call, struct cq *cq, u32 *nr)
{
	u32 consumed;

	if (!read_doorbell(call, &cq->memory, &consumed))
		return false;
	*nr = (cq->produced - consumed) & 0xffffff;
	return true;
}

static bool is_full(struct cq *cq, u32 nr)
{
	if (nr < BIT(cq->log_size)) {
		cq->full_since = 0;
		return false;
	}
	cq->full_since = cq->full_since ?: jiffies | 1;
	return true;
}

static bool write_cqe(struct mlx5_double_call *call, struct cq *cq,
		      struct mlx5_cqe64 *cqe, u8 opcode)
{
	u32 index = cq->produced & (BIT(cq->log_size) - 1);
	bool owner = cq->produced & BIT(cq->log_size);
	size_t owned = offsetof(struct mlx5_cqe64, op_own);

	cqe->op_own = opcode << 4 | owner;
	if (!at_queue(call, &cq->memory, index * CQE_SIZE, cqe, owned, true))
		return false;
	/* The driver may read it as soon as it sees who owns it */
	smp_wmb();
	if (!at_queue(call, &cq->memory, index * CQE_SIZE + owned, &cqe->op_own,
		      sizeof(cqe->op_own), true))
		return false;
	cq->produced++;
	return true;
}

/* Raise an event if the driver has asked for one. Is there more to wait for? */
static bool notify_cq(struct mlx5_double_call *call, struct cq *cq)
{
	struct uar *uar = container_of(cq->object.uses[0], struct uar, object);
	__be32 *doorbell = uar->page + MLX5_CQ_DOORBELL;
	struct mlx5_eqe eqe = { .type = MLX5_EVENT_TYPE_COMP };
	u32 armed, nr;
	__be64 raw;

	if (!unread(call, cq, &nr) || !nr)
		return false;
	raw = READ_ONCE(*(__be64 *)doorbell);
	armed = be64_to_cpu(raw) >> 32;
	if ((be64_to_cpu(raw) & 0xffffff) != cq->object.number ||
	    armed >> 28 != cq->arm_sn ||
	    ((armed ^ cq->produced) & 0xffffff) == 0)
		return true;
	cq->arm_sn = (cq->arm_sn + 1) & 3;
	eqe.data.comp.cqn = cpu_to_be32(cq->object.number);
	mlx5_double_event(call->v, &eqe);
	return true;
}

/* Queue pairs */

static struct qp *to_qp(struct object *object)
{
	return container_of(object, struct qp, object);
}

u8 create_qp(struct mlx5_double_call *call)
{
	const void *qpc = MLX5_ADDR_OF(create_qp_in, call->in, qpc);
	size_t room = call->in_size - MLX5_ST_SZ_BYTES(create_qp_in);
	bool receives = MLX5_GET(qpc, qpc, rq_type) != MLX5_ZERO_LEN_RQ;
	u8 log_size = MLX5_GET(qpc, qpc, log_rq_size);
	u32 pdn = MLX5_GET(qpc, qpc, pd);
	struct object *uar, *cq = NULL;
	struct pd *pd;
	struct qp *qp;

	pd = find_pd(call->v, pdn);
	if (!pd) {
		violation(call, "there is no PD %u", pdn);
		return MLX5_CMD_STAT_BAD_RES_ERR;
	}
	uar = use(call, UAR, MLX5_GET(qpc, qpc, uar_page));
	if (receives)
		cq = use(call, CQ, MLX5_GET(qpc, qpc, cqn_rcv));
	if (!uar || (receives && !cq))
		return MLX5_CMD_STAT_BAD_RES_ERR;
	if (MLX5_GET(qpc, qpc, st) != MLX5_QP_ST_RC ||
	    !MLX5_GET(qpc, qpc, no_sq)) {
		violation(call, "not a reliable connection, or one that sends");
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	/* Stride 0 is 16 bytes */
	if (receives && MLX5_GET(qpc, qpc, log_rq_stride)) {
		violation(call, "a stride of 2^%u bytes",
			  MLX5_GET(qpc, qpc, log_rq_stride) + 4);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	if (call->fail)
		return call->fail;

	qp = kzalloc_obj(*qp);
	if (!qp)
		return MLX5_CMD_STAT_NO_RES_ERR;
	qp->receives = receives;
	if (receives &&
	    !get_memory(call, &qp->memory, MLX5_GET(qpc, qpc, log_page_size),
			MLX5_GET64(qpc, qpc, dbr_addr),
			MLX5_ADDR_OF(create_qp_in, call->in, pas), room,
			WQE_SIZE << log_size)) {
		kfree(qp);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	qp->log_size = log_size;
	qp->object.uses[0] = uar;
	qp->object.uses[1] = cq;
	qp->object.pd = pd;
	add(call, &qp->object, QP);
	MLX5_SET(create_qp_out, call->out, qpn, qp->object.number);
	return MLX5_CMD_STAT_OK;
}

u8 destroy_qp(struct mlx5_double_call *call)
{
	return destroy(call, QP, MLX5_GET(destroy_qp_in, call->in, qpn));
}

/* A QP that can leave state @from, or NULL with the @status to return */
static struct qp *leave(struct mlx5_double_call *call, u32 number, u8 from,
			u8 *status)
{
	struct object *object = use(call, QP, number);

	note(call, "QP=%u", number);
	*status = MLX5_CMD_STAT_BAD_RES_ERR;
	if (!object)
		return NULL;
	if (to_qp(object)->state != from) {
		*status = MLX5_CMD_STAT_BAD_QP_STATE_ERR;
		wrong_state(call, "QP %u is in state %u, not %u", number,
			    to_qp(object)->state, from);
		return NULL;
	}
	*status = call->fail;
	return call->fail ? NULL : to_qp(object);
}

u8 rst2init_qp(struct mlx5_double_call *call)
{
	struct qp *qp;
	u8 status;

	qp = leave(call, MLX5_GET(rst2init_qp_in, call->in, qpn),
		   MLX5_QP_STATE_RST, &status);
	if (qp)
		qp->state = MLX5_QP_STATE_INIT;
	return status;
}

u8 init2rtr_qp(struct mlx5_double_call *call)
{
	const void *qpc = MLX5_ADDR_OF(init2rtr_qp_in, call->in, qpc);
	u32 remote = MLX5_GET(qpc, qpc, remote_qpn);
	struct qp *qp;
	u8 status;

	note(call, "remote=%u ", remote);
	if (!use(call, QP, remote))
		return MLX5_CMD_STAT_BAD_RES_ERR;
	qp = leave(call, MLX5_GET(init2rtr_qp_in, call->in, qpn),
		   MLX5_QP_STATE_INIT, &status);
	if (!qp)
		return status;
	qp->remote = remote;
	qp->state = MLX5_QP_STATE_RTR;
	return status;
}

u8 rtr2rts_qp(struct mlx5_double_call *call)
{
	const void *qpc = MLX5_ADDR_OF(rtr2rts_qp_in, call->in, qpc);
	struct qp *qp;
	u8 status;

	qp = leave(call, MLX5_GET(rtr2rts_qp_in, call->in, qpn),
		   MLX5_QP_STATE_RTR, &status);
	if (!qp)
		return status;
	qp->rnr_retry = MLX5_GET(qpc, qpc, rnr_retry);
	qp->state = MLX5_QP_STATE_RTS;
	return status;
}

/* PAGE_TRACK */

static struct page_track *to_page_track(struct object *object)
{
	return container_of(object, struct page_track, object);
}

/* The function's own tracker, if it has one */
static struct page_track *own(struct mlx5_double_vf *v)
{
	struct object *object;

	list_for_each_entry(object, &v->tracker.objects, link)
		if (object->kind == PAGE_TRACK && !object->lost)
			return to_page_track(object);
	return NULL;
}

static struct qp *sender(struct page_track *t)
{
	return to_qp(t->object.uses[0]);
}

/* The QP at the other end of the connection, if both ends are ready */
static struct qp *receiver(struct mlx5_double_vf *v, struct qp *qp)
{
	struct object *object = find(v, QP, qp->remote);
	struct qp *peer = object ? to_qp(object) : NULL;

	if (!peer || !peer->receives || peer->object.lost ||
	    qp->state != MLX5_QP_STATE_RTS ||
	    peer->state < MLX5_QP_STATE_RTR ||
	    peer->remote != qp->object.number)
		return NULL;
	return peer;
}

static bool is_page_track(struct mlx5_double_call *call, const void *hdr)
{
	u16 type = MLX5_GET(general_obj_in_cmd_hdr, hdr, obj_type);

	if (type == MLX5_OBJ_TYPE_PAGE_TRACK)
		return true;
	violation(call, "an object of type 0x%x", type);
	return false;
}

static u8 check_ranges(struct mlx5_double_call *call, const void *context,
		       size_t room, struct page_track *t)
{
	const void *list = MLX5_ADDR_OF(page_track, context, track_range);
	u32 nr = MLX5_GET(page_track, context, num_ranges);
	u8 log_space = MLX5_GET(page_track, context, log_addr_space_size);
	u64 total = 0;
	u32 i;

	if (!nr || nr > MAX_RANGES ||
	    nr > room / MLX5_ST_SZ_BYTES(page_track_range)) {
		violation(call, "%u ranges, of at most %u", nr, MAX_RANGES);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	for (i = 0; i < nr; i++) {
		const void *range = list +
				    i * MLX5_ST_SZ_BYTES(page_track_range);
		u64 start = MLX5_GET64(page_track_range, range, start_address);
		u64 length = MLX5_GET64(page_track_range, range, length);

		if (!length || start + (length - 1) < start) {
			violation(call, "%llu bytes from 0x%llx", length, start);
			return MLX5_CMD_STAT_BAD_PARAM_ERR;
		}
		t->ranges[i].start = start;
		t->ranges[i].last = start + (length - 1);
		total += length;
	}
	if (log_space < LOG_MIN_ADDR_SPACE || log_space > LOG_MAX_ADDR_SPACE ||
	    total > BIT_ULL(log_space)) {
		violation(call, "%llu bytes in 2^%u", total, log_space);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	t->nr_ranges = nr;
	return MLX5_CMD_STAT_OK;
}

static u8 check_page_track(struct mlx5_double_call *call, struct page_track *t)
{
	const void *context = MLX5_ADDR_OF(create_page_track_obj_in, call->in,
					   obj_context);
	u8 log_page = MLX5_GET(page_track, context, log_page_size);
	u8 log_msg = MLX5_GET(page_track, context, log_msg_size);
	u16 vhca_id = MLX5_GET(page_track, context, vhca_id);
	struct mlx5_double_vf *v = call->v;
	struct object *qp;

	if (vhca_id != mlx5_double_vhca_id(v)) {
		violation(call, "vhca_id 0x%x, but this is 0x%x", vhca_id,
			  mlx5_double_vhca_id(v));
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	if (!v->tracker.announced) {
		violation(call, "no page tracker was announced");
		return MLX5_CMD_STAT_BAD_OP_ERR;
	}
	if (log_page < LOG_MIN_PAGE_SIZE || log_page > LOG_MAX_PAGE_SIZE ||
	    log_msg < LOG_MIN_MSG_SIZE || log_msg > LOG_MAX_MSG_SIZE) {
		violation(call, "pages of 2^%u bytes, messages of 2^%u",
			  log_page, log_msg);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	qp = use(call, QP, MLX5_GET(page_track, context, reporting_qpn));
	if (!qp)
		return MLX5_CMD_STAT_BAD_RES_ERR;
	if (!receiver(v, to_qp(qp)))
		return wrong_state(call, "QP %u is not connected", qp->number);
	if (own(v))
		return wrong_state(call, "there is one already");

	t->object.uses[0] = qp;
	t->page_shift = log_page;
	t->msg_size = BIT(log_msg);
	return check_ranges(call, context, call->in_size -
			    MLX5_ST_SZ_BYTES(create_page_track_obj_in), t);
}

u8 create_general_object(struct mlx5_double_call *call)
{
	struct page_track *t;
	u8 status;

	if (!is_page_track(call, call->in))
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	t = kzalloc_obj(*t);
	if (!t)
		return MLX5_CMD_STAT_NO_RES_ERR;
	status = check_page_track(call, t) ?: call->fail;
	if (!status) {
		t->message = kvmalloc(t->msg_size, GFP_KERNEL);
		status = t->message ? 0 : MLX5_CMD_STAT_NO_RES_ERR;
	}
	if (status) {
		kfree(t);
		return status;
	}
	mt_init(&t->pages);
	add(call, &t->object, PAGE_TRACK);
	note(call, " ranges=%u page_size=%lu", t->nr_ranges, BIT(t->page_shift));
	MLX5_SET(general_obj_out_cmd_hdr, call->out, obj_id, t->object.number);
	return MLX5_CMD_STAT_OK;
}

static struct page_track *find_page_track(struct mlx5_double_call *call)
{
	u32 number = MLX5_GET(general_obj_in_cmd_hdr, call->in, obj_id);
	struct object *object;

	if (!is_page_track(call, call->in))
		return NULL;
	note(call, "PAGE_TRACK=%u", number);
	object = use(call, PAGE_TRACK, number);
	return object ? to_page_track(object) : NULL;
}

u8 destroy_general_object(struct mlx5_double_call *call)
{
	if (!is_page_track(call, call->in))
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	return destroy(call, PAGE_TRACK,
		       MLX5_GET(general_obj_in_cmd_hdr, call->in, obj_id));
}

u8 query_general_object(struct mlx5_double_call *call)
{
	struct page_track *t = find_page_track(call);
	void *context;

	if (!t)
		return MLX5_CMD_STAT_BAD_RES_ERR;
	if (call->fail)
		return call->fail;
	if (call->out_size < MLX5_ST_SZ_BYTES(query_page_track_obj_out)) {
		violation(call, "%zu bytes out", call->out_size);
		return MLX5_CMD_STAT_BAD_OUTP_LEN_ERR;
	}
	context = MLX5_ADDR_OF(query_page_track_obj_out, call->out, obj_context);
	MLX5_SET(page_track, context, state, t->state);
	note(call, " state=%u", t->state);
	return MLX5_CMD_STAT_OK;
}

u8 modify_general_object(struct mlx5_double_call *call)
{
	const void *context = MLX5_ADDR_OF(modify_page_track_obj_in, call->in,
					   obj_context);
	u64 start = MLX5_GET64(page_track, context, range_start_address);
	u64 length = MLX5_GET64(page_track, context, length);
	u8 state = MLX5_GET(page_track, context, state);
	struct page_track *t = find_page_track(call);

	if (!t)
		return MLX5_CMD_STAT_BAD_RES_ERR;
	note(call, " state=%u start=0x%llx length=0x%llx", state, start, length);
	/* The state, and the range */
	if (MLX5_GET64(page_track, context, modify_field_select) != 3 ||
	    state != MLX5_PAGE_TRACK_STATE_REPORTING || !length ||
	    start + (length - 1) < start) {
		violation(call, "state %u, %llu bytes from 0x%llx", state,
			  length, start);
		return MLX5_CMD_STAT_BAD_PARAM_ERR;
	}
	if (t->state == MLX5_PAGE_TRACK_STATE_ERROR)
		return MLX5_CMD_STAT_BAD_RES_STATE_ERR;
	if (t->state == MLX5_PAGE_TRACK_STATE_REPORTING)
		return wrong_state(call, "a report is in progress");
	if (call->fail)
		return call->fail;

	t->next = start >> t->page_shift;
	t->last = (start + (length - 1)) >> t->page_shift;
	t->state = MLX5_PAGE_TRACK_STATE_REPORTING;
	queue_delayed_work(call->v->wq, &call->v->tracker.report, 0);
	return MLX5_CMD_STAT_OK;
}

int tracker_write(struct mlx5_double_vf *v, u64 iova, u64 last)
{
	struct page_track *t = own(v);
	unsigned int i;
	int ret = 0;

	for (i = 0; t && i < t->nr_ranges && !ret; i++) {
		u64 from = max(iova, t->ranges[i].start);
		u64 to = min(last, t->ranges[i].last);

		if (from <= to)
			ret = mtree_store_range(&t->pages, from >> t->page_shift,
						to >> t->page_shift, DIRTY,
						GFP_KERNEL);
	}
	return ret;
}

/* Reports */

static void raise(struct mlx5_double_vf *v, struct page_track *t,
		  enum fault fault, u32 other)
{
	struct mlx5_eqe eqe = {};
	struct qp *qp = sender(t);

	switch (fault) {
	case CQ_ERROR:
		qp = receiver(v, qp);
		if (!qp)
			return;
		eqe.type = MLX5_EVENT_TYPE_CQ_ERROR;
		eqe.data.cq_err.cqn = cpu_to_be32(qp->object.uses[1]->number +
						  other);
		break;
	case WQ_ERROR:
		eqe.type = MLX5_EVENT_TYPE_WQ_CATAS_ERROR;
		eqe.data.qp_srq.type = MLX5_EVENT_QUEUE_TYPE_QP;
		eqe.data.qp_srq.qp_srq_n = cpu_to_be32(qp->object.number +
						       other);
		break;
	default:
		eqe.type = MLX5_EVENT_TYPE_OBJECT_CHANGE;
		eqe.data.obj_change.obj_type =
			cpu_to_be16(MLX5_OBJ_TYPE_PAGE_TRACK);
		eqe.data.obj_change.obj_id = cpu_to_be32(t->object.number +
							 other);
	}
	mlx5_double_event(v, &eqe);
}

static void fail_tracker(struct mlx5_double_vf *v, struct page_track *t,
			 enum fault fault)
{
	t->state = MLX5_PAGE_TRACK_STATE_ERROR;
	raise(v, t, fault, 0);
}

/* Fill the message with pages from the log; return the first one after them */
static unsigned long fill_message(struct page_track *t, u32 *nr, bool *more)
{
	MA_STATE(mas, &t->pages, t->next, t->last);
	u32 room = t->msg_size / ENTRY_SIZE;
	unsigned long next = t->last + 1;
	void *entry;

	*nr = 0;
	*more = false;
	mas_lock(&mas);
	mas_for_each(&mas, entry, t->last) {
		unsigned long page = max(mas.index, t->next);
		unsigned long end = min(mas.last, t->last);

		for (; page <= end && *nr < room; page++)
			t->message[(*nr)++] = cpu_to_be64((u64)page <<
							  t->page_shift);
		if (page <= end) {
			*more = true;
			next = page;
			break;
		}
	}
	mas_unlock(&mas);
	return next;
}

/* The next posted buffer; false if none is */
static bool next_buffer(struct mlx5_double_call *call, struct qp *qp,
			struct mlx5_wqe_data_seg *wqe, bool *broken)
{
	u32 index = qp->consumed & (BIT(qp->log_size) - 1);
	u32 posted;

	*broken = !read_doorbell(call, &qp->memory, &posted);
	if (*broken || (u16)posted == qp->consumed)
		return false;
	*broken = !at_queue(call, &qp->memory, index * WQE_SIZE, wqe,
			    sizeof(*wqe), false);
	return !*broken;
}

static u8 message_state(enum fault fault, bool more)
{
	if (fault == STATUS_ERROR)
		return MLX5_PAGE_TRACK_STATE_ERROR;
	return more ? MLX5_PAGE_TRACK_STATE_REPORTING :
		      MLX5_PAGE_TRACK_STATE_TRACKING;
}

/*
 * Send the next part of the log. @again: there is no buffer, or no place for the
 * completion. False if the tracker cannot go on.
 */
static bool send(struct mlx5_double_call *call, struct page_track *t,
		 struct qp *qp, struct cq *cq, bool *again)
{
	struct mlx5_double_tracker *tracker = &call->v->tracker;
	enum fault fault = tracker->fault;
	struct mlx5_wqe_data_seg wqe;
	struct mlx5_cqe64 cqe = {};
	unsigned long next;
	bool more, broken;
	u32 nr, waiting;
	size_t len;

	if (!next_buffer(call, qp, &wqe, &broken)) {
		if (broken)
			return false;
		tracker->no_buffer++;
		*again = true;
		return sender(t)->rnr_retry == RNR_FOREVER;
	}
	if (!unread(call, cq, &waiting))
		return false;
	if (is_full(cq, waiting)) {
		*again = true;
		if (!time_after(jiffies, cq->full_since + CQ_PATIENCE))
			return true;
		violation(call, "CQ %u overflows", cq->object.number);
		return false;
	}

	next = fill_message(t, &nr, &more);
	len = nr * ENTRY_SIZE;
	if (be32_to_cpu(wqe.byte_count) < len) {
		violation(call, "%zu bytes, but %u in the buffer", len,
			  be32_to_cpu(wqe.byte_count));
		return false;
	}
	if (fault != CQE_ERROR && len &&
	    !write_to_mkey(call, qp->object.pd, be32_to_cpu(wqe.lkey),
			   be64_to_cpu(wqe.addr), t->message, len))
		return false;
	if (fault != CQE_ERROR &&
	    mtree_store_range(&t->pages, t->next, next - 1, NULL, GFP_KERNEL))
		return false;
	t->next = next;
	if (fault == CQE_ERROR || fault == STATUS_ERROR)
		tracker->fault = NO_FAULT;

	cqe.wqe_counter = cpu_to_be16(qp->consumed);
	cqe.sop_drop_qpn = cpu_to_be32(qp->object.number);
	qp->consumed++;
	if (fault == CQE_ERROR) {
		t->state = MLX5_PAGE_TRACK_STATE_ERROR;
		((struct mlx5_err_cqe *)&cqe)->syndrome =
			MLX5_CQE_SYNDROME_LOCAL_PROT_ERR;
		return write_cqe(call, cq, &cqe, MLX5_CQE_RESP_ERR);
	}
	t->state = message_state(fault, more);
	cqe.byte_cnt = cpu_to_be32(len);
	cqe.immediate = cpu_to_be32(t->state << 28);
	return write_cqe(call, cq, &cqe, MLX5_CQE_RESP_SEND_IMM);
}

/* The log goes on by itself. Return whether it is to be continued soon */
static bool go_on(struct mlx5_double_vf *v, struct page_track *t)
{
	struct qp *qp = receiver(v, sender(t));
	struct mlx5_double_call call;
	bool again = false;
	struct cq *cq;

	begin_report(&call, v);
	if (!qp)
		return false;
	cq = container_of(qp->object.uses[1], struct cq, object);
	while (t->state == MLX5_PAGE_TRACK_STATE_REPORTING && !again &&
	       !vfio_double_held(&v->vf, call_number(&call)))
		if (!send(&call, t, qp, cq, &again)) {
			fail_tracker(v, t, OBJECT_ERROR);
			return false;
		}
	if (v->tracker.fault == LATE_COMPLETION &&
	    t->state == MLX5_PAGE_TRACK_STATE_TRACKING) {
		v->tracker.fault = NO_FAULT;
		raise(v, t, OBJECT_ERROR, 0);
	}
	return notify_cq(&call, cq) || again;
}

static void report(struct work_struct *work)
{
	struct mlx5_double_vf *v = container_of(to_delayed_work(work),
						struct mlx5_double_vf,
						tracker.report);
	struct page_track *t;

	mutex_lock(&v->vf.lock);
	t = own(v);
	if (t && !v->down && go_on(v, t))
		queue_delayed_work(v->wq, &v->tracker.report, 1);
	mutex_unlock(&v->vf.lock);
}

void tracker_continue(struct mlx5_double_vf *v)
{
	queue_delayed_work(v->wq, &v->tracker.report, 0);
}

int tracker_fault(struct mlx5_double_vf *v, const char *name)
{
	struct page_track *t = own(v);
	enum fault fault;

	for (fault = NO_FAULT + 1; fault < NR_FAULTS; fault++)
		if (!strcmp(fault_names[fault], name))
			break;
	if (fault == NR_FAULTS)
		return -EINVAL;
	if (!t)
		return -ENOENT;

	switch (fault) {
	case CQE_ERROR:
	case STATUS_ERROR:
	case LATE_COMPLETION:
		v->tracker.fault = fault;
		break;
	case OTHERS:
		/* Numbers that this function has not got, and the next ones */
		raise(v, t, CQ_ERROR, 1000);
		raise(v, t, WQ_ERROR, 1000);
		raise(v, t, OBJECT_ERROR, 1000);
		break;
	default:
		fail_tracker(v, t, fault);
	}
	return 0;
}

void tracker_init(struct mlx5_double_vf *v)
{
	INIT_LIST_HEAD(&v->tracker.objects);
	INIT_DELAYED_WORK(&v->tracker.report, report);
	v->tracker.next_object = 1;
}

void tracker_reset(struct mlx5_double_vf *v)
{
	v->tracker.fault = NO_FAULT;
	v->tracker.no_buffer = 0;
}

void tracker_release(struct mlx5_double_vf *v)
{
	cancel_delayed_work_sync(&v->tracker.report);
}

void tracker_info(struct mlx5_double_vf *v, struct seq_file *m)
{
	struct page_track *t = own(v);

	seq_printf(m, "tracker_objects=%u\n", tracker_objects(v));
	seq_printf(m, "tracker_state=%d\n", t ? t->state : -1);
	seq_printf(m, "no_buffer=%u\n", v->tracker.no_buffer);
}
