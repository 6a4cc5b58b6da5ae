// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device doubles: function level resets.
 *
 * VFIO resets a function when it is opened, when it is closed and when its user
 * requests it. Drivers rely on that: after a reset the function runs, whatever
 * its state was before, without a firmware command. Hardware sees the reset as
 * a write to the function's configuration space. The emulated function behind
 * a double sees it too, but does not report it. So watch the writes on its bus.
 */
#include <linux/rculist.h>
#include <linux/slab.h>

#include "internal.h"

/* Functions of several doubles may share a bus */
struct bus_watch {
	struct list_head link;
	struct pci_bus *bus;
	struct pci_ops *orig_ops;
	struct pci_ops ops;
	unsigned int users;
};

static DEFINE_MUTEX(lock);		/* for writers of both lists */
static LIST_HEAD(watches);
static LIST_HEAD(watched_vfs);

/* Called in atomic context */
static void saw_reset(struct pci_bus *bus, unsigned int devfn, int where)
{
	struct vfio_double_vf *vf;

	list_for_each_entry_rcu(vf, &watched_vfs, watched) {
		struct pci_dev *pdev = vf->pdev;

		if (pdev->bus != bus || pdev->devfn != devfn ||
		    where != pdev->pcie_cap + PCI_EXP_DEVCTL)
			continue;
		set_bit(0, &vf->reset_pending);
		schedule_work(&vf->reset_work);
	}
}

static int watched_write(struct pci_bus *bus, unsigned int devfn, int where,
			 int size, u32 val)
{
	struct pci_ops *ops = READ_ONCE(bus->ops);
	struct bus_watch *watch;
	int ret;

	/* The watch ended after the caller had read bus->ops */
	if (ops->write != watched_write)
		return ops->write(bus, devfn, where, size, val);

	rcu_read_lock();
	watch = container_of(ops, struct bus_watch, ops);
	ret = watch->orig_ops->write(bus, devfn, where, size, val);
	if (size >= 2 && val & PCI_EXP_DEVCTL_BCR_FLR)
		saw_reset(bus, devfn, where);
	rcu_read_unlock();
	return ret;
}

void vfio_double_catch_up(struct vfio_double_vf *vf)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;

	lockdep_assert_held(&vf->lock);

	if (ops->look)
		ops->look(vf);
	if (test_and_clear_bit(0, &vf->reset_pending))
		ops->function_reset(vf);
}
EXPORT_SYMBOL_GPL(vfio_double_catch_up);

static void reset_work(struct work_struct *work)
{
	struct vfio_double_vf *vf = container_of(work, struct vfio_double_vf,
						 reset_work);

	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	mutex_unlock(&vf->lock);
}

void vfio_double_watch_vf(struct vfio_double_vf *vf)
{
	INIT_WORK(&vf->reset_work, reset_work);
	if (!vf->pf->owner->ops->function_reset)
		return;

	mutex_lock(&lock);
	list_add_rcu(&vf->watched, &watched_vfs);
	mutex_unlock(&lock);
}

void vfio_double_unwatch_vf(struct vfio_double_vf *vf)
{
	if (!vf->pf->owner->ops->function_reset)
		return;

	mutex_lock(&lock);
	list_del_rcu(&vf->watched);
	mutex_unlock(&lock);
	synchronize_rcu();
	cancel_work_sync(&vf->reset_work);
}

static struct bus_watch *find_watch(struct pci_bus *bus)
{
	struct bus_watch *watch;

	list_for_each_entry(watch, &watches, link)
		if (watch->bus == bus)
			return watch;
	return NULL;
}

/*
 * If virtual functions do not fit on this bus, the PCI core adds another one.
 * That bus inherits these operations, and is removed with the functions.
 */
int vfio_double_watch_pf(struct vfio_double_pf *pf)
{
	struct pci_bus *bus = pf->pdev->bus;
	struct bus_watch *watch;
	int ret = 0;

	if (!pf->owner->ops->function_reset)
		return 0;

	mutex_lock(&lock);
	watch = find_watch(bus);
	if (!watch) {
		watch = kzalloc_obj(*watch);
		if (!watch) {
			ret = -ENOMEM;
			goto out;
		}
		watch->bus = bus;
		watch->orig_ops = bus->ops;
		watch->ops = *bus->ops;
		watch->ops.write = watched_write;
		pci_bus_set_ops(bus, &watch->ops);
		list_add(&watch->link, &watches);
	}
	watch->users++;
out:
	mutex_unlock(&lock);
	return ret;
}

void vfio_double_unwatch_pf(struct vfio_double_pf *pf)
{
	struct bus_watch *watch;

	if (!pf->owner->ops->function_reset)
		return;

	mutex_lock(&lock);
	watch = find_watch(pf->pdev->bus);
	if (!--watch->users) {
		pci_bus_set_ops(watch->bus, watch->orig_ops);
		list_del(&watch->link);
		synchronize_rcu();
		kfree(watch);
	}
	mutex_unlock(&lock);
}
