// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device doubles: physical and virtual functions appear and disappear.
 */
#define pr_fmt(fmt) "vfio-double " fmt

#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "internal.h"

static struct dentry *root;

/* Virtual functions */

static void vf_free(struct vfio_double_vf *vf)
{
	vfio_double_log_clear(vf, &vf->journal);
	vfio_double_log_clear(vf, &vf->violations);
	mutex_destroy(&vf->lock);
	kvfree(vf->state);
	kvfree(vf->loaded);
	kfree(vf);
}

static void vf_added(struct vfio_double_pf *pf, struct pci_dev *pdev)
{
	struct vfio_double *dbl = pf->owner;
	const struct vfio_double_ops *ops = dbl->ops;
	struct vfio_double_vf *vf;
	int ret;

	vf = kzalloc(ops->vf_size, GFP_KERNEL);
	if (!vf)
		return;
	vf->pf = pf;
	vf->pdev = pdev;
	vf->id = pci_iov_vf_id(pdev);
	mutex_init(&vf->lock);
	spin_lock_init(&vf->ctl_lock);
	init_waitqueue_head(&vf->hold_wait);
	vfio_double_log_init(&vf->journal);
	vfio_double_log_init(&vf->violations);
	vf->capabilities = ops->default_capabilities;
	/*
	 * An emulated function is ready immediately after a reset, and after a
	 * change of its power state. VFIO resets at each open and close, and an
	 * unused function is in D3hot; without this each of them would sleep
	 * for the 100 ms and 10 ms that PCIe grants to hardware.
	 */
	pdev->imm_ready = 1;
	pdev->d3hot_delay = 0;

	if (ops->vf_init) {
		ret = ops->vf_init(vf);
		if (ret)
			goto err_free;
	}
	mutex_lock(&vf->lock);
	vf->default_seed = vf->id + 1;
	ret = vfio_double_state_fill(vf, ops->default_state, vf->default_seed);
	mutex_unlock(&vf->lock);
	if (ret)
		goto err_release;

	mutex_lock(&dbl->lock);
	list_add_tail(&vf->link, &pf->vfs);
	mutex_unlock(&dbl->lock);
	vfio_double_watch_vf(vf);
	vfio_double_add_files(vf);
	return;

err_release:
	if (ops->vf_release)
		ops->vf_release(vf);
err_free:
	pr_err("%s %s: no firmware for this function: %d\n", ops->name,
	       pci_name(pdev), ret);
	vf_free(vf);
}

static void vf_removed(struct vfio_double_vf *vf)
{
	struct vfio_double *dbl = vf->pf->owner;

	debugfs_remove_recursive(vf->dir);
	vfio_double_release_commands(vf, ~0UL, true);
	vfio_double_unwatch_vf(vf);

	mutex_lock(&dbl->lock);
	list_del(&vf->link);
	mutex_unlock(&dbl->lock);

	if (dbl->ops->vf_release)
		dbl->ops->vf_release(vf);
	vf_free(vf);
}

struct vfio_double_pf *vfio_double_pf(struct vfio_double *dbl,
				      struct pci_dev *pdev)
{
	struct vfio_double_pf *pf, *found = NULL;

	mutex_lock(&dbl->lock);
	list_for_each_entry(pf, &dbl->pfs, link)
		if (pf->pdev == pdev)
			found = pf;
	mutex_unlock(&dbl->lock);
	return found;
}
EXPORT_SYMBOL_GPL(vfio_double_pf);

static struct vfio_double_vf *find_vf(struct vfio_double *dbl,
				      struct pci_dev *pdev,
				      struct pci_dev *physfn, int id)
{
	struct vfio_double_vf *vf, *found = NULL;
	struct vfio_double_pf *pf;

	mutex_lock(&dbl->lock);
	list_for_each_entry(pf, &dbl->pfs, link)
		list_for_each_entry(vf, &pf->vfs, link)
			if (pdev ? vf->pdev == pdev :
			    pf->pdev == physfn && vf->id == id)
				found = vf;
	mutex_unlock(&dbl->lock);
	return found;
}

