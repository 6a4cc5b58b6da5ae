// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device double for virtio_vfio_pci: the administration commands for device
 * parts and device mode, as an owner device executes them for its member.
 *
 * The image is one device part: a struct virtio_dev_part_hdr at offset 0, then
 * its seeded value. The firmware has no incremental save: DEV_PARTS_GET always
 * returns the whole part.
 */
#include <linux/idr.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "../common/vfio_double.h"
#include "compat.h"
#include "vfio_double_virtio.h"

/* Objects per physical function, shared by all its members */
#define VIRTIO_MAX_OBJECTS	16
#define VIRTIO_STATE_SIZE	SZ_16K
#define VIRTIO_MIN_STATE	(sizeof(struct virtio_dev_part_hdr) + 1)
/* From the range that is specific to a device type */
#define VIRTIO_PART_TYPE	0x200

#define VIRTIO_COMMANDS(row)					\
	row(VIRTIO_OBJ_CREATE, "RESOURCE_OBJ_CREATE")		\
	row(VIRTIO_OBJ_DESTROY, "RESOURCE_OBJ_DESTROY")		\
	row(VIRTIO_METADATA_GET, "DEV_PARTS_METADATA_GET")	\
	row(VIRTIO_PARTS_GET, "DEV_PARTS_GET")			\
	row(VIRTIO_PARTS_SET, "DEV_PARTS_SET")			\
	row(VIRTIO_MODE_SET, "DEV_MODE_SET")

enum virtio_command { VIRTIO_COMMANDS(VFIO_DOUBLE_NUMBER) };

static const char * const virtio_commands[] =
	VFIO_DOUBLE_NAMES(VIRTIO_COMMANDS);

#define VIRTIO_CAPABILITIES(row)		\
	row(VIRTIO_DEV_PARTS, "dev_parts")	\
	row(VIRTIO_TRUNCATION, "truncation")

enum virtio_capability { VIRTIO_CAPABILITIES(VFIO_DOUBLE_NUMBER) };

static const char * const virtio_capabilities[] =
	VFIO_DOUBLE_NAMES(VIRTIO_CAPABILITIES);

/*
 * @lost: the driver has asked for its destruction, in vain. As the vendor core,
 *	this keeps the id of an object whose destruction failed. @gone: only the id
 *	is left.
 */
struct virtio_object {
	struct list_head link;
	u32 id;
	u8 operation;
	bool lost;
	bool gone;
};

struct virtio_pf {
	struct vfio_double_pf pf;
	struct ida objects;
};

struct virtio_vf {
	struct vfio_double_vf vf;
	/* vf.lock protects the members below */
	struct list_head objects;
	u32 announced;			/* by the last DEV_PARTS_METADATA_GET */
	u32 announce;			/* by the next one, if @lie */
	bool lie;
	bool untold;			/* a DEV_MODE_SET failed after its effect */
	/* Not under vf.lock: commands in progress, see virtio_begin() */
	atomic_t busy;
};

static struct vfio_double virtio_double;

static struct virtio_vf *to_virtio_vf(struct vfio_double_vf *vf)
{
	return container_of(vf, struct virtio_vf, vf);
}

static struct ida *virtio_ida(struct vfio_double_vf *vf)
{
	return &container_of(vf->pf, struct virtio_pf, pf)->objects;
}

static const char *operation_name(u8 operation)
{
	return operation == VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_SET ? "set" :
								      "get";
}

/*
 * Common beginning of all commands: takes the function's lock, and returns the
 * error that the command has to return, or 0. "Caller must serialize access for
 * the given device", say the core's comments: so no command begins before the
 * previous one has returned.
 */
static int virtio_begin(struct vfio_double_vf *vf, enum virtio_command cmd)
{
	if (atomic_inc_return(&to_virtio_vf(vf)->busy) > 1)
		vfio_double_violation(vf, "%s beside another command",
				      virtio_commands[cmd]);
	vfio_double_wait_released(vf, cmd);
	mutex_lock(&vf->lock);
	vfio_double_catch_up(vf);
	if (!vfio_double_has(vf, VIRTIO_DEV_PARTS)) {
		vfio_double_violation(vf, "%s without device parts",
				      virtio_commands[cmd]);
		return -EOPNOTSUPP;
	}
	return -vfio_double_fail_take(vf, cmd);
}

