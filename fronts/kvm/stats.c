// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Binary statistics: a file that holds a header, an identity, a descriptor and then a value for
 * each number. A vCPU's file has the engine's counters; a VM's has the same names, summed over its
 * vCPUs. The file's content is computed at each read.
 */
#include "front.h"

#define NAME_BYTES 48
#define ID_BYTES 48

struct bvk_stats {
	struct bvk_vm *vm;
	struct bvk_vcpu *vcpu; /* NULL: the VM's file */
};

/* A struct kvm_stats_desc and behind it the name. */
struct descriptor {
	u64 words[(sizeof(struct kvm_stats_desc) + NAME_BYTES) / 8];
};

/* ---- values ---- */

static const char *vm_counter(struct bvk_vm *vm, unsigned int i, u64 *value)
{
	const char *name = NULL, *one_name;
	u64 one;

	*value = 0;
	for (unsigned int id = 0; id < BV_MAX_VCPUS; id++) {
		struct bvk_vcpu *vcpu = __atomic_load_n(&vm->vcpu[id], __ATOMIC_ACQUIRE);

		if (!vcpu)
			continue;
		one_name = bv_vcpu_counter(vcpu->vcpu, i, &one);
		if (!one_name)
			return NULL;
		name = one_name;
		*value += one;
	}
	return name;
}

static const char *counter(const struct bvk_stats *stats, unsigned int i, u64 *value)
{
	return stats->vcpu ? bv_vcpu_counter(stats->vcpu->vcpu, i, value) :
			     vm_counter(stats->vm, i, value);
}

static unsigned int counter_count(const struct bvk_stats *stats)
{
	unsigned int i = 0;
	u64 value;

	while (counter(stats, i, &value))
		i++;
	return i;
}

/* ---- the pieces of the file ---- */

static void copy_name(char *to, const char *from, size_t bytes)
{
	size_t i = 0;

	for (; i + 1 < bytes && from[i]; i++)
		to[i] = from[i];
	for (; i < bytes; i++)
		to[i] = 0;
}

static void make_id(const struct bvk_stats *stats, char *id)
{
	u32 number = stats->vcpu ? stats->vcpu->id : 0;
	char *digits;

	copy_name(id, stats->vcpu ? "bivisor-vcpu-00" : "bivisor-vm", ID_BYTES);
	if (!stats->vcpu)
		return;
	digits = id + sizeof("bivisor-vcpu-") - 1;
	digits[0] = (char)('0' + number / 10);
	digits[1] = (char)('0' + number % 10);
}

static void make_header(struct kvm_stats_header *header, u32 descriptors)
{
	header->flags = 0;
	header->name_size = NAME_BYTES;
	header->num_desc = descriptors;
	header->id_offset = sizeof(*header);
	header->desc_offset = header->id_offset + ID_BYTES;
	header->data_offset = header->desc_offset + descriptors * (u32)sizeof(struct descriptor);
}

static void make_descriptor(const struct bvk_stats *stats, u32 i, struct descriptor *descriptor)
{
	u64 value;
	const char *name = counter(stats, i, &value);
	struct kvm_stats_desc *head = (struct kvm_stats_desc *)descriptor->words;

	bvk_zero(descriptor, sizeof(*descriptor));
	head->flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10;
	head->size = 1;
	head->offset = i * (u32)sizeof(u64);
	copy_name((char *)(head + 1), name ? name : "", NAME_BYTES);
}

/* Copies what of a piece at file offset `at` lies in [offset, offset + bytes). Returns how much. */
static size_t give(void *to, u64 offset, size_t bytes, const void *piece, u64 at, size_t size)
{
	u64 from = offset > at ? offset : at;
	u64 end = offset + bytes < at + size ? offset + bytes : at + size;

	if (from >= end)
		return 0;
	bvk_copy((char *)to + (from - offset), (const char *)piece + (from - at), end - from);
	return end - from;
}

size_t bvk_stats_read(struct bvk_stats *stats, u64 offset, void *to, size_t bytes)
{
	u32 descriptors = counter_count(stats);
	struct kvm_stats_header header;
	struct descriptor descriptor;
	char id[ID_BYTES];
	size_t done = 0;
	u64 value;

	if (offset > 0xffffffffULL)
		return 0;
	make_header(&header, descriptors);
	make_id(stats, id);
	done += give(to, offset, bytes, &header, 0, sizeof(header));
	done += give(to, offset, bytes, id, header.id_offset, sizeof(id));
	for (u32 i = 0; i < descriptors; i++) {
		make_descriptor(stats, i, &descriptor);
		done += give(to, offset, bytes, &descriptor,
			     header.desc_offset + i * sizeof(descriptor), sizeof(descriptor));
	}
	for (u32 i = 0; i < descriptors; i++) {
		counter(stats, i, &value);
		done += give(to, offset, bytes, &value, header.data_offset + i * sizeof(value),
			     sizeof(value));
	}
	return done;
}

/* ---- the file ---- */

void bvk_stats_release(struct bvk_stats *stats)
{
	bvk_vm_put(stats->vm);
	bv_host_free(stats);
}

long bvk_get_stats_fd(struct bvk_call *call)
{
	struct bvk_stats *stats;
	struct bvk_fd fd;
	int error = bvk_host_fd_reserve(&fd, BVK_FILE_STATS, call->vcpu ? call->vcpu->id : 0);

	if (error)
		return error;
	stats = bv_host_alloc(sizeof(*stats));
	if (!stats) {
		bvk_host_fd_cancel(&fd);
		return -BV_ENOMEM;
	}
	stats->vm = call->vm;
	stats->vcpu = call->vcpu;
	bvk_vm_get(call->vm);
	bvk_host_fd_install(&fd, stats);
	return fd.number;
}
