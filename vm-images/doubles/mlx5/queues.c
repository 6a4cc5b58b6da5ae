// SPDX-License-Identifier: GPL-2.0-only
/*
 * The double for an mlx5 adapter: the functions of mlx5_core for queues.
 *
 * mlx5-vfio-pci needs them for the page tracker: UARs, memory for queues,
 * doorbell records, completion queues, and events. They behave like those of
 * mlx5_core.
 */
#include <linux/dma-mapping.h>
#include <linux/irq_work.h>
#include <linux/mlx5/cq.h>
#include <linux/mlx5/eq.h>
#include <linux/slab.h>

#include "compat.h"
#include "mlx5_double.h"

/* Event queues for completions: one for each of the vectors */
#define FIRST_COMP_EQ	0x10
#define NR_COMP_EQS	2

/* mlx5_core's own, which is private to it */
#define CQ_INIT_ARM_DB	(2 << 28)

void mlx5_double_queues_init(struct mlx5_double_vf *v)
{
	int i;

	xa_init_flags(&v->queues.cqs, XA_FLAGS_LOCK_IRQ);
	spin_lock_init(&v->queues.async_eq);
	for (i = 0; i < ARRAY_SIZE(v->queues.notifiers); i++)
		ATOMIC_INIT_NOTIFIER_HEAD(&v->queues.notifiers[i]);
}

/* Without the function's lock. What is left is the driver's leak */
void mlx5_double_queues_unbound(struct mlx5_double_vf *v)
{
	int left = atomic_xchg(&v->queues.buffers, 0);
	int i;

	if (left)
		vfio_double_violation(&v->vf, "unbound, but %d buffers are left",
				      left);
	for (i = 0; i < ARRAY_SIZE(v->queues.notifiers); i++) {
		if (!rcu_access_pointer(v->queues.notifiers[i].head))
			continue;
		vfio_double_violation(&v->vf,
				      "unbound, but a notifier of event %d is left",
				      i);
		ATOMIC_INIT_NOTIFIER_HEAD(&v->queues.notifiers[i]);
	}
	if (!xa_empty(&v->queues.cqs))
		xa_destroy(&v->queues.cqs);
}

/* UARs */

struct mlx5_uars_page *mlx5_get_uars_page(struct mlx5_core_dev *dev)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(dev);
	u32 out[MLX5_ST_SZ_DW(alloc_uar_out)] = {};
	u32 in[MLX5_ST_SZ_DW(alloc_uar_in)] = {};
	struct mlx5_uars_page *up;
	int ret;

	up = kzalloc_obj(*up);
	if (!up)
		return ERR_PTR(-ENOMEM);
	MLX5_SET(alloc_uar_in, in, opcode, MLX5_CMD_OP_ALLOC_UAR);
	ret = mlx5_cmd_exec_inout(dev, alloc_uar, in, out);
	if (ret) {
		kfree(up);
		return ERR_PTR(ret);
	}
	up->index = MLX5_GET(alloc_uar_out, out, uar);
	up->mdev = dev;
	mutex_lock(&v->vf.lock);
	up->map = (void __iomem __force *)mlx5_double_uar(v, up->index);
	mutex_unlock(&v->vf.lock);
	return up;
}
EXPORT_SYMBOL(mlx5_get_uars_page);

void mlx5_put_uars_page(struct mlx5_core_dev *dev, struct mlx5_uars_page *up)
{
	u32 in[MLX5_ST_SZ_DW(dealloc_uar_in)] = {};

	MLX5_SET(dealloc_uar_in, in, opcode, MLX5_CMD_OP_DEALLOC_UAR);
	MLX5_SET(dealloc_uar_in, in, uar, up->index);
	mlx5_cmd_exec_in(dev, dealloc_uar, in);
	kfree(up);
}
EXPORT_SYMBOL(mlx5_put_uars_page);

/* Memory for queues, in pages */

static void check_free(struct mlx5_double_vf *v, const char *name,
		       dma_addr_t address)
{
	mutex_lock(&v->vf.lock);
	if (mlx5_double_in_use(v, address))
		vfio_double_violation(&v->vf, "%s is freed while a queue uses it",
				      name);
	mutex_unlock(&v->vf.lock);
}

static void *alloc_page_of(struct mlx5_core_dev *dev, dma_addr_t *map)
{
	void *page = dma_alloc_coherent(dev->device, PAGE_SIZE, map, GFP_KERNEL);

	if (page)
		atomic_inc(&mlx5_double_mdev_vf(dev)->queues.buffers);
	return page;
}

