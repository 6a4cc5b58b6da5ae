/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between the kernels that this double is compiled against */
#ifndef VFIO_DOUBLE_HISI_ACC_COMPAT_H
#define VFIO_DOUBLE_HISI_ACC_COMPAT_H

#include <linux/hisi_acc_qm.h>

/*
 * 7.3 reads the mailbox with this function; 6.12 doesn't know it, and reads the
 * mailbox's data registers after hisi_qm_mb(). It is there on all kernels, as a
 * driver uses what its kernel's header declares. Declaring it twice is no harm.
 */
int hisi_qm_mb_read(struct hisi_qm *qm, u64 *base, u8 cmd, u16 queue);

/* 6.12 always has the registers for migration in the VF */
#ifndef QM_MIG_REGION_SEL
#define QM_MIG_REGION_SEL	0x100198
#define QM_MIG_REGION_EN	BIT(0)
#endif

#endif /* VFIO_DOUBLE_HISI_ACC_COMPAT_H */
