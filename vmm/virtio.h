/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio 1.2 over PCI: what all devices share. A device (virtio_block.c, virtio_net.c...) gives a
 * table of verbs and its features, and gets whole, checked requests.
 *
 * Split rings only. The rings and all that they point to belong to the guest, who may write to
 * them at any time: every descriptor is read once and checked once, into a struct virtq_chain, and
 * nothing is read from the ring again for that request. A guest that breaks the rules finds the
 * device broken (NEEDS_RESET) until it resets it.
 */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include "vmm/pci.h"
#include "vmm/vm.h"

#include <sys/uio.h>

enum virtio_type {
	VIRTIO_NONE = 0,
	VIRTIO_NET = 1,
	VIRTIO_BLOCK = 2,
	VIRTIO_CONSOLE = 3,
	VIRTIO_RNG = 4,
	VIRTIO_BALLOON = 5,
	VIRTIO_VSOCK = 19,
	VIRTIO_FS = 26,
};

#define VIRTIO_QUEUES_MAX 34
#define VIRTQ_SIZE 256
#define VIRTQ_IOV 132 /* a chain's buffers: 128 of data, and what frames them */

#define VIRTIO_RING_INDIRECT (1ull << 28)
#define VIRTIO_RING_EVENT (1ull << 29)
#define VIRTIO_VERSION_1 (1ull << 32)

#define VIRTIO_STATUS_DRIVER_OK 0x04
#define VIRTIO_STATUS_FEATURES_OK 0x08
#define VIRTIO_STATUS_NEEDS_RESET 0x40

struct virtio_dev;
struct virtq_desc;

/* A request: buffers that the device reads (out), then those that it writes (in). */
struct virtq_chain {
	uint16_t head;
	uint16_t out, in; /* how many of each */
	size_t out_size, in_size;
	struct iovec iov[VIRTQ_IOV];
};

struct virtq {
	struct virtio_dev *dev;
	unsigned int index;
	unsigned int max; /* entries that the device has */
	struct loop_fd kick;
	bool kick_mapped; /* by the hypervisor */
	/* What the guest set; fixed while enabled. */
	uint16_t size;
	uint16_t vector;
	uint16_t enabled;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	/* Where the rings are, if enabled. */
	struct virtq_desc *desc;
	uint16_t *avail, *used;
	/* Our places in them. */
	uint16_t last_avail;
	uint16_t last_used;
	uint16_t told_used; /* at which the guest was last looked at for an interrupt */
};

struct virtio_ops {
	void (*kicked)(void *owner, struct virtq *queue);
	void (*ready)(void *owner); /* the driver is; or NULL */
	void (*reset)(void *owner); /* forget requests; or NULL */
	void (*quiesce)(void *owner, bool on); /* no request in flight after on; or NULL */
	void (*config_reading)(void *owner); /* fill dev->config; or NULL */
	void (*config_written)(void *owner, unsigned int offset, unsigned int size); /* or NULL */
	void (*state)(void *owner, struct snap *snap); /* or NULL */
	/* A vector or a queue changed, for those that the kernel serves; or NULL. */
	void (*vector_changed)(void *owner, unsigned int vector);
	void (*ejected)(void *owner); /* or NULL: it cannot be unplugged */
	void (*destroy)(void *owner); /* at the VM's end; or NULL: its maker does */
};

struct virtio_dev {
	struct vm *vm;
	const struct virtio_ops *ops;
	void *owner;
	enum virtio_type type;
	char name[32]; /* in snapshots and messages */
	struct pci_dev pci;
	unsigned int window_at; /* the capability that leads to the BARs */
	struct vm_device device;
	bool quiet;

	uint64_t features; /* offered */
	uint64_t chosen; /* by the driver */
	uint32_t features_select, chosen_select;
	uint8_t status;
	uint8_t isr;
	uint16_t config_vector;
	uint16_t queue_select;
	uint8_t generation;

	uint8_t config[256];
	unsigned int config_size;
	unsigned int queues_count;
	struct virtq queues[VIRTIO_QUEUES_MAX];
};

/* ---- for devices --------------------------------------------------------------------------- */

/**
 * virtio_init() - The common part; then config and config_size, then virtio_plug().
 * @features: besides those of the ring and the version
 */
void virtio_init(struct virtio_dev *dev, struct vm *vm, enum virtio_type type, const char *name,
		 const struct virtio_ops *ops, void *owner, uint64_t features, unsigned int queues,
		 unsigned int queue_size);
int virtio_plug(struct virtio_dev *dev, struct why *why);
void virtio_unplug(struct virtio_dev *dev);
void virtio_config_changed(struct virtio_dev *dev);
bool virtio_is_ready(const struct virtio_dev *dev);

/* The device is broken until reset; says why in an event. */
void virtio_break(struct virtio_dev *dev, const char *cause);

/**
 * virtq_pop() - Takes the next request.
 *
 * Return: true if there was one; false also if the device broke.
 */
bool virtq_pop(struct virtq *queue, struct virtq_chain *chain);

/* Undoes the last virtq_pop() of a request that cannot be served yet. */
void virtq_unpop(struct virtq *queue);

/* Gives a request back; written: bytes put into its in buffers. */
void virtq_push(struct virtq *queue, uint16_t head, size_t written);

/* Interrupts the guest if it wants to know of what was pushed. */
void virtq_tell(struct virtq *queue);

/* Kicks are wanted; true if there is a request already. Until then kicks may be left out. */
bool virtq_wants_kicks(struct virtq *queue);
void virtq_no_kicks(struct virtq *queue);
bool virtq_has_more(const struct virtq *queue);

/* Between buffers and memory; how many bytes there were. */
size_t chain_read(const struct virtq_chain *chain, size_t offset, void *to, size_t size);
size_t chain_write(const struct virtq_chain *chain, size_t offset, const void *from, size_t size);

/* ---- for the machine ----------------------------------------------------------------------- */

int virtio_create_all(struct vm *vm, struct why *why);
void virtio_destroy_all(struct vm *vm);
/* Frees devices that the guest let go of. */
void virtio_reap(struct vm *vm);
enum virtio_type virtio_slot_type(const struct vm *vm, unsigned int slot);

#endif
