// SPDX-License-Identifier: GPL-2.0-only
/*
 * The common part of all device doubles: physical and virtual functions,
 * firmware control in debugfs, the journal. See vfio_double.h.
 */
#define pr_fmt(fmt) "vfio-double " fmt

#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "vfio_double.h"
#include "function_reset.h"

#define CONTROL_SIZE	128
/* What a test that runs away may cost in memory */
#define LOG_LINES	8192

struct log_line {
	struct list_head link;
	char text[];
};

struct snapshot {
	size_t size;
	u8 data[];
};

static struct dentry *root;

static const char *vf_double(struct vfio_double_vf *vf)
{
	return vf->pf->owner->ops->name;
}

static __printf(2, 3)
void vf_warn(struct vfio_double_vf *vf, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list ap;

	va_start(ap, fmt);
	vaf.va = &ap;
	pr_warn("%s %s: %pV\n", vf_double(vf), pci_name(vf->pdev), &vaf);
	va_end(ap);
}

/* The two logs */

static void log_init(struct vfio_double_log *log)
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

static void log_clear(struct vfio_double_vf *vf, struct vfio_double_log *log)
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

static void log_show(struct seq_file *m, struct vfio_double_vf *vf,
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

/* What the firmware was told to do */

unsigned int vfio_double_fail_take(struct vfio_double_vf *vf, unsigned int cmd)
{
	struct vfio_double_fail *fail = &vf->fail[cmd];
	unsigned int status = 0;

	spin_lock(&vf->ctl_lock);
	if (fail->status) {
		if (fail->skip)
			fail->skip--;
		else
			swap(fail->status, status);
	}
	spin_unlock(&vf->ctl_lock);

	return status;
}
EXPORT_SYMBOL_GPL(vfio_double_fail_take);

bool vfio_double_has(struct vfio_double_vf *vf, unsigned int capability)
{
	bool has;

	spin_lock(&vf->ctl_lock);
	has = vf->capabilities & BIT(capability);
	spin_unlock(&vf->ctl_lock);

	return has;
}
EXPORT_SYMBOL_GPL(vfio_double_has);

bool vfio_double_held(struct vfio_double_vf *vf, unsigned int cmd)
{
	bool held;

	spin_lock(&vf->ctl_lock);
	held = vf->held & BIT(cmd);
	spin_unlock(&vf->ctl_lock);

	return held;
}
EXPORT_SYMBOL_GPL(vfio_double_held);

int vfio_double_wait_released(struct vfio_double_vf *vf, unsigned int cmd)
{
	bool going;

	/* Idle, as a test may hold for longer than a hung task is given */
	wait_event_idle(vf->hold_wait, !vfio_double_held(vf, cmd));

	spin_lock(&vf->ctl_lock);
	going = vf->going;
	spin_unlock(&vf->ctl_lock);

	return going ? -ESHUTDOWN : 0;
}
EXPORT_SYMBOL_GPL(vfio_double_wait_released);

static void release_commands(struct vfio_double_vf *vf, unsigned long commands,
			     bool going)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	unsigned long released;
	unsigned int cmd;

	spin_lock(&vf->ctl_lock);
	released = vf->held & commands;
	vf->held &= ~commands;
	if (going)
		vf->going = true;
	spin_unlock(&vf->ctl_lock);

	wake_up_all(&vf->hold_wait);
	if (!ops->released)
		return;
	for_each_set_bit(cmd, &released, VFIO_DOUBLE_MAX_COMMANDS)
		ops->released(vf, cmd);
}

void vfio_double_release_all(struct vfio_double_vf *vf)
{
	release_commands(vf, ~0UL, false);
}
EXPORT_SYMBOL_GPL(vfio_double_release_all);

int vfio_double_number(const char *arg, u64 max, u64 *value)
{
	bool hex = arg[0] == '0' && tolower(arg[1]) == 'x';
	unsigned long long number;
	int ret;

	/* kstrtoull() would take a sign, and a leading 0 for octal */
	if (!isdigit(arg[0]))
		return -EINVAL;
	ret = kstrtoull(arg, hex ? 16 : 10, &number);
	if (ret)
		return ret;
	if (number > max)
		return -ERANGE;
	*value = number;
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_number);

