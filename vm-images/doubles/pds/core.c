// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device double for pds_vfio_pci: pds_core's part.
 *
 * pds_core's device has an admin queue, on which its physical function's driver
 * posts the commands of its clients; a virtual function's driver is one. The
 * double executes them in the call.
 *
 * An event concerns the adapter, so a physical function. Its notifier chain is
 * one for all, as in pds_core.
 */
#include <linux/err.h>
#include <linux/idr.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pds_double.h"

#define MAX_POLLS	1000000
/* Commands by which a driver returns what it has; not its fault if they fail */
#define GIVES_BACK	(BIT(CMD_CLIENT_UNREG) | BIT(CMD_HOST_VF_STATUS) | \
			 BIT(CMD_DIRTY_DISABLE))

/* Bits of struct pdsc.pending: notifications that are still to be made */
enum { EVENT_DOWN, EVENT_UP, EVENT_ANOTHER };

/* The name is pds_core's, and its content, too: drivers have only a pointer */
struct pdsc {
	struct vfio_double_pf pf;
	struct ida clients;
	struct work_struct notify;
	unsigned long pending;
	unsigned int restarts;
	bool going;			/* its functions go away: no more events */
	bool down;			/* its firmware restarts */
};

static struct vfio_double pds_double;

static BLOCKING_NOTIFIER_HEAD(notify_chain);

static struct pdsc *to_pdsc(struct vfio_double_pf *pf)
{
	return container_of(pf, struct pdsc, pf);
}

int pdsc_register_notify(struct notifier_block *nb)
{
	return blocking_notifier_chain_register(&notify_chain, nb);
}
EXPORT_SYMBOL_GPL(pdsc_register_notify);

void pdsc_unregister_notify(struct notifier_block *nb)
{
	blocking_notifier_chain_unregister(&notify_chain, nb);
}
EXPORT_SYMBOL_GPL(pdsc_unregister_notify);

void *pdsc_get_pf_struct(struct pci_dev *vf_pdev)
{
	struct vfio_double_vf *vf = vfio_double_vf(&pds_double, vf_pdev);

	return vf ? to_pdsc(vf->pf) : ERR_PTR(-EINVAL);
}
EXPORT_SYMBOL_GPL(pdsc_get_pf_struct);

/* pds_core's translation of the firmware's status */
static int to_errno(u8 status)
{
	switch (status) {
	case PDS_RC_SUCCESS:
		return 0;
	case PDS_RC_EVERSION:
	case PDS_RC_EQTYPE:
	case PDS_RC_EQID:
	case PDS_RC_EINVAL:
	case PDS_RC_ENOSUPP:
		return -EINVAL;
	case PDS_RC_EPERM:
		return -EPERM;
	case PDS_RC_ENOENT:
		return -ENOENT;
	case PDS_RC_EAGAIN:
		return -EAGAIN;
	case PDS_RC_ENOMEM:
		return -ENOMEM;
	case PDS_RC_EFAULT:
	case PDS_RC_BAD_ADDR:
		return -EFAULT;
	case PDS_RC_EBUSY:
		return -EBUSY;
	case PDS_RC_EEXIST:
		return -EEXIST;
	case PDS_RC_EVFID:
		return -ENODEV;
	case PDS_RC_ECLIENT:
		return -ECHILD;
	case PDS_RC_ENOSPC:
		return -ENOSPC;
	case PDS_RC_ERANGE:
		return -ERANGE;
	case PDS_RC_BAD_PCI:
		return -ENXIO;
	default:
		return -EIO;
	}
}

/*
 * Common beginning of all commands: takes the function's lock, and returns the
 * firmware's status, or a negative errno without an answer, or 0.
 */
static int begin(struct pdsc *pdsc, struct vfio_double_vf *vf,
		 enum pds_double_command cmd)
{
	unsigned int restarts = READ_ONCE(pdsc->restarts);
	int status;

	might_sleep();
	vfio_double_wait_released(vf, cmd);
	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	/* The firmware does not know a command from before it restarted */
	if (READ_ONCE(pdsc->down) || READ_ONCE(pdsc->restarts) != restarts)
		status = -ENXIO;
	else
		status = vfio_double_fail_take(vf, cmd);
	if (status && (GIVES_BACK & BIT(cmd)))
		to_pds_double_vf(vf)->excused = true;
	return status;
}

/* @status as from begin(); returns what the core's caller gets */
static int end(struct vfio_double_vf *vf, enum pds_double_command cmd,
	       int status)
{
	mutex_unlock(&vf->lock);
	vfio_double_wait_told(vf, cmd);
	return status < 0 ? status : to_errno(status);
}

