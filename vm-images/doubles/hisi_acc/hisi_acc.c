// SPDX-License-Identifier: GPL-2.0-only
/*
 * Double for hisi-acc-vfio-pci: the queue manager (QM) of a HiSilicon
 * accelerator (SEC, HPRE or ZIP) and its mailbox.
 *
 * The driver needs registers: 4 MiB in the PF, and BAR 2 of the VF. QEMU's
 * emulated SR-IOV devices do not have them, so the memory of an ivshmem-plain
 * device's BAR 2 replaces both. A VF gets a part of it as its BAR 2, which the
 * driver maps as usual. The PF's part is accessed through a trap (trap.h),
 * because some of its registers react immediately.
 *
 * A VF's state is exactly 84 bytes, 32 bit little endian words. The driver
 * transfers them in this order:
 *
 *	AEQ_INT_MASK, EQ_INT_MASK, PAGE_SIZE, EQC_DW0-6, AEQC_DW0-6,
 *	SQC_BT low and high, CQC_BT low and high
 *
 * Not included are IFC_INT_SOURCE and IFC_INT_MASK, which the driver saves but
 * sets to constants when it loads, and values that must be equal on both sides
 * (number of queues, isolation).
 *
 * Plain memory does not report writes. So the double finds the driver's writes
 * to the VF's registers (cache write-back, doorbells) only at the next mailbox
 * command, control command or access to one of its files.
 *
 * Locking: vf->base.lock, then pf->vfs_lock (both mutexes), then pf->lock (a
 * spinlock, because trapped accesses are in atomic context).
 */
#define pr_fmt(fmt) "vfio-double hisi_acc: " fmt

#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "trap.h"
#include "vfio_double.h"

#define PCI_DEVICE_ID_IVSHMEM	0x1110
#define LENT_BAR		2

/* Registers of the PF */
#define PF_QUE_ISO_CFG		0x30
#define PF_RAS_STATUS		0x100008
#define PF_VFT_CFG_OP_ENABLE	0x100054
#define PF_VFT_CFG_OP_WR	0x100058
#define PF_VFT_CFG_TYPE		0x10005c
#define PF_VFT_CFG		0x100060
#define PF_VFT_CFG_DATA_L	0x100064
#define PF_VFT_CFG_DATA_H	0x100068
#define PF_VFT_CFG_RDY		0x10006c
#define PF_MIG_REGION		0x180000
#define PF_MIG_REGION_SIZE	0x2000
#define PF_SEC_STATUS		0x301008
#define PF_ZIP_STATUS		0x3010ac
#define PF_HPRE_STATUS		0x301800

/* Registers of a VF; some have other offsets if they are in the PF */
#define VF_BAR_SIZE		SZ_64K
#define VF_AEQ_INT_MASK		0x4
#define VF_EQ_INT_MASK		0xc
#define VF_IFC_INT_SOURCE	0x20
#define VF_IFC_INT_MASK		0x24
#define VF_IFC_INT_STATUS	0x28
#define VF_IFC_INT_SET		0x2c
#define VF_QUE_ISO_CFG		0x30
#define VF_PAGE_SIZE		0x34
#define VF_CACHE_WB_START	0x204
#define VF_CACHE_WB_DONE	0x208
#define VF_BAR_EQC		0x8000
#define VF_BAR_AEQC		0x8020
#define VF_MIG_EQC		0x1c00
#define VF_MIG_AEQC		0x1c20

#define MB_CMD_PAUSE_QM		0xe

#define VFT_BASE_SHIFT		28
#define VFT_NUM_SHIFT		45
#define MAX_QUEUES		1024
#define DEFAULT_QUEUES		16
#define MAX_VFS			63
/* The first version with the migration registers in the PF */
#define HW_V4			0x50

/*
 * After a failed read of the VFT its ready bit stays 0 until it was not polled
 * for this time, so that the driver's last poll fails, too.
 */
#define VFT_FAIL_MS		50

#define MAX_EVENTS		32
#define EVENT_TEXT		64

#define COMMANDS(row)			\
	row(PAUSE_QM, "PAUSE_QM")	\
	row(SQC_BT_GET, "SQC_BT_GET")	\
	row(CQC_BT_GET, "CQC_BT_GET")	\
	row(SQC_BT_SET, "SQC_BT_SET")	\
	row(CQC_BT_SET, "CQC_BT_SET")	\
	row(VFT_GET, "VFT_GET")		\
	row(MB_READY, "MB_READY")	\
	row(PF_VFT_GET, "PF_VFT_GET")	\
	row(CACHE_WB, "CACHE_WB")	\
	row(START, "START")		\
	row(RAS_STATUS, "RAS_STATUS")	\
	row(IFC_STATUS, "IFC_STATUS")	\
	row(CORE_STATUS, "CORE_STATUS")

enum { COMMANDS(VFIO_DOUBLE_NUMBER) };

static const char * const commands[] = VFIO_DOUBLE_NAMES(COMMANDS);

#define CAPABILITIES(row)				\
	row(PF_MIGRATION_REGION, "pf_migration_region")	\
	row(VENDORS_PF, "vendors_pf")			\
	row(QM_V3, "qm_v3")

enum { CAPABILITIES(VFIO_DOUBLE_NUMBER) };

static const char * const capabilities[] = VFIO_DOUBLE_NAMES(CAPABILITIES);

enum {
	W_AEQ_INT_MASK,
	W_EQ_INT_MASK,
	W_PAGE_SIZE,
	W_EQC,
	W_AEQC = W_EQC + 7,
	W_SQC_BT = W_AEQC + 7,
	W_CQC_BT = W_SQC_BT + 2,
	STATE_WORDS = W_CQC_BT + 2,
};

#define STATE_SIZE	(STATE_WORDS * sizeof(__le32))

struct adapter {
	const char *name;
	u16 device;
	u32 status_reg;
};