/* State and loaded image */

static void fill(u8 *data, size_t from, size_t to, u32 seed)
{
	size_t off;

	for (off = from; off < to; off++)
		data[off] = vfio_double_byte(seed, off);
}

static size_t max_state(const struct vfio_double_ops *ops)
{
	return ops->max_state ?: VFIO_DOUBLE_MAX_STATE;
}

/* Takes over @data when there is no error */
static int state_replace(struct vfio_double_vf *vf, u8 *data, size_t size)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	int ret;

	if (ops->resized) {
		ret = ops->resized(vf, size);
		if (ret)
			return ret;
	}
	swap(vf->state, data);
	vf->state_size = size;
	vf->dirty = 0;
	kvfree(data);
	return 0;
}

int vfio_double_state_fill(struct vfio_double_vf *vf, size_t size, u32 seed)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	u8 *data;
	int ret;

	lockdep_assert_held(&vf->lock);

	if (size < ops->min_state || size > max_state(ops))
		return -ERANGE;
	data = kvzalloc(size ?: 1, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	fill(data, 0, size, seed);
	if (ops->stamp)
		ops->stamp(vf, data, size);

	ret = state_replace(vf, data, size);
	if (ret) {
		kvfree(data);
		return ret;
	}
	vf->seed = seed;
	vf->epoch = 0;
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_state_fill);

int vfio_double_state_set(struct vfio_double_vf *vf, const void *data,
			  size_t len)
{
	u8 *copy;

	lockdep_assert_held(&vf->lock);

	if (len > VFIO_DOUBLE_MAX_STATE)
		return -EFBIG;
	copy = kvzalloc(len ?: 1, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);

	swap(vf->state, copy);
	vf->state_size = len;
	vf->dirty = 0;
	kvfree(copy);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_state_set);

static int state_dirty(struct vfio_double_vf *vf, size_t bytes)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	size_t from = ops->dirty_base + vf->dirty;

	if (ops->no_dirty)
		return -EOPNOTSUPP;
	if (!bytes)
		return -EINVAL;
	if (vf->suspended)
		return -EBUSY;
	if (from > vf->state_size || bytes > vf->state_size - from)
		return -ERANGE;

	vf->epoch++;
	fill(vf->state, from, from + bytes, vf->seed + vf->epoch);
	vf->dirty += bytes;
	if (ops->stamp)
		ops->stamp(vf, vf->state, vf->state_size);
	return 0;
}

void vfio_double_loaded_begin(struct vfio_double_vf *vf)
{
	lockdep_assert_held(&vf->lock);

	kvfree(vf->loaded);
	vf->loaded = NULL;
	vf->loaded_size = 0;
	vf->loaded_room = 0;
}
EXPORT_SYMBOL_GPL(vfio_double_loaded_begin);

int vfio_double_loaded_write(struct vfio_double_vf *vf, size_t off,
			     const void *data, size_t len)
{
	size_t end;

	lockdep_assert_held(&vf->lock);

	if (check_add_overflow(off, len, &end) || end > VFIO_DOUBLE_MAX_STATE)
		return -EFBIG;
	if (end > vf->loaded_room) {
		/* Doubled, as an image comes in many small pieces */
		size_t room = max3(end, 2 * vf->loaded_room, PAGE_SIZE);
		u8 *larger = kvzalloc(room, GFP_KERNEL);

		if (!larger)
			return -ENOMEM;
		if (vf->loaded)
			memcpy(larger, vf->loaded, vf->loaded_size);
		kvfree(vf->loaded);
		vf->loaded = larger;
		vf->loaded_room = room;
	}
	memcpy(vf->loaded + off, data, len);
	vf->loaded_size = max(vf->loaded_size, end);
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_loaded_write);

/* Control */

