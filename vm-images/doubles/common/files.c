// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device doubles: the files that show a function and its firmware.
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

struct snapshot {
	size_t size;
	u8 data[];
};

static void catch_up(struct vfio_double_vf *vf)
{
	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	mutex_unlock(&vf->lock);
}

static ssize_t log_write(struct file *file, const char __user *buf,
			 size_t count, struct vfio_double_vf *vf,
			 struct vfio_double_log *log)
{
	char text[8] = "";

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	if (strcmp(strim(text), "clear")) {
		vfio_double_warn(vf, "%pD: only \"clear\" can be written here", file);
		return -EINVAL;
	}
	catch_up(vf);
	vfio_double_log_clear(vf, log);
	return count;
}

static int log_show(struct seq_file *m, struct vfio_double_log *log)
{
	struct vfio_double_vf *vf = m->private;

	catch_up(vf);
	vfio_double_log_show(m, vf, log);
	return 0;
}

/* <log>_fops, for this log of a function */
#define DEFINE_LOG_FILE(log)						\
static int log##_show(struct seq_file *m, void *unused)		\
{									\
	struct vfio_double_vf *vf = m->private;				\
									\
	return log_show(m, &vf->log);					\
}									\
									\
static ssize_t log##_write(struct file *file, const char __user *buf,	\
			   size_t count, loff_t *ppos)			\
{									\
	struct vfio_double_vf *vf = file_inode(file)->i_private;	\
									\
	return log_write(file, buf, count, vf, &vf->log);		\
}									\
DEFINE_SHOW_STORE_ATTRIBUTE(log)

DEFINE_LOG_FILE(journal);
DEFINE_LOG_FILE(violations);

static void show_names(struct seq_file *m, const char *key,
		       const char * const *names, unsigned long set)
{
	const char *comma = "";
	int i;

	seq_printf(m, "%s=", key);
	for (i = 0; names && names[i]; i++) {
		if (!(set & BIT(i)))
			continue;
		seq_printf(m, "%s%s", comma, names[i]);
		comma = ",";
	}
	seq_putc(m, '\n');
}

static int info_show(struct seq_file *m, void *unused)
{
	struct vfio_double_vf *vf = m->private;
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	unsigned long capabilities, held, failing = 0;
	int i;

	spin_lock(&vf->ctl_lock);
	capabilities = vf->capabilities;
	held = vf->held | vf->held_after;
	for (i = 0; i < VFIO_DOUBLE_MAX_COMMANDS; i++)
		if (vf->fail[i].status)
			failing |= BIT(i);
	spin_unlock(&vf->ctl_lock);

	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	seq_printf(m, "size=%zu\nseed=%u\nepoch=%u\ndirty=%zu\nsuspended=%d\n",
		   vf->state_size, vf->seed, vf->epoch, vf->dirty,
		   vf->suspended);
	seq_printf(m, "loaded=%zu\n", vf->loaded_size);
	show_names(m, "capabilities", ops->capabilities, capabilities);
	show_names(m, "holdable", ops->commands, ops->holdable);
	show_names(m, "held", ops->commands, held);
	show_names(m, "failing", ops->commands, failing);
	if (ops->info)
		ops->info(vf, m);
	mutex_unlock(&vf->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(info);

/* A reader gets the image as of open(), even if the image changes later */
static int image_open(struct file *file, struct vfio_double_vf *vf,
		      u8 *const *image, const size_t *image_size)
{
	struct snapshot *snapshot;
	int ret = -ENOMEM;
	size_t size;

	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	size = *image_size;
	snapshot = kvmalloc(sizeof(*snapshot) + size, GFP_KERNEL);
	if (snapshot) {
		snapshot->size = size;
		if (size)
			memcpy(snapshot->data, *image, size);
		file->private_data = snapshot;
		ret = 0;
	}
	mutex_unlock(&vf->lock);
	return ret;
}

static ssize_t image_read(struct file *file, char __user *buf, size_t count,
			  loff_t *ppos)
{
	struct snapshot *snapshot = file->private_data;

	return simple_read_from_buffer(buf, count, ppos, snapshot->data,
				       snapshot->size);
}

static int image_release(struct inode *inode, struct file *file)
{
	kvfree(file->private_data);
	return 0;
}

/* <image>_fops, for this image of a function */
#define DEFINE_IMAGE_FILE(image)					\
static int image##_open(struct inode *inode, struct file *file)	\
{									\
	struct vfio_double_vf *vf = inode->i_private;			\
									\
	return image_open(file, vf, &vf->image, &vf->image##_size);	\
}									\
									\
static const struct file_operations image##_fops = {			\
	.owner = THIS_MODULE,						\
	.open = image##_open,						\
	.read = image_read,						\
	.release = image_release,					\
	.llseek = default_llseek,					\
}

DEFINE_IMAGE_FILE(loaded);
DEFINE_IMAGE_FILE(state);

void vfio_double_add_files(struct vfio_double_vf *vf)
{
	struct dentry *dir;

	dir = debugfs_create_dir(pci_name(vf->pdev), vf->pf->owner->dir);
	debugfs_create_file("control", 0200, dir, vf,
			    &vfio_double_control_fops);
	debugfs_create_file("journal", 0600, dir, vf, &journal_fops);
	debugfs_create_file("violations", 0600, dir, vf, &violations_fops);
	debugfs_create_file("info", 0400, dir, vf, &info_fops);
	debugfs_create_file("loaded", 0400, dir, vf, &loaded_fops);
	debugfs_create_file("state", 0400, dir, vf, &state_fops);
	vf->dir = dir;
}
