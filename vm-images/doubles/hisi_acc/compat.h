/* SPDX-License-Identifier: GPL-2.0-only */
/* Differences between the kernels that this double is compiled against */
#ifndef VFIO_DOUBLE_HISI_ACC_COMPAT_H
#define VFIO_DOUBLE_HISI_ACC_COMPAT_H

#include <linux/hisi_acc_qm.h>

/*
 * 7.3 reads the mailbox with this function; 6.12 does not have it, and reads
 * the mailbox's data registers after hisi_qm_mb(). The double exports it on all
 * kernels, because a driver uses only what its kernel's header declares. A
 * second declaration is harmless.
 */
int hisi_qm_mb_read(struct hisi_qm *qm, u64 *base, u8 cmd, u16 queue);

/* In 6.12 the migration registers are always in the VF */
#ifndef QM_MIG_REGION_SEL
#define QM_MIG_REGION_SEL	0x100198
#define QM_MIG_REGION_EN	BIT(0)
#endif

#endif /* VFIO_DOUBLE_HISI_ACC_COMPAT_H */