static int find_name(const char * const *names, const char *name)
{
	int i;

	for (i = 0; names && names[i]; i++)
		if (!strcasecmp(names[i], name))
			return i;
	return -EINVAL;
}

static int do_state(struct vfio_double_vf *vf, int argc, char **argv)
{
	u64 size, seed;
	int ret;

	if (argc != 3)
		return -EINVAL;
	ret = vfio_double_number(argv[1], max_state(vf->pf->owner->ops), &size);
	if (!ret)
		ret = vfio_double_number(argv[2], U32_MAX, &seed);
	if (ret)
		return ret;
	return vfio_double_state_fill(vf, size, seed);
}

static int do_dirty(struct vfio_double_vf *vf, int argc, char **argv)
{
	u64 bytes;
	int ret;

	if (argc != 2)
		return -EINVAL;
	ret = vfio_double_number(argv[1], VFIO_DOUBLE_MAX_STATE, &bytes);
	return ret ?: state_dirty(vf, bytes);
}

static int do_hold(struct vfio_double_vf *vf, int argc, char **argv)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	int cmd, ret = 0;

	if (argc != 2)
		return -EINVAL;
	cmd = find_name(ops->commands, argv[1]);
	if (cmd < 0)
		return cmd;
	if (!(ops->holdable & BIT(cmd)))
		return -EOPNOTSUPP;

	spin_lock(&vf->ctl_lock);
	if (vf->going)
		ret = -ESHUTDOWN;
	else
		vf->held |= BIT(cmd);
	spin_unlock(&vf->ctl_lock);
	return ret;
}

static int do_release(struct vfio_double_vf *vf, int argc, char **argv)
{
	int cmd;

	if (argc != 2)
		return -EINVAL;
	cmd = find_name(vf->pf->owner->ops->commands, argv[1]);
	if (cmd < 0)
		return cmd;
	release_commands(vf, BIT(cmd), false);
	return 0;
}

static int do_fail(struct vfio_double_vf *vf, int argc, char **argv)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	u64 status, skip = 0;
	int cmd, ret;

	if (argc != 3 && argc != 4)
		return -EINVAL;
	cmd = find_name(ops->commands, argv[1]);
	if (cmd < 0)
		return cmd;
	ret = vfio_double_number(argv[2], ops->max_status ?: MAX_ERRNO, &status);
	if (!ret && argc == 4)
		ret = vfio_double_number(argv[3], U32_MAX, &skip);
	if (ret)
		return ret;
	if (!status)
		return -EINVAL;

	spin_lock(&vf->ctl_lock);
	vf->fail[cmd].status = status;
	vf->fail[cmd].skip = skip;
	spin_unlock(&vf->ctl_lock);
	return 0;
}

static int do_capability(struct vfio_double_vf *vf, int argc, char **argv,
			 bool grant)
{
	int capability;

	if (argc != 2)
		return -EINVAL;
	capability = find_name(vf->pf->owner->ops->capabilities, argv[1]);
	if (capability < 0)
		return capability;

	spin_lock(&vf->ctl_lock);
	if (grant)
		vf->capabilities |= BIT(capability);
	else
		vf->capabilities &= ~BIT(capability);
	spin_unlock(&vf->ctl_lock);
	return 0;
}

static int do_reset(struct vfio_double_vf *vf, int argc, char **argv)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	u64 seed = vf->default_seed;
	int ret;

	if (argc > 2)
		return -EINVAL;
	if (argc == 2) {
		ret = vfio_double_number(argv[1], U32_MAX, &seed);
		if (ret)
			return ret;
	}
	/* First, because it alone can be refused */
	ret = vfio_double_state_fill(vf, ops->default_state, seed);
	if (ret)
		return ret;
	vf->default_seed = seed;
	vfio_double_loaded_begin(vf);

	spin_lock(&vf->ctl_lock);
	vf->capabilities = ops->default_capabilities;
	memset(vf->fail, 0, sizeof(vf->fail));
	spin_unlock(&vf->ctl_lock);

	log_clear(vf, &vf->journal);
	log_clear(vf, &vf->violations);
	if (ops->reset)
		ops->reset(vf);
	return 0;
}