static void free_page_of(struct mlx5_core_dev *dev, const char *name, void *page,
			 dma_addr_t map)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(dev);

	check_free(v, name, map);
	atomic_dec(&v->queues.buffers);
	dma_free_coherent(dev->device, PAGE_SIZE, page, map);
}

int mlx5_frag_buf_alloc_node(struct mlx5_core_dev *dev, int size,
			     struct mlx5_frag_buf *buf, int node)
{
	int i;

	buf->size = size;
	buf->npages = DIV_ROUND_UP(size, PAGE_SIZE);
	buf->page_shift = PAGE_SHIFT;
	buf->frags = kcalloc(buf->npages, sizeof(*buf->frags), GFP_KERNEL);
	if (!buf->frags)
		return -ENOMEM;
	for (i = 0; i < buf->npages; i++) {
		buf->frags[i].buf = alloc_page_of(dev, &buf->frags[i].map);
		if (!buf->frags[i].buf) {
			mlx5_frag_buf_free(dev, buf);
			return -ENOMEM;
		}
	}
	return 0;
}
EXPORT_SYMBOL_GPL(mlx5_frag_buf_alloc_node);

/* Also of a buffer that was never allocated, and is zero */
void mlx5_frag_buf_free(struct mlx5_core_dev *dev, struct mlx5_frag_buf *buf)
{
	int i;

	for (i = 0; i < buf->npages && buf->frags[i].buf; i++)
		free_page_of(dev, "a queue's buffer", buf->frags[i].buf,
			     buf->frags[i].map);
	kfree(buf->frags);
}
EXPORT_SYMBOL_GPL(mlx5_frag_buf_free);

void mlx5_fill_page_frag_array(struct mlx5_frag_buf *frag_buf, __be64 *pas)
{
	int i;

	for (i = 0; i < frag_buf->npages; i++)
		pas[i] = cpu_to_be64(frag_buf->frags[i].map);
}
EXPORT_SYMBOL_GPL(mlx5_fill_page_frag_array);

int mlx5_db_alloc_node(struct mlx5_core_dev *dev, struct mlx5_db *db, int node)
{
	db->db = alloc_page_of(dev, &db->dma);
	return db->db ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(mlx5_db_alloc_node);

void mlx5_db_free(struct mlx5_core_dev *dev, struct mlx5_db *db)
{
	free_page_of(dev, "a doorbell record", db->db, db->dma);
}
EXPORT_SYMBOL_GPL(mlx5_db_free);

/* Events */

int mlx5_comp_eqn_get(struct mlx5_core_dev *dev, u16 vecidx, int *eqn)
{
	if (vecidx >= NR_COMP_EQS)
		return -EINVAL;
	*eqn = FIRST_COMP_EQ + vecidx;
	return 0;
}
EXPORT_SYMBOL(mlx5_comp_eqn_get);

unsigned int mlx5_comp_vectors_max(struct mlx5_core_dev *dev)
{
	return NR_COMP_EQS;
}
EXPORT_SYMBOL(mlx5_comp_vectors_max);

bool mlx5_double_is_comp_eq(u32 eqn)
{
	return eqn >= FIRST_COMP_EQ && eqn < FIRST_COMP_EQ + NR_COMP_EQS;
}

int mlx5_eq_notifier_register(struct mlx5_core_dev *dev, struct mlx5_nb *nb)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(dev);

	return atomic_notifier_chain_register(&v->queues.notifiers[nb->event_type],
					      &nb->nb);
}
EXPORT_SYMBOL(mlx5_eq_notifier_register);

int mlx5_eq_notifier_unregister(struct mlx5_core_dev *dev, struct mlx5_nb *nb)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(dev);
	int ret;

	ret = atomic_notifier_chain_unregister(&v->queues.notifiers[nb->event_type],
					       &nb->nb);
	if (ret)
		vfio_double_violation(&v->vf, "no such notifier of event %d",
				      nb->event_type);
	return ret;
}
EXPORT_SYMBOL(mlx5_eq_notifier_unregister);

/* To be put; an event may be late */
static struct mlx5_core_cq *get_cq(struct mlx5_double_vf *v, u32 cqn)
{
	struct mlx5_core_cq *cq;

	rcu_read_lock();
	cq = xa_load(&v->queues.cqs, cqn);
	if (cq)
		mlx5_cq_hold(cq);
	rcu_read_unlock();
	return cq;
}

