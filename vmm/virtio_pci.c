// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio over PCI (virtio 1.2, section 4.1): see virtio.h.
 *
 *	BAR 0	ports: the queues' doorbells, four apart. A port write is the cheapest exit there is
 *	BAR 1	MSI-X
 *	BAR 2	memory: common configuration at 0, ISR at 0x100, the device's at 0x200
 */
#include "vmm/snap.h"
#include "vmm/virtio.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VENDOR 0x1af4
#define DEVICE_BASE 0x1040
#define BAR_KICK 0
#define BAR_MSIX 1
#define BAR_CONFIG 2
#define KICK_STEP 4
#define COMMON_SIZE 0x40u
#define ISR_AT 0x100u
#define DEVICE_AT 0x200u
#define DEVICE_ROOM 0x100u
#define NO_VECTOR 0xffff

enum {
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_ISR = 3,
	CAP_DEVICE = 4,
	CAP_PCI = 5
};

bool virtio_is_ready(const struct virtio_dev *dev)
{
	return (dev->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
	       VIRTIO_STATUS_DRIVER_OK;
}

static void config_interrupt(struct virtio_dev *dev)
{
	if (!(dev->status & VIRTIO_STATUS_DRIVER_OK))
		return;
	if (pci_msix_enabled(&dev->pci)) {
		pci_msix_notify(&dev->pci, dev->config_vector);
		return;
	}
	dev->isr |= 3;
	pci_intx_set(&dev->pci, true);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	dev->generation++;
	config_interrupt(dev);
}

void virtio_break(struct virtio_dev *dev, const char *cause)
{
	if (dev->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	dev->status |= VIRTIO_STATUS_NEEDS_RESET;
	config_interrupt(dev);
	vm_event(dev->vm, dev->type == VIRTIO_NET ? "net-error" : "disk-error", "{s:s, s:s}", "id",
		 dev->name, "why", cause);
}

/* ---- queues -------------------------------------------------------------------------------- */

static void kick_ready(void *owner, uint32_t events)
{
	struct virtq *queue = owner;
	uint64_t count;

	(void)events;
	if (read(queue->kick.fd, &count, sizeof(count)) < 0)
		return;
	if (queue->enabled && virtio_is_ready(queue->dev) && !queue->dev->quiet)
		queue->dev->ops->kicked(queue->dev->owner, queue);
}

/* The hypervisor rings the eventfd itself, as long as the doorbells lie somewhere. */
static void map_kick(struct virtq *queue, bool on)
{
	const struct pci_bar *bar = &queue->dev->pci.bars[BAR_KICK];

	if (on == queue->kick_mapped || queue->kick.fd < 0)
		return;
	if (hv_ioeventfd(queue->dev->vm->hv, (uint16_t)(bar->address + queue->index * KICK_STEP),
			 queue->kick.fd, on) == 0)
		queue->kick_mapped = on;
}

static void map_kicks(struct virtio_dev *dev, bool on)
{
	unsigned int i;

	for (i = 0; i < dev->queues_count; i++)
		map_kick(&dev->queues[i], on && dev->queues[i].enabled);
}

static void bar_moved(void *owner, unsigned int bar, bool mapped)
{
	if (bar == BAR_KICK)
		map_kicks(owner, mapped);
}

/* All of the rings must be memory, and stay so: memory never moves. */
static void enable_queue(struct virtq *queue)
{
	const struct mem *mem = &queue->dev->vm->mem;
	size_t size = queue->size;

	queue->desc = mem_at(mem, queue->desc_gpa, 16 * size);
	queue->avail = mem_at(mem, queue->avail_gpa, 6 + 2 * size);
	queue->used = mem_at(mem, queue->used_gpa, 6 + 8 * size);
	if (!queue->desc || !queue->avail || !queue->used || (queue->desc_gpa & 15) ||
	    (queue->avail_gpa & 1) || (queue->used_gpa & 3)) {
		virtio_break(queue->dev, "a ring outside of memory");
		return;
	}
	queue->enabled = 1;
	map_kick(queue, queue->dev->pci.bars[BAR_KICK].mapped);
}

static void reset_queue(struct virtq *queue)
{
	map_kick(queue, false);
	queue->size = (uint16_t)queue->max;
	queue->vector = NO_VECTOR;
	queue->enabled = 0;
	queue->desc_gpa = queue->avail_gpa = queue->used_gpa = 0;
	queue->last_avail = queue->last_used = queue->told_used = 0;
	queue->desc = NULL;
	queue->avail = queue->used = NULL;
}

static void reset_dev(struct virtio_dev *dev)
{
	unsigned int i;

	if (dev->ops->reset && dev->status)
		dev->ops->reset(dev->owner);
	for (i = 0; i < dev->queues_count; i++)
		reset_queue(&dev->queues[i]);
	dev->chosen = 0;
	dev->features_select = dev->chosen_select = 0;
	dev->status = dev->isr = 0;
	dev->config_vector = NO_VECTOR;
	dev->queue_select = 0;
	pci_intx_set(&dev->pci, false);
}

/* ---- common configuration ------------------------------------------------------------------ */

static struct virtq *selected(struct virtio_dev *dev)
{
	return dev->queue_select < dev->queues_count ? &dev->queues[dev->queue_select] : NULL;
}

static uint32_t half(uint64_t value, uint32_t select)
{
	return select == 0 ? (uint32_t)value : select == 1 ? (uint32_t)(value >> 32) : 0;
}

static uint64_t queue_read(const struct virtq *queue, uint64_t offset)
{
	switch (offset) {
	case 24:
		return queue->size;
	case 26:
		return queue->vector;
	case 28:
		return queue->enabled;
	case 30:
		return queue->index;
	case 32:
		return queue->desc_gpa;
	case 36:
		return queue->desc_gpa >> 32;
	case 40:
		return queue->avail_gpa;
	case 44:
		return queue->avail_gpa >> 32;
	case 48:
		return queue->used_gpa;
	case 52:
		return queue->used_gpa >> 32;
	case 56:
		return queue->index;
	default:
		return 0;
	}
}

static uint64_t common_read(struct virtio_dev *dev, uint64_t offset)
{
	struct virtq *queue = selected(dev);

	switch (offset) {
	case 0:
		return dev->features_select;
	case 4:
		return half(dev->features, dev->features_select);
	case 8:
		return dev->chosen_select;
	case 12:
		return half(dev->chosen, dev->chosen_select);
	case 16:
		return dev->config_vector;
	case 18:
		return dev->queues_count;
	case 20:
		return dev->status;
	case 21:
		return dev->generation;
	case 22:
		return dev->queue_select;
	default:
		return queue ? queue_read(queue, offset) : 0;
	}
}

static void write_status(struct virtio_dev *dev, uint8_t status)
{
	bool was_ready = virtio_is_ready(dev);

	if (status == 0) {
		reset_dev(dev);
		return;
	}
	status |= dev->status & VIRTIO_STATUS_NEEDS_RESET;
	if ((status & VIRTIO_STATUS_FEATURES_OK) && !(dev->status & VIRTIO_STATUS_FEATURES_OK) &&
	    ((dev->chosen & ~dev->features) || !(dev->chosen & VIRTIO_VERSION_1)))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	dev->status = status;
	if (!was_ready && virtio_is_ready(dev) && dev->ops->ready)
		dev->ops->ready(dev->owner);
}

static void write_chosen(struct virtio_dev *dev, uint32_t value)
{
	if (dev->status & VIRTIO_STATUS_FEATURES_OK)
		return;
	if (dev->chosen_select == 0)
		dev->chosen = (dev->chosen & ~0xffffffffull) | value;
	else if (dev->chosen_select == 1)
		dev->chosen = (uint32_t)dev->chosen | (uint64_t)value << 32;
}

static uint16_t checked_vector(const struct virtio_dev *dev, uint64_t vector)
{
	return vector < dev->pci.vectors ? (uint16_t)vector : NO_VECTOR;
}

static void put_half(uint64_t *address, bool high, uint64_t value)
{
	if (high)
		*address = (uint32_t)*address | value << 32;
	else
		*address = (*address & ~0xffffffffull) | (uint32_t)value;
}

static void queue_address(struct virtq *queue, uint64_t offset, uint64_t value)
{
	bool high = offset & 4;

	if (offset < 40)
		put_half(&queue->desc_gpa, high, value);
	else if (offset < 48)
		put_half(&queue->avail_gpa, high, value);
	else
		put_half(&queue->used_gpa, high, value);
}

static void queue_write(struct virtq *queue, uint64_t offset, uint64_t value)
{
	if (offset == 26) {
		queue->vector = checked_vector(queue->dev, value);
		if (queue->dev->ops->vector_changed)
			queue->dev->ops->vector_changed(queue->dev->owner, queue->vector);
		return;
	}
	if (queue->enabled)
		return;
	if (offset == 24 && value && value <= queue->max && !(value & (value - 1)))
		queue->size = (uint16_t)value;
	else if (offset == 28 && value == 1)
		enable_queue(queue);
	else if (offset >= 32 && offset < 56)
		queue_address(queue, offset, value);
}

static void common_write(struct virtio_dev *dev, uint64_t offset, uint64_t value)
{
	struct virtq *queue = selected(dev);

	if (offset == 0)
		dev->features_select = (uint32_t)value;
	else if (offset == 8)
		dev->chosen_select = (uint32_t)value;
	else if (offset == 12)
		write_chosen(dev, (uint32_t)value);
	else if (offset == 16)
		dev->config_vector = checked_vector(dev, value);
	else if (offset == 20)
		write_status(dev, (uint8_t)value);
	else if (offset == 22)
		dev->queue_select = (uint16_t)value;
	else if (offset >= 24 && queue)
		queue_write(queue, offset, value);
}

static uint64_t isr_read(struct virtio_dev *dev)
{
	uint8_t isr = dev->isr;

	dev->isr = 0;
	pci_intx_set(&dev->pci, false);
	return isr;
}

static uint64_t config_read(void *owner, uint64_t offset, unsigned int size)
{
	struct virtio_dev *dev = owner;
	uint64_t value = 0;

	if (offset < COMMON_SIZE)
		return common_read(dev, offset);
	if (offset == ISR_AT)
		return isr_read(dev);
	if (offset < DEVICE_AT || offset - DEVICE_AT + size > dev->config_size)
		return 0;
	if (dev->ops->config_reading)
		dev->ops->config_reading(dev->owner);
	memcpy(&value, &dev->config[offset - DEVICE_AT], size);
	return value;
}

static void config_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_dev *dev = owner;

	if (offset < COMMON_SIZE) {
		common_write(dev, offset, value);
		if (size == 8 && offset >= 32)
			common_write(dev, offset + 4, value >> 32);
		return;
	}
	if (offset < DEVICE_AT || offset - DEVICE_AT + size > dev->config_size ||
	    !dev->ops->config_written)
		return;
	memcpy(&dev->config[offset - DEVICE_AT], &value, size);
	dev->ops->config_written(dev->owner, (unsigned int)(offset - DEVICE_AT), size);
}

static const struct bus_ops CONFIG_OPS = { config_read, config_write };

/* Where the hypervisor does not ring the eventfd. */
static void kick_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_dev *dev = owner;
	uint64_t index = offset / KICK_STEP;

	(void)size;
	(void)value;
	if (index < dev->queues_count && dev->queues[index].kick.fd >= 0)
		eventfd_write(dev->queues[index].kick.fd, 1);
}

