/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The double for an mlx5 adapter: declarations shared by its two parts.
 *
 * core.c	replaces the module mlx5_core: the functions that
 *		mlx5-vfio-pci imports
 * queues.c	the same, for queues and events
 * firmware.c	replaces the adapter: commands, objects, state
 * tracker.c	the same, for the page tracker and its queues
 */
#ifndef MLX5_DOUBLE_H
#define MLX5_DOUBLE_H

#include <linux/completion.h>
#include <linux/mlx5/device.h>
#include <linux/mlx5/driver.h>
#include <linux/notifier.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "vfio_double.h"

/*
 * The image that SAVE_VHCA_STATE writes and LOAD_VHCA_STATE reads. It has one
 * or more extents, each a header and @length bytes of the device's state for
 * @offset. All fields are little endian.
 *
 * The first save carries the whole state, an incremental save the changes since
 * the previous save. In chunk mode both may need several images. The last image
 * of a migration always has an extent, because an image must not be empty; that
 * extent is empty if no data was left.
 *
 * @magic: MLX5_DOUBLE_MAGIC
 * @flags: MLX5_DOUBLE_FIRST: discard the data loaded so far;
 *	MLX5_DOUBLE_FINAL: the state is complete
 * @offset: offset of the bytes in the state
 * @length: number of bytes
 * @total: length of the device's state
 */
struct mlx5_double_extent {
	__le32 magic;
	__le32 flags;
	__le64 offset;
	__le64 length;
	__le64 total;
};

/* The fields that all commands share; private to mlx5_core */
struct mlx5_ifc_vfio_double_in_bits {
	u8	opcode[0x10];
	u8	reserved_at_10[0x10];

	u8	reserved_at_20[0x10];
	u8	op_mod[0x10];
};

struct mlx5_ifc_vfio_double_out_bits {
	u8	status[0x8];
	u8	reserved_at_8[0x18];

	u8	syndrome[0x20];
};

/* mlx5_core's own status, of a command that it did not give to the adapter */
#define MLX5_DOUBLE_STATUS_ABORTED	0xfe

#define MLX5_DOUBLE_MAGIC	0x46563558	/* "X5VF" */
#define MLX5_DOUBLE_FIRST	BIT(0)
#define MLX5_DOUBLE_FINAL	BIT(1)

/* REPORT is no command, but what the tracker sends by itself; it can be held */
#define MLX5_DOUBLE_COMMANDS(row)						\
	row(CMD_QUERY_HCA_CAP, "QUERY_HCA_CAP")					\
	row(CMD_ALLOC_PD, "ALLOC_PD")						\
	row(CMD_DEALLOC_PD, "DEALLOC_PD")					\
	row(CMD_CREATE_MKEY, "CREATE_MKEY")					\
	row(CMD_DESTROY_MKEY, "DESTROY_MKEY")					\
	row(CMD_SUSPEND_VHCA, "SUSPEND_VHCA")					\
	row(CMD_RESUME_VHCA, "RESUME_VHCA")					\
	row(CMD_QUERY_VHCA_MIGRATION_STATE, "QUERY_VHCA_MIGRATION_STATE")	\
	row(CMD_SAVE_VHCA_STATE, "SAVE_VHCA_STATE")				\
	row(CMD_LOAD_VHCA_STATE, "LOAD_VHCA_STATE")				\
	row(CMD_ALLOC_UAR, "ALLOC_UAR")						\
	row(CMD_DEALLOC_UAR, "DEALLOC_UAR")					\
	row(CMD_CREATE_CQ, "CREATE_CQ")						\
	row(CMD_DESTROY_CQ, "DESTROY_CQ")					\
	row(CMD_CREATE_QP, "CREATE_QP")						\
	row(CMD_DESTROY_QP, "DESTROY_QP")					\
	row(CMD_RST2INIT_QP, "RST2INIT_QP")					\
	row(CMD_INIT2RTR_QP, "INIT2RTR_QP")					\
	row(CMD_RTR2RTS_QP, "RTR2RTS_QP")					\
	row(CMD_CREATE_GENERAL_OBJECT, "CREATE_GENERAL_OBJECT")			\
	row(CMD_DESTROY_GENERAL_OBJECT, "DESTROY_GENERAL_OBJECT")		\
	row(CMD_MODIFY_GENERAL_OBJECT, "MODIFY_GENERAL_OBJECT")			\
	row(CMD_QUERY_GENERAL_OBJECT, "QUERY_GENERAL_OBJECT")			\
	row(CMD_REPORT, "REPORT")