/* The function in a client's name, "....<domain>-<PCI_DEVID>" */
static struct vfio_double_vf *named(struct pdsc *pdsc, const char *devname)
{
	const char *number = strrchr(devname, '.');
	struct vfio_double_vf *vf;
	struct pci_dev *pdev;
	unsigned int id;
	int domain;

	if (!number || sscanf(number, ".%d-%u", &domain, &id) != 2 ||
	    id > U16_MAX)
		return NULL;
	pdev = pci_get_domain_bus_and_slot(domain, PCI_BUS_NUM(id), id & 0xff);
	vf = vfio_double_vf(&pds_double, pdev);
	pci_dev_put(pdev);
	return vf && vf->pf == &pdsc->pf ? vf : NULL;
}

int pds_client_register(struct pdsc *pf, char *devname)
{
	struct vfio_double_vf *vf = named(pf, devname);
	struct pds_double_vf *v;
	int status, client = 0;

	if (!vf) {
		pci_err(pf->pf.pdev, "client \"%s\" names no function of it\n",
			devname);
		return -EINVAL;
	}
	v = to_pds_double_vf(vf);

	status = begin(pf, vf, CMD_CLIENT_REG);
	if (!status && v->client) {
		vfio_double_violation(vf, "CLIENT_REG before CLIENT_UNREG");
		status = PDS_RC_EEXIST;
	}
	if (!status) {
		client = ida_alloc_range(&pf->clients, 1, U16_MAX, GFP_KERNEL);
		if (client < 0)
			status = PDS_RC_ENOMEM;
		else
			v->client = client;
		v->excused = false;
	}
	vfio_double_journal(vf, CMD_CLIENT_REG, status, "vf=%d client=%u",
			    vf->id, v->client);
	return end(vf, CMD_CLIENT_REG, status) ?: client;
}
EXPORT_SYMBOL_GPL(pds_client_register);

static struct vfio_double_vf *client_vf(struct pdsc *pdsc, u16 client)
{
	struct vfio_double_vf *vf;
	int id;

	for (id = 0; client && id < pci_num_vf(pdsc->pf.pdev); id++) {
		vf = vfio_double_vf_by_id(&pds_double, pdsc->pf.pdev, id);
		if (vf && READ_ONCE(to_pds_double_vf(vf)->client) == client)
			return vf;
	}
	return NULL;
}

static void forget_client(struct pdsc *pdsc, struct pds_double_vf *v)
{
	ida_free(&pdsc->clients, v->client);
	v->client = 0;
}

int pds_client_unregister(struct pdsc *pf, u16 client_id)
{
	struct vfio_double_vf *vf = client_vf(pf, client_id);
	int status;

	if (!vf) {
		pci_err(pf->pf.pdev, "client %u isn't registered\n", client_id);
		return to_errno(PDS_RC_ECLIENT);
	}

	status = begin(pf, vf, CMD_CLIENT_UNREG);
	if (!status)
		forget_client(pf, to_pds_double_vf(vf));
	vfio_double_journal(vf, CMD_CLIENT_UNREG, status, "vf=%d client=%u",
			    vf->id, client_id);
	return end(vf, CMD_CLIENT_UNREG, status);
}
EXPORT_SYMBOL_GPL(pds_client_unregister);

static const char * const command_names[] =
	VFIO_DOUBLE_NAMES(PDS_DOUBLE_COMMANDS);

static int find_command(u8 opcode)
{
	switch (opcode) {
	case PDS_LM_CMD_HOST_VF_STATUS:
		return CMD_HOST_VF_STATUS;
	case PDS_LM_CMD_STATE_SIZE:
		return CMD_STATE_SIZE;
	case PDS_LM_CMD_SUSPEND:
		return CMD_SUSPEND;
	case PDS_LM_CMD_SUSPEND_STATUS:
		return CMD_SUSPEND_STATUS;
	case PDS_LM_CMD_RESUME:
		return CMD_RESUME;
	case PDS_LM_CMD_SAVE:
		return CMD_SAVE;
	case PDS_LM_CMD_RESTORE:
		return CMD_RESTORE;
	case PDS_LM_CMD_DIRTY_STATUS:
		return CMD_DIRTY_STATUS;
	case PDS_LM_CMD_DIRTY_ENABLE:
		return CMD_DIRTY_ENABLE;
	case PDS_LM_CMD_DIRTY_DISABLE:
		return CMD_DIRTY_DISABLE;
	case PDS_LM_CMD_DIRTY_READ_SEQ:
		return CMD_DIRTY_READ_SEQ;
	case PDS_LM_CMD_DIRTY_WRITE_ACK:
		return CMD_DIRTY_WRITE_ACK;
	default:
		return -EOPNOTSUPP;
	}
}