static int control_command(struct vfio_double_vf *vf, int argc, char **argv)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	const char *verb = argv[0];
	int ret;

	if (!strcmp(verb, "hold"))
		return do_hold(vf, argc, argv);
	if (!strcmp(verb, "release"))
		return do_release(vf, argc, argv);
	if (!strcmp(verb, "fail"))
		return do_fail(vf, argc, argv);
	if (!strcmp(verb, "withhold"))
		return do_capability(vf, argc, argv, false);
	if (!strcmp(verb, "grant"))
		return do_capability(vf, argc, argv, true);

	/*
	 * A held command may sleep while its caller has taken the vendor's
	 * locks, so let go of all before waiting for this one.
	 */
	if (!strcmp(verb, "reset"))
		vfio_double_release_all(vf);

	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	if (!strcmp(verb, "state"))
		ret = do_state(vf, argc, argv);
	else if (!strcmp(verb, "dirty"))
		ret = do_dirty(vf, argc, argv);
	else if (!strcmp(verb, "reset"))
		ret = do_reset(vf, argc, argv);
	else if (ops->control)
		ret = ops->control(vf, argc, argv);
	else
		ret = strcmp(verb, "reinit") ? -EINVAL : -EOPNOTSUPP;
	mutex_unlock(&vf->lock);
	return ret;
}

static ssize_t control_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *ppos)
{
	struct vfio_double_vf *vf = file_inode(file)->i_private;
	char text[CONTROL_SIZE], shown[CONTROL_SIZE];
	char *argv[VFIO_DOUBLE_MAX_ARGS];
	char *rest = text, *word;
	int argc = 0, ret = 0;

	if (count >= sizeof(text)) {
		vf_warn(vf, "control: %zu bytes are too many", count);
		return -EINVAL;
	}
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	strscpy(shown, strim(text));

	while (!ret && (word = strsep(&rest, " \t\n"))) {
		if (!*word)
			continue;
		if (argc == ARRAY_SIZE(argv))
			ret = -EINVAL;
		else
			argv[argc++] = word;
	}
	if (!ret)
		ret = argc ? control_command(vf, argc, argv) : -EINVAL;
	if (ret) {
		vf_warn(vf, "control: '%*pE' refused: %d",
			(int)strlen(shown), shown, ret);
		return ret;
	}
	return count;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = control_write,
	.llseek = noop_llseek,
};

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
		vf_warn(vf, "%pD: only \"clear\" can be written here", file);
		return -EINVAL;
	}
	log_clear(vf, log);
	return count;
}

static int journal_show(struct seq_file *m, void *unused)
{
	struct vfio_double_vf *vf = m->private;

	log_show(m, vf, &vf->journal);
	return 0;
}

static ssize_t journal_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *ppos)
{
	struct vfio_double_vf *vf = file_inode(file)->i_private;

	return log_write(file, buf, count, vf, &vf->journal);
}
DEFINE_SHOW_STORE_ATTRIBUTE(journal);

static int violations_show(struct seq_file *m, void *unused)
{
	struct vfio_double_vf *vf = m->private;

	log_show(m, vf, &vf->violations);
	return 0;
}