enum mlx5_double_cmd { MLX5_DOUBLE_COMMANDS(VFIO_DOUBLE_NUMBER) };

/* Named like their bits in the adapter's capabilities */
#define MLX5_DOUBLE_CAPABILITIES(row)					\
	row(CAP_MIGRATION, "migration")					\
	row(CAP_MIGRATABLE, "migratable")				\
	row(CAP_MIGRATION_MULTI_LOAD, "migration_multi_load")		\
	row(CAP_MIGRATION_TRACKING_STATE, "migration_tracking_state")	\
	row(CAP_MIGRATION_IN_CHUNKS, "migration_in_chunks")		\
	row(CAP_MIGRATION_STATE, "migration_state")			\
	row(CAP_ADV_VIRTUALIZATION, "adv_virtualization")

enum mlx5_double_cap { MLX5_DOUBLE_CAPABILITIES(VFIO_DOUBLE_NUMBER) };

/* The capabilities that mlx5-vfio-pci may read from the core device */
struct mlx5_double_caps {
	struct mlx5_hca_cap general;
	struct mlx5_hca_cap general_2;
	struct mlx5_hca_cap adv_virtualization;
	struct mlx5_hca_cap other;
};

/**
 * struct mlx5_double_tracker - the page tracker's part of a function
 * @objects: UARs, CQs, QPs and PAGE_TRACK objects
 * @next_object: number of the next of them
 * @announced: the driver has seen the capability
 * @report: sends the log, and raises completion events
 * @fault: what a test wants to go wrong with the next message
 * @no_buffer: how often no buffer was posted for a message
 */
struct mlx5_double_tracker {
	struct list_head objects;
	u32 next_object;
	bool announced;
	struct delayed_work report;
	unsigned int fault;
	unsigned int no_buffer;
};

/**
 * struct mlx5_double_queues - what mlx5_core knows about queues; without a lock
 *	of the function
 * @cqs: completion queues, by their numbers
 * @async_eq: as the lock of the queue for asynchronous events
 * @notifiers: for asynchronous events, by their type
 * @buffers: pages of memory for queues
 */
struct mlx5_double_queues {
	struct xarray cqs;
	spinlock_t async_eq;	/* held while notifiers run */
	struct atomic_notifier_head notifiers[MLX5_EVENT_TYPE_MAX];
	atomic_t buffers;
};

/**
 * struct mlx5_double_vf - a virtual function's share of the adapter
 * @vf: the common part; its lock protects the members below, except @mdev,
 *	@caps and @notifier
 * @mdev: the physical function's core device, as this function's driver sees
 *	it. mlx5_core has one for all functions. Here each function has its own,
 *	so that the double knows which function a request is for.
 * @caps: the capabilities in @mdev
 * @notifier: mlx5_core calls it when it removes the function from its driver,
 *	or returns it
 * @wq: executes asynchronous commands
 * @in_flight: asynchronous commands whose callers have not heard of their end
 * @event_queue: as the lock of an event queue
 * @pds: protection domains
 * @mkeys: memory keys
 * @next_pd: number of the next protection domain
 * @next_mkey: number of the next memory key; numbers are not reused soon, so
 *	that use of a destroyed object is noticed
 * @in_chunks: the double has reported to the driver that it supports chunks
 * @initiator_suspended: the function does not start transfers
 * @responder_suspended: the function does not answer transfers either, so its
 *	state is constant
 * @untold: a command failed after it had its effect, so that the driver may be
 *	wrong about these
 * @tracking: changes of the state are tracked, by SAVE with set_track
 * @saving: a SAVE is in flight
 * @aborted: the function was reset during the SAVE
 * @timed_out: mlx5_core has stopped waiting for the SAVE
 * @saving_mkey: the SAVE writes to this memory
 * @chunked: the state is being moved in chunks
 * @final: the last save of a migration has begun
 * @saved: bytes of the state saved since tracking began
 * @dirty_saved: bytes saved again, from the first of the vf.dirty bytes
 * @new_init: the state has new initial data that is not saved yet
 * @save_end: the SAVE in flight ends at this dirty byte, because new initial
 *	data follows it; otherwise SIZE_MAX
 * @chunk_size: maximum size of an image in chunk mode, in bytes
 * @load_complete: the final image was loaded
 * @resets: function level resets seen
 * @timeout: sets @timed_out
 * @detach: a test wants to remove the function from its driver
 * @detached: the function was removed from its driver
 * @notify: calls @notifier
 * @down: the adapter does not get commands any more
 * @overtake: a test wants the caller of the next asynchronous command to
 *	continue before the work that its callback leaves; not under the lock
 * @refuse: a test wants the next asynchronous command to be refused with this
 *	errno, before the adapter sees it; not under the lock
 * @overtaker: the task that does so now; not under the lock
 * @tracker: the page tracker
 * @queues: not under the lock
 */
