// SPDX-License-Identifier: GPL-2.0-only
/*
 * The double for an mlx5 adapter: it replaces the module mlx5_core.
 *
 * These are the functions that mlx5-vfio-pci imports. They behave like those of
 * mlx5_core, with the adapter in firmware.c and tracker.c. Those for queues are in
 * queues.c.
 */
#include <linux/irq_work.h>
#include <linux/mlx5/vport.h>
#include <linux/slab.h>

#include "mlx5_double.h"

static struct vfio_double mlx5_double;

/* The core device */

struct mlx5_core_dev *mlx5_vf_get_core_dev(struct pci_dev *pdev)
{
	struct vfio_double_vf *vf = vfio_double_vf(&mlx5_double, pdev);
	struct mlx5_double_vf *v;

	if (!vf)
		return NULL;
	v = to_mlx5_double_vf(vf);
	/* Held until mlx5_vf_put_core_dev(), as in mlx5_core */
	mutex_lock(&v->mdev.intf_state_mutex);
	mlx5_double_show_caps(v);
	return &v->mdev;
}
EXPORT_SYMBOL_GPL(mlx5_vf_get_core_dev);

void mlx5_vf_put_core_dev(struct mlx5_core_dev *mdev)
{
	mutex_unlock(&mdev->intf_state_mutex);
}
EXPORT_SYMBOL_GPL(mlx5_vf_put_core_dev);

int mlx5_sriov_blocking_notifier_register(struct mlx5_core_dev *mdev, int vf_id,
					  struct notifier_block *nb)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(mdev);

	if (vf_id != v->vf.id) {
		vfio_double_violation(&v->vf, "notifier for function %d",
				      vf_id);
		return -EINVAL;
	}
	return blocking_notifier_chain_register(&v->notifier, nb);
}
EXPORT_SYMBOL_GPL(mlx5_sriov_blocking_notifier_register);

void mlx5_sriov_blocking_notifier_unregister(struct mlx5_core_dev *mdev,
					     int vf_id,
					     struct notifier_block *nb)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(mdev);

	if (vf_id != v->vf.id ||
	    blocking_notifier_chain_unregister(&v->notifier, nb))
		vfio_double_violation(&v->vf,
				      "no such notifier for function %d",
				      vf_id);
}
EXPORT_SYMBOL_GPL(mlx5_sriov_blocking_notifier_unregister);

/* Commands */