/* A command's own words for the journal */
static void describe(enum pds_double_command cmd,
		     const union pds_core_adminq_cmd *req, char *text,
		     size_t size)
{
	const char *type = "";

	switch (cmd) {
	case CMD_SUSPEND:
	case CMD_SUSPEND_STATUS:
	case CMD_RESUME:
		/* The type is at the same place in all three */
		type = req->lm_suspend.type == PDS_LM_SUSPEND_RESUME_TYPE_P2P ?
		       "P2P" : "FULL";
		snprintf(text, size, " type=%s", type);
		break;
	case CMD_HOST_VF_STATUS:
		snprintf(text, size, " status=%u",
			 req->lm_host_vf_status.status);
		break;
	case CMD_DIRTY_ENABLE:
		snprintf(text, size, " regions=%u",
			 req->lm_dirty_enable.num_regions);
		break;
	case CMD_DIRTY_READ_SEQ:
	case CMD_DIRTY_WRITE_ACK:
		snprintf(text, size, " offset=%u length=%u",
			 le32_to_cpu(req->lm_dirty_seq_ack.off_bytes),
			 le32_to_cpu(req->lm_dirty_seq_ack.len_bytes));
		break;
	default:
		*text = '\0';
	}
}

/* The client's word for the function that a command is for */
static bool client_ok(struct pds_double_vf *v, const char *name, u16 client)
{
	if (client && client == v->client)
		return true;
	vfio_double_violation(&v->vf, "%s of client %u, the function's is %u",
			      name, client, v->client);
	return false;
}

/*
 * How a suspension goes on whose status was asked for, in vain: the firmware
 * gives up if it says so, and ends it if nobody hears from it.
 */
static void suspension_failed(struct pds_double_vf *v, int status)
{
	if (v->suspending)
		pds_double_go(v, status < 0 ? v->next : v->activity);
}

int pdsc_adminq_post(struct pdsc *pdsc, union pds_core_adminq_cmd *cmd,
		     union pds_core_adminq_comp *comp, bool fast_poll)
{
	union pds_core_adminq_comp answer = {};
	union pds_core_adminq_cmd req = {};
	struct vfio_double_vf *vf;
	struct pds_double_vf *v;
	int found, status, late;
	char text[48];
	u16 client;

	if (cmd->opcode != PDS_AQ_CMD_CLIENT_CMD) {
		pci_err(pdsc->pf.pdev, "opcode %u isn't a client's\n",
			cmd->opcode);
		return to_errno(PDS_RC_EOPCODE);
	}
	client = le16_to_cpu(cmd->client_request.client_id);
	memcpy(&req, cmd->client_request.client_cmd,
	       sizeof(cmd->client_request.client_cmd));
	vf = vfio_double_vf_by_id(&pds_double, pdsc->pf.pdev,
				  le16_to_cpu(req.lm_suspend.vf_id));
	found = find_command(req.opcode);
	if (!vf || found < 0) {
		vf = client_vf(pdsc, client);
		if (vf)
			vfio_double_violation(vf, "unknown opcode %u, or function %u",
					      req.opcode,
					      le16_to_cpu(req.lm_suspend.vf_id));
		return to_errno(found < 0 ? PDS_RC_EOPCODE : PDS_RC_EVFID);
	}
	v = to_pds_double_vf(vf);

	status = begin(pdsc, vf, found);
	if (status && found == CMD_SUSPEND_STATUS)
		suspension_failed(v, status);
	if (!status && !client_ok(v, command_names[found], client))
		status = PDS_RC_ECLIENT;
	if (!status)
		status = pds_double_execute(v, found, &req, &answer);
	late = vfio_double_fail_late(vf, found);
	if (!status && late) {
		status = late;
		pds_double_unheard(v, found);
	}
	describe(found, &req, text, sizeof(text));
	vfio_double_journal(vf, found, status, "vf=%d%s", vf->id, text);
	if (status >= 0) {
		answer.status = status;
		*comp = answer;
	}
	return end(vf, found, status);
}
EXPORT_SYMBOL_GPL(pdsc_adminq_post);

/* Events */