static void virtio_end(struct vfio_double_vf *vf, enum virtio_command cmd)
{
	mutex_unlock(&vf->lock);
	vfio_double_wait_told(vf, cmd);
	atomic_dec(&to_virtio_vf(vf)->busy);
}

static struct virtio_object *
virtio_find_object(struct vfio_double_vf *vf, enum virtio_command cmd,
		   u16 type, u32 id)
{
	struct virtio_object *obj;

	if (type == VIRTIO_RESOURCE_OBJ_DEV_PARTS)
		list_for_each_entry(obj, &to_virtio_vf(vf)->objects, link)
			if (obj->id == id && !obj->gone)
				return obj;

	vfio_double_violation(vf, "%s of object type %u id %u, which isn't there",
			      virtio_commands[cmd], type, id);
	return NULL;
}

/* An object is for one direction only */
static int virtio_check_object(struct vfio_double_vf *vf,
			       enum virtio_command cmd, u16 type, u32 id,
			       u8 operation)
{
	struct virtio_object *obj = virtio_find_object(vf, cmd, type, id);

	if (!obj)
		return -EINVAL;
	if (obj->operation != operation) {
		vfio_double_violation(vf, "%s of object id %u, which is for %s",
				      virtio_commands[cmd], id,
				      operation_name(obj->operation));
		return -EINVAL;
	}
	return 0;
}

static void virtio_free_object(struct vfio_double_vf *vf,
			       struct virtio_object *obj)
{
	list_del(&obj->link);
	ida_free(virtio_ida(vf), obj->id);
	kfree(obj);
}

bool vfio_double_virtio_pci_admin_has_dev_parts(struct pci_dev *pdev)
{
	struct vfio_double_vf *vf = vfio_double_vf(&virtio_double, pdev);

	return vf && vfio_double_has(vf, VIRTIO_DEV_PARTS);
}
EXPORT_SYMBOL_GPL(vfio_double_virtio_pci_admin_has_dev_parts);

int vfio_double_virtio_pci_admin_mode_set(struct pci_dev *pdev, u8 mode)
{
	struct vfio_double_vf *vf = vfio_double_vf(&virtio_double, pdev);
	int ret;

	if (!vf)
		return -ENODEV;

	ret = virtio_begin(vf, VIRTIO_MODE_SET);
	if (!ret && (mode & ~BIT(VIRTIO_ADMIN_CMD_DEV_MODE_F_STOPPED))) {
		vfio_double_violation(vf, "DEV_MODE_SET of unknown flags %#x",
				      mode);
		ret = -EINVAL;
	}
	if (!ret)
		vf->suspended = mode & BIT(VIRTIO_ADMIN_CMD_DEV_MODE_F_STOPPED);
	if (!ret) {
		ret = -vfio_double_fail_late(vf, VIRTIO_MODE_SET);
		to_virtio_vf(vf)->untold = ret;
	}
	vfio_double_journal(vf, VIRTIO_MODE_SET, ret, "flags=%#x", mode);
	virtio_end(vf, VIRTIO_MODE_SET);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_double_virtio_pci_admin_mode_set);

static int virtio_add_object(struct vfio_double_vf *vf, u16 type, u8 operation,
			     u32 *id)
{
	struct virtio_object *obj;
	int ret;

	if (type != VIRTIO_RESOURCE_OBJ_DEV_PARTS)
		return -EOPNOTSUPP;
	if (operation != VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_GET &&
	    operation != VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_SET)
		return -EINVAL;

	obj = kzalloc_obj(*obj);
	if (!obj)
		return -ENOMEM;
	ret = ida_alloc_max(virtio_ida(vf), VIRTIO_MAX_OBJECTS - 1, GFP_KERNEL);
	if (ret < 0) {
		kfree(obj);
		return ret;
	}
	obj->id = ret;
	obj->operation = operation;
	list_add_tail(&obj->link, &to_virtio_vf(vf)->objects);
	*id = obj->id;
	return 0;
}

