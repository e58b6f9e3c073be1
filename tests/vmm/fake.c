// SPDX-License-Identifier: GPL-2.0-or-later
/* bv's machine without a hypervisor: see fake.h. */
#include "tests/vmm/fake.h"
#include "vmm/boot.h"
#include "vmm/console.h"
#include "vmm/control.h"
#include "vmm/flash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fake_told fake_told;

/* ---- the hypervisor ------------------------------------------------------------------------ */

struct hv {
	int nothing;
};

struct hv_vcpu {
	int nothing;
};

static struct hv the_hv;
static struct hv_vcpu the_vcpu;

bool hv_is_bivisor(void)
{
	return false;
}

struct hv *hv_open(struct why *why)
{
	(void)why;
	return &the_hv;
}

void hv_close(struct hv *hv)
{
	(void)hv;
}

unsigned int hv_cpus_max(struct hv *hv)
{
	(void)hv;
	return 4;
}

int hv_memory_set(struct hv *hv, unsigned int slot, uint64_t gpa, uint64_t size, void *host,
		  bool read_only)
{
	(void)hv;
	(void)slot;
	(void)gpa;
	(void)size;
	(void)host;
	(void)read_only;
	return 0;
}

void hv_irq_set(struct hv *hv, unsigned int gsi, bool level)
{
	(void)hv;
	fake_told.lines = (fake_told.lines & ~(1u << gsi)) | (uint32_t)level << gsi;
}

void hv_msi_send(struct hv *hv, uint64_t address, uint32_t data)
{
	(void)hv;
	fake_told.messages++;
	fake_told.address = address;
	fake_told.data = data;
}

int hv_msi_alloc(struct hv *hv)
{
	(void)hv;
	return HV_GSI_MSI;
}

void hv_msi_free(struct hv *hv, int gsi)
{
	(void)hv;
	(void)gsi;
}

int hv_msi_route(struct hv *hv, int gsi, uint64_t address, uint32_t data)
{
	(void)hv;
	(void)gsi;
	(void)address;
	(void)data;
	return -1;
}

int hv_irqfd(struct hv *hv, int gsi, int fd, bool on)
{
	(void)hv;
	(void)gsi;
	(void)fd;
	(void)on;
	return -1;
}

/* Doorbells come by the bus. */
int hv_ioeventfd(struct hv *hv, uint16_t port, int fd, bool on)
{
	(void)hv;
	(void)port;
	(void)fd;
	(void)on;
	return -1;
}

struct hv_vcpu *hv_vcpu_create(struct hv *hv, unsigned int id, unsigned int cpus, struct why *why)
{
	(void)hv;
	(void)id;
	(void)cpus;
	(void)why;
	return &the_vcpu;
}

void hv_vcpu_close(struct hv_vcpu *vcpu)
{
	(void)vcpu;
}

void hv_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *exit, struct why *why)
{
	(void)vcpu;
	(void)why;
	exit->kind = HV_EXIT_FAILED;
}

void hv_vcpu_finish(struct hv_vcpu *vcpu)
{
	(void)vcpu;
}

void hv_vcpu_kick(struct hv_vcpu *vcpu)
{
	(void)vcpu;
}

void hv_vcpu_unkick(struct hv_vcpu *vcpu)
{
	(void)vcpu;
}

int hv_vcpu_nmi(struct hv_vcpu *vcpu)
{
	(void)vcpu;
	return 0;
}

int hv_vcpu_start(struct hv_vcpu *vcpu, const struct hv_start *start)
{
	(void)vcpu;
	(void)start;
	return 0;
}

void hv_vcpu_cpuid_state(struct hv_vcpu *vcpu, struct snap *snap)
{
	(void)vcpu;
	(void)snap;
}

void hv_vcpu_state(struct hv_vcpu *vcpu, struct snap *snap)
{
	(void)vcpu;
	(void)snap;
}

void hv_chips_state(struct hv *hv, struct snap *snap)
{
	(void)hv;
	(void)snap;
}

int hv_vcpu_regs_get(struct hv_vcpu *vcpu, uint64_t regs[HV_REGS])
{
	(void)vcpu;
	(void)regs;
	return -1;
}

int hv_vcpu_regs_set(struct hv_vcpu *vcpu, const uint64_t regs[HV_REGS])
{
	(void)vcpu;
	(void)regs;
	return -1;
}

bool hv_vcpu_is_halted(struct hv_vcpu *vcpu)
{
	(void)vcpu;
	return false;
}

bool hv_vcpu_translate(struct hv_vcpu *vcpu, uint64_t gva, uint64_t *gpa)
{
	(void)vcpu;
	(void)gva;
	(void)gpa;
	return false;
}

int hv_vcpu_debug(struct hv_vcpu *vcpu, const struct hv_debug *debug)
{
	(void)vcpu;
	(void)debug;
	return -1;
}

/* ---- the machine --------------------------------------------------------------------------- */

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fake: %s\n", what);
	abort();
}

static struct fake *make(const char *firmware, const char *vars)
{
	static char path[64];
	struct fake *fake = calloc(1, sizeof(*fake));
	struct why why = { 0 };

