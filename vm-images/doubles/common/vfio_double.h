/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device doubles: they replace a VFIO migration driver's vendor core and
 * firmware, so that the driver's unmodified module runs without hardware.
 *
 * This header is the interface for a vendor's double. The common module binds
 * a PCI physical function of any vendor, provides its virtual functions, gives
 * each of them a seeded state, and creates the control files in
 * /sys/kernel/debug/vfio-double/<name>/<VF address>/. A vendor's double
 * implements only its firmware.
 *
 * Smallest use:
 *
 *	static const struct vfio_double_ops foo_ops = { ... };
 *	module_vfio_double(foo_double, foo_ops);
 *
 * A virtual function's life, and its callbacks:
 *
 *	vf_init()	the PCI core has just added the function; its IDs and
 *			BARs can still change, as drivers have not seen it yet
 *	vf_binding()	a driver is about to be bound
 *	...		driver bound: it calls the vendor's exported functions
 *	vf_unbound()	the driver is unbound: anything that it still holds is
 *			a leak
 *	vf_release()	the function is gone; the structure is freed afterwards
 *
 * Locking: vf->lock is a mutex and protects the members that say so below. The
 * callbacks control(), resized(), reset(), look(), function_reset(), stamp() and
 * info() are called with it held, the others without it. The functions of this
 * header document their locking; without a note, call them from process
 * context, with or without the lock.
 */
#ifndef VFIO_DOUBLE_H
#define VFIO_DOUBLE_H

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"

#define VFIO_DOUBLE_MAX_COMMANDS	32
#define VFIO_DOUBLE_MAX_ARGS		8
#define VFIO_DOUBLE_MAX_STATE		SZ_64M

struct dentry;
struct vfio_double;
struct vfio_double_pf;
struct vfio_double_vf;

/**
 * vfio_double_byte - one byte of a device's state
 * @seed: the state's seed
 * @off: offset in the state image
 *
 * A test computes the same in one line of Python:
 * ((((off ^ seed) & 0xffffffff) * 2654435761) & 0xffffffff) >> 24
 *
 * The n-th "dirty" on a new state (n = 1, 2, ...) rewrites the next bytes with
 * seed + n.
 */
static inline u8 vfio_double_byte(u32 seed, size_t off)
{
	return (((u32)off ^ seed) * 2654435761U) >> 24;
}

/*
 * A double lists its commands once, and its capabilities likewise:
 *
 *	#define FOO_COMMANDS(row)	\
 *		row(FOO_SAVE, "SAVE")	\
 *		row(FOO_LOAD, "LOAD")
 *
 * The list gives their numbers and their names:
 *
 *	enum foo_command { FOO_COMMANDS(VFIO_DOUBLE_NUMBER) };
 *	static const char * const foo_commands[] = VFIO_DOUBLE_NAMES(FOO_COMMANDS);
 */
#define VFIO_DOUBLE_NUMBER(number, name)	number,
#define VFIO_DOUBLE_NAME(number, name)		name,
#define VFIO_DOUBLE_NAMES(list)			{ list(VFIO_DOUBLE_NAME) NULL }