int vfio_double_virtio_pci_admin_obj_create(struct pci_dev *pdev, u16 obj_type,
					    u8 operation_type, u32 *obj_id)
{
	struct vfio_double_vf *vf = vfio_double_vf(&virtio_double, pdev);
	int ret;

	if (!vf)
		return -ENODEV;

	ret = virtio_begin(vf, VIRTIO_OBJ_CREATE);
	if (!ret)
		ret = virtio_add_object(vf, obj_type, operation_type, obj_id);
	if (ret)
		vfio_double_journal(vf, VIRTIO_OBJ_CREATE, ret, "operation=%s",
				    operation_name(operation_type));
	else
		vfio_double_journal(vf, VIRTIO_OBJ_CREATE, ret,
				    "operation=%s id=%u",
				    operation_name(operation_type), *obj_id);
	virtio_end(vf, VIRTIO_OBJ_CREATE);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_double_virtio_pci_admin_obj_create);

int vfio_double_virtio_pci_admin_obj_destroy(struct pci_dev *pdev, u16 obj_type,
					     u32 id)
{
	struct vfio_double_vf *vf = vfio_double_vf(&virtio_double, pdev);
	struct virtio_object *obj;
	int ret, fail;

	if (!vf)
		return -ENODEV;

	fail = virtio_begin(vf, VIRTIO_OBJ_DESTROY);
	ret = fail ?: -vfio_double_fail_late(vf, VIRTIO_OBJ_DESTROY);
	obj = virtio_find_object(vf, VIRTIO_OBJ_DESTROY, obj_type, id);
	if (!obj) {
		ret = ret ?: -EINVAL;
	} else if (ret) {
		obj->lost = true;
		obj->gone = !fail;
	} else {
		virtio_free_object(vf, obj);
	}
	vfio_double_journal(vf, VIRTIO_OBJ_DESTROY, ret, "id=%u", id);
	virtio_end(vf, VIRTIO_OBJ_DESTROY);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_double_virtio_pci_admin_obj_destroy);

int vfio_double_virtio_pci_admin_dev_parts_metadata_get(struct pci_dev *pdev,
							u16 obj_type, u32 id,
							u8 metadata_type,
							u32 *out)
{
	struct vfio_double_vf *vf = vfio_double_vf(&virtio_double, pdev);
	struct virtio_vf *vvf;
	int ret;

	if (!vf)
		return -ENODEV;

	vvf = to_virtio_vf(vf);
	ret = virtio_begin(vf, VIRTIO_METADATA_GET);
	if (!ret &&
	    metadata_type != VIRTIO_ADMIN_CMD_DEV_PARTS_METADATA_TYPE_SIZE)
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = virtio_check_object(vf, VIRTIO_METADATA_GET, obj_type, id,
					  VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_GET);
	if (!ret) {
		vvf->announced = vvf->lie ? vvf->announce : vf->state_size;
		vvf->lie = false;
		*out = vvf->announced;
	}
	ret = ret ?: -vfio_double_fail_late(vf, VIRTIO_METADATA_GET);
	vfio_double_journal(vf, VIRTIO_METADATA_GET, ret, "id=%u size=%u", id,
			    ret ? 0 : *out);
	virtio_end(vf, VIRTIO_METADATA_GET);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_double_virtio_pci_admin_dev_parts_metadata_get);

/* Bytes up to the end marker that the driver has set */
static size_t sg_bytes(struct scatterlist *sgl)
{
	struct scatterlist *sg;
	size_t bytes = 0;

	for (sg = sgl; sg; sg = sg_next(sg))
		bytes += sg->length;
	return bytes;
}

/*
 * A device "MUST NOT fail a command solely because the buffers provided are
 * shorter": it discards the rest of its result. One that does not obey has no
 * memory for the command.
 */
static int virtio_give_parts(struct vfio_double_vf *vf, struct scatterlist *sgl,
			     u32 *size)
{
	size_t room = sg_bytes(sgl);

	/* Not a violation if the state grew after METADATA_GET */
	if (room < min_t(size_t, vf->state_size, to_virtio_vf(vf)->announced))
		vfio_double_violation(vf, "DEV_PARTS_GET into %zu bytes, %u were announced",
				      room, to_virtio_vf(vf)->announced);
	if (room < vf->state_size && !vfio_double_has(vf, VIRTIO_TRUNCATION))
		return -ENOMEM;
	*size = min(room, vf->state_size);
	sg_copy_from_buffer(sgl, sg_nents(sgl), vf->state, *size);
	vf->dirty = 0;
	return 0;
}