static uint64_t kick_read(void *owner, uint64_t offset, unsigned int size)
{
	(void)owner;
	(void)offset;
	(void)size;
	return 0;
}

static const struct bus_ops KICK_OPS = { kick_read, kick_write };

/* ---- the way through configuration space --------------------------------------------------- */

/*
 * For drivers that do not reach BARs (section 4.1.4.9): the capability names a place in one of
 * them, and its last bytes are what is there. Some ask for it though they never use it.
 */
#define WINDOW_BAR 4
#define WINDOW_OFFSET 8
#define WINDOW_LENGTH 12
#define WINDOW_DATA 16
#define WINDOW_SIZE 20

struct window {
	const struct pci_bar *bar; /* NULL: the guest named none, or no place in it */
	uint32_t offset, length;
	uint8_t *data;
};

static struct window window_of(struct virtio_dev *dev)
{
	uint8_t *at = dev->pci.config + dev->window_at;
	struct window window = { .offset = pci_get32(at + WINDOW_OFFSET),
				 .length = pci_get32(at + WINDOW_LENGTH),
				 .data = at + WINDOW_DATA };
	unsigned int bar = at[WINDOW_BAR];

	if (window.length != 1 && window.length != 2 && window.length != 4)
		return window;
	/* An aligned place that begins in a BAR ends in it. */
	if (bar < PCI_BARS && window.offset < dev->pci.bars[bar].size &&
	    window.offset % window.length == 0)
		window.bar = &dev->pci.bars[bar];
	return window;
}