static void notify_reset(u8 state)
{
	union pds_core_notifyq_comp event = {
		.reset = {
			.ecode = cpu_to_le16(PDS_EVENT_RESET),
			.state = state,
		},
	};

	blocking_notifier_call_chain(&notify_chain, PDS_EVENT_RESET, &event);
}

/* Do this for each virtual function, with its lock held */
static void on_all_vfs(struct pdsc *pdsc, void (*act)(struct pds_double_vf *v))
{
	struct vfio_double_vf *vf;
	int id;

	for (id = 0; id < pci_num_vf(pdsc->pf.pdev); id++) {
		vf = vfio_double_vf_by_id(&pds_double, pdsc->pf.pdev, id);
		if (!vf)
			continue;
		mutex_lock(&vf->lock);
		act(to_pds_double_vf(vf));
		mutex_unlock(&vf->lock);
	}
}

/* The firmware has restarted: its functions run, and nothing is tracked */
static void restarted(struct pds_double_vf *v)
{
	pds_double_go(v, PDS_DOUBLE_RUNS);
	pds_double_dirty_free(v);
	v->host_status = PDS_LM_STA_NONE;
	v->unsure = false;
	v->untold = true;
}

static void driver_told(struct pds_double_vf *v)
{
	v->untold = false;
}

static void notify(struct work_struct *work)
{
	struct pdsc *pdsc = container_of(work, struct pdsc, notify);

	if (test_bit(EVENT_DOWN, &pdsc->pending)) {
		WRITE_ONCE(pdsc->restarts, pdsc->restarts + 1);
		WRITE_ONCE(pdsc->down, true);
		notify_reset(0);
		clear_bit(EVENT_DOWN, &pdsc->pending);
	}
	if (test_bit(EVENT_UP, &pdsc->pending)) {
		on_all_vfs(pdsc, restarted);
		WRITE_ONCE(pdsc->down, false);
		notify_reset(1);
		on_all_vfs(pdsc, driver_told);
		clear_bit(EVENT_UP, &pdsc->pending);
	}
	/* Nothing in the notification says which adapter it is about */
	if (test_bit(EVENT_ANOTHER, &pdsc->pending)) {
		notify_reset(0);
		notify_reset(1);
		clear_bit(EVENT_ANOTHER, &pdsc->pending);
	}
}

/*
 * "event down", "event up": the firmware restarts; "event another": that of
 * another adapter does. Done when info shows event=0: a driver waits in its
 * notifier, perhaps for a command that is held.
 */
static int event(struct pdsc *pdsc, int argc, char **argv)
{
	int event;

	if (argc != 2)
		return -EINVAL;
	if (!strcmp(argv[1], "down"))
		event = EVENT_DOWN;
	else if (!strcmp(argv[1], "up"))
		event = EVENT_UP;
	else if (!strcmp(argv[1], "another"))
		event = EVENT_ANOTHER;
	else
		return -EINVAL;
	if (READ_ONCE(pdsc->going))
		return -ESHUTDOWN;
	if (test_and_set_bit(event, &pdsc->pending))
		return -EBUSY;
	schedule_work(&pdsc->notify);
	return 0;
}

/* "suspending <polls>": so often SUSPEND_STATUS says that it has not ended */
static int suspending(struct pds_double_vf *v, int argc, char **argv)
{
	return vfio_double_only_number(argc, argv, MAX_POLLS,
				       &v->polls_needed);
}

/*
 * "write <iova> <bytes>": the device writes to memory, as far as its log goes:
 * the memory itself stays as it is
 */
static int write(struct pds_double_vf *v, int argc, char **argv)
{
	u64 iova, last;
	int ret;

	ret = vfio_double_bytes(argc, argv, &iova, &last);
	if (ret)
		return ret;
	if (v->activity != PDS_DOUBLE_RUNS)
		return -EBUSY;
	pds_double_dirty_write(v, iova, last);
	return 0;
}

static int control(struct vfio_double_vf *vf, int argc, char **argv)
{
	if (!strcmp(argv[0], "event"))
		return event(to_pdsc(vf->pf), argc, argv);
	if (!strcmp(argv[0], "suspending"))
		return suspending(to_pds_double_vf(vf), argc, argv);
	if (!strcmp(argv[0], "write"))
		return write(to_pds_double_vf(vf), argc, argv);
	return strcmp(argv[0], "reinit") ? -EINVAL : -EOPNOTSUPP;
}

static void reset(struct vfio_double_vf *vf)
{
	/* Drivers have to ask again, so let them */
	to_pds_double_vf(vf)->polls_needed = 1;
	WRITE_ONCE(to_pdsc(vf->pf)->down, false);
}