static const struct adapter adapters[] = {
	{ "sec", PCI_DEVICE_ID_HUAWEI_SEC_VF, PF_SEC_STATUS },
	{ "hpre", PCI_DEVICE_ID_HUAWEI_HPRE_VF, PF_HPRE_STATUS },
	{ "zip", PCI_DEVICE_ID_HUAWEI_ZIP_VF, PF_ZIP_STATUS },
};

/* A VF's registers, in its BAR or in the PF */
struct regs {
	void __iomem *base;
	u32 eqc;
	u32 aeqc;
};

/*
 * An event in a trapped access, which must not sleep: a line for the journal of
 * PF_VFT_GET, or a violation. A violation is reported for all VFs with a driver,
 * because its driver is unknown.
 */
struct event {
	bool violation;
	unsigned int vf;
	unsigned int status;
	char text[EVENT_TEXT];
};

struct hisi_acc_pf {
	struct vfio_double_pf base;
	struct hisi_qm qm;
	struct pci_dev *lender;
	struct resource window;
	void __iomem *mem;
	struct trap_window trap;

	bool resetting;			/* by a test */
	struct mutex vfs_lock;		/* protects vfs[], with lock to write */
	struct work_struct report;

	spinlock_t lock;		/* protects the rest, and the VFT's memory */
	struct hisi_acc_vf *vfs[MAX_VFS];
	struct event events[MAX_EVENTS];
	unsigned int nr_events;
	bool vft_failing;
	ktime_t vft_last_look;
};

/**
 * struct hisi_acc_vf - a virtual function
 * @base: must be first
 * @bar: its registers if they are in its BAR 2
 * @mig: its registers if they are in the PF
 * @cur: the set of registers that the driver used last
 * @adapter: the kind of adapter that it imitates
 * @vendor: the PCI core's original vendor ID
 * @device: the PCI core's original device ID
 * @bt: addresses of the contexts of submission and completion queues
 * @queues: number of queues; protected by pf->lock, with base.lock to write
 * @ras_status: value of the PF's register for hardware errors; protected
 *	likewise
 * @core_status: value of the PF's register for the adapter's core; protected
 *	likewise
 * @wb_status: result of the cache write-back
 * @written_back: the cache was written back since the pause
 * @mb_ready: the mailbox was ready since the pause
 * @sqc_set: SQC_BT_SET was executed since the pause
 */
struct hisi_acc_vf {
	struct vfio_double_vf base;
	struct regs bar;
	struct regs mig;
	struct regs *cur;
	const struct adapter *adapter;
	u16 vendor;
	u16 device;

	u64 bt[2];
	u32 queues;
	u32 ras_status;
	u32 core_status;
	unsigned int wb_status;
	bool written_back;
	bool mb_ready;
	bool sqc_set;
};

static struct vfio_double hisi_acc_double;

/* Protects lending; the resource tree has its own lock */
static DEFINE_MUTEX(lend_lock);

static struct hisi_acc_pf *to_pf(struct vfio_double_pf *pf)
{
	return container_of(pf, struct hisi_acc_pf, base);
}

static struct hisi_acc_vf *to_vf(struct vfio_double_vf *vf)
{
	return container_of(vf, struct hisi_acc_vf, base);
}

static struct hisi_acc_pf *pf_of(struct hisi_acc_vf *vf)
{
	return to_pf(vf->base.pf);
}

/* Events of trapped accesses */

__printf(5, 6)
static void add_event(struct hisi_acc_pf *pf, bool violation, unsigned int vf,
		      unsigned int status, const char *fmt, ...)
{
	struct event *event;
	va_list ap;

	lockdep_assert_held(&pf->lock);

	/* If full, overwrite the last event: the others show the problem, too */
	if (pf->nr_events < MAX_EVENTS)
		pf->nr_events++;
	event = &pf->events[pf->nr_events - 1];
	event->violation = violation;
	event->vf = vf;
	event->status = status;
	va_start(ap, fmt);
	vscnprintf(event->text, sizeof(event->text), fmt, ap);
	va_end(ap);
	schedule_work(&pf->report);
}