/**
 * struct vfio_double_ops - one vendor's firmware
 * @name: the vendor, and its directory in debugfs: "qat"
 * @vf_size: size of the vendor's structure for a virtual function; its first
 *	member is a struct vfio_double_vf
 * @pf_size: the same for a physical function, with struct vfio_double_pf
 * @commands: names of the firmware's commands, NULL-terminated; the index is
 *	the command's number in all calls
 * @holdable: bit mask of the commands that "hold" accepts
 * @never_fail: bit mask of the commands that "fail" rejects, because they
 *	always succeed in the vendor core
 * @never_late: bit mask of the commands that "fail" lets fail only before their
 *	effect, because the vendor core undoes the effect of one that fails
 * @capabilities: names for "withhold" and "grant", NULL-terminated; may be
 *	NULL; the index is the capability's number
 * @default_capabilities: bit mask of the capabilities granted by default
 * @default_state: default size of a device's state, in bytes
 * @min_state: smallest size that "state" accepts
 * @max_state: largest size that "state" accepts; 0: VFIO_DOUBLE_MAX_STATE
 * @dirty_base: offset of the first byte that "dirty" changes
 * @no_dirty: "dirty" returns -EOPNOTSUPP
 * @max_status: greatest status that "fail" accepts; 0: MAX_ERRNO
 * @init: the double is about to be registered; an error ends that
 * @exit: the double was unregistered, or could not be registered
 * @pf_probe: a physical function was bound; it is enabled, bus master, with a
 *	64 bit DMA mask; the PCI drvdata is for the vendor's use
 * @pf_remove: the physical function is being unbound; its virtual functions
 *	are gone
 * @vfs_disabling: the virtual functions are about to be removed, with drivers
 *	still bound to them
 * @vf_init: see above; an error makes the function unknown to the double
 * @vf_binding: see above; for what drivers read without a call: from the PF
 * @vf_unbound: see above
 * @vf_release: see above
 * @stamp: write the headers, which are not seeded, into a new state
 * @resized: "state" or "reset" is about to change the state's size or content;
 *	after an error the old state stays, unchanged
 * @control: a verb that the common part does not know, or "reinit"; @argv[0]
 *	is the verb; -EOPNOTSUPP or -EINVAL if it is unknown here too
 * @reset: "reset": restore the vendor's defaults
 * @look: for firmware with registers in plain memory: find the driver's writes
 *	to them since the last call. Called by vfio_double_catch_up(), so before
 *	a file shows anything and before function_reset()
 * @function_reset: the function was reset and runs now; firmware commands do
 *	not announce this. Called soon after the reset, from another thread: a
 *	command that depends on it calls vfio_double_catch_up() first. If NULL,
 *	resets are not watched
 * @released: command @cmd was released, or @vf is going away; for firmware
 *	that keeps held commands in a list, not in a thread; called without
 *	vf->lock
 * @info: more key=value lines for the file info
 */
struct vfio_double_ops {
	const char *name;
	size_t vf_size;
	size_t pf_size;
	const char * const *commands;
	unsigned long holdable;
	unsigned long never_fail;
	unsigned long never_late;
	const char * const *capabilities;
	unsigned long default_capabilities;
	size_t default_state;
	size_t min_state;
	size_t max_state;
	size_t dirty_base;
	bool no_dirty;
	unsigned int max_status;

	int (*init)(void);
	void (*exit)(void);

	int (*pf_probe)(struct vfio_double_pf *pf);
	void (*pf_remove)(struct vfio_double_pf *pf);
	void (*vfs_disabling)(struct vfio_double_pf *pf);

	int (*vf_init)(struct vfio_double_vf *vf);
	void (*vf_binding)(struct vfio_double_vf *vf);
	void (*vf_unbound)(struct vfio_double_vf *vf);
	void (*vf_release)(struct vfio_double_vf *vf);

	void (*stamp)(struct vfio_double_vf *vf, u8 *state, size_t size);
	int (*resized)(struct vfio_double_vf *vf, size_t size);
	int (*control)(struct vfio_double_vf *vf, int argc, char **argv);
	void (*reset)(struct vfio_double_vf *vf);
	void (*look)(struct vfio_double_vf *vf);
	void (*function_reset)(struct vfio_double_vf *vf);
	void (*released)(struct vfio_double_vf *vf, unsigned int cmd);
	void (*info)(struct vfio_double_vf *vf, struct seq_file *m);
};

/**
 * struct vfio_double - a vendor's registered double
 * @ops: its firmware
 * @pci_driver: the driver for its physical functions, bound by driver_override;
 *	its name is "vfio_double_<name>"
 *
 * The other members are for the common part only.
 */
struct vfio_double {
	const struct vfio_double_ops *ops;
	struct pci_driver pci_driver;

	char driver_name[32];
	struct notifier_block nb;
	struct mutex lock;		/* protects pfs and each pf->vfs */
	struct list_head pfs;
	struct dentry *dir;
};

/**
 * struct vfio_double_pf - a physical function bound to a double
 * @owner: the double
 * @pdev: the function
 */