static bool is_window(const struct virtio_dev *dev, unsigned int offset, unsigned int size)
{
	return offset < dev->window_at + WINDOW_SIZE &&
	       offset + size > dev->window_at + WINDOW_DATA;
}

static void window_reading(void *owner, unsigned int offset, unsigned int size)
{
	struct virtio_dev *dev = owner;
	struct window window;
	uint64_t value;

	if (!is_window(dev, offset, size))
		return;
	window = window_of(dev);
	if (!window.bar)
		return;
	value = window.bar->ops->read(window.bar->owner, window.offset, window.length);
	memcpy(window.data, &value, window.length);
}

static void window_written(void *owner, unsigned int offset, unsigned int size)
{
	struct virtio_dev *dev = owner;
	struct window window;
	uint64_t value = 0;

	if (!is_window(dev, offset, size))
		return;
	window = window_of(dev);
	if (!window.bar)
		return;
	memcpy(&value, window.data, window.length);
	window.bar->ops->write(window.bar->owner, window.offset, window.length, value);
}

/* ---- the machine's side -------------------------------------------------------------------- */

static void device_reset(void *owner)
{
	struct virtio_dev *dev = owner;

	reset_dev(dev);
	pci_dev_reset(&dev->pci);
}

static void device_quiesce(void *owner, bool on)
{
	struct virtio_dev *dev = owner;
	unsigned int i;

	dev->quiet = on;
	if (dev->ops->quiesce)
		dev->ops->quiesce(dev->owner, on);
	for (i = 0; i < dev->queues_count && !on; i++)
		if (dev->queues[i].enabled && virtio_is_ready(dev))
			dev->ops->kicked(dev->owner, &dev->queues[i]);
}

