// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device double for qat_vfio_pci: intel_qat's part of a virtual function's
 * migration.
 *
 * The image is as long as the device's state (4096 bytes in the adapters), and
 * is transferred in a shared buffer, struct qat_mig_dev.state. It has two
 * sections, each with a header of 16 bytes; the other bytes are seeded:
 *
 *	0		setup: the function's constant configuration; readable
 *			while the device runs; the destination checks it before
 *			the rest arrives
 *	QAT_SETUP_SIZE	state: readable only while the device is suspended
 */
#include <linux/err.h>
#include <linux/qat/qat_mig_dev.h>
#include <linux/slab.h>

#include "../common/vfio_double.h"

#define QAT_SETUP_MAGIC		0x51415453	/* "STAQ" in the stream */
#define QAT_STATE_MAGIC		0x51415454
#define QAT_VERSION		1
#define QAT_SETUP_SIZE		512
#define QAT_STATE_SIZE		SZ_4K
/* After the shared buffer, to detect writes beyond its end */
#define QAT_CANARY_SIZE		16
#define QAT_CANARY		0xc5

struct qat_section {
	__le32 magic;
	__le16 version;
	__le16 services;
	__le32 section_size;
	__le32 image_size;
};

#define QAT_COMMANDS(row)			\
	row(QAT_CREATE, "CREATE")		\
	row(QAT_INIT, "INIT")			\
	row(QAT_OPEN, "OPEN")			\
	row(QAT_CLOSE, "CLOSE")			\
	row(QAT_RESET, "RESET")			\
	row(QAT_SUSPEND, "SUSPEND")		\
	row(QAT_RESUME, "RESUME")		\
	row(QAT_SAVE_SETUP, "SAVE_SETUP")	\
	row(QAT_SAVE_STATE, "SAVE_STATE")	\
	row(QAT_LOAD_SETUP, "LOAD_SETUP")	\
	row(QAT_LOAD_STATE, "LOAD_STATE")	\
	row(QAT_CLEANUP, "CLEANUP")		\
	row(QAT_DESTROY, "DESTROY")

enum qat_command { QAT_COMMANDS(VFIO_DOUBLE_NUMBER) };

static const char * const qat_commands[] = VFIO_DOUBLE_NAMES(QAT_COMMANDS);

/*
 * The adapter's services: a device rejects the setup section of a device with
 * services that it lacks.
 */
#define QAT_CAPABILITIES(row)		\
	row(QAT_MIGRATION, "migration")	\
	row(QAT_SYM, "sym")		\
	row(QAT_ASYM, "asym")		\
	row(QAT_DC, "dc")

enum qat_capability { QAT_CAPABILITIES(VFIO_DOUBLE_NUMBER) };

static const char * const qat_capabilities[] =
	VFIO_DOUBLE_NAMES(QAT_CAPABILITIES);

#define QAT_SERVICES	(BIT(QAT_SYM) | BIT(QAT_ASYM) | BIT(QAT_DC))

struct qat_vf {
	struct vfio_double_vf vf;
	struct list_head migs;		/* protected by vf.lock */
};

/*
 * One qat_vfmig_create(). It is freed only with its virtual function, so that
 * a driver's use after qat_vfmig_destroy() is a violation, not a crash.
 */
struct qat_mig {
	struct qat_mig_dev mdev;
	struct qat_vf *qvf;
	struct list_head link;
	bool initialized;
	bool opened;
	bool destroyed;
};

static struct vfio_double qat_double;

static struct qat_vf *to_qat_vf(struct vfio_double_vf *vf)
{
	return container_of(vf, struct qat_vf, vf);
}

static u16 qat_services(struct vfio_double_vf *vf)
{
	u16 services = 0;
	int i;

	for (i = QAT_SYM; i <= QAT_DC; i++)
		if (vfio_double_has(vf, i))
			services |= BIT(i);
	return services;
}

