/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The double of an mlx5 adapter: what its two parts share.
 *
 * core.c	stands in for the module mlx5_core: the functions that
 *		mlx5-vfio-pci imports
 * firmware.c	stands in for the adapter: commands, objects, state
 */
#ifndef MLX5_DOUBLE_H
#define MLX5_DOUBLE_H

#include <linux/completion.h>
#include <linux/mlx5/device.h>
#include <linux/mlx5/driver.h>
#include <linux/notifier.h>
#include <linux/workqueue.h>

#include "vfio_double.h"

/*
 * The image that SAVE_VHCA_STATE writes and LOAD_VHCA_STATE reads: one or more
 * extents, each a header and then @length bytes of the device's state, to be
 * put at @offset. All fields are little endian.
 *
 * A first save carries the whole state, an incremental one only what changed
 * since the save before. In chunk mode either may be spread over several
 * images. The image that ends a migration always has an extent, though an
 * empty one if nothing was left to carry, as an image may not be empty.
 *
 * @magic: MLX5_DOUBLE_MAGIC
 * @flags: MLX5_DOUBLE_FIRST: forget what was loaded so far;
 *	MLX5_DOUBLE_FINAL: the state is complete
 * @offset: where the bytes belong
 * @length: how many they are
 * @total: length of the device's state
 */
struct mlx5_double_extent {
	__le32 magic;
	__le32 flags;
	__le64 offset;
	__le64 length;
	__le64 total;
};

/* What all commands have in common, and mlx5_core keeps to itself */
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

#define MLX5_DOUBLE_MAGIC	0x46563558	/* "X5VF" */
#define MLX5_DOUBLE_FIRST	BIT(0)
#define MLX5_DOUBLE_FINAL	BIT(1)

enum mlx5_double_cmd {
	CMD_QUERY_HCA_CAP,
	CMD_ALLOC_PD,
	CMD_DEALLOC_PD,
	CMD_CREATE_MKEY,
	CMD_DESTROY_MKEY,
	CMD_SUSPEND_VHCA,
	CMD_RESUME_VHCA,
	CMD_QUERY_VHCA_MIGRATION_STATE,
	CMD_SAVE_VHCA_STATE,
	CMD_LOAD_VHCA_STATE,
};

/* Named as their bits in the adapter's capabilities */
enum mlx5_double_cap {
	CAP_MIGRATION,
	CAP_MIGRATABLE,
	CAP_MIGRATION_MULTI_LOAD,
	CAP_MIGRATION_TRACKING_STATE,
	CAP_MIGRATION_IN_CHUNKS,
	CAP_MIGRATION_STATE,
};

/* The capabilities that mlx5-vfio-pci may read from the core device */
struct mlx5_double_caps {
	struct mlx5_hca_cap general;
	struct mlx5_hca_cap general_2;
	struct mlx5_hca_cap other;
};

/**
 * struct mlx5_double_vf - a virtual function's share of the adapter
 * @vf: the common part; its lock protects everything below, but for
 *	@mdev, @caps and @notifier
 * @mdev: the physical function's core device, as this function's driver sees
 *	it. mlx5_core has one for all. Here each has its own, so that what is
 *	asked for through it can be accounted to the function.
 * @caps: behind @mdev
 * @notifier: what mlx5_core calls when it takes the function away from its
 *	driver, or gives it back
 * @wq: completes commands
 * @pds: protection domains
 * @mkeys: memory keys
 * @next_pd: number of the next one
 * @next_mkey: likewise; numbers aren't used twice soon, so that use of a
 *	destroyed object is seen
 * @in_chunks: the driver was told that state can be moved in chunks
 * @initiator_suspended: the function doesn't start transfers
 * @responder_suspended: nor does it answer any, its state is constant
 * @tracking: changes of the state are tracked, by SAVE with set_track
 * @saving: a SAVE is in flight
 * @aborted: the function was reset while it was
 * @timed_out: mlx5_core doesn't wait for it any longer
 * @saving_mkey: it writes there
 * @chunked: state is being moved in chunks
 * @final: the save that ends a migration has begun
 * @saved: that many bytes of the state were saved since tracking began
 * @dirty_saved: that many of the first vf.dirty bytes were saved once more
 * @new_init: the state has a new initial part, not yet saved
 * @save_end: the SAVE in flight goes no further than to these dirty bytes, as a
 *	new initial part has come up behind them; else SIZE_MAX
 * @chunk_size: most bytes of an image in chunk mode
 * @load_complete: the final image was loaded
 * @resets: function level resets seen
 * @timeout: see @timed_out
 * @detach: a test wants the function to be taken away
 * @detached: it has been
 * @notify: calls @notifier
 * @overtake: a test wants whoever gives the next command that completes later
 *	to come before the work that its callback leaves; not under the lock
 * @overtaker: who does so now; likewise
 */
struct mlx5_double_vf {
	struct vfio_double_vf vf;

	struct mlx5_core_dev mdev;
	struct mlx5_double_caps *caps;
	struct blocking_notifier_head notifier;
	struct workqueue_struct *wq;

	struct list_head pds;
	struct list_head mkeys;
	u32 next_pd;
	u32 next_mkey;

	bool in_chunks;

	bool initiator_suspended;
	bool responder_suspended;
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
	struct work_struct notify;
	bool overtake;
	struct task_struct *overtaker;
};

static inline struct mlx5_double_vf *to_mlx5_double_vf(struct vfio_double_vf *vf)
{
	return container_of(vf, struct mlx5_double_vf, vf);
}

/* What the adapter calls a function in commands: its vport, and its vhca_id */
static inline u16 mlx5_double_function_id(struct mlx5_double_vf *v)
{
	return v->vf.id + 1;
}

static inline u16 mlx5_double_vhca_id(struct mlx5_double_vf *v)
{
	return 0x40 + v->vf.id;
}

/* core.c */
extern struct vfio_double mlx5_double;

/* firmware.c */
extern const struct vfio_double_ops mlx5_double_ops;

struct mlx5_double_command;

/**
 * struct mlx5_double_call - one command, given to the adapter
 * @v: the function that it is given for
 * @command: which it is, NULL: none that the adapter knows
 * @in: what the caller says
 * @in_size: its length
 * @out: what the adapter says
 * @out_size: room for that
 * @fail: a test wants it to fail, with this status
 * @err: it wasn't carried out: negative errno
 * @status: result, if it was: MLX5_CMD_STAT_*
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
	int err;
	u8 status;
	char args[160];
};

/*
 * A command is begun when it is given, and checked then. The first tells
 * whether there is a second part to it, which may sleep for as long as a test
 * likes. Neither is to be called with the function's lock.
 */
bool mlx5_double_begin(struct mlx5_double_call *call);
void mlx5_double_finish(struct mlx5_double_call *call);

/* Show the function's driver the capabilities that it has now */
void mlx5_double_show_caps(struct mlx5_double_vf *v);

#endif /* MLX5_DOUBLE_H */