struct vfio_double_pf {
	struct vfio_double *owner;
	struct pci_dev *pdev;

	struct list_head link;
	struct list_head vfs;
};

struct vfio_double_fail {
	int status;
	unsigned int skip;
	bool late;
	int due;
};

struct vfio_double_log {
	struct list_head lines;
	unsigned int nr;
	unsigned int dropped;
};

/**
 * struct vfio_double_vf - a virtual function and its firmware
 * @pf: its physical function
 * @pdev: the function
 * @id: its number, from 0, as in pci_iov_vf_id()
 * @lock: protects the members up to @loaded_size; the vendor may use it for its
 *	own structure, too
 * @state: the current state image
 * @state_size: its length
 * @seed: its seed
 * @epoch: how often it was dirtied
 * @dirty: bytes changed since the last save, at @state + ops->dirty_base; a
 *	vendor's save sets it to 0
 * @suspended: the device is stopped, and "dirty" returns -EBUSY; set by the
 *	vendor
 * @loaded: the image loaded last
 * @loaded_size: its length
 *
 * The other members are for the common part only.
 */
struct vfio_double_vf {
	struct vfio_double_pf *pf;
	struct pci_dev *pdev;
	int id;

	struct mutex lock;		/* see above */
	u8 *state;
	size_t state_size;
	u32 seed;
	u32 epoch;
	size_t dirty;
	bool suspended;
	u8 *loaded;
	size_t loaded_size;

	size_t loaded_room;
	u32 default_seed;		/* restored by "reset" */
	spinlock_t ctl_lock;		/* protects the members below */
	unsigned long capabilities;
	unsigned long held;
	unsigned long held_after;
	bool going;
	struct vfio_double_fail fail[VFIO_DOUBLE_MAX_COMMANDS];
	struct vfio_double_log journal;
	struct vfio_double_log violations;
	wait_queue_head_t hold_wait;
	struct dentry *dir;
	struct list_head link;
	struct list_head watched;
	unsigned long reset_pending;
	struct work_struct reset_work;
};

/*
 * Unregistering removes all virtual functions and unbinds the physical ones.
 * Drivers cannot call the double then: they import its functions, so the module
 * loader unloads them first.
 */
int __vfio_double_register(struct vfio_double *dbl, struct module *owner,
			   const char *mod_name);
void vfio_double_unregister(struct vfio_double *dbl);

#define vfio_double_register(dbl) \
	__vfio_double_register(dbl, THIS_MODULE, KBUILD_MODNAME)

/*
 * Define the double @dbl with @ops, and a module that has only this double. Code
 * above this line that looks functions up declares @dbl:
 *
 *	static struct vfio_double foo_double;
 */
#define module_vfio_double(dbl, dbl_ops)				\
	static struct vfio_double dbl = { .ops = &(dbl_ops) };		\
	module_driver(dbl, vfio_double_register, vfio_double_unregister); \
	MODULE_LICENSE("GPL");						\
	MODULE_DESCRIPTION("Device double for a VFIO migration driver")

/*
 * Lookups return NULL for a function that the double does not know. The result
 * is valid until vf_release() or pf_remove(), so a driver may keep it while it
 * is bound to the virtual function.
 */
struct vfio_double_pf *vfio_double_pf(struct vfio_double *dbl,
				      struct pci_dev *pf);
struct vfio_double_vf *vfio_double_vf(struct vfio_double *dbl,
				      struct pci_dev *vf);
struct vfio_double_vf *vfio_double_vf_by_id(struct vfio_double *dbl,
					    struct pci_dev *pf, int id);

/*
 * Add "<COMMAND> <fmt...> = <status>" to the journal. @fmt has one or more
 * key=value pairs, separated by spaces. Status 0 is success; others are as in
 * vfio_double_fail_take(), or a negative errno.
 */
__printf(4, 5)
void vfio_double_journal(struct vfio_double_vf *vf, unsigned int cmd,
			 int status, const char *fmt, ...);

/* The caller broke a firmware rule: add a line to violations and to the log */
__printf(2, 3)
void vfio_double_violation(struct vfio_double_vf *vf, const char *fmt, ...);