static void qat_stamp(struct vfio_double_vf *vf, u8 *state, size_t size)
{
	struct qat_section setup = {
		.magic = cpu_to_le32(QAT_SETUP_MAGIC),
		.version = cpu_to_le16(QAT_VERSION),
		.services = cpu_to_le16(qat_services(vf)),
		.section_size = cpu_to_le32(QAT_SETUP_SIZE),
		.image_size = cpu_to_le32(size),
	};
	struct qat_section dynamic = {
		.magic = cpu_to_le32(QAT_STATE_MAGIC),
		.version = cpu_to_le16(QAT_VERSION),
		.section_size = cpu_to_le32(size - QAT_SETUP_SIZE),
		.image_size = cpu_to_le32(size),
	};

	/*
	 * The setup section is the device's, whatever state it is in: it is
	 * read once between two resets, and must be what a later state has.
	 */
	for (size_t at = sizeof(setup); at < QAT_SETUP_SIZE; at++)
		state[at] = at;
	memcpy(state, &setup, sizeof(setup));
	memcpy(state + QAT_SETUP_SIZE, &dynamic, sizeof(dynamic));
}

static struct qat_mig *qat_live_mig(struct qat_vf *qvf)
{
	struct qat_mig *mig;

	list_for_each_entry(mig, &qvf->migs, link)
		if (!mig->destroyed)
			return mig;
	return NULL;
}

/* Drivers keep the buffer's address while the device is open */
static int qat_resized(struct vfio_double_vf *vf, size_t size)
{
	struct qat_mig *mig = qat_live_mig(to_qat_vf(vf));

	return mig && mig->opened && size != mig->mdev.state_size ? -EBUSY : 0;
}

static int qat_buffer_alloc(struct qat_mig *mig)
{
	size_t size = mig->qvf->vf.state_size;
	u8 *buffer = kvzalloc(size + QAT_CANARY_SIZE, GFP_KERNEL);

	if (!buffer)
		return -ENOMEM;
	memset(buffer + size, QAT_CANARY, QAT_CANARY_SIZE);
	mig->mdev.state = buffer;
	mig->mdev.state_size = size;
	mig->mdev.setup_size = 0;
	mig->mdev.remote_setup_size = 0;
	return 0;
}

static void qat_buffer_free(struct qat_mig *mig)
{
	struct qat_mig_dev *mdev = &mig->mdev;

	if (mdev->state &&
	    memchr_inv(mdev->state + mdev->state_size, QAT_CANARY,
		       QAT_CANARY_SIZE))
		vfio_double_violation(&mig->qvf->vf,
				      "driver wrote behind the state buffer");
	kvfree(mdev->state);
	mdev->state = NULL;
}

/*
 * Common beginning of all commands: takes the function's lock, and returns the
 * error that the command has to return, or 0. @opened: the command needs an
 * open device.
 */
static int qat_begin(struct qat_mig *mig, enum qat_command cmd, bool opened)
{
	struct vfio_double_vf *vf = &mig->qvf->vf;
	const char *name = qat_commands[cmd];

	vfio_double_wait_released(vf, cmd);
	mutex_lock(&vf->lock);
	if (mig->destroyed) {
		vfio_double_violation(vf, "%s after DESTROY", name);
		return -ENODEV;
	}
	if (opened && !mig->opened) {
		vfio_double_violation(vf, "%s while not open", name);
		return -ENODEV;
	}
	return -vfio_double_fail_take(vf, cmd);
}

static int qat_end(struct qat_mig *mig, enum qat_command cmd, int ret)
{
	struct vfio_double_vf *vf = &mig->qvf->vf;

	ret = ret ?: -vfio_double_fail_late(vf, cmd);
	vfio_double_journal(vf, cmd, ret, "vf=%d", vf->id);
	mutex_unlock(&vf->lock);
	vfio_double_wait_told(vf, cmd);
	return ret;
}

static struct qat_mig *to_mig(struct qat_mig_dev *mdev)
{
	return container_of(mdev, struct qat_mig, mdev);
}

struct qat_mig_dev *qat_vfmig_create(struct pci_dev *pdev, int vf_id)
{
	struct vfio_double_vf *vf;
	struct qat_mig *mig;
	int ret;