static void queue_state(struct virtq *queue, struct snap *snap)
{
	uint16_t enabled = queue->enabled;

	snap_value(snap, &queue->size);
	snap_value(snap, &queue->vector);
	snap_value(snap, &enabled);
	snap_value(snap, &queue->desc_gpa);
	snap_value(snap, &queue->avail_gpa);
	snap_value(snap, &queue->used_gpa);
	snap_value(snap, &queue->last_avail);
	snap_value(snap, &queue->last_used);
	snap_value(snap, &queue->told_used);
	if (!snap->load)
		return;
	if (!queue->size || queue->size > queue->max || (queue->size & (queue->size - 1)))
		snap_spoil(snap, "a ring of %u entries", queue->size);
	queue->vector = checked_vector(queue->dev, queue->vector);
	if (enabled && !snap->bad)
		enable_queue(queue);
	if (enabled && !queue->enabled)
		snap_spoil(snap, "a ring outside of memory");
}

static void device_state(void *owner, struct snap *snap)
{
	struct virtio_dev *dev = owner;
	uint32_t queues = dev->queues_count, size = dev->config_size;
	unsigned int i;

	snap_value(snap, &queues);
	snap_value(snap, &size);
	if (queues != dev->queues_count || size != dev->config_size)
		snap_spoil(snap, "it is another kind of device");
	pci_dev_state(&dev->pci, snap);
	snap_value(snap, &dev->chosen);
	snap_value(snap, &dev->features_select);
	snap_value(snap, &dev->chosen_select);
	snap_value(snap, &dev->status);
	snap_value(snap, &dev->isr);
	snap_value(snap, &dev->config_vector);
	snap_value(snap, &dev->queue_select);
	snap_value(snap, &dev->generation);
	if (dev->chosen & ~dev->features)
		snap_spoil(snap, "features that this device has not (0x%llx)",
			   (unsigned long long)(dev->chosen & ~dev->features));
	dev->config_vector = checked_vector(dev, dev->config_vector);
	for (i = 0; i < dev->queues_count && !snap->bad; i++)
		queue_state(&dev->queues[i], snap);
	if (dev->ops->state && !snap->bad)
		dev->ops->state(dev->owner, snap);
	if (snap->load && !snap->bad && virtio_is_ready(dev) && dev->ops->ready)
		dev->ops->ready(dev->owner);
}