#define pf_violation(pf, fmt, ...) \
	add_event(pf, true, 0, 0, fmt, ##__VA_ARGS__)

static bool take_event(struct hisi_acc_pf *pf, struct event *event)
{
	bool any;

	spin_lock(&pf->lock);
	any = pf->nr_events;
	if (any) {
		*event = pf->events[0];
		pf->nr_events--;
		memmove(pf->events, pf->events + 1,
			pf->nr_events * sizeof(*event));
	}
	spin_unlock(&pf->lock);
	return any;
}

static void report_event(struct hisi_acc_pf *pf, const struct event *event)
{
	struct hisi_acc_vf *vf;
	int i;

	lockdep_assert_held(&pf->vfs_lock);

	for (i = 0; i < MAX_VFS; i++) {
		vf = pf->vfs[i];
		if (!vf)
			continue;
		if (event->violation && vf->base.pdev->driver)
			vfio_double_violation(&vf->base, "%s", event->text);
		else if (!event->violation && event->vf == i)
			vfio_double_journal(&vf->base, PF_VFT_GET,
					    event->status, "%s", event->text);
	}
}

static void report_events(struct hisi_acc_pf *pf)
{
	struct event event;

	mutex_lock(&pf->vfs_lock);
	while (take_event(pf, &event))
		report_event(pf, &event);
	mutex_unlock(&pf->vfs_lock);
}

static void report_work(struct work_struct *work)
{
	report_events(container_of(work, struct hisi_acc_pf, report));
}

/* Registers of the VF */

static const char *place(const struct hisi_acc_vf *vf)
{
	return vf->cur == &vf->bar ? "vf" : "pf";
}

/* Offset of the register for a word of the state, 0 if there is none */
static u32 word_reg(const struct regs *regs, int word)
{
	switch (word) {
	case W_AEQ_INT_MASK:
		return VF_AEQ_INT_MASK;
	case W_EQ_INT_MASK:
		return VF_EQ_INT_MASK;
	case W_PAGE_SIZE:
		return VF_PAGE_SIZE;
	case W_EQC ... W_AEQC - 1:
		return regs->eqc + (word - W_EQC) * sizeof(u32);
	case W_AEQC ... W_SQC_BT - 1:
		return regs->aeqc + (word - W_AEQC) * sizeof(u32);
	default:
		return 0;
	}
}

static void image_to_regs(const struct regs *regs, const __le32 *image)
{
	int word;

	for (word = 0; word < W_SQC_BT; word++)
		writel(le32_to_cpu(image[word]),
		       regs->base + word_reg(regs, word));
}

static void regs_to_image(struct hisi_acc_vf *vf, __le32 *image)
{
	int word;

	for (word = 0; word < W_SQC_BT; word++)
		image[word] = cpu_to_le32(readl(vf->cur->base +
						word_reg(vf->cur, word)));
	for (word = W_SQC_BT; word < STATE_WORDS; word += 2) {
		u64 bt = vf->bt[(word - W_SQC_BT) / 2];

		image[word] = cpu_to_le32(lower_32_bits(bt));
		image[word + 1] = cpu_to_le32(upper_32_bits(bt));
	}
}

/* A guest's driver has set up the VF, and no interrupt is pending */
static void regs_ready(const struct regs *regs)
{
	writel(QM_READY, regs->base + QM_VF_STATE);
	writel(0, regs->base + VF_IFC_INT_STATUS);
	writel(0, regs->base + VF_IFC_INT_SET);
}

/* The initial values in both sets of registers */
static void regs_init(const struct regs *regs)
{
	regs_ready(regs);
	writel(0, regs->base + VF_IFC_INT_SOURCE);
	writel(0, regs->base + VF_IFC_INT_MASK);
	writel(0, regs->base + VF_CACHE_WB_START);
	writel(0, regs->base + VF_CACHE_WB_DONE);
	writel(0, regs->base + QM_MB_CMD_SEND_BASE);
	writeq(0, regs->base + QM_DOORBELL_SQ_CQ_BASE_V2);
}

/* @doorbell: the last queue's, or 0 if the driver knows no queue */
static void note_start(struct hisi_acc_vf *vf, u64 doorbell)
{
	u32 queue = lower_32_bits(doorbell) & (BIT(QM_DB_CMD_SHIFT_V2) - 1);

	if (queue >= vf->queues)
		vfio_double_violation(&vf->base,
				      "doorbell of queue %u, there are %u",
				      queue, vf->queues);
	if (readl(vf->cur->base + VF_IFC_INT_MASK) & 1)
		vfio_double_violation(&vf->base,
				      "started with communication masked");
	vfio_double_journal(&vf->base, START, 0, "doorbells=%u",
			    doorbell ? queue + 1 : 0);
	vf->base.suspended = false;
}

/* Find the driver's writes to the VF's registers since the last look */
static void look(struct hisi_acc_vf *vf)
{
	void __iomem *base = vf->cur->base;
	u64 doorbell;
	u32 source;

	lockdep_assert_held(&vf->base.lock);

	report_events(pf_of(vf));

	if (readl(base + VF_CACHE_WB_START)) {
		writel(0, base + VF_CACHE_WB_START);
		vfio_double_journal(&vf->base, CACHE_WB, vf->wb_status,
				    "paused=%d", vf->base.suspended);
		if (!vf->base.suspended)
			vfio_double_violation(&vf->base,
					      "cache written back on a QM that runs");
		vf->written_back = !vf->wb_status;
	}

	/* In hardware, writing 1 clears this register */
	source = readl(base + VF_IFC_INT_SOURCE);
	if (source == 1)
		writel(0, base + VF_IFC_INT_SOURCE);

	/*
	 * A start opens the communication with the PF again, and rings all
	 * queues that the driver knows; on a device without a load it knows no
	 * queue. A load opens the communication, too. Before that, a load
	 * writes the stream's value to this register. That value is 1 if the
	 * save read the register before a look could clear it.
	 */
	doorbell = readq(base + QM_DOORBELL_SQ_CQ_BASE_V2);
	if (doorbell)
		writeq(0, base + QM_DOORBELL_SQ_CQ_BASE_V2);
	if (doorbell ||
	    (source == 1 && vf->base.suspended && !vf->mb_ready &&
	     !vf->sqc_set))
		note_start(vf, doorbell);
}

/* A new state: from "state", "dirty", "reset", or for a new VF */
static void hisi_acc_stamp(struct vfio_double_vf *base, u8 *state, size_t size)
{
	struct hisi_acc_vf *vf = to_vf(base);
	const __le32 *image = (const __le32 *)state;
	int i;

	image_to_regs(&vf->bar, image);
	image_to_regs(&vf->mig, image);
	for (i = 0; i < ARRAY_SIZE(vf->bt); i++) {
		const __le32 *bt = image + W_SQC_BT + 2 * i;

		vf->bt[i] = le32_to_cpu(bt[0]) | (u64)le32_to_cpu(bt[1]) << 32;
	}
}

/* Mailbox */

static struct hisi_acc_vf *vf_of_qm(struct hisi_qm *qm)
{
	struct vfio_double_vf *base;

	base = vfio_double_vf(&hisi_acc_double, qm->pdev);
	return base ? to_vf(base) : NULL;
}

/* Set the status registers for this pause */
static void pause_qm(struct hisi_acc_vf *vf)
{
	struct vfio_double_vf *base = &vf->base;
	struct hisi_acc_pf *pf = pf_of(vf);
	u32 ras, ifc, core;

	ras = vfio_double_fail_take(base, RAS_STATUS);
	ifc = vfio_double_fail_take(base, IFC_STATUS);
	core = vfio_double_fail_take(base, CORE_STATUS);
	vf->wb_status = vfio_double_fail_take(base, CACHE_WB);

	spin_lock(&pf->lock);
	vf->ras_status = ras;
	vf->core_status = core;
	spin_unlock(&pf->lock);

	if (ras)
		vfio_double_journal(base, RAS_STATUS, ras, "value=%#x", ras);
	if (ifc)
		vfio_double_journal(base, IFC_STATUS, ifc, "value=%#x", ifc);
	if (core)
		vfio_double_journal(base, CORE_STATUS, core, "value=%#x", core);

	writel(ifc, vf->cur->base + VF_IFC_INT_STATUS);
	/* Set in advance: the driver reads it only after it starts the write-back */
	writel(!vf->wb_status, vf->cur->base + VF_CACHE_WB_DONE);
	writeq(0, vf->cur->base + QM_DOORBELL_SQ_CQ_BASE_V2);
	vf->base.suspended = true;
	vf->written_back = false;
	vf->mb_ready = false;
	vf->sqc_set = false;
}

static void check_save(struct hisi_acc_vf *vf, const char *name)
{
	if (!vf->base.suspended)
		vfio_double_violation(&vf->base, "%s on a QM that runs", name);
	else if (!vf->written_back)
		vfio_double_violation(&vf->base,
				      "%s before the cache was written back",
				      name);
}

static void check_load(struct hisi_acc_vf *vf, const char *name, u64 addr)
{
	if (!vf->base.suspended)
		vfio_double_violation(&vf->base, "%s on a QM that runs", name);
	if (!vf->mb_ready)
		vfio_double_violation(&vf->base,
				      "%s, and nobody waited for the mailbox",
				      name);
	if (!addr)
		vfio_double_violation(&vf->base, "%s without an address", name);
	if (readl(vf->cur->base + QM_VF_STATE) != QM_READY)
		vfio_double_violation(&vf->base, "%s on a VF that isn't ready",
				      name);
}

/* The last command of a save: the driver has now read the image */
static int take_save(struct hisi_acc_vf *vf)
{
	__le32 image[STATE_WORDS];

	regs_to_image(vf, image);
	return vfio_double_state_set(&vf->base, image, sizeof(image));
}

/* The last command of a load: the driver has now written all registers */
static int take_load(struct hisi_acc_vf *vf)
{
	struct regs *other = vf->cur == &vf->bar ? &vf->mig : &vf->bar;
	u32 iso = readl(vf->cur->base + VF_QUE_ISO_CFG);
	struct vfio_double_vf *base = &vf->base;
	struct hisi_acc_pf *pf = pf_of(vf);
	__le32 image[STATE_WORDS];
	int ret;

	if (iso != readl(pf->mem + PF_QUE_ISO_CFG))
		vfio_double_violation(base, "loaded with another isolation: %#x",
				      iso);
	if (!vf->sqc_set)
		vfio_double_violation(base, "CQC_BT_SET without SQC_BT_SET");

	regs_to_image(vf, image);
	vfio_double_loaded_begin(base);
	ret = vfio_double_loaded_add(base, image, sizeof(image));
	if (!ret)
		ret = vfio_double_state_set(base, image, sizeof(image));
	/* The driver may use the other set the next time it opens the VF */
	image_to_regs(other, image);
	writel(QM_READY, other->base + QM_VF_STATE);
	return ret;
}

static u64 vft(const struct hisi_acc_vf *vf)
{
	u64 base = (vf->base.id + 1) * MAX_QUEUES;

	return base << VFT_BASE_SHIFT | (u64)(vf->queues - 1) << VFT_NUM_SHIFT;
}

static int mailbox_command(u8 cmd, bool get)
{
	switch (cmd) {
	case MB_CMD_PAUSE_QM:
		return get ? -EINVAL : PAUSE_QM;
	case QM_MB_CMD_SQC_BT:
		return get ? SQC_BT_GET : SQC_BT_SET;
	case QM_MB_CMD_CQC_BT:
		return get ? CQC_BT_GET : CQC_BT_SET;
	case QM_MB_CMD_SQC_VFT_V2:
		return get ? VFT_GET : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int execute(struct hisi_acc_vf *vf, int command, u64 *data)
{
	const char *name = commands[command];

	switch (command) {
	case PAUSE_QM:
		pause_qm(vf);
		return 0;
	case SQC_BT_GET:
		check_save(vf, name);
		*data = vf->bt[0];
		return 0;
	case CQC_BT_GET:
		check_save(vf, name);
		*data = vf->bt[1];
		return take_save(vf);
	case SQC_BT_SET:
		check_load(vf, name, *data);
		vf->bt[0] = *data;
		vf->sqc_set = true;
		return 0;
	case CQC_BT_SET:
		check_load(vf, name, *data);
		vf->bt[1] = *data;
		return take_load(vf);
	default:
		*data = vft(vf);
		return 0;
	}
}

static int use_mailbox(struct hisi_qm *qm, u8 cmd, u64 *data, u16 queue,
		       bool get)
{
	struct hisi_acc_vf *vf = vf_of_qm(qm);
	int command, ret;

	if (!vf)
		return -ENODEV;

	command = mailbox_command(cmd, get);
	if (command < 0 || queue) {
		vfio_double_violation(&vf->base,
				      "mailbox command %#x of queue %u, %s",
				      cmd, queue, get ? "get" : "set");
		return -EIO;
	}

	/* The mailbox then times out, like hardware that is gone */
	if (vfio_double_wait_released(&vf->base, command))
		return -ETIMEDOUT;

	mutex_lock(&vf->base.lock);
	vfio_double_catch_up(&vf->base);
	vf->cur = trap_is_trapped(qm->io_base) ? &vf->mig : &vf->bar;
	look(vf);
	ret = -vfio_double_fail_take(&vf->base, command);
	if (!ret)
		ret = execute(vf, command, data);
	ret = ret ?: -vfio_double_fail_late(&vf->base, command);
	if (get) {
		/* 6.12's driver reads the answer from here */
		writel(lower_32_bits(*data),
		       vf->cur->base + QM_MB_CMD_DATA_ADDR_L);
		writel(upper_32_bits(*data),
		       vf->cur->base + QM_MB_CMD_DATA_ADDR_H);
	}
	if (command == PAUSE_QM)
		vfio_double_journal(&vf->base, command, ret, "registers=%s",
				    place(vf));
	else
		vfio_double_journal(&vf->base, command, ret, "data=%#llx",
				    *data);
	mutex_unlock(&vf->base.lock);
	vfio_double_wait_told(&vf->base, command);
	return ret;
}

int hisi_qm_mb(struct hisi_qm *qm, u8 cmd, dma_addr_t dma_addr, u16 queue,
	       bool op)
{
	u64 data = dma_addr;

	return use_mailbox(qm, cmd, &data, queue, op);
}
EXPORT_SYMBOL_GPL(hisi_qm_mb);

int hisi_qm_mb_read(struct hisi_qm *qm, u64 *base, u8 cmd, u16 queue)
{
	u64 data = 0;
	int ret;

	ret = use_mailbox(qm, cmd, &data, queue, true);
	if (!ret)
		*base = data;
	return ret;
}
EXPORT_SYMBOL_GPL(hisi_qm_mb_read);

int hisi_qm_wait_mb_ready(struct hisi_qm *qm)
{
	struct hisi_acc_vf *vf = vf_of_qm(qm);
	int ret;

	if (!vf)
		return -ENODEV;

	if (vfio_double_wait_released(&vf->base, MB_READY))
		return -ETIMEDOUT;

	mutex_lock(&vf->base.lock);
	vfio_double_catch_up(&vf->base);
	ret = -vfio_double_fail_take(&vf->base, MB_READY);
	vf->mb_ready = !ret;
	vfio_double_journal(&vf->base, MB_READY, ret, "registers=%s", place(vf));
	mutex_unlock(&vf->base.lock);
	vfio_double_wait_told(&vf->base, MB_READY);
	return ret;
}
EXPORT_SYMBOL_GPL(hisi_qm_wait_mb_ready);

/* The vendor's driver, in a system where the PF has another one */
static struct pci_driver not_the_pfs;
static bool vendors_pf = true;		/* of the VF that was bound last */

static struct pci_driver *vendors_driver(void)
{
	return READ_ONCE(vendors_pf) ? &hisi_acc_double.pci_driver :
				       &not_the_pfs;
}

/*
 * The driver requests the PF's driver for the kind of adapter. Only if the PF is
 * bound to it does the driver use the PF's drvdata as its QM.
 */
struct pci_driver *hisi_sec_get_pf_driver(void)
{
	return vendors_driver();
}
EXPORT_SYMBOL_GPL(hisi_sec_get_pf_driver);

struct pci_driver *hisi_hpre_get_pf_driver(void)
{
	return vendors_driver();
}
EXPORT_SYMBOL_GPL(hisi_hpre_get_pf_driver);

struct pci_driver *hisi_zip_get_pf_driver(void)
{
	return vendors_driver();
}
EXPORT_SYMBOL_GPL(hisi_zip_get_pf_driver);

/* Registers of the PF, trapped */

static bool in_migration_region(u32 off, unsigned int size)
{
	/* The doorbell of event queues is after the VF's region */
	return off >= PF_MIG_REGION &&
	       off + size <= PF_MIG_REGION + (MAX_VFS + 2) * PF_MIG_REGION_SIZE;
}

static bool migration_region(struct hisi_acc_pf *pf)
{
	int i;

	for (i = 0; i < MAX_VFS; i++)
		if (pf->vfs[i] && vfio_double_has(&pf->vfs[i]->base,
						  PF_MIGRATION_REGION))
			return true;
	return false;
}

static u32 vft_ready(struct hisi_acc_pf *pf)
{
	ktime_t now = ktime_get();

	if (pf->vft_failing &&
	    ktime_ms_delta(now, pf->vft_last_look) > VFT_FAIL_MS) {
		pf->vft_failing = false;
		writel(1, pf->mem + PF_VFT_CFG_RDY);
	}
	pf->vft_last_look = now;
	return readl(pf->mem + PF_VFT_CFG_RDY);
}

static u32 core_status(struct hisi_acc_pf *pf, u32 off)
{
	u32 status = 0;
	int i;

	for (i = 0; i < MAX_VFS; i++)
		if (pf->vfs[i] && pf->vfs[i]->adapter->status_reg == off)
			status |= pf->vfs[i]->core_status;
	return status;
}

static u32 ras_status(struct hisi_acc_pf *pf)
{
	u32 status = 0;
	int i;

	for (i = 0; i < MAX_VFS; i++)
		if (pf->vfs[i])
			status |= pf->vfs[i]->ras_status;
	return status;
}

static u64 pf_read(struct trap_window *trap, u32 off, unsigned int size)
{
	struct hisi_acc_pf *pf = container_of(trap, struct hisi_acc_pf, trap);
	u64 value = 0;

	spin_lock(&pf->lock);
	if (in_migration_region(off, size)) {
		value = size == 8 ? readq(pf->mem + off) : readl(pf->mem + off);
		goto out;
	}

	switch (off) {
	case PF_QUE_ISO_CFG:
	case PF_VFT_CFG_DATA_L:
	case PF_VFT_CFG_DATA_H:
		value = readl(pf->mem + off);
		break;
	case PF_VFT_CFG_RDY:
		value = vft_ready(pf);
		break;
	case PF_RAS_STATUS:
		value = ras_status(pf);
		break;
	case PF_SEC_STATUS:
	case PF_HPRE_STATUS:
	case PF_ZIP_STATUS:
		value = core_status(pf, off);
		break;
	case QM_MIG_REGION_SEL:
		/* The driver reads it when it opens a VF, before the version */
		value = migration_region(pf) ? QM_MIG_REGION_EN : 0;
		pf->qm.ver = value ? HW_V4 : QM_HW_V3;
		break;
	default:
		pf_violation(pf, "read of the PF's register %#x", off);
	}
out:
	spin_unlock(&pf->lock);
	return value;
}

static void pf_vft_get(struct hisi_acc_pf *pf)
{
	u32 id = readl(pf->mem + PF_VFT_CFG);
	struct hisi_acc_vf *vf;
	unsigned int status;
	u64 data = 0;

	if (readl(pf->mem + PF_VFT_CFG_OP_WR) != 1 ||
	    readl(pf->mem + PF_VFT_CFG_TYPE))
		pf_violation(pf, "VFT operation other than a read of SQC");
	if (readl(pf->mem + PF_VFT_CFG_RDY))
		pf_violation(pf, "VFT ready bit not cleared before use");

	/* 0 is the PF itself */
	vf = id && id <= MAX_VFS ? pf->vfs[id - 1] : NULL;
	if (!vf) {
		pf_violation(pf, "VFT of function %u, which isn't there", id);
		return;
	}

	status = vfio_double_fail_take(&vf->base, PF_VFT_GET);
	if (!status)
		data = vft(vf);
	else
		pf->vft_failing = true;
	writel(lower_32_bits(data), pf->mem + PF_VFT_CFG_DATA_L);
	writel(upper_32_bits(data), pf->mem + PF_VFT_CFG_DATA_H);
	writel(!status, pf->mem + PF_VFT_CFG_RDY);
	add_event(pf, false, id - 1, status, "vf=%u data=%#llx", id, data);
}

static void pf_write(struct trap_window *trap, u32 off, u64 value,
		     unsigned int size)
{
	struct hisi_acc_pf *pf = container_of(trap, struct hisi_acc_pf, trap);

	spin_lock(&pf->lock);
	if (in_migration_region(off, size)) {
		if (size == 8)
			writeq(value, pf->mem + off);
		else
			writel(value, pf->mem + off);
		goto out;
	}

	switch (off) {
	case PF_VFT_CFG_OP_WR:
	case PF_VFT_CFG_TYPE:
	case PF_VFT_CFG:
	case PF_VFT_CFG_RDY:
		writel(value, pf->mem + off);
		break;
	case PF_VFT_CFG_OP_ENABLE:
		if (value & 1)
			pf_vft_get(pf);
		break;
	default:
		pf_violation(pf, "write of %#llx to the PF's register %#x",
			     value, off);
	}
out:
	spin_unlock(&pf->lock);
}

/* Lending memory */

static int lend(struct pci_dev *lender, struct resource *res, const char *name,
		resource_size_t size)
{
	struct resource *bar = &lender->resource[LENT_BAR];

	res->name = name;
	res->flags = bar->flags & (IORESOURCE_MEM | IORESOURCE_PREFETCH |
				   IORESOURCE_MEM_64);
	return allocate_resource(bar, res, size, bar->start, bar->end, size,
				 NULL, NULL);
}

static void give_back(struct resource *res)
{
	release_resource(res);
	memset(res, 0, sizeof(*res));
}

static struct pci_dev *find_lender(struct resource *window, const char *name)
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev) {
		if (pdev->vendor != PCI_VENDOR_ID_REDHAT_QUMRANET ||
		    pdev->device != PCI_DEVICE_ID_IVSHMEM || pdev->driver ||
		    !pci_resource_len(pdev, LENT_BAR))
			continue;
		if (!lend(pdev, window, name, TRAP_WINDOW_SIZE))
			return pdev;
		memset(window, 0, sizeof(*window));
	}
	return NULL;
}

/* Life of the PF */

static int hisi_acc_pf_probe(struct vfio_double_pf *base)
{
	struct hisi_acc_pf *pf = to_pf(base);
	struct pci_dev *pdev = base->pdev;
	int ret;

	spin_lock_init(&pf->lock);
	mutex_init(&pf->vfs_lock);
	INIT_WORK(&pf->report, report_work);

	mutex_lock(&lend_lock);
	pf->lender = find_lender(&pf->window, pci_name(pdev));
	mutex_unlock(&lend_lock);
	if (!pf->lender) {
		pci_err(pdev, "no ivshmem-plain device with 4 MiB to lend\n");
		ret = -ENXIO;
		goto err_destroy;
	}

	ret = pci_enable_device_mem(pf->lender);
	if (ret)
		goto err_give_back;

	pf->mem = ioremap(pf->window.start, resource_size(&pf->window));
	if (!pf->mem) {
		ret = -ENOMEM;
		goto err_disable;
	}
	memset_io(pf->mem, 0, TRAP_WINDOW_SIZE);
	writel(1, pf->mem + PF_VFT_CFG_RDY);

	pf->trap.read = pf_read;
	pf->trap.write = pf_write;
	pf->qm.io_base = trap_add(&pf->trap);
	if (!pf->qm.io_base) {
		ret = -ENOSPC;
		goto err_unmap;
	}
	pf->qm.pdev = pdev;
	pf->qm.fun_type = QM_HW_PF;
	pf->qm.ver = QM_HW_V3;
	pci_set_drvdata(pdev, &pf->qm);
	return 0;

err_unmap:
	iounmap(pf->mem);
err_disable:
	pci_disable_device(pf->lender);
err_give_back:
	give_back(&pf->window);
	pci_dev_put(pf->lender);
err_destroy:
	mutex_destroy(&pf->vfs_lock);
	return ret;
}

static void hisi_acc_pf_remove(struct vfio_double_pf *base)
{
	struct hisi_acc_pf *pf = to_pf(base);

	if (test_bit(QM_RESETTING, &pf->qm.misc_ctl))
		pr_err("%s: violation: a reset was begun and never finished\n",
		       pci_name(base->pdev));
	pci_set_drvdata(base->pdev, NULL);
	trap_remove(&pf->trap);
	cancel_work_sync(&pf->report);
	iounmap(pf->mem);
	pci_disable_device(pf->lender);
	give_back(&pf->window);
	pci_dev_put(pf->lender);
	mutex_destroy(&pf->vfs_lock);
}

/* Life of a VF */

static void set_adapter(struct hisi_acc_vf *vf, const struct adapter *adapter)
{
	struct hisi_acc_pf *pf = pf_of(vf);

	spin_lock(&pf->lock);
	vf->adapter = adapter;
	spin_unlock(&pf->lock);
	vf->base.pdev->vendor = PCI_VENDOR_ID_HUAWEI;
	vf->base.pdev->device = adapter->device;
}

static void set_vf(struct hisi_acc_pf *pf, int id, struct hisi_acc_vf *vf)
{
	mutex_lock(&pf->vfs_lock);
	spin_lock(&pf->lock);
	pf->vfs[id] = vf;
	spin_unlock(&pf->lock);
	mutex_unlock(&pf->vfs_lock);
}

static int hisi_acc_vf_init(struct vfio_double_vf *base)
{
	struct hisi_acc_vf *vf = to_vf(base);
	struct hisi_acc_pf *pf = pf_of(vf);
	struct pci_dev *pdev = base->pdev;
	struct resource *res = &pdev->resource[LENT_BAR];
	int ret;

	if (base->id < 0 || base->id >= MAX_VFS)
		return -ERANGE;
	/* The other half of a 64 bit BAR has no separate resource */
	if (res->flags || res[1].flags) {
		pci_err(pdev, "has a BAR 2 of its own\n");
		return -EBUSY;
	}

	mutex_lock(&lend_lock);
	ret = lend(pf->lender, res, pci_name(pdev), VF_BAR_SIZE);
	mutex_unlock(&lend_lock);
	if (ret) {
		pci_err(pdev, "nothing more to lend for BAR 2: %d\n", ret);
		memset(res, 0, sizeof(*res));
		return ret;
	}

	vf->bar.base = ioremap(res->start, VF_BAR_SIZE);
	if (!vf->bar.base) {
		give_back(res);
		return -ENOMEM;
	}
	memset_io(vf->bar.base, 0, VF_BAR_SIZE);
	vf->bar.eqc = VF_BAR_EQC;
	vf->bar.aeqc = VF_BAR_AEQC;
	vf->mig.base = pf->mem + PF_MIG_REGION +
		       (base->id + 1) * PF_MIG_REGION_SIZE;
	vf->mig.eqc = VF_MIG_EQC;
	vf->mig.aeqc = VF_MIG_AEQC;
	vf->cur = &vf->bar;
	vf->queues = DEFAULT_QUEUES;
	regs_init(&vf->bar);
	regs_init(&vf->mig);

	vf->vendor = pdev->vendor;
	vf->device = pdev->device;
	set_adapter(vf, &adapters[0]);

	set_vf(pf, base->id, vf);
	return 0;
}

static void hisi_acc_vf_release(struct vfio_double_vf *base)
{
	struct hisi_acc_vf *vf = to_vf(base);
	struct hisi_acc_pf *pf = pf_of(vf);
	struct pci_dev *pdev = base->pdev;

	report_events(pf);
	set_vf(pf, base->id, NULL);

	pdev->vendor = vf->vendor;
	pdev->device = vf->device;
	iounmap(vf->bar.base);
	give_back(&pdev->resource[LENT_BAR]);
}

/*
 * The QM runs again. Keep the state, as if the guest's driver had set it up
 * again: a test sets the state before it opens the device, and opening resets
 * the function.
 */
static void run_again(struct hisi_acc_vf *vf)
{
	struct hisi_acc_pf *pf = pf_of(vf);

	vf->base.suspended = false;
	vf->wb_status = 0;
	/* No other registers: a reset may come while the driver waits for a pause */
	regs_ready(&vf->bar);
	regs_ready(&vf->mig);

	spin_lock(&pf->lock);
	vf->ras_status = 0;
	vf->core_status = 0;
	pf->vft_failing = false;
	writel(1, pf->mem + PF_VFT_CFG_RDY);
	spin_unlock(&pf->lock);
}

static void hisi_acc_look(struct vfio_double_vf *base)
{
	look(to_vf(base));
}

static void hisi_acc_function_reset(struct vfio_double_vf *base)
{
	struct hisi_acc_vf *vf = to_vf(base);

	if (READ_ONCE(pf_of(vf)->resetting))
		vfio_double_violation(base,
				      "function reset while the PF is reset");
	run_again(vf);
}

/* As the PF's own driver, which waits until no other reset goes on */
static int control_resetting(struct hisi_acc_pf *pf, bool begin)
{
	if (begin) {
		if (test_and_set_bit(QM_RESETTING, &pf->qm.misc_ctl))
			return -EBUSY;
		WRITE_ONCE(pf->resetting, true);
	} else if (READ_ONCE(pf->resetting)) {
		WRITE_ONCE(pf->resetting, false);
		clear_bit(QM_RESETTING, &pf->qm.misc_ctl);
	}
	return 0;
}

/* A driver decides by the PF, when it is bound, if it offers migration */
static void hisi_acc_vf_binding(struct vfio_double_vf *base)
{
	struct hisi_acc_pf *pf = pf_of(to_vf(base));

	WRITE_ONCE(vendors_pf, vfio_double_has(base, VENDORS_PF));
	spin_lock(&pf->lock);
	pf->qm.ver = vfio_double_has(base, QM_V3) ? QM_HW_V3 : QM_HW_V2;
	spin_unlock(&pf->lock);
}

static void hisi_acc_vf_unbound(struct vfio_double_vf *base)
{
	struct hisi_acc_vf *vf = to_vf(base);

	mutex_lock(&base->lock);
	look(vf);
	mutex_unlock(&base->lock);
}

static void hisi_acc_reset(struct vfio_double_vf *base)
{
	struct hisi_acc_vf *vf = to_vf(base);
	struct hisi_acc_pf *pf = pf_of(vf);

	regs_init(&vf->bar);
	regs_init(&vf->mig);
	run_again(vf);
	control_resetting(pf, false);

	spin_lock(&pf->lock);
	vf->queues = DEFAULT_QUEUES;
	writel(0, pf->mem + PF_QUE_ISO_CFG);
	spin_unlock(&pf->lock);
	if (!base->pdev->driver)
		set_adapter(vf, &adapters[0]);
}

static int control_adapter(struct hisi_acc_vf *vf, const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(adapters); i++) {
		if (strcmp(adapters[i].name, name))
			continue;
		/* A bound driver has already read the kind of adapter */
		if (vf->base.pdev->driver)
			return -EBUSY;
		set_adapter(vf, &adapters[i]);
		return 0;
	}
	return -EINVAL;
}