	vf = vfio_double_vf_by_id(&qat_double, pdev, vf_id);
	if (!vf)
		return ERR_PTR(-ENODEV);
	mig = kzalloc_obj(*mig);
	if (!mig)
		return ERR_PTR(-ENOMEM);

	vfio_double_wait_released(vf, QAT_CREATE);
	mutex_lock(&vf->lock);
	ret = -vfio_double_fail_take(vf, QAT_CREATE);
	if (!ret && !vfio_double_has(vf, QAT_MIGRATION))
		ret = -EINVAL;
	if (!ret) {
		if (qat_live_mig(to_qat_vf(vf)))
			vfio_double_violation(vf, "CREATE before DESTROY");
		mig->qvf = to_qat_vf(vf);
		mig->mdev.vf_id = vf_id;
		mig->mdev.parent_accel_dev = vf->pf;
		list_add(&mig->link, &mig->qvf->migs);
	}
	vfio_double_journal(vf, QAT_CREATE, ret, "vf=%d", vf->id);
	mutex_unlock(&vf->lock);
	vfio_double_wait_told(vf, QAT_CREATE);

	if (ret) {
		kfree(mig);
		return ERR_PTR(ret);
	}
	return &mig->mdev;
}
EXPORT_SYMBOL_GPL(qat_vfmig_create);