static int status_to_err(u8 status)
{
	switch (status) {
	case MLX5_CMD_STAT_OK:
		return 0;
	case MLX5_CMD_STAT_BAD_OP_ERR:
	case MLX5_CMD_STAT_BAD_PARAM_ERR:
	case MLX5_CMD_STAT_BAD_RES_ERR:
	case MLX5_CMD_STAT_BAD_RES_STATE_ERR:
	case MLX5_CMD_STAT_IX_ERR:
	case MLX5_CMD_STAT_BAD_QP_STATE_ERR:
	case MLX5_CMD_STAT_BAD_PKT_ERR:
	case MLX5_CMD_STAT_BAD_SIZE_OUTS_CQES_ERR:
		return -EINVAL;
	case MLX5_CMD_STAT_RES_BUSY:
		return -EBUSY;
	case MLX5_CMD_STAT_LIM_ERR:
		return -ENOMEM;
	case MLX5_CMD_STAT_NOT_READY:
	case MLX5_CMD_STAT_NO_RES_ERR:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

void mlx5_cmd_out_err(struct mlx5_core_dev *dev, u16 opcode, u16 op_mod,
		      void *out)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(dev);

	pci_err(v->vf.pdev, "command 0x%x, op_mod 0x%x: status 0x%x\n", opcode,
		op_mod, MLX5_GET(vfio_double_out, out, status));
}
EXPORT_SYMBOL_GPL(mlx5_cmd_out_err);

/*
 * A failed command's callback may queue work, and the task that cleans up the
 * command's context then runs before that work or after it. The order must not
 * depend on chance: the work gets time to end first, unless a test wants the
 * caller to overtake it. The caller then runs as a real-time task, on one
 * processor.
 */
#define LET_WORK_END	10	/* ms */

static void overtake_begin(struct mlx5_double_vf *v)
{
	if (!xchg(&v->overtake, false))
		return;
	WRITE_ONCE(v->overtaker, current);
	sched_set_fifo(current);
}

static void overtake_end(struct mlx5_double_vf *v)
{
	if (READ_ONCE(v->overtaker) != current)
		return;
	WRITE_ONCE(v->overtaker, NULL);
	sched_set_normal(current, 0);
}

int mlx5_cmd_exec(struct mlx5_core_dev *dev, void *in, int in_size, void *out,
		  int out_size)
{
	struct mlx5_double_call call = {
		.v = mlx5_double_mdev_vf(dev),
		.in = in,
		.in_size = in_size,
		.out = out,
		.out_size = out_size,
	};

	overtake_end(call.v);
	if (mlx5_double_begin(&call))
		mlx5_double_finish(&call);
	if (call.err)
		return call.err;
	if (call.status)
		mlx5_cmd_out_err(dev, MLX5_GET(vfio_double_in, in, opcode),
				 MLX5_GET(vfio_double_in, in, op_mod), out);
	return status_to_err(call.status);
}
EXPORT_SYMBOL_GPL(mlx5_cmd_exec);

struct async_call {
	struct work_struct work;
	struct irq_work interrupt;
	struct mlx5_double_call call;
	bool unfinished;
	int status;
	/* Whether the context is released only later, see LET_WORK_END */
	bool late;
	struct mlx5_async_work *context;
	u8 in[];
};

static void async_ctx_put(struct mlx5_async_ctx *ctx)
{
	if (atomic_dec_and_test(&ctx->num_inflight))
		complete(&ctx->inflight_done);
}

static void async_complete(struct async_call *async)
{
	struct mlx5_async_work *context = async->context;
	struct mlx5_async_ctx *ctx = context->ctx;

	/* The context may be gone after the callback */
	context->user_callback(async->status, context);
	if (!async->late)
		async_ctx_put(ctx);
}

/* As mlx5_core's handler of the event queue, whose lock is held meanwhile */
static void async_interrupt(struct irq_work *work)
{
	struct async_call *async = container_of(work, struct async_call,
						interrupt);
	struct mlx5_double_vf *v = async->call.v;
	unsigned long flags;

	spin_lock_irqsave(&v->event_queue, flags);
	async_complete(async);
	spin_unlock_irqrestore(&v->event_queue, flags);
}

static void async_work(struct work_struct *work)
{
	struct async_call *async = container_of(work, struct async_call, work);
	struct mlx5_async_ctx *ctx = async->context->ctx;
	struct mlx5_double_call *call = &async->call;

	if (async->unfinished)
		mlx5_double_finish(call);
	async->status = call->err ?: call->status ? -EREMOTEIO : 0;
	async->late = async->status && !READ_ONCE(call->v->overtaker);

	/* The adapter answers with an interrupt. Without an answer, mlx5_core
	 * completes the command itself, in a work item.
	 */
	if (call->err) {
		if (!async->late)
			preempt_disable();
		async_complete(async);
		if (!async->late)
			preempt_enable();
	} else {
		irq_work_queue(&async->interrupt);
		irq_work_sync(&async->interrupt);
	}

	if (async->late) {
		msleep(LET_WORK_END);
		async_ctx_put(ctx);
	}
	atomic_dec(&call->v->in_flight);
	kfree(async);
}

int mlx5_cmd_exec_cb(struct mlx5_async_ctx *ctx, void *in, int in_size,
		     void *out, int out_size, mlx5_async_cbk_t callback,
		     struct mlx5_async_work *work)
{
	struct mlx5_double_vf *v = mlx5_double_mdev_vf(ctx->dev);
	struct async_call *async;
	int refused;

	/* As where mlx5_core has no slot or no memory for the command */
	refused = xchg(&v->refuse, 0) ?: READ_ONCE(v->down) ? -ENXIO : 0;
	if (refused)
		return refused;

	async = kzalloc(struct_size(async, in, in_size), GFP_KERNEL);
	if (!async)
		return -ENOMEM;
	/* The caller's input may be on its stack */
	memcpy(async->in, in, in_size);
	async->call.v = v;
	async->call.in = async->in;
	async->call.in_size = in_size;
	async->call.out = out;
	async->call.out_size = out_size;
	async->context = work;
	INIT_WORK(&async->work, async_work);
	init_irq_work(&async->interrupt, async_interrupt);

	if (!atomic_inc_not_zero(&ctx->num_inflight)) {
		vfio_double_violation(&v->vf,
				      "command given while its context is cleaned up");
		kfree(async);
		return -EIO;
	}
	work->ctx = ctx;
	work->user_callback = callback;
	work->opcode = MLX5_GET(vfio_double_in, in, opcode);
	work->op_mod = MLX5_GET(vfio_double_in, in, op_mod);
	work->out = out;

	async->unfinished = mlx5_double_begin(&async->call);
	overtake_begin(v);
	atomic_inc(&v->in_flight);
	queue_work(v->wq, &async->work);
	return 0;
}
EXPORT_SYMBOL_GPL(mlx5_cmd_exec_cb);

/* Count the user too, so that the count reaches 0 only in a cleanup */
void mlx5_cmd_init_async_ctx(struct mlx5_core_dev *dev,
			     struct mlx5_async_ctx *ctx)
{
	ctx->dev = dev;
	atomic_set(&ctx->num_inflight, 1);
	init_completion(&ctx->inflight_done);
}
EXPORT_SYMBOL_GPL(mlx5_cmd_init_async_ctx);

void mlx5_cmd_cleanup_async_ctx(struct mlx5_async_ctx *ctx)
{
	async_ctx_put(ctx);
	wait_for_completion(&ctx->inflight_done);
}
EXPORT_SYMBOL_GPL(mlx5_cmd_cleanup_async_ctx);

int mlx5_vport_get_other_func_cap(struct mlx5_core_dev *dev, u16 vport,
				  void *out, u16 opmod)
{
	u32 in[MLX5_ST_SZ_DW(query_hca_cap_in)] = {};

	MLX5_SET(query_hca_cap_in, in, opcode, MLX5_CMD_OP_QUERY_HCA_CAP);
	MLX5_SET(query_hca_cap_in, in, op_mod,
		 opmod << 1 | HCA_CAP_OPMOD_GET_MAX);
	MLX5_SET(query_hca_cap_in, in, other_function, 1);
	MLX5_SET(query_hca_cap_in, in, function_id, vport);
	return mlx5_cmd_exec_inout(dev, query_hca_cap, in, out);
}
EXPORT_SYMBOL_GPL(mlx5_vport_get_other_func_cap);

int mlx5_core_alloc_pd(struct mlx5_core_dev *dev, u32 *pdn)
{
	u32 out[MLX5_ST_SZ_DW(alloc_pd_out)] = {};
	u32 in[MLX5_ST_SZ_DW(alloc_pd_in)] = {};
	int ret;

	MLX5_SET(alloc_pd_in, in, opcode, MLX5_CMD_OP_ALLOC_PD);
	ret = mlx5_cmd_exec_inout(dev, alloc_pd, in, out);
	if (!ret)
		*pdn = MLX5_GET(alloc_pd_out, out, pd);
	return ret;
}
EXPORT_SYMBOL_GPL(mlx5_core_alloc_pd);

int mlx5_core_dealloc_pd(struct mlx5_core_dev *dev, u32 pdn)
{
	u32 in[MLX5_ST_SZ_DW(dealloc_pd_in)] = {};

	MLX5_SET(dealloc_pd_in, in, opcode, MLX5_CMD_OP_DEALLOC_PD);
	MLX5_SET(dealloc_pd_in, in, pd, pdn);
	return mlx5_cmd_exec_in(dev, dealloc_pd, in);
}
EXPORT_SYMBOL_GPL(mlx5_core_dealloc_pd);

int mlx5_core_create_mkey(struct mlx5_core_dev *dev, u32 *mkey, u32 *in,
			  int inlen)
{
	u32 out[MLX5_ST_SZ_DW(create_mkey_out)] = {};
	int ret;

	MLX5_SET(create_mkey_in, in, opcode, MLX5_CMD_OP_CREATE_MKEY);
	ret = mlx5_cmd_exec(dev, in, inlen, out, sizeof(out));
	if (!ret)
		*mkey = mlx5_idx_to_mkey(MLX5_GET(create_mkey_out, out,
						  mkey_index)) |
			MLX5_GET(create_mkey_in, in,
				 memory_key_mkey_entry.mkey_7_0);
	return ret;
}
EXPORT_SYMBOL_GPL(mlx5_core_create_mkey);

int mlx5_core_destroy_mkey(struct mlx5_core_dev *dev, u32 mkey)
{
	u32 in[MLX5_ST_SZ_DW(destroy_mkey_in)] = {};

	MLX5_SET(destroy_mkey_in, in, opcode, MLX5_CMD_OP_DESTROY_MKEY);
	MLX5_SET(destroy_mkey_in, in, mkey_index, mlx5_mkey_to_idx(mkey));
	return mlx5_cmd_exec_in(dev, destroy_mkey, in);
}
EXPORT_SYMBOL_GPL(mlx5_core_destroy_mkey);

bool mlx5_is_roce_on(struct mlx5_core_dev *dev)
{
	return false;
}
EXPORT_SYMBOL_GPL(mlx5_is_roce_on);

module_vfio_double(mlx5_double, mlx5_double_ops);