/*
 * Should this command fail? Counts the command; returns the positive status
 * that "fail" requested, once, or 0. A negative errno if the status is the
 * vendor's own (@max_status) and the test wants none: the firmware does not
 * answer.
 */
int vfio_double_fail_take(struct vfio_double_vf *vf, unsigned int cmd);

/*
 * Should the command that was counted last fail after its effect ("late")?
 * Returns the status for its caller, as vfio_double_fail_take(). Ask after each
 * vfio_double_fail_take() that returned 0, before vf->lock is released.
 */
int vfio_double_fail_late(struct vfio_double_vf *vf, unsigned int cmd);

/* Is this capability granted? */
bool vfio_double_has(struct vfio_double_vf *vf, unsigned int capability);

/*
 * Sleep until the command is released. Do not hold vf->lock: another control
 * command may wait for it before "release" runs. -ESHUTDOWN: the function is
 * going away; complete the command with any error that the firmware has.
 */
int vfio_double_wait_released(struct vfio_double_vf *vf, unsigned int cmd);

/*
 * Is the command held? For firmware that goes on by itself, and is continued by
 * released().
 */
bool vfio_double_held(struct vfio_double_vf *vf, unsigned int cmd);

/* Call look(), and function_reset() if a reset is pending; with vf->lock held */
void vfio_double_catch_up(struct vfio_double_vf *vf);

/*
 * Sleep until a command held with "after" is released. Call it without vf->lock
 * when the command has taken effect, before its caller learns the result.
 */
void vfio_double_wait_told(struct vfio_double_vf *vf, unsigned int cmd);

/* Release all held commands; for firmware that is reset or torn down */
void vfio_double_release_all(struct vfio_double_vf *vf);

/*
 * The loaded image, with vf->lock held: clear it, write bytes at an offset (a
 * gap is filled with zeroes), or append with vfio_double_loaded_add(). -EFBIG
 * beyond VFIO_DOUBLE_MAX_STATE.
 */
void vfio_double_loaded_begin(struct vfio_double_vf *vf);
int vfio_double_loaded_write(struct vfio_double_vf *vf, size_t off,
			     const void *data, size_t len);

static inline int vfio_double_loaded_add(struct vfio_double_vf *vf,
					 const void *data, size_t len)
{
	return vfio_double_loaded_write(vf, vf->loaded_size, data, len);
}

/*
 * Set the device's state to this image, as after a load, with vf->lock held.
 * @len may be anything up to VFIO_DOUBLE_MAX_STATE; seed and epoch do not
 * change, since they do not describe this content.
 */
int vfio_double_state_set(struct vfio_double_vf *vf, const void *data,
			  size_t len);

/* Create a new state, as "state" does, with vf->lock held */
int vfio_double_state_fill(struct vfio_double_vf *vf, size_t size, u32 seed);

/**
 * vfio_double_dma - copy bytes to or from memory as the adapter does
 * @vf: the function that transfers
 * @iova: the first byte's address, from the DMA API for the physical function;
 *	that function's IOMMU domain translates it
 * @data: the bytes, or a buffer for them
 * @len: their number; they may be in several pages
 * @write: true: from @data to memory; false: from memory to @data
 *
 * The memory is not pinned here. It has to stay mapped while this runs, which
 * every firmware demands.
 *
 * Return: 0, or -EFAULT if a page is not mapped; the pages before it were
 * transferred. The caller reports the violation, because only the caller knows
 * the driver's name for this memory.
 */
int vfio_double_dma(struct vfio_double_vf *vf, dma_addr_t iova, void *data,
		    size_t len, bool write);

/* A command's number: decimal or 0x...; -EINVAL, or -ERANGE beyond @max */
int vfio_double_number(const char *arg, u64 max, u64 *value);
/* The number of a command that takes one; -EINVAL if it has more or less */
int vfio_double_only_number(int argc, char **argv, u64 max, u64 *value);

/* The bytes of "<verb> <iova> <bytes>": the addresses of the first and the last */
int vfio_double_bytes(int argc, char **argv, u64 *iova, u64 *last);

#endif /* VFIO_DOUBLE_H */
