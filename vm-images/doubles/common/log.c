// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device doubles: a function's two logs. The journal has its firmware's
 * commands, violations has the rules that its driver broke.
 */
#define pr_fmt(fmt) "vfio-double " fmt

#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

/* Limits the memory that a runaway test can use */
#define LOG_LINES	8192

struct log_line {
	struct list_head link;
	char text[];
};

static const char *vf_double(struct vfio_double_vf *vf)
{
	return vf->pf->owner->ops->name;
}

void vfio_double_warn(struct vfio_double_vf *vf, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list ap;

	va_start(ap, fmt);
	vaf.va = &ap;
	pr_warn("%s %s: %pV\n", vf_double(vf), pci_name(vf->pdev), &vaf);
	va_end(ap);
}

void vfio_double_log_init(struct vfio_double_log *log)
{
	INIT_LIST_HEAD(&log->lines);
}

static void log_add(struct vfio_double_vf *vf, struct vfio_double_log *log,
		    const char *text)
{
	struct log_line *line = NULL;
	size_t size = strlen(text) + 1;

	line = kmalloc(sizeof(*line) + size, GFP_KERNEL);
	if (line)
		memcpy(line->text, text, size);

	spin_lock(&vf->ctl_lock);
	if (line && log->nr < LOG_LINES) {
		list_add_tail(&line->link, &log->lines);
		log->nr++;
		line = NULL;
	} else {
		log->dropped++;
	}
	spin_unlock(&vf->ctl_lock);
	kfree(line);
}

void vfio_double_log_clear(struct vfio_double_vf *vf,
			   struct vfio_double_log *log)
{
	struct log_line *line, *next;
	LIST_HEAD(lines);

	spin_lock(&vf->ctl_lock);
	list_splice_init(&log->lines, &lines);
	log->nr = 0;
	log->dropped = 0;
	spin_unlock(&vf->ctl_lock);

	list_for_each_entry_safe(line, next, &lines, link)
		kfree(line);
}

void vfio_double_log_show(struct seq_file *m, struct vfio_double_vf *vf,
			  struct vfio_double_log *log)
{
	struct log_line *line;

	spin_lock(&vf->ctl_lock);
	list_for_each_entry(line, &log->lines, link) {
		seq_puts(m, line->text);
		seq_putc(m, '\n');
	}
	if (log->dropped)
		seq_printf(m, "(%u more lines were dropped)\n", log->dropped);
	spin_unlock(&vf->ctl_lock);
}

void vfio_double_journal(struct vfio_double_vf *vf, unsigned int cmd,
			 int status, const char *fmt, ...)
{
	const char *name = vf->pf->owner->ops->commands[cmd];
	char *args, *text;
	va_list ap;

	va_start(ap, fmt);
	args = kvasprintf(GFP_KERNEL, fmt, ap);
	va_end(ap);

	text = kasprintf(GFP_KERNEL, "%s %s = %d", name, args ?: "", status);
	log_add(vf, &vf->journal, text ?: name);
	kfree(text);
	kfree(args);
}
EXPORT_SYMBOL_GPL(vfio_double_journal);

void vfio_double_violation(struct vfio_double_vf *vf, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = kvasprintf(GFP_KERNEL, fmt, ap);
	va_end(ap);

	pr_err("%s %s: violation: %s\n", vf_double(vf), pci_name(vf->pdev),
	       text ?: fmt);
	log_add(vf, &vf->violations, text ?: fmt);
	kfree(text);
}
EXPORT_SYMBOL_GPL(vfio_double_violation);