struct event {
	struct irq_work interrupt;
	struct mlx5_double_vf *v;
	struct mlx5_eqe *eqe;
};

static void completion_event(struct mlx5_double_vf *v, struct mlx5_eqe *eqe)
{
	struct mlx5_core_cq *cq = get_cq(v, be32_to_cpu(eqe->data.comp.cqn));

	if (!cq)
		return;
	cq->arm_sn++;
	cq->comp(cq, eqe);
	mlx5_cq_put(cq);
}

/* mlx5_core itself is the first one to hear of it */
static void cq_error_event(struct mlx5_double_vf *v, struct mlx5_eqe *eqe)
{
	struct mlx5_core_cq *cq = get_cq(v, be32_to_cpu(eqe->data.cq_err.cqn));

	if (!cq)
		return;
	if (cq->event)
		cq->event(cq, eqe->type);
	mlx5_cq_put(cq);
}

/* As mlx5_core's handlers, mlx5_eq_comp_int() and mlx5_eq_async_int() */
static void interrupt(struct irq_work *work)
{
	struct event *event = container_of(work, struct event, interrupt);
	struct mlx5_double_vf *v = event->v;
	struct mlx5_eqe *eqe = event->eqe;
	unsigned long flags;

	if (eqe->type == MLX5_EVENT_TYPE_COMP) {
		completion_event(v, eqe);
		return;
	}
	spin_lock_irqsave(&v->queues.async_eq, flags);
	if (eqe->type == MLX5_EVENT_TYPE_CQ_ERROR)
		cq_error_event(v, eqe);
	atomic_notifier_call_chain(&v->queues.notifiers[eqe->type], eqe->type,
				   eqe);
	atomic_notifier_call_chain(&v->queues.notifiers[MLX5_EVENT_TYPE_NOTIFY_ANY],
				   eqe->type, eqe);
	spin_unlock_irqrestore(&v->queues.async_eq, flags);
}

void mlx5_double_event(struct mlx5_double_vf *v, struct mlx5_eqe *eqe)
{
	struct event event = { .v = v, .eqe = eqe };

	init_irq_work(&event.interrupt, interrupt);
	irq_work_queue(&event.interrupt);
	irq_work_sync(&event.interrupt);
}

/* Completion queues */

int mlx5_core_create_cq(struct mlx5_core_dev *dev, struct mlx5_core_cq *cq,
			u32 *in, int inlen, u32 *out, int outlen)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(dev);
	u32 din[MLX5_ST_SZ_DW(destroy_cq_in)] = {};
	int ret;

	MLX5_SET(create_cq_in, in, opcode, MLX5_CMD_OP_CREATE_CQ);
	ret = mlx5_cmd_exec(dev, in, inlen, out, outlen);
	if (ret)
		return ret;

	cq->cqn = MLX5_GET(create_cq_out, out, cqn);
	cq->cons_index = 0;
	cq->arm_sn = 0;
	if (cq->arm_db)
		*cq->arm_db = cpu_to_be32(CQ_INIT_ARM_DB);
	refcount_set(&cq->refcount, 1);
	init_completion(&cq->free);
	ret = xa_insert_irq(&v->queues.cqs, cq->cqn, cq, GFP_KERNEL);
	if (ret) {
		MLX5_SET(destroy_cq_in, din, opcode, MLX5_CMD_OP_DESTROY_CQ);
		MLX5_SET(destroy_cq_in, din, cqn, cq->cqn);
		mlx5_cmd_exec_in(dev, destroy_cq, din);
	}
	return ret;
}
EXPORT_SYMBOL(mlx5_core_create_cq);

int mlx5_core_destroy_cq(struct mlx5_core_dev *dev, struct mlx5_core_cq *cq)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(dev);
	u32 in[MLX5_ST_SZ_DW(destroy_cq_in)] = {};
	int ret;

	xa_erase_irq(&v->queues.cqs, cq->cqn);
	MLX5_SET(destroy_cq_in, in, opcode, MLX5_CMD_OP_DESTROY_CQ);
	MLX5_SET(destroy_cq_in, in, cqn, cq->cqn);
	ret = mlx5_cmd_exec_in(dev, destroy_cq, in);
	if (ret)
		return ret;
	mlx5_cq_put(cq);
	wait_for_completion(&cq->free);
	return 0;
}
EXPORT_SYMBOL(mlx5_core_destroy_cq);