static void vector_changed(void *owner, unsigned int vector)
{
	struct virtio_dev *dev = owner;

	if (dev->ops->vector_changed)
		dev->ops->vector_changed(dev->owner, vector);
}

static void ejected(void *owner)
{
	struct virtio_dev *dev = owner;

	if (dev->ops->ejected)
		dev->ops->ejected(dev->owner);
}

static unsigned int add_capability(struct pci_dev *pci, uint8_t type, uint8_t bar, uint32_t offset,
				   uint32_t length, unsigned int size)
{
	unsigned int at = pci_capability_add(pci, 0x09, size);

	pci->config[at + 2] = (uint8_t)size;
	pci->config[at + 3] = type;
	pci->config[at + 4] = bar;
	pci_put32(pci->config + at + 8, offset);
	pci_put32(pci->config + at + 12, length);
	return at;
}

static void add_window(struct virtio_dev *dev)
{
	struct pci_dev *pci = &dev->pci;

	dev->window_at = add_capability(pci, CAP_PCI, 0, 0, 0, WINDOW_SIZE);
	memset(pci->writable + dev->window_at + WINDOW_BAR, 0xff, 1);
	memset(pci->writable + dev->window_at + WINDOW_OFFSET, 0xff, WINDOW_SIZE - WINDOW_OFFSET);
	pci->config_reading = window_reading;
	pci->config_written = window_written;
}

static uint32_t class_of(enum virtio_type type)
{
	switch (type) {
	case VIRTIO_NET:
		return 0x020000;
	case VIRTIO_BLOCK:
		return 0x010000;
	case VIRTIO_CONSOLE:
		return 0x078000;
	default:
		return 0x00ff00;
	}
}