struct vfio_double_vf *vfio_double_vf(struct vfio_double *dbl,
				      struct pci_dev *pdev)
{
	return pdev ? find_vf(dbl, pdev, NULL, 0) : NULL;
}
EXPORT_SYMBOL_GPL(vfio_double_vf);

struct vfio_double_vf *vfio_double_vf_by_id(struct vfio_double *dbl,
					    struct pci_dev *pf, int id)
{
	return find_vf(dbl, NULL, pf, id);
}
EXPORT_SYMBOL_GPL(vfio_double_vf_by_id);

/*
 * The PCI core adds a virtual function to the bus before it offers it to
 * drivers. That is the only moment to give it its firmware.
 */
static int bus_notify(struct notifier_block *nb, unsigned long action,
		      void *data)
{
	struct vfio_double *dbl = container_of(nb, struct vfio_double, nb);
	struct pci_dev *pdev = to_pci_dev(data);
	struct vfio_double_pf *pf;
	struct vfio_double_vf *vf;

	if (!pdev->is_virtfn)
		return NOTIFY_DONE;

	if (action == BUS_NOTIFY_ADD_DEVICE) {
		pf = vfio_double_pf(dbl, pci_physfn(pdev));
		if (pf)
			vf_added(pf, pdev);
		return NOTIFY_DONE;
	}

	vf = vfio_double_vf(dbl, pdev);
	if (!vf)
		return NOTIFY_DONE;
	if (action == BUS_NOTIFY_BIND_DRIVER && dbl->ops->vf_binding)
		dbl->ops->vf_binding(vf);
	else if (action == BUS_NOTIFY_UNBOUND_DRIVER && dbl->ops->vf_unbound)
		dbl->ops->vf_unbound(vf);
	else if (action == BUS_NOTIFY_REMOVED_DEVICE)
		vf_removed(vf);
	return NOTIFY_DONE;
}

/* Physical functions */

static struct vfio_double *pdev_double(struct pci_dev *pdev)
{
	return container_of(to_pci_driver(pdev->dev.driver), struct vfio_double,
			    pci_driver);
}

static void vfs_disabling(struct vfio_double_pf *pf)
{
	int id, nr_vfs = pci_num_vf(pf->pdev);
	struct vfio_double_vf *vf;

	/* A driver that waits for a held command could not be unbound */
	for (id = 0; id < nr_vfs; id++) {
		vf = vfio_double_vf_by_id(pf->owner, pf->pdev, id);
		if (vf)
			vfio_double_release_commands(vf, ~0UL, true);
	}

	if (pf->owner->ops->vfs_disabling)
		pf->owner->ops->vfs_disabling(pf);
}

static int pf_sriov_configure(struct pci_dev *pdev, int nr_vfs)
{
	struct vfio_double_pf *pf = vfio_double_pf(pdev_double(pdev), pdev);

	if (!pf)
		return -ENODEV;
	if (!nr_vfs)
		vfs_disabling(pf);
	return pci_sriov_configure_simple(pdev, nr_vfs);
}

static int pf_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vfio_double *dbl = pdev_double(pdev);
	struct vfio_double_pf *pf;
	int ret;

	/* Too late to give the existing functions their firmware */
	if (pci_num_vf(pdev))
		return -EBUSY;

	pf = kzalloc(dbl->ops->pf_size, GFP_KERNEL);
	if (!pf)
		return -ENOMEM;
	pf->owner = dbl;
	pf->pdev = pdev;
	INIT_LIST_HEAD(&pf->vfs);

	ret = pci_enable_device(pdev);
	if (ret)
		goto err_free;
	pci_set_master(pdev);
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		goto err_disable;

	ret = vfio_double_watch_pf(pf);
	if (ret)
		goto err_disable;
	if (dbl->ops->pf_probe) {
		ret = dbl->ops->pf_probe(pf);
		if (ret)
			goto err_unwatch;
	}

	mutex_lock(&dbl->lock);
	list_add_tail(&pf->link, &dbl->pfs);
	mutex_unlock(&dbl->lock);
	return 0;