/*
 * adapter sec|hpre|zip		before a driver is bound
 * ready 0|1			a guest's driver has set up the VF; default 1
 * queues <n>			number of queue pairs, 1 to 1024
 * isolation <n>		the PF's isolation setting, for all its VFs
 * resetting 0|1		whether the PF is being reset
 */
static int hisi_acc_control(struct vfio_double_vf *base, int argc, char **argv)
{
	struct hisi_acc_vf *vf = to_vf(base);
	struct hisi_acc_pf *pf = pf_of(vf);
	u64 number;
	int ret;

	if (!strcmp(argv[0], "reinit"))
		return -EOPNOTSUPP;
	if (argc != 2)
		return -EINVAL;
	if (!strcmp(argv[0], "adapter"))
		return control_adapter(vf, argv[1]);

	if (!strcmp(argv[0], "ready")) {
		ret = vfio_double_number(argv[1], 1, &number);
		if (ret)
			return ret;
		writel(number ? QM_READY : QM_NOT_READY,
		       vf->bar.base + QM_VF_STATE);
		writel(number ? QM_READY : QM_NOT_READY,
		       vf->mig.base + QM_VF_STATE);
		return 0;
	}
	if (!strcmp(argv[0], "resetting")) {
		ret = vfio_double_number(argv[1], 1, &number);
		return ret ?: control_resetting(pf, number);
	}
	if (!strcmp(argv[0], "queues")) {
		ret = vfio_double_number(argv[1], MAX_QUEUES, &number);
		if (!ret && !number)
			ret = -ERANGE;
		if (ret)
			return ret;
		spin_lock(&pf->lock);
		vf->queues = number;
		spin_unlock(&pf->lock);
		return 0;
	}
	if (!strcmp(argv[0], "isolation")) {
		ret = vfio_double_number(argv[1], U32_MAX, &number);
		if (ret)
			return ret;
		spin_lock(&pf->lock);
		writel(number, pf->mem + PF_QUE_ISO_CFG);
		spin_unlock(&pf->lock);
		return 0;
	}
	return -EINVAL;
}