	memset(&fake_told, 0, sizeof(fake_told));
	fake->disk_fd = memfd_create("disk", MFD_CLOEXEC);
	must(fake->disk_fd >= 0 && ftruncate(fake->disk_fd, FAKE_DISK) == 0, "no disk");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fake->disk_fd);
	fake->disk = (struct vmm_disk){ .path = path };
	fake->net = (struct vmm_net){ .kind = VMM_NET_USER, .restricted = true };
	fake->config = (struct vmm_config){ .name = "fake",
					    .cpus = 1,
					    .memory = FAKE_MEMORY,
					    .kernel = firmware ? NULL : "/dev/null",
					    .firmware = firmware,
					    .firmware_vars = vars,
					    .disks = &fake->disk,
					    .disks_count = 1,
					    .nets = &fake->net,
					    .nets_count = 1,
					    .console_fd = -1,
					    .console_out_fd = -1,
					    .event_fd = -1,
					    .debug_exit = true };
	vm_init(&fake->vm, &fake->config);
	must(loop_init(&fake->vm.loop) == 0, "no loop");
	fake->vm.hv = hv_open(&why);
	loop_lock(&fake->vm.loop);
	must(mem_init(&fake->vm.mem, FAKE_MEMORY, false, &why) == 0, why.text);
	must(!firmware || flash_open(&fake->vm, &why) == 0, why.text);
	must(vm_make_parts(&fake->vm, &why) == 0, why.text);
	must(cpus_init(&fake->vm.cpus, &fake->vm, &why) == 0, why.text);
	fake->vm.cpus.all[0].held = true; /* it has no thread */
	vm_reset_parts(&fake->vm);
	if (!firmware)
		pci_place_all(fake->vm.pci);
	return fake;
}

struct fake *fake_make(const char *firmware)
{
	return make(firmware, NULL);
}

static int file_of(size_t size, char *path, size_t room)
{
	int fd = memfd_create("firmware", MFD_CLOEXEC);

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "no firmware");
	snprintf(path, room, "/proc/self/fd/%d", fd);
	return fd;
}

struct fake *fake_make_firmware(size_t code_size, size_t vars_size)
{
	static char code_path[32], vars_path[32];
	int code = file_of(code_size, code_path, sizeof(code_path));
	int vars = file_of(vars_size, vars_path, sizeof(vars_path));
	struct fake *fake = make(code_path, vars_path);

	close(code);
	close(vars);
	return fake;
}

void fake_free(struct fake *fake)
{
	virtio_destroy_all(&fake->vm);
	console_destroy(fake->vm.console);
	fake->vm.console = NULL;
	flash_close(&fake->vm);
	vm_free_parts(&fake->vm);
	cpus_fini(&fake->vm.cpus);
	loop_unlock(&fake->vm.loop);
	loop_fini(&fake->vm.loop);
	mem_fini(&fake->vm.mem);
	close(fake->disk_fd);
	free(fake);
}

void fake_settle(struct fake *fake)
{
	int i;

	for (i = 0; i < 4; i++)
		loop_step(&fake->vm.loop);
}

/* ---- a driver ------------------------------------------------------------------------------ */

struct virtio_dev *fake_device(struct fake *fake, enum virtio_type type)
{
	unsigned int slot;

	for (slot = 1; slot < PCI_SLOTS; slot++)
		if (virtio_slot_type(&fake->vm, slot) == type)
			return fake->vm.pci->slots[slot]->owner;
	return NULL;
}

static uint64_t ring_at(unsigned int queue)
{
	return FAKE_RING_AT + queue * 0x10000ull;
}

static void common(struct virtio_dev *dev, unsigned int offset, unsigned int size, uint64_t value)
{
	bus_write(&dev->vm->mmio, dev->pci.bars[2].address + offset, size, value);
}

static void start_queue(struct virtio_dev *dev, unsigned int queue)
{
	common(dev, 22, 2, queue);
	common(dev, 24, 2, FAKE_RING);
	common(dev, 32, 8, ring_at(queue));
	common(dev, 40, 8, ring_at(queue) + 0x1000);
	common(dev, 48, 8, ring_at(queue) + 0x2000);
	common(dev, 28, 2, 1);
}

bool fake_start(struct virtio_dev *dev, uint64_t features)
{
	unsigned int i;

	common(dev, 20, 1, 0);
	common(dev, 20, 1, 3);
	for (i = 0; i < 2; i++) {
		common(dev, 8, 4, i);
		common(dev, 12, 4, (uint32_t)((features | VIRTIO_VERSION_1) >> 32 * i));
	}
	common(dev, 20, 1, 11);
	if (!(bus_read(&dev->vm->mmio, dev->pci.bars[2].address + 20, 1) & 8))
		return false;
	for (i = 0; i < dev->queues_count; i++) {
		memset(mem_at(&dev->vm->mem, ring_at(i), 0x10000), 0, 0x10000);
		start_queue(dev, i);
	}
	common(dev, 20, 1, 15);
	return true;
}

void fake_request(struct virtio_dev *dev, unsigned int queue, const struct fake_desc *descs,
		  unsigned int count)
{
	struct fake_desc *table = mem_at(&dev->vm->mem, ring_at(queue), 4096);
	uint16_t *avail = mem_at(&dev->vm->mem, ring_at(queue) + 0x1000, 4096);

	memcpy(table, descs, count * sizeof(*descs));
	avail[2 + avail[1] % FAKE_RING] = 0;
	avail[1]++;
	bus_write(&dev->vm->ports, dev->pci.bars[0].address + 4 * queue, 2, queue);
}

uint16_t fake_used(struct virtio_dev *dev, unsigned int queue, uint32_t *length)
{
	uint16_t *used = mem_at(&dev->vm->mem, ring_at(queue) + 0x2000, 4096);
	uint16_t last = (uint16_t)(used[1] - 1) % FAKE_RING;

	if (length)
		memcpy(length, &used[2 + 4 * last + 2], 4);
	return used[1];
}
