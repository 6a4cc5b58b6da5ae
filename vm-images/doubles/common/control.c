// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device doubles: a test's control of the firmware. The file "control" takes
 * a test's commands; the vendor's double asks here which of the firmware's
 * commands should fail or wait.
 */
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

#define CONTROL_SIZE	128

int vfio_double_fail_take(struct vfio_double_vf *vf, unsigned int cmd)
{
	struct vfio_double_fail *fail = &vf->fail[cmd];
	int status = 0;

	spin_lock(&vf->ctl_lock);
	fail->due = 0;
	if (fail->status) {
		if (fail->skip)
			fail->skip--;
		else
			swap(fail->status, status);
	}
	if (fail->late)
		swap(fail->due, status);
	spin_unlock(&vf->ctl_lock);

	return status;
}
EXPORT_SYMBOL_GPL(vfio_double_fail_take);

int vfio_double_fail_late(struct vfio_double_vf *vf, unsigned int cmd)
{
	struct vfio_double_fail *fail = &vf->fail[cmd];
	int status = 0;

	spin_lock(&vf->ctl_lock);
	swap(fail->due, status);
	spin_unlock(&vf->ctl_lock);

	return status;
}
EXPORT_SYMBOL_GPL(vfio_double_fail_late);

bool vfio_double_has(struct vfio_double_vf *vf, unsigned int capability)
{
	bool has;

	spin_lock(&vf->ctl_lock);
	has = vf->capabilities & BIT(capability);
	spin_unlock(&vf->ctl_lock);

	return has;
}
EXPORT_SYMBOL_GPL(vfio_double_has);

/* @commands is vf->held or vf->held_after */
static bool is_held(struct vfio_double_vf *vf, const unsigned long *commands,
		    unsigned int cmd)
{
	bool held;

	spin_lock(&vf->ctl_lock);
	held = *commands & BIT(cmd);
	spin_unlock(&vf->ctl_lock);

	return held;
}

int vfio_double_wait_released(struct vfio_double_vf *vf, unsigned int cmd)
{
	bool going;

	/* Idle: a test may hold for longer than the hung task timeout */
	wait_event_idle(vf->hold_wait, !is_held(vf, &vf->held, cmd));

	spin_lock(&vf->ctl_lock);
	going = vf->going;
	spin_unlock(&vf->ctl_lock);

	return going ? -ESHUTDOWN : 0;
}
EXPORT_SYMBOL_GPL(vfio_double_wait_released);

bool vfio_double_held(struct vfio_double_vf *vf, unsigned int cmd)
{
	return is_held(vf, &vf->held, cmd);
}
EXPORT_SYMBOL_GPL(vfio_double_held);

void vfio_double_wait_told(struct vfio_double_vf *vf, unsigned int cmd)
{
	wait_event_idle(vf->hold_wait, !is_held(vf, &vf->held_after, cmd));
}
EXPORT_SYMBOL_GPL(vfio_double_wait_told);

void vfio_double_release_commands(struct vfio_double_vf *vf,
				  unsigned long commands, bool going)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	unsigned long released;
	unsigned int cmd;

	spin_lock(&vf->ctl_lock);
	released = vf->held & commands;
	vf->held &= ~commands;
	vf->held_after &= ~commands;
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
	vfio_double_release_commands(vf, ~0UL, false);
}
EXPORT_SYMBOL_GPL(vfio_double_release_all);

int vfio_double_number(const char *arg, u64 max, u64 *value)
{
	bool hex = arg[0] == '0' && tolower(arg[1]) == 'x';
	unsigned long long number;
	int ret;

	/* kstrtoull() would accept a sign, and take a leading 0 for octal */
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

int vfio_double_only_number(int argc, char **argv, u64 max, u64 *value)
{
	return argc == 2 ? vfio_double_number(argv[1], max, value) : -EINVAL;
}
EXPORT_SYMBOL_GPL(vfio_double_only_number);

int vfio_double_bytes(int argc, char **argv, u64 *iova, u64 *last)
{
	u64 bytes;
	int ret;

	if (argc != 3)
		return -EINVAL;
	ret = vfio_double_number(argv[1], U64_MAX, iova);
	if (!ret)
		ret = vfio_double_number(argv[2], U64_MAX, &bytes);
	if (ret)
		return ret;
	if (!bytes || check_add_overflow(*iova, bytes - 1, last))
		return -ERANGE;
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_double_bytes);

/* The commands */

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
	ret = vfio_double_number(argv[1],
				 vfio_double_max_state(vf->pf->owner->ops),
				 &size);
	if (!ret)
		ret = vfio_double_number(argv[2], U32_MAX, &seed);
	if (ret)
		return ret;
	return vfio_double_state_fill(vf, size, seed);
}