err_unwatch:
	vfio_double_unwatch_pf(pf);
err_disable:
	pci_clear_master(pdev);
	pci_disable_device(pdev);
err_free:
	kfree(pf);
	return ret;
}

static void pf_remove(struct pci_dev *pdev)
{
	struct vfio_double *dbl = pdev_double(pdev);
	struct vfio_double_pf *pf = vfio_double_pf(dbl, pdev);

	vfs_disabling(pf);
	pci_disable_sriov(pdev);

	mutex_lock(&dbl->lock);
	list_del(&pf->link);
	mutex_unlock(&dbl->lock);

	if (dbl->ops->pf_remove)
		dbl->ops->pf_remove(pf);
	vfio_double_unwatch_pf(pf);
	pci_clear_master(pdev);
	pci_disable_device(pdev);
	kfree(pf);
}

static bool ops_valid(const struct vfio_double_ops *ops)
{
	size_t commands = 0;

	while (ops->commands && ops->commands[commands])
		commands++;
	return ops->name && commands && commands <= VFIO_DOUBLE_MAX_COMMANDS &&
	       ops->vf_size >= sizeof(struct vfio_double_vf) &&
	       ops->pf_size >= sizeof(struct vfio_double_pf) &&
	       ops->default_state >= ops->min_state &&
	       ops->default_state <= vfio_double_max_state(ops);
}

static void free_double(struct vfio_double *dbl)
{
	debugfs_remove_recursive(dbl->dir);
	mutex_destroy(&dbl->lock);
	if (dbl->ops->exit)
		dbl->ops->exit();
}

int __vfio_double_register(struct vfio_double *dbl, struct module *owner,
			   const char *mod_name)
{
	int ret;

	if (!ops_valid(dbl->ops))
		return -EINVAL;
	if (dbl->ops->init) {
		ret = dbl->ops->init();
		if (ret)
			return ret;
	}

	mutex_init(&dbl->lock);
	INIT_LIST_HEAD(&dbl->pfs);
	snprintf(dbl->driver_name, sizeof(dbl->driver_name), "vfio_double_%s",
		 dbl->ops->name);
	dbl->dir = debugfs_create_dir(dbl->ops->name, root);

	dbl->nb.notifier_call = bus_notify;
	ret = bus_register_notifier(&pci_bus_type, &dbl->nb);
	if (ret)
		goto err_dir;

	/* No table of IDs: functions are bound only by driver_override */
	dbl->pci_driver.name = dbl->driver_name;
	dbl->pci_driver.probe = pf_probe;
	dbl->pci_driver.remove = pf_remove;
	dbl->pci_driver.sriov_configure = pf_sriov_configure;
	ret = __pci_register_driver(&dbl->pci_driver, owner, mod_name);
	if (ret)
		goto err_notifier;
	return 0;

err_notifier:
	bus_unregister_notifier(&pci_bus_type, &dbl->nb);
err_dir:
	free_double(dbl);
	return ret;
}
EXPORT_SYMBOL_GPL(__vfio_double_register);

void vfio_double_unregister(struct vfio_double *dbl)
{
	pci_unregister_driver(&dbl->pci_driver);
	bus_unregister_notifier(&pci_bus_type, &dbl->nb);
	free_double(dbl);
}
EXPORT_SYMBOL_GPL(vfio_double_unregister);

static int __init vfio_double_module_init(void)
{
	root = debugfs_create_dir("vfio-double", NULL);
	return PTR_ERR_OR_ZERO(root);
}
module_init(vfio_double_module_init);

static void __exit vfio_double_module_exit(void)
{
	debugfs_remove_recursive(root);
}
module_exit(vfio_double_module_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Common part of the device doubles for VFIO migration drivers");
