// SPDX-License-Identifier: GPL-2.0-only
/* Registers that react immediately, see trap.h */
#include <linux/kdebug.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <asm/trapnr.h>

#include "trap.h"

#ifndef CONFIG_X86_64
#error "Only x86-64 addresses are trapped"
#endif

/* Not canonical, with four and with five levels of page tables */
#define TRAP_BASE	0x4acc000000000000UL
#define TRAP_WINDOWS	16

static struct trap_window __rcu *windows[TRAP_WINDOWS];
static DEFINE_MUTEX(windows_lock);	/* protects changes of windows[] */

struct access {
	unsigned long addr;
	unsigned long *reg;
	unsigned int size;
	unsigned int length;
	bool write;
};

/* A register by its number in an instruction */
static unsigned long *reg_of(struct pt_regs *regs, unsigned int nr)
{
	switch (nr) {
	case 0: return &regs->ax;
	case 1: return &regs->cx;
	case 2: return &regs->dx;
	case 3: return &regs->bx;
	case 4: return &regs->sp;
	case 5: return &regs->bp;
	case 6: return &regs->si;
	case 7: return &regs->di;
	case 8: return &regs->r8;
	case 9: return &regs->r9;
	case 10: return &regs->r10;
	case 11: return &regs->r11;
	case 12: return &regs->r12;
	case 13: return &regs->r13;
	case 14: return &regs->r14;
	default: return &regs->r15;
	}
}

/*
 * MOV between a register and memory, with 32 or 64 bits. Other instructions do
 * not come from the accessor functions, and remain an oops.
 */
static bool decode(struct pt_regs *regs, struct access *acc)
{
	const u8 *p = (const u8 *)regs->ip;
	unsigned int mod, rm, reg, base, index, rex = 0;
	s32 disp = 0;

	if ((*p & 0xf0) == 0x40)
		rex = *p++;
	if (*p != 0x89 && *p != 0x8b)
		return false;
	acc->write = *p++ == 0x89;
	acc->size = rex & 8 ? 8 : 4;

	mod = *p >> 6;
	reg = (*p >> 3 & 7) | (rex & 4) << 1;
	rm = *p++ & 7;
	/* Reject MOV between registers, or relative to the instruction */
	if (mod == 3 || (mod == 0 && rm == 5))
		return false;

	acc->addr = 0;
	base = rm;
	if (rm == 4) {
		index = (*p >> 3 & 7) | (rex & 2) << 2;
		if (index != 4)
			acc->addr = *reg_of(regs, index) << (*p >> 6);
		base = *p++ & 7;
	}
	if (mod == 1) {
		disp = (s8)*p++;
	} else if (mod == 2 || (mod == 0 && base == 5)) {
		disp = p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
		p += 4;
	}
	if (mod || base != 5)
		acc->addr += *reg_of(regs, base | (rex & 1) << 3);
	acc->addr += disp;
	acc->reg = reg_of(regs, reg);
	acc->length = p - (const u8 *)regs->ip;
	return true;
}

static int trap_notify(struct notifier_block *nb, unsigned long event,
		       void *data)
{
	struct die_args *args = data;
	struct trap_window *win;
	unsigned long off;
	struct access acc;
	u64 value;

	/* With a stack register as base the exception is a stack-segment fault */
	if (event != DIE_GPF &&
	    !(event == DIE_TRAP && args->trapnr == X86_TRAP_SS))
		return NOTIFY_DONE;
	if (user_mode(args->regs) || !decode(args->regs, &acc))
		return NOTIFY_DONE;

	off = acc.addr - TRAP_BASE;
	if (off >= TRAP_WINDOWS * TRAP_WINDOW_SIZE)
		return NOTIFY_DONE;
	/* The chain is called with the RCU read lock held */
	win = rcu_dereference(windows[off / TRAP_WINDOW_SIZE]);
	if (!win)
		return NOTIFY_DONE;
	off %= TRAP_WINDOW_SIZE;

	if (acc.write) {
		value = *acc.reg;
		if (acc.size == 4)
			value = lower_32_bits(value);
		win->write(win, off, value, acc.size);
	} else {
		/* A result of 32 bits clears the upper half of the register */
		*acc.reg = win->read(win, off, acc.size);
	}
	args->regs->ip += acc.length;
	return NOTIFY_STOP;
}

static struct notifier_block trap_nb = {
	.notifier_call = trap_notify,
};

void __iomem *trap_add(struct trap_window *win)
{
	void __iomem *addr = NULL;
	int i;

	mutex_lock(&windows_lock);
	for (i = 0; i < TRAP_WINDOWS; i++) {
		if (rcu_access_pointer(windows[i]))
			continue;
		win->slot = i;
		rcu_assign_pointer(windows[i], win);
		addr = (void __force __iomem *)(TRAP_BASE +
						i * TRAP_WINDOW_SIZE);
		break;
	}
	mutex_unlock(&windows_lock);
	return addr;
}

void trap_remove(struct trap_window *win)
{
	mutex_lock(&windows_lock);
	RCU_INIT_POINTER(windows[win->slot], NULL);
	mutex_unlock(&windows_lock);
	synchronize_rcu();
}

bool trap_is_trapped(const void __iomem *addr)
{
	unsigned long off = (__force unsigned long)addr - TRAP_BASE;

	return off < TRAP_WINDOWS * TRAP_WINDOW_SIZE;
}

int trap_init(void)
{
	return register_die_notifier(&trap_nb);
}

void trap_exit(void)
{
	unregister_die_notifier(&trap_nb);
}