int vfio_double_virtio_pci_admin_dev_parts_get(struct pci_dev *pdev,
					       u16 obj_type, u32 id,
					       u8 get_type,
					       struct scatterlist *res_sg,
					       u32 *res_size)
{
	struct vfio_double_vf *vf = vfio_double_vf(&virtio_double, pdev);
	int ret;

	if (!vf)
		return -ENODEV;

	ret = virtio_begin(vf, VIRTIO_PARTS_GET);
	if (!ret && get_type != VIRTIO_ADMIN_CMD_DEV_PARTS_GET_TYPE_ALL)
		ret = -EOPNOTSUPP;
	if (!ret)
		ret = virtio_check_object(vf, VIRTIO_PARTS_GET, obj_type, id,
					  VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_GET);
	if (!ret)
		ret = virtio_give_parts(vf, res_sg, res_size);
	ret = ret ?: -vfio_double_fail_late(vf, VIRTIO_PARTS_GET);
	vfio_double_journal(vf, VIRTIO_PARTS_GET, ret, "id=%u size=%u", id,
			    ret ? 0 : *res_size);
	virtio_end(vf, VIRTIO_PARTS_GET);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_double_virtio_pci_admin_dev_parts_get);

static bool parts_valid(const u8 *parts, size_t size)
{
	struct virtio_dev_part_hdr hdr;
	size_t length;

	if (!size)
		return false;
	while (size) {
		if (size < sizeof(hdr))
			return false;
		memcpy(&hdr, parts, sizeof(hdr));
		length = le32_to_cpu(hdr.length);
		if (le16_to_cpu(hdr.part_type) != VIRTIO_PART_TYPE ||
		    length > size - sizeof(hdr))
			return false;
		parts += sizeof(hdr) + length;
		size -= sizeof(hdr) + length;
	}
	return true;
}

static int virtio_take_parts(struct vfio_double_vf *vf, const u8 *data,
			     size_t size)
{
	const struct virtio_admin_cmd_resource_obj_cmd_hdr *hdr = (void *)data;
	int ret;

	if (size < sizeof(*hdr)) {
		vfio_double_violation(vf, "DEV_PARTS_SET of %zu bytes", size);
		return -EINVAL;
	}
	ret = virtio_check_object(vf, VIRTIO_PARTS_SET, le16_to_cpu(hdr->type),
				  le32_to_cpu(hdr->id),
				  VIRTIO_RESOURCE_OBJ_DEV_PARTS_TYPE_SET);
	if (ret)
		return ret;
	if (!vf->suspended && !to_virtio_vf(vf)->untold)
		vfio_double_violation(vf, "DEV_PARTS_SET while running");

	data += sizeof(*hdr);
	size -= sizeof(*hdr);
	vfio_double_loaded_begin(vf);
	ret = vfio_double_loaded_add(vf, data, size);
	if (ret)
		return ret;
	if (!parts_valid(data, size))
		return -EINVAL;
	return vfio_double_state_set(vf, data, size);
}

int vfio_double_virtio_pci_admin_dev_parts_set(struct pci_dev *pdev,
					       struct scatterlist *data_sg)
{
	struct vfio_double_vf *vf = vfio_double_vf(&virtio_double, pdev);
	size_t size = sg_bytes(data_sg);
	u8 *data;
	int ret;

