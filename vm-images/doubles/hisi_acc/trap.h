/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Registers that act at once.
 *
 * Memory can stand in for a register that holds a value, not for one that does
 * something: the driver clears a ready bit, gives the command, and reads the
 * bit again within a millisecond. A thread or timer that looks at the memory
 * would be late on a busy machine, and a test would then fail at random.
 *
 * So a trapped window has an address that isn't canonical. Every access to it
 * raises an exception, and the kernel asks the die notifiers first whether they
 * know better. This one decodes the MOV that readl(), writel() and their
 * relatives consist of, and calls the owner of the window.
 */
#ifndef VFIO_DOUBLE_HISI_ACC_TRAP_H
#define VFIO_DOUBLE_HISI_ACC_TRAP_H

#include <linux/sizes.h>
#include <linux/types.h>

#define TRAP_WINDOW_SIZE	SZ_4M

/**
 * struct trap_window - one range of trapped registers
 * @read: a read of @size (4 or 8) bytes at @off
 * @write: likewise
 * @slot: the trap's own
 *
 * Both are called in atomic context.
 */
struct trap_window {
	u64 (*read)(struct trap_window *win, u32 off, unsigned int size);
	void (*write)(struct trap_window *win, u32 off, u64 value,
		      unsigned int size);
	int slot;
};

/* Gives the address to access the window at, or NULL when there are too many */
void __iomem *trap_add(struct trap_window *win);
/* Sleeps until no access is under way */
void trap_remove(struct trap_window *win);

bool trap_is_trapped(const void __iomem *addr);

int trap_init(void);
void trap_exit(void);

#endif /* VFIO_DOUBLE_HISI_ACC_TRAP_H */