int qat_vfmig_init(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	int ret = qat_begin(mig, QAT_INIT, false);

	if (!ret && mig->initialized) {
		vfio_double_violation(&mig->qvf->vf, "INIT before CLEANUP");
		ret = -EINVAL;
	}
	if (!ret)
		ret = qat_buffer_alloc(mig);
	if (!ret)
		mig->initialized = true;
	return qat_end(mig, QAT_INIT, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_init);

void qat_vfmig_cleanup(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_CLEANUP, false);

	if (!mig->destroyed) {
		if (!mig->initialized)
			vfio_double_violation(vf, "CLEANUP before INIT");
		if (mig->opened)
			vfio_double_violation(vf, "CLEANUP while open");
		qat_buffer_free(mig);
		mig->initialized = false;
	}
	qat_end(mig, QAT_CLEANUP, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_cleanup);

void qat_vfmig_destroy(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_DESTROY, false);

	if (!mig->destroyed) {
		if (mig->initialized) {
			vfio_double_violation(vf, "DESTROY before CLEANUP");
			qat_buffer_free(mig);
			mig->initialized = false;
		}
		mig->destroyed = true;
	}
	qat_end(mig, QAT_DESTROY, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_destroy);

int qat_vfmig_open(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_OPEN, false);

	if (ret)
		return qat_end(mig, QAT_OPEN, ret);
	if (!mig->initialized) {
		vfio_double_violation(vf, "OPEN before INIT");
		return qat_end(mig, QAT_OPEN, -EINVAL);
	}
	if (mig->opened)
		vfio_double_violation(vf, "OPEN while open");

	/* "state" may have changed the size since INIT */
	if (mdev->state_size != vf->state_size) {
		qat_buffer_free(mig);
		ret = qat_buffer_alloc(mig);
	}
	if (!ret) {
		mdev->setup_size = 0;
		mdev->remote_setup_size = 0;
		mig->opened = true;
	}
	return qat_end(mig, QAT_OPEN, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_open);

void qat_vfmig_close(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	int ret = qat_begin(mig, QAT_CLOSE, true);

	if (!mig->destroyed) {
		mig->opened = false;
		/* The function is reset when its user closes it */
		mig->qvf->vf.suspended = false;
	}
	qat_end(mig, QAT_CLOSE, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_close);

/* Called after each reset of the function, whether it is open or not */
void qat_vfmig_reset(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	int ret = qat_begin(mig, QAT_RESET, false);

	if (!mig->destroyed) {
		mdev->setup_size = 0;
		mdev->remote_setup_size = 0;
		mig->qvf->vf.suspended = false;
	}
	qat_end(mig, QAT_RESET, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_reset);

int qat_vfmig_suspend(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_SUSPEND, true);

	/*
	 * The core stops bank by bank, also banks that are already stopped. If
	 * a bank does not drain, this fails, and earlier banks stay stopped.
	 */
	if (mig->opened && !mig->destroyed)
		vf->suspended = true;
	return qat_end(mig, QAT_SUSPEND, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_suspend);

int qat_vfmig_resume(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_RESUME, true);

	/* The core resumes only stopped banks, and always succeeds */
	if (!ret)
		vf->suspended = false;
	return qat_end(mig, QAT_RESUME, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_resume);

static void qat_copy_setup(struct qat_mig *mig)
{
	struct vfio_double_vf *vf = &mig->qvf->vf;
	struct qat_mig_dev *mdev = &mig->mdev;

	/* Read the setup section only once between two resets */
	if (mdev->setup_size)
		return;

	/* Services may have changed since the state was filled */
	qat_stamp(vf, vf->state, vf->state_size);
	memset(mdev->state, 0, mdev->state_size);
	memcpy(mdev->state, vf->state, QAT_SETUP_SIZE);
	mdev->setup_size = QAT_SETUP_SIZE;
}

int qat_vfmig_save_setup(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	int ret = qat_begin(mig, QAT_SAVE_SETUP, true);

	if (!ret)
		qat_copy_setup(mig);
	return qat_end(mig, QAT_SAVE_SETUP, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_save_setup);

int qat_vfmig_save_state(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_SAVE_STATE, true);

	if (ret)
		return qat_end(mig, QAT_SAVE_STATE, ret);
	if (!vf->suspended)
		vfio_double_violation(vf, "SAVE_STATE while running");

	qat_copy_setup(mig);
	memcpy(mdev->state + QAT_SETUP_SIZE, vf->state + QAT_SETUP_SIZE,
	       mdev->state_size - QAT_SETUP_SIZE);
	vf->dirty = 0;
	return qat_end(mig, QAT_SAVE_STATE, 0);
}
EXPORT_SYMBOL_GPL(qat_vfmig_save_state);

static int qat_check_setup(struct qat_mig *mig, size_t size)
{
	struct qat_mig_dev *mdev = &mig->mdev;
	struct qat_section setup;
	u32 setup_size;

	if (mdev->remote_setup_size)
		return 0;
	if (size < sizeof(setup))
		return -EAGAIN;

	memcpy(&setup, mdev->state, sizeof(setup));
	setup_size = le32_to_cpu(setup.section_size);
	if (setup_size < sizeof(setup) || setup_size > mdev->state_size)
		return -EINVAL;
	if (size < setup_size)
		return -EAGAIN;
	if (le32_to_cpu(setup.magic) != QAT_SETUP_MAGIC ||
	    le16_to_cpu(setup.version) != QAT_VERSION ||
	    setup_size != QAT_SETUP_SIZE ||
	    le32_to_cpu(setup.image_size) != mdev->state_size)
		return -EINVAL;

	/* Set before the comparison of services, so also if they differ */
	mdev->remote_setup_size = setup_size;
	if (le16_to_cpu(setup.services) & ~qat_services(&mig->qvf->vf))
		return -EINVAL;
	return 0;
}

int qat_vfmig_load_setup(struct qat_mig_dev *mdev, int size)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_LOAD_SETUP, true);

	if (!ret) {
		if (size < 0 || size > mdev->state_size) {
			vfio_double_violation(vf, "LOAD_SETUP of %d bytes, buffer has %u",
					      size, mdev->state_size);
			ret = -EINVAL;
		} else {
			ret = qat_check_setup(mig, size);
		}
	}
	ret = ret ?: -vfio_double_fail_late(vf, QAT_LOAD_SETUP);
	vfio_double_journal(vf, QAT_LOAD_SETUP, ret, "size=%d", size);
	mutex_unlock(&vf->lock);
	vfio_double_wait_told(vf, QAT_LOAD_SETUP);
	return ret;
}
EXPORT_SYMBOL_GPL(qat_vfmig_load_setup);

static int qat_take_state(struct qat_mig *mig)
{
	struct vfio_double_vf *vf = &mig->qvf->vf;
	struct qat_mig_dev *mdev = &mig->mdev;
	struct qat_section section;
	int ret;

	ret = qat_check_setup(mig, mdev->state_size);
	if (ret)
		return ret;
	memcpy(&section, mdev->state + mdev->remote_setup_size,
	       sizeof(section));
	if (le32_to_cpu(section.magic) != QAT_STATE_MAGIC ||
	    le16_to_cpu(section.version) != QAT_VERSION ||
	    le32_to_cpu(section.section_size) !=
	    mdev->state_size - mdev->remote_setup_size)
		return -EINVAL;

	vfio_double_loaded_begin(vf);
	ret = vfio_double_loaded_add(vf, mdev->state, mdev->state_size);
	if (ret)
		return ret;
	return vfio_double_state_set(vf, mdev->state, mdev->state_size);
}

int qat_vfmig_load_state(struct qat_mig_dev *mdev)
{
	struct qat_mig *mig = to_mig(mdev);
	struct vfio_double_vf *vf = &mig->qvf->vf;
	int ret = qat_begin(mig, QAT_LOAD_STATE, true);

	if (!ret) {
		if (!vf->suspended)
			vfio_double_violation(vf, "LOAD_STATE while running");
		ret = qat_take_state(mig);
	}
	return qat_end(mig, QAT_LOAD_STATE, ret);
}
EXPORT_SYMBOL_GPL(qat_vfmig_load_state);

static int qat_vf_init(struct vfio_double_vf *vf)
{
	INIT_LIST_HEAD(&to_qat_vf(vf)->migs);
	return 0;
}

static void qat_vf_unbound(struct vfio_double_vf *vf)
{
	struct qat_mig *mig;

	mutex_lock(&vf->lock);
	mig = qat_live_mig(to_qat_vf(vf));
	if (mig)
		vfio_double_violation(vf, "driver unbound without DESTROY%s",
				      mig->opened ? ", and while open" : "");
	mutex_unlock(&vf->lock);
}

static void qat_vf_release(struct vfio_double_vf *vf)
{
	struct qat_mig *mig, *next;

	list_for_each_entry_safe(mig, next, &to_qat_vf(vf)->migs, link) {
		qat_buffer_free(mig);
		kfree(mig);
	}
}

static void qat_info(struct vfio_double_vf *vf, struct seq_file *m)
{
	struct qat_mig *mig = qat_live_mig(to_qat_vf(vf));

	seq_printf(m, "setup=%u\nopen=%d\n", QAT_SETUP_SIZE,
		   mig && mig->opened);
}

static const struct vfio_double_ops qat_ops = {
	.name = "qat",
	.vf_size = sizeof(struct qat_vf),
	.pf_size = sizeof(struct vfio_double_pf),
	.commands = qat_commands,
	.holdable = ~0UL,
	.never_fail = BIT(QAT_CLOSE) | BIT(QAT_RESET) | BIT(QAT_RESUME) |
		      BIT(QAT_CLEANUP) | BIT(QAT_DESTROY),
	.never_late = BIT(QAT_CREATE) | BIT(QAT_INIT) | BIT(QAT_OPEN),
	.capabilities = qat_capabilities,
	.default_capabilities = BIT(QAT_MIGRATION) | QAT_SERVICES,
	.default_state = QAT_STATE_SIZE,
	.min_state = QAT_SETUP_SIZE + sizeof(struct qat_section),
	.max_state = SZ_16M,
	/* The setup section never changes */
	.dirty_base = QAT_SETUP_SIZE + sizeof(struct qat_section),
	.vf_init = qat_vf_init,
	.vf_unbound = qat_vf_unbound,
	.vf_release = qat_vf_release,
	.stamp = qat_stamp,
	.resized = qat_resized,
	.info = qat_info,
};

module_vfio_double(qat_double, qat_ops);