static int do_dirty(struct vfio_double_vf *vf, int argc, char **argv)
{
	u64 bytes;
	int ret = vfio_double_only_number(argc, argv, VFIO_DOUBLE_MAX_STATE,
					  &bytes);

	return ret ?: vfio_double_state_dirty(vf, bytes);
}

static int do_hold(struct vfio_double_vf *vf, int argc, char **argv)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	bool after = argc == 3 && !strcmp(argv[2], "after");
	int cmd, ret = 0;

	if (argc != 2 && !after)
		return -EINVAL;
	cmd = find_name(ops->commands, argv[1]);
	if (cmd < 0)
		return cmd;
	if (!(ops->holdable & BIT(cmd)))
		return -EOPNOTSUPP;

	spin_lock(&vf->ctl_lock);
	if (vf->going)
		ret = -ESHUTDOWN;
	else if (after)
		vf->held_after |= BIT(cmd);
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
	vfio_double_release_commands(vf, BIT(cmd), false);
	return 0;
}

static int do_fail(struct vfio_double_vf *vf, int argc, char **argv)
{
	const struct vfio_double_ops *ops = vf->pf->owner->ops;
	u64 status, skip = 0;
	bool no_answer, late;
	int cmd, ret;

	late = argc > 3 && !strcmp(argv[argc - 1], "late");
	if (late)
		argc--;
	if (argc != 3 && argc != 4)
		return -EINVAL;
	cmd = find_name(ops->commands, argv[1]);
	if (cmd < 0)
		return cmd;
	no_answer = argv[2][0] == '-';
	if (no_answer && !ops->max_status)
		return -EINVAL;
	if (no_answer)
		ret = vfio_double_number(argv[2] + 1, MAX_ERRNO, &status);
	else
		ret = vfio_double_number(argv[2], ops->max_status ?: MAX_ERRNO,
					 &status);
	if (!ret && argc == 4)
		ret = vfio_double_number(argv[3], U32_MAX, &skip);
	if (ret)
		return ret;
	if (!status)
		return -EINVAL;
	if (ops->never_fail & BIT(cmd) || (late && ops->never_late & BIT(cmd)))
		return -EOPNOTSUPP;

	spin_lock(&vf->ctl_lock);
	vf->fail[cmd].status = no_answer ? -(int)status : (int)status;
	vf->fail[cmd].skip = skip;
	vf->fail[cmd].late = late;
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
	/* First, because only this can fail */
	ret = vfio_double_state_fill(vf, ops->default_state, seed);
	if (ret)
		return ret;
	vf->default_seed = seed;
	vfio_double_loaded_begin(vf);

	spin_lock(&vf->ctl_lock);
	vf->capabilities = ops->default_capabilities;
	memset(vf->fail, 0, sizeof(vf->fail));
	spin_unlock(&vf->ctl_lock);

	vfio_double_log_clear(vf, &vf->journal);
	vfio_double_log_clear(vf, &vf->violations);
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
	 * A held command may sleep while its caller holds the vendor's locks,
	 * so release all commands before taking this lock.
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
		vfio_double_warn(vf, "control: %zu bytes are too many", count);
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
		vfio_double_warn(vf, "control: '%*pE' refused: %d",
				 (int)strlen(shown), shown, ret);
		return ret;
	}
	return count;
}

const struct file_operations vfio_double_control_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = control_write,
	.llseek = noop_llseek,
};