static void info(struct vfio_double_vf *vf, struct seq_file *m)
{
	struct pds_double_vf *v = to_pds_double_vf(vf);
	struct pdsc *pdsc = to_pdsc(vf->pf);

	seq_printf(m, "client=%u\n", v->client);
	seq_printf(m, "host_status=%u\n", v->host_status);
	seq_printf(m, "initiator_suspended=%d\n",
		   v->activity != PDS_DOUBLE_RUNS);
	seq_printf(m, "suspending=%d\n", v->suspending);
	seq_printf(m, "regions=%u\n", v->nr_regions);
	seq_printf(m, "event=%d\n", !!READ_ONCE(pdsc->pending));
	seq_printf(m, "down=%d\n", READ_ONCE(pdsc->down));
}

static void function_reset(struct vfio_double_vf *vf)
{
	pds_double_go(to_pds_double_vf(vf), PDS_DOUBLE_RUNS);
	to_pds_double_vf(vf)->unsure = false;
}

static int pf_probe(struct vfio_double_pf *pf)
{
	struct pdsc *pdsc = to_pdsc(pf);

	ida_init(&pdsc->clients);
	INIT_WORK(&pdsc->notify, notify);
	return 0;
}

static void vfs_disabling(struct vfio_double_pf *pf)
{
	WRITE_ONCE(to_pdsc(pf)->going, true);
	cancel_work_sync(&to_pdsc(pf)->notify);
	WRITE_ONCE(to_pdsc(pf)->pending, 0);
}

static void pf_remove(struct vfio_double_pf *pf)
{
	/* A control file may have been open until now */
	cancel_work_sync(&to_pdsc(pf)->notify);
	ida_destroy(&to_pdsc(pf)->clients);
}

static int vf_init(struct vfio_double_vf *vf)
{
	WRITE_ONCE(to_pdsc(vf->pf)->going, false);
	reset(vf);
	return 0;
}

static void vf_unbound(struct vfio_double_vf *vf)
{
	struct pds_double_vf *v = to_pds_double_vf(vf);

	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	if (v->nr_regions && !v->excused)
		vfio_double_violation(vf, "driver unbound without DIRTY_DISABLE");
	if (v->host_status != PDS_LM_STA_NONE && !v->excused)
		vfio_double_violation(vf, "driver unbound in HOST_VF_STATUS %u",
				      v->host_status);
	if (v->client && !v->excused)
		vfio_double_violation(vf, "driver unbound without CLIENT_UNREG");
	if (v->client)
		forget_client(to_pdsc(vf->pf), v);
	pds_double_dirty_free(v);
	v->host_status = PDS_LM_STA_NONE;
	mutex_unlock(&vf->lock);
}

static void vf_release(struct vfio_double_vf *vf)
{
	pds_double_dirty_free(to_pds_double_vf(vf));
}

static const char * const capability_names[] =
	VFIO_DOUBLE_NAMES(PDS_DOUBLE_CAPABILITIES);

/* Those that only ask, and those of the core, which has no session then */
#define NEVER_LATE	(BIT(CMD_CLIENT_REG) | BIT(CMD_CLIENT_UNREG) | \
			 BIT(CMD_STATE_SIZE) | BIT(CMD_SUSPEND_STATUS) | \
			 BIT(CMD_DIRTY_STATUS) | BIT(CMD_DIRTY_READ_SEQ))

static const struct vfio_double_ops pds_ops = {
	.name = "pds",
	.vf_size = sizeof(struct pds_double_vf),
	.pf_size = sizeof(struct pdsc),
	.commands = command_names,
	.holdable = ~0UL,
	.never_late = NEVER_LATE,
	.capabilities = capability_names,
	.default_capabilities = BIT(CAP_DIRTY_TRACKING) | BIT(CAP_INTEGRITY),
	.default_state = PDS_LM_DEVICE_STATE_LENGTH,
	/* A header and something to change */
	.min_state = 64,
	.max_state = PDS_LM_DEVICE_STATE_LENGTH,
	.dirty_base = 16,
	.max_status = U8_MAX,
	.pf_probe = pf_probe,
	.pf_remove = pf_remove,
	.vfs_disabling = vfs_disabling,
	.vf_init = vf_init,
	.vf_unbound = vf_unbound,
	.vf_release = vf_release,
	.stamp = pds_double_stamp,
	.control = control,
	.reset = reset,
	.function_reset = function_reset,
	.info = info,
};

module_vfio_double(pds_double, pds_ops);