static void hisi_acc_info(struct vfio_double_vf *base, struct seq_file *m)
{
	struct hisi_acc_vf *vf = to_vf(base);

	seq_printf(m, "adapter=%s\nready=%d\nqueues=%u\n",
		   vf->adapter->name,
		   readl(vf->cur->base + QM_VF_STATE) == QM_READY, vf->queues);
	seq_printf(m, "isolation=%#x\nregisters=%s\n",
		   readl(pf_of(vf)->mem + PF_QUE_ISO_CFG),
		   place(vf));
}

static const struct vfio_double_ops hisi_acc_ops = {
	.name = "hisi_acc",
	.vf_size = sizeof(struct hisi_acc_vf),
	.pf_size = sizeof(struct hisi_acc_pf),
	.commands = commands,
	.holdable = BIT(PAUSE_QM) | BIT(SQC_BT_GET) | BIT(CQC_BT_GET) |
		    BIT(SQC_BT_SET) | BIT(CQC_BT_SET) | BIT(VFT_GET) |
		    BIT(MB_READY),
	/* These are registers, or have no effect */
	.never_late = BIT(VFT_GET) | BIT(MB_READY) | BIT(PF_VFT_GET) |
		      BIT(CACHE_WB) | BIT(START) | BIT(RAS_STATUS) |
		      BIT(IFC_STATUS) | BIT(CORE_STATUS),
	.capabilities = capabilities,
	.default_capabilities = BIT(VENDORS_PF) | BIT(QM_V3),
	.default_state = STATE_SIZE,
	.min_state = STATE_SIZE,
	.max_state = STATE_SIZE,
	.init = trap_init,
	.exit = trap_exit,
	.pf_probe = hisi_acc_pf_probe,
	.pf_remove = hisi_acc_pf_remove,
	.vf_init = hisi_acc_vf_init,
	.vf_binding = hisi_acc_vf_binding,
	.vf_unbound = hisi_acc_vf_unbound,
	.vf_release = hisi_acc_vf_release,
	.stamp = hisi_acc_stamp,
	.control = hisi_acc_control,
	.reset = hisi_acc_reset,
	.look = hisi_acc_look,
	.function_reset = hisi_acc_function_reset,
	.info = hisi_acc_info,
};

module_vfio_double(hisi_acc_double, hisi_acc_ops);