static ssize_t violations_write(struct file *file, const char __user *buf,
				size_t count, loff_t *ppos)
{
	struct vfio_double_vf *vf = file_inode(file)->i_private;

	return log_write(file, buf, count, vf, &vf->violations);
}
DEFINE_SHOW_STORE_ATTRIBUTE(violations);

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
	held = vf->held;
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
	show_names(m, "held", ops->commands, held);
	show_names(m, "failing", ops->commands, failing);
	if (ops->info)
		ops->info(vf, m);
	mutex_unlock(&vf->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(info);

/* An image is read as it was when the file was opened */
static int image_open(struct file *file, struct vfio_double_vf *vf, bool loaded)
{
	struct snapshot *snapshot;
	int ret = -ENOMEM;
	size_t size;

	mutex_lock(&vf->lock);
	size = loaded ? vf->loaded_size : vf->state_size;
	snapshot = kvmalloc(sizeof(*snapshot) + size, GFP_KERNEL);
	if (snapshot) {
		snapshot->size = size;
		if (size)
			memcpy(snapshot->data,
			       loaded ? vf->loaded : vf->state, size);
		file->private_data = snapshot;
		ret = 0;
	}
	mutex_unlock(&vf->lock);
	return ret;
}

static int loaded_open(struct inode *inode, struct file *file)
{
	return image_open(file, inode->i_private, true);
}

static int state_open(struct inode *inode, struct file *file)
{
	return image_open(file, inode->i_private, false);
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

static const struct file_operations loaded_fops = {
	.owner = THIS_MODULE,
	.open = loaded_open,
	.read = image_read,
	.release = image_release,
	.llseek = default_llseek,
};

static const struct file_operations state_fops = {
	.owner = THIS_MODULE,
	.open = state_open,
	.read = image_read,
	.release = image_release,
	.llseek = default_llseek,
};

/* Virtual functions */

static void vf_free(struct vfio_double_vf *vf)
{
	log_clear(vf, &vf->journal);
	log_clear(vf, &vf->violations);
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
	log_init(&vf->journal);
	log_init(&vf->violations);
	vf->capabilities = ops->default_capabilities;
	/*
	 * An emulated function is ready as soon as it was reset. VFIO resets
	 * at each open and close; without this each would sleep for the 100 ms
	 * that PCIe gives to hardware.
	 */
	pdev->imm_ready = 1;

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

	vf->dir = debugfs_create_dir(pci_name(pdev), dbl->dir);
	debugfs_create_file("control", 0200, vf->dir, vf, &control_fops);
	debugfs_create_file("journal", 0600, vf->dir, vf, &journal_fops);
	debugfs_create_file("violations", 0600, vf->dir, vf, &violations_fops);
	debugfs_create_file("info", 0400, vf->dir, vf, &info_fops);
	debugfs_create_file("loaded", 0400, vf->dir, vf, &loaded_fops);
	debugfs_create_file("state", 0400, vf->dir, vf, &state_fops);
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
	release_commands(vf, ~0UL, true);
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
 * The PCI core makes a virtual function known to the bus before any driver is
 * offered it, which is the one moment to give it its firmware.
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
	if (action == BUS_NOTIFY_UNBOUND_DRIVER && dbl->ops->vf_unbound)
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

	/* A driver that waits for a held command couldn't be unbound */
	for (id = 0; id < nr_vfs; id++) {
		vf = vfio_double_vf_by_id(pf->owner, pf->pdev, id);
		if (vf)
			release_commands(vf, ~0UL, true);
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

	/* It would be too late to give these their firmware */
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
	       ops->default_state <= max_state(ops);
}

int __vfio_double_register(struct vfio_double *dbl, struct module *owner,
			   const char *mod_name)
{
	int ret;

	if (!ops_valid(dbl->ops))
		return -EINVAL;

	mutex_init(&dbl->lock);
	INIT_LIST_HEAD(&dbl->pfs);
	snprintf(dbl->driver_name, sizeof(dbl->driver_name), "vfio_double_%s",
		 dbl->ops->name);
	dbl->dir = debugfs_create_dir(dbl->ops->name, root);

	dbl->nb.notifier_call = bus_notify;
	ret = bus_register_notifier(&pci_bus_type, &dbl->nb);
	if (ret)
		goto err_dir;

	/* No table of IDs: a function is bound by driver_override only */
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
	debugfs_remove_recursive(dbl->dir);
	mutex_destroy(&dbl->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(__vfio_double_register);

void vfio_double_unregister(struct vfio_double *dbl)
{
	pci_unregister_driver(&dbl->pci_driver);
	bus_unregister_notifier(&pci_bus_type, &dbl->nb);
	debugfs_remove_recursive(dbl->dir);
	mutex_destroy(&dbl->lock);
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