struct mlx5_double_vf {
	struct vfio_double_vf vf;

	struct mlx5_core_dev mdev;
	struct mlx5_double_caps *caps;
	struct blocking_notifier_head notifier;
	struct workqueue_struct *wq;
	atomic_t in_flight;
	spinlock_t event_queue; /* held while a callback runs */

	struct list_head pds;
	struct list_head mkeys;
	u32 next_pd;
	u32 next_mkey;

	bool in_chunks;

	bool initiator_suspended;
	bool responder_suspended;
	bool untold;
	bool tracking;
	bool saving;
	bool aborted;
	bool timed_out;
	u32 saving_mkey;
	bool chunked;
	bool final;
	size_t saved;
	size_t dirty_saved;
	bool new_init;
	size_t save_end;
	size_t chunk_size;
	bool load_complete;

	unsigned int resets;
	struct delayed_work timeout;
	bool detach;
	bool detached;
	bool down;
	struct work_struct notify;
	bool overtake;
	int refuse;
	struct task_struct *overtaker;

	struct mlx5_double_tracker tracker;
	struct mlx5_double_queues queues;
};

static inline struct mlx5_double_vf *to_mlx5_double_vf(struct vfio_double_vf *vf)
{
	return container_of(vf, struct mlx5_double_vf, vf);
}

static inline struct mlx5_double_vf *
mlx5_double_mdev_vf(struct mlx5_core_dev *mdev)
{
	return container_of(mdev, struct mlx5_double_vf, mdev);
}

/* The adapter's numbers for a function in commands: its vport, its vhca_id */
static inline u16 mlx5_double_function_id(struct mlx5_double_vf *v)
{
	return v->vf.id + 1;
}

static inline u16 mlx5_double_vhca_id(struct mlx5_double_vf *v)
{
	return 0x40 + v->vf.id;
}

/* queues.c */
void mlx5_double_queues_init(struct mlx5_double_vf *v);
void mlx5_double_queues_unbound(struct mlx5_double_vf *v);
bool mlx5_double_is_comp_eq(u32 eqn);

/* Raise an event; its handlers have run when this returns, and cannot sleep */
void mlx5_double_event(struct mlx5_double_vf *v, struct mlx5_eqe *eqe);

/* tracker.c; with the function's lock held */

/* The page of registers of a UAR */
void *mlx5_double_uar(struct mlx5_double_vf *v, u32 number);

/* Is this the address of a page of a queue, or of a doorbell record? */
bool mlx5_double_in_use(struct mlx5_double_vf *v, dma_addr_t address);

/* firmware.c */
extern const struct vfio_double_ops mlx5_double_ops;

struct mlx5_double_command;

/**
 * struct mlx5_double_call - one command for the adapter
 * @v: the function that the command is for
 * @command: its description, NULL if the adapter does not know it
 * @in: the caller's input
 * @in_size: its length
 * @out: the adapter's output
 * @out_size: its maximum length
 * @fail: a test wants the command to fail with this status
 * @no_answer: a test wants the command to end with this errno, not executed
 * @late: a test wants the command to be executed, and then to fail with this
 *	status, or negative errno
 * @err: negative errno if the command has no answer
 * @status: its result otherwise: MLX5_CMD_STAT_*
 * @args: for the journal
 */
struct mlx5_double_call {
	struct mlx5_double_vf *v;
	const struct mlx5_double_command *command;
	const void *in;
	size_t in_size;
	void *out;
	size_t out_size;
	unsigned int fail;
	int no_answer;
	int late;
	int err;
	u8 status;
	char args[160];
};

/*
 * mlx5_double_begin() checks and starts a command. It returns whether
 * mlx5_double_finish() must follow, which sleeps for as long as a test holds
 * the command. Call both without the function's lock.
 */
bool mlx5_double_begin(struct mlx5_double_call *call);
void mlx5_double_finish(struct mlx5_double_call *call);

/* Update the capabilities that the function's driver sees */
void mlx5_double_show_caps(struct mlx5_double_vf *v);

#endif /* MLX5_DOUBLE_H */