	if (!vf)
		return -ENODEV;
	data = kvzalloc(size ?: 1, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	sg_copy_to_buffer(data_sg, sg_nents(data_sg), data, size);

	ret = virtio_begin(vf, VIRTIO_PARTS_SET);
	if (!ret)
		ret = virtio_take_parts(vf, data, size);
	ret = ret ?: -vfio_double_fail_late(vf, VIRTIO_PARTS_SET);
	vfio_double_journal(vf, VIRTIO_PARTS_SET, ret, "size=%zu",
			    size - min(size, sizeof(struct virtio_admin_cmd_resource_obj_cmd_hdr)));
	virtio_end(vf, VIRTIO_PARTS_SET);
	kvfree(data);
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_double_virtio_pci_admin_dev_parts_set);

static void virtio_stamp(struct vfio_double_vf *vf, u8 *state, size_t size)
{
	struct virtio_dev_part_hdr hdr = {
		.part_type = cpu_to_le16(VIRTIO_PART_TYPE),
		.length = cpu_to_le32(size - sizeof(hdr)),
	};

	memcpy(state, &hdr, sizeof(hdr));
}

/*
 * "metadata <bytes>": the next DEV_PARTS_METADATA_GET announces this size, not
 * the real one, like a device whose state changes before DEV_PARTS_GET.
 */
static int virtio_control(struct vfio_double_vf *vf, int argc, char **argv)
{
	struct virtio_vf *vvf = to_virtio_vf(vf);
	u64 bytes;
	int ret;

	if (!strcmp(argv[0], "reinit"))
		return -EOPNOTSUPP;
	if (strcmp(argv[0], "metadata"))
		return -EINVAL;
	ret = vfio_double_only_number(argc, argv, VFIO_DOUBLE_MAX_STATE,
				      &bytes);
	if (ret)
		return ret;
	vvf->announce = bytes;
	vvf->lie = true;
	return 0;
}

static void virtio_reset(struct vfio_double_vf *vf)
{
	to_virtio_vf(vf)->lie = false;
	to_virtio_vf(vf)->untold = false;
}

/* Keep the objects: they belong to the owner, and drivers destroy them */
static void virtio_function_reset(struct vfio_double_vf *vf)
{
	vf->suspended = false;
	to_virtio_vf(vf)->untold = false;
}

static void virtio_info(struct vfio_double_vf *vf, struct seq_file *m)
{
	struct virtio_object *obj;
	const char *comma = "";

	seq_puts(m, "objects=");
	list_for_each_entry(obj, &to_virtio_vf(vf)->objects, link) {
		seq_printf(m, "%s%s:%u%s", comma,
			   operation_name(obj->operation), obj->id,
			   obj->lost ? ":lost" : "");
		comma = ",";
	}
	seq_putc(m, '\n');
}

static int virtio_vf_init(struct vfio_double_vf *vf)
{
	INIT_LIST_HEAD(&to_virtio_vf(vf)->objects);
	return 0;
}

static void virtio_vf_unbound(struct vfio_double_vf *vf)
{
	struct virtio_object *obj, *next;

	mutex_lock(&vf->lock);
	list_for_each_entry(obj, &to_virtio_vf(vf)->objects, link) {
		if (obj->lost)
			continue;
		vfio_double_violation(vf, "driver unbound without RESOURCE_OBJ_DESTROY of %s id %u",
				      operation_name(obj->operation), obj->id);
	}
	list_for_each_entry_safe(obj, next, &to_virtio_vf(vf)->objects, link)
		virtio_free_object(vf, obj);
	mutex_unlock(&vf->lock);
}

static int virtio_pf_probe(struct vfio_double_pf *pf)
{
	ida_init(&container_of(pf, struct virtio_pf, pf)->objects);
	return 0;
}

static void virtio_pf_remove(struct vfio_double_pf *pf)
{
	ida_destroy(&container_of(pf, struct virtio_pf, pf)->objects);
}

static const struct vfio_double_ops virtio_ops = {
	.name = "virtio",
	.vf_size = sizeof(struct virtio_vf),
	.pf_size = sizeof(struct virtio_pf),
	.commands = virtio_commands,
	.holdable = ~0UL,
	/* The core would give the id of an object that exists to the next one */
	.never_late = BIT(VIRTIO_OBJ_CREATE),
	.capabilities = virtio_capabilities,
	.default_capabilities = BIT(VIRTIO_DEV_PARTS) | BIT(VIRTIO_TRUNCATION),
	.default_state = VIRTIO_STATE_SIZE,
	.min_state = VIRTIO_MIN_STATE,
	.dirty_base = sizeof(struct virtio_dev_part_hdr),
	.pf_probe = virtio_pf_probe,
	.pf_remove = virtio_pf_remove,
	.vf_init = virtio_vf_init,
	.vf_unbound = virtio_vf_unbound,
	.stamp = virtio_stamp,
	.control = virtio_control,
	.reset = virtio_reset,
	.function_reset = virtio_function_reset,
	.info = virtio_info,
};

module_vfio_double(virtio_double, virtio_ops);
