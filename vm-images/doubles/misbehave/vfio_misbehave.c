// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that misbehaves on command, to test that the suite survives. Write a word to
 * /sys/kernel/debug/vfio-misbehave: the module executes it before the write returns, if it returns.
 */
#include <linux/bug.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define LONGEST_WORD	31

static struct dentry *control;
static DEFINE_SPINLOCK(a_spinlock);
static DEFINE_MUTEX(first_lock);
static DEFINE_MUTEX(second_lock);
static DECLARE_WAIT_QUEUE_HEAD(never_woken);

/* Volatile, so that the compiler cannot optimise the faults away. */
static int *volatile nowhere;
static void *volatile forgotten;

static noinline void misbehave_panic(void)
{
	panic("misbehave: as commanded");
}

static noinline void misbehave_oops(void)
{
	*nowhere = 1;
}

static noinline void misbehave_bug(void)
{
	BUG();
}

static noinline void misbehave_warn(void)
{
	WARN_ON(1);
}

static noinline void misbehave_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static noinline void misbehave_list(void)
{
	LIST_HEAD(head);
	struct list_head entry;

	list_add(&entry, &head);
	entry.next = &entry;
	list_del(&entry);
}

static noinline void misbehave_atomic(void)
{
	spin_lock(&a_spinlock);
	msleep(20);
	spin_unlock(&a_spinlock);
}

static noinline void misbehave_lockdep(void)
{
	mutex_lock(&first_lock);
	mutex_lock(&second_lock);
	mutex_unlock(&second_lock);
	mutex_unlock(&first_lock);

	mutex_lock(&second_lock);
	mutex_lock(&first_lock);
	mutex_unlock(&first_lock);
	mutex_unlock(&second_lock);
}

static noinline void misbehave_freed(void)
{
	int *freed = kmalloc(64, GFP_KERNEL);

	if (!freed)
		return;
	forgotten = freed;
	kfree(freed);
	WRITE_ONCE(*(int *)forgotten, 1);
}

static noinline void misbehave_leak(void)
{
	int i;

	/* Several, because a stale pointer on a stack may hide one of them */
	for (i = 0; i < 16; i++)
		forgotten = kmalloc(4096, GFP_KERNEL);
	forgotten = NULL;
}

static noinline void misbehave_block(void)
{
	wait_event(never_woken, false);
}

static noinline void misbehave_spin(void)
{
	preempt_disable();
	for (;;)
		cpu_relax();
}

static noinline void misbehave_spin_irqs_off(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

/* Signal all tasks whose names begin with @name. */
static void signal_tasks(const char *name, int sig)
{
	struct task_struct *task;

	rcu_read_lock();
	for_each_process(task)
		if (strstarts(task->comm, name))
			send_sig(sig, task, 1);
	rcu_read_unlock();
}

static noinline void misbehave_kill_ssh(void)
{
	signal_tasks("dropbear", SIGKILL);
}

static noinline void misbehave_stop_line(void)
{
	signal_tasks("dropbear", SIGSTOP);
	signal_tasks("vfio-agent", SIGSTOP);
}

static noinline void misbehave_memory(void)
{
	struct page *page, *taken = NULL;

	while (!fatal_signal_pending(current)) {
		page = alloc_page(GFP_KERNEL);
		if (!page)
			break;
		page->private = (unsigned long)taken;
		taken = page;
	}
	while ((page = taken)) {
		taken = (struct page *)page->private;
		page->private = 0;
		__free_page(page);
	}
}

static const struct {
	const char *word;
	void (*carry_out)(void);
} misdeeds[] = {
	{ "panic", misbehave_panic },
	{ "oops", misbehave_oops },
	{ "bug", misbehave_bug },
	{ "warn", misbehave_warn },
	{ "refcount", misbehave_refcount },
	{ "list", misbehave_list },
	{ "atomic", misbehave_atomic },
	{ "lockdep", misbehave_lockdep },
	{ "freed", misbehave_freed },
	{ "leak", misbehave_leak },
	{ "block", misbehave_block },
	{ "spin", misbehave_spin },
	{ "spin-irqs-off", misbehave_spin_irqs_off },
	{ "kill-ssh", misbehave_kill_ssh },
	{ "stop-line", misbehave_stop_line },
	{ "memory", misbehave_memory },
};

static ssize_t control_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	char word[LONGEST_WORD + 1] = "";
	size_t n;

	if (count > LONGEST_WORD)
		return -EINVAL;
	if (copy_from_user(word, from, count))
		return -EFAULT;
	for (n = 0; n < ARRAY_SIZE(misdeeds); n++) {
		if (sysfs_streq(word, misdeeds[n].word)) {
			misdeeds[n].carry_out();
			return count;
		}
	}
	return -EINVAL;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = control_write,
	.llseek = noop_llseek,
};

static int __init misbehave_init(void)
{
	control = debugfs_create_file("vfio-misbehave", 0200, NULL, NULL, &control_fops);
	return PTR_ERR_OR_ZERO(control);
}

static void __exit misbehave_exit(void)
{
	debugfs_remove(control);
}

module_init(misbehave_init);
module_exit(misbehave_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Misbehaves on command");
MODULE_AUTHOR("vfio-conformance");