static void init_pci(struct virtio_dev *dev)
{
	uint32_t kicks = 64;
	struct pci_dev *pci = &dev->pci;

	while (kicks < dev->queues_count * KICK_STEP)
		kicks *= 2;
	pci_dev_init(pci, VENDOR, (uint16_t)(DEVICE_BASE + dev->type), class_of(dev->type), dev);
	pci->config[PCI_REVISION] = 1;
	pci_put16(pci->config + PCI_SUBSYSTEM_VENDOR, VENDOR);
	pci_put16(pci->config + PCI_SUBSYSTEM, 0x1100);
	pci->config[PCI_IRQ_PIN] = 1;
	pci_bar_set(pci, BAR_KICK, kicks, true, &KICK_OPS, dev);
	pci_bar_set(pci, BAR_CONFIG, 4096, false, &CONFIG_OPS, dev);
	add_capability(pci, CAP_COMMON, BAR_CONFIG, 0, COMMON_SIZE, 16);
	add_capability(pci, CAP_ISR, BAR_CONFIG, ISR_AT, 1, 16);
	add_capability(pci, CAP_DEVICE, BAR_CONFIG, DEVICE_AT, DEVICE_ROOM, 16);
	pci_put32(pci->config + add_capability(pci, CAP_NOTIFY, BAR_KICK, 0, kicks, 20) + 16,
		  KICK_STEP);
	add_window(dev);
	pci_msix_add(pci, BAR_MSIX, dev->queues_count + 1);
	pci->vector_changed = vector_changed;
	pci->bar_moved = bar_moved;
	pci->ejected = ejected;
}

void virtio_init(struct virtio_dev *dev, struct vm *vm, enum virtio_type type, const char *name,
		 const struct virtio_ops *ops, void *owner, uint64_t features, unsigned int queues,
		 unsigned int queue_size)
{
	unsigned int i;

	memset(dev, 0, sizeof(*dev));
	dev->vm = vm;
	dev->ops = ops;
	dev->owner = owner;
	dev->type = type;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->features = features | VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT | VIRTIO_VERSION_1;
	dev->queues_count = queues;
	dev->config_vector = NO_VECTOR;
	for (i = 0; i < queues; i++) {
		struct virtq *queue = &dev->queues[i];

		*queue = (struct virtq){ .dev = dev,
					 .index = i,
					 .max = queue_size,
					 .size = (uint16_t)queue_size,
					 .vector = NO_VECTOR,
					 .kick = { -1, kick_ready, queue } };
	}
}

static void device_destroy(void *owner)
{
	struct virtio_dev *dev = owner;

	virtio_unplug(dev);
	if (dev->ops->destroy)
		dev->ops->destroy(dev->owner);
}

static void kicks_close(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->queues_count; i++) {
		struct loop_fd *kick = &dev->queues[i].kick;

		if (kick->fd < 0)
			continue;
		loop_remove(&dev->vm->loop, kick);
		close(kick->fd);
		kick->fd = -1;
	}
}

static bool kicks_open(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->queues_count; i++) {
		struct loop_fd *kick = &dev->queues[i].kick;

		kick->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (kick->fd < 0 || loop_add(&dev->vm->loop, kick, EPOLLIN)) {
			kicks_close(dev);
			return false;
		}
	}
	return true;
}

int virtio_plug(struct virtio_dev *dev, struct why *why)
{
	init_pci(dev);
	if (!kicks_open(dev))
		return why_set(why, "too many files are open for the device %s", dev->name);
	if (pci_plug(dev->vm->pci, &dev->pci, -1) < 0) {
		kicks_close(dev);
		return why_set(why, "no PCI slot is free for the device %s", dev->name);
	}
	dev->device = (struct vm_device){ .name = dev->name,
					  .version = 1,
					  .reset = device_reset,
					  .state = device_state,
					  .quiesce = device_quiesce,
					  .destroy = device_destroy,
					  .owner = dev };
	vm_device_add(dev->vm, &dev->device);
	return 0;
}

void virtio_unplug(struct virtio_dev *dev)
{
	if (!dev->device.name)
		return;
	reset_dev(dev);
	vm_device_remove(dev->vm, &dev->device);
	pci_unplug(&dev->pci);
	kicks_close(dev);
}

enum virtio_type virtio_slot_type(const struct vm *vm, unsigned int slot)
{
	const struct pci_dev *dev = vm->pci->slots[slot];

	if (!dev || pci_get16(dev->config + PCI_VENDOR) != VENDOR)
		return VIRTIO_NONE;
	return (enum virtio_type)(pci_get16(dev->config + PCI_DEVICE) - DEVICE_BASE);
}
