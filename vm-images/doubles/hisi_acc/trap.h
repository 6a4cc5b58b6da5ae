/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Registers that react immediately.
 *
 * Memory can replace a register that only holds a value, but not a register
 * with side effects: the driver clears a ready bit, issues the command, and
 * reads the bit again within a millisecond. A thread or timer that polls the
 * memory would be late on a busy machine, and tests would fail at random.
 *
 * So a trapped window has a non-canonical address. Every access to it raises an
 * exception, and the kernel calls the die notifiers before it reports an oops.
 * The notifier here decodes the MOV of readl(), writel() and similar functions,
 * and calls the window's owner.
 */
#ifndef VFIO_DOUBLE_HISI_ACC_TRAP_H
#define VFIO_DOUBLE_HISI_ACC_TRAP_H

#include <linux/sizes.h>
#include <linux/types.h>

#define TRAP_WINDOW_SIZE	SZ_4M

/**
 * struct trap_window - one range of trapped registers
 * @read: a read of @size (4 or 8) bytes at @off
 * @write: a write of @value, in the same way
 * @slot: for trap.c only
 *
 * Both are called in atomic context.
 */
struct trap_window {
	u64 (*read)(struct trap_window *win, u32 off, unsigned int size);
	void (*write)(struct trap_window *win, u32 off, u64 value,
		      unsigned int size);
	int slot;
};

/* Returns the window's address, or NULL if there are too many windows */
void __iomem *trap_add(struct trap_window *win);
/* Sleeps until all accesses have ended */
void trap_remove(struct trap_window *win);

bool trap_is_trapped(const void __iomem *addr);

int trap_init(void);
void trap_exit(void);

#endif /* VFIO_DOUBLE_HISI_ACC_TRAP_H */
