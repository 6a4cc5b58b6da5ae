/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The double for an mlx5 adapter: declarations shared by its firmware's two
 * files, firmware.c and tracker.c. All need the function's lock.
 */
#ifndef MLX5_DOUBLE_FIRMWARE_H
#define MLX5_DOUBLE_FIRMWARE_H

#include "mlx5_double.h"

struct pd;
struct seq_file;

/* firmware.c */

__printf(2, 3)
void violation(struct mlx5_double_call *call, const char *fmt, ...);

/*
 * The function's state does not allow the command. That is the driver's fault,
 * unless it was not told that an earlier command had its effect.
 */
__printf(2, 3)
u8 wrong_state(struct mlx5_double_call *call, const char *fmt, ...);

/* For the journal */
__printf(2, 3)
void note(struct mlx5_double_call *call, const char *fmt, ...);

unsigned int call_number(struct mlx5_double_call *call);

/* What the tracker sends by itself, as if it were a command: for violations */
void begin_report(struct mlx5_double_call *call, struct mlx5_double_vf *v);

struct pd *find_pd(struct mlx5_double_vf *v, u32 number);

/* Write to the memory of a key of this domain; false after a violation */
bool write_to_mkey(struct mlx5_double_call *call, struct pd *pd, u32 mkey,
		   u64 off, void *data, size_t len);

/* tracker.c: the commands */

u8 alloc_uar(struct mlx5_double_call *call);
u8 dealloc_uar(struct mlx5_double_call *call);
u8 create_cq(struct mlx5_double_call *call);
u8 destroy_cq(struct mlx5_double_call *call);
u8 create_qp(struct mlx5_double_call *call);
u8 destroy_qp(struct mlx5_double_call *call);
u8 rst2init_qp(struct mlx5_double_call *call);
u8 init2rtr_qp(struct mlx5_double_call *call);
u8 rtr2rts_qp(struct mlx5_double_call *call);
u8 create_general_object(struct mlx5_double_call *call);
u8 destroy_general_object(struct mlx5_double_call *call);
u8 modify_general_object(struct mlx5_double_call *call);
u8 query_general_object(struct mlx5_double_call *call);

/* tracker.c: the rest */

void fill_adv_virtualization(void *cap);

void tracker_init(struct mlx5_double_vf *v);
void tracker_reset(struct mlx5_double_vf *v);

/* Without the lock */
void tracker_release(struct mlx5_double_vf *v);

/* REPORT was released; without the lock */
void tracker_continue(struct mlx5_double_vf *v);

/* Free all its objects. Each that is left is the driver's leak if @leaked */
void tracker_free(struct mlx5_double_vf *v, bool leaked);

/* Its objects that a driver has not given back, but could */
unsigned int tracker_objects(struct mlx5_double_vf *v);

/* Its objects that use the protection domain */
unsigned int tracker_users(struct mlx5_double_vf *v, struct pd *pd, bool lost);

/* The device has written to memory from @iova to @last */
int tracker_write(struct mlx5_double_vf *v, u64 iova, u64 last);

/* "tracker <fault>" */
int tracker_fault(struct mlx5_double_vf *v, const char *name);

void tracker_info(struct mlx5_double_vf *v, struct seq_file *m);

#endif /* MLX5_DOUBLE_FIRMWARE_H */
