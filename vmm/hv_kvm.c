// SPDX-License-Identifier: GPL-2.0-or-later
/* The hypervisor behind /dev/kvm: the VM, its memory, its interrupts. See hv.h. */
#include "vmm/hv_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MSRS_MAX 512

static const struct {
	int number;
	const char *name;
} NEEDED[] = {
	{ KVM_CAP_IRQCHIP, "interrupt controllers in the kernel" },
	{ KVM_CAP_USER_MEMORY, "memory slots" },
	{ KVM_CAP_SET_TSS_ADDR, "a task segment's address" },
	{ KVM_CAP_EXT_CPUID, "CPUID tables" },
	{ KVM_CAP_MP_STATE, "the run state of vCPUs" },
	{ KVM_CAP_PIT2, "the timer chip" },
	{ KVM_CAP_IRQ_ROUTING, "interrupt routes" },
	{ KVM_CAP_IRQFD, "interrupts by eventfd" },
	{ KVM_CAP_IOEVENTFD, "eventfds for ports" },
	{ KVM_CAP_SIGNAL_MSI, "messages as interrupts" },
	{ KVM_CAP_READONLY_MEM, "read-only memory" },
	{ KVM_CAP_IMMEDIATE_EXIT, "runs that end at once" },
};

bool hv_is_bivisor(void)
{
	return access("/sys/module/bivisor", F_OK) == 0;
}

static int open_refused(struct why *why)
{
	int error = errno;

	if (error == ENOENT || error == ENODEV || error == ENXIO) {
		why_set(why, "there is no /dev/kvm on this machine");
		return why_hint(why, "load bivisor, kvm_amd or kvm_intel (modprobe); in a VM, "
				     "turn nested virtualization on outside");
	}
	if (error == EACCES || error == EPERM) {
		why_set(why, "/dev/kvm may not be opened by this user");
		return why_hint(why, "join the group kvm: sudo adduser $USER kvm, and log in anew");
	}
	return why_set(why, "/dev/kvm cannot be opened: %s", strerror(error));
}

static int open_kvm(struct hv *hv, struct why *why)
{
	int version;

	hv->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (hv->kvm < 0)
		return open_refused(why);
	version = ioctl(hv->kvm, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return 0;
	errno = EPROTO;
	return why_set(why,
		       "/dev/kvm is no hypervisor that bv knows: its API version is "
		       "%d, not 12",
		       version);
}

static int check_needs(struct hv *hv, struct why *why)
{
	size_t i;

	for (i = 0; i < sizeof(NEEDED) / sizeof(NEEDED[0]); i++)
		if (ioctl(hv->kvm, KVM_CHECK_EXTENSION, NEEDED[i].number) <= 0)
			return why_set(why, "/dev/kvm lacks %s (capability %d)", NEEDED[i].name,
				       NEEDED[i].number);
	hv->xsave = ioctl(hv->kvm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE) > 0 &&
		    ioctl(hv->kvm, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
	hv->tsc_deadline = ioctl(hv->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	hv->run_size = ioctl(hv->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	return hv->run_size > 0 ? 0 : why_set(why, "/dev/kvm does not say how large a run page is");
}

static int read_tables(struct hv *hv, struct why *why)
{
	hv->cpuid = calloc(1, sizeof(*hv->cpuid) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2));
	hv->msrs = calloc(1, sizeof(*hv->msrs) + MSRS_MAX * sizeof(uint32_t));
	if (!hv->cpuid || !hv->msrs)
		return why_set(why, "no memory");
	hv->cpuid->nent = CPUID_ENTRIES;
	if (ioctl(hv->kvm, KVM_GET_SUPPORTED_CPUID, hv->cpuid))
		return why_set(why, "/dev/kvm does not say what CPUID can show: %s",
			       strerror(errno));
	hv->msrs->nmsrs = MSRS_MAX;
	if (ioctl(hv->kvm, KVM_GET_MSR_INDEX_LIST, hv->msrs))
		return why_set(why, "/dev/kvm does not say which MSRs a vCPU has: %s",
			       strerror(errno));
	return 0;
}

static int make_vm(struct hv *hv, struct why *why)
{
	uint64_t identity = HV_IDENTITY_MAP;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	do {
		hv->vm = ioctl(hv->kvm, KVM_CREATE_VM, 0);
	} while (hv->vm < 0 && errno == EINTR);
	if (hv->vm < 0)
		return why_set(why, "/dev/kvm makes no VM: %s", strerror(errno));
	if (ioctl(hv->vm, KVM_SET_TSS_ADDR, HV_TSS_ADDRESS) ||
	    (ioctl(hv->kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0 &&
	     ioctl(hv->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity)))
		return why_set(why, "the VM refuses its fixed addresses: %s", strerror(errno));
	if (ioctl(hv->vm, KVM_CREATE_IRQCHIP, 0))
		return why_set(why, "the VM gets no interrupt controllers: %s", strerror(errno));
	if (ioctl(hv->vm, KVM_CREATE_PIT2, &pit))
		return why_set(why, "the VM gets no timer chip: %s", strerror(errno));
	return 0;
}

struct hv *hv_open(struct why *why)
{
	struct hv *hv = calloc(1, sizeof(*hv));
	int error;

	if (!hv) {
		why_set(why, "no memory");
		return NULL;
	}
	hv->kvm = hv->vm = -1;
	pthread_mutex_init(&hv->routes_lock, NULL);
	if (open_kvm(hv, why) || check_needs(hv, why) || read_tables(hv, why) || make_vm(hv, why)) {
		error = errno;
		hv_close(hv);
		errno = error;
		return NULL;
	}
	return hv;
}

void hv_close(struct hv *hv)
{
	if (hv->vm >= 0)
		close(hv->vm);
	if (hv->kvm >= 0)
		close(hv->kvm);
	pthread_mutex_destroy(&hv->routes_lock);
	free(hv->cpuid);
	free(hv->msrs);
	free(hv);
}

unsigned int hv_cpus_max(struct hv *hv)
{
	int max = ioctl(hv->kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	return max > 0 ? (unsigned int)max : 4; /* the ABI's document: 4 if it does not say */
}

int hv_memory_set(struct hv *hv, unsigned int slot, uint64_t gpa, uint64_t size, void *host,
		  bool read_only)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(hv->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

void hv_irq_set(struct hv *hv, unsigned int gsi, bool level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	ioctl(hv->vm, KVM_IRQ_LINE, &irq);
}

void hv_msi_send(struct hv *hv, uint64_t address, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
	};

	ioctl(hv->vm, KVM_SIGNAL_MSI, &msi);
}

int hv_msi_alloc(struct hv *hv)
{
	int i, gsi = -1;

	pthread_mutex_lock(&hv->routes_lock);
	for (i = 0; i < HV_GSI_MAX - HV_GSI_MSI && gsi < 0; i++)
		if (!hv->routes[i].used) {
			hv->routes[i] = (struct hv_route){ .used = true };
			gsi = i + HV_GSI_MSI;
		}
	pthread_mutex_unlock(&hv->routes_lock);
	return gsi;
}

void hv_msi_free(struct hv *hv, int gsi)
{
	pthread_mutex_lock(&hv->routes_lock);
	hv->routes[gsi - HV_GSI_MSI].used = false;
	pthread_mutex_unlock(&hv->routes_lock);
}

static void route_pin(struct kvm_irq_routing *table, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* As a PC is wired: the timer, line 0, at the I/O APIC's pin 2, where no one else is. */
static void route_pins(struct kvm_irq_routing *table)
{
	uint32_t gsi;

	for (gsi = 0; gsi < 16; gsi++)
		if (gsi != 2)
			route_pin(table, gsi,
				  gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				  gsi & 7);
	for (gsi = 0; gsi < HV_GSI_MSI; gsi++)
		if (gsi != 2)
			route_pin(table, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
}

static int routes_commit(struct hv *hv)
{
	size_t size = sizeof(struct kvm_irq_routing) +
		      (HV_GSI_MAX + 16) * sizeof(struct kvm_irq_routing_entry);
	struct kvm_irq_routing *table = calloc(1, size);
	int i, error;

	if (!table)
		return -1;
	route_pins(table);
	for (i = 0; i < HV_GSI_MAX - HV_GSI_MSI; i++)
		if (hv->routes[i].used && hv->routes[i].address)
			table->entries[table->nr++] = (struct kvm_irq_routing_entry){
				.gsi = (uint32_t)(i + HV_GSI_MSI),
				.type = KVM_IRQ_ROUTING_MSI,
				.u.msi = { .address_lo = (uint32_t)hv->routes[i].address,
					   .address_hi = (uint32_t)(hv->routes[i].address >> 32),
					   .data = hv->routes[i].data },
			};
	error = ioctl(hv->vm, KVM_SET_GSI_ROUTING, table);
	free(table);
	return error;
}

int hv_msi_route(struct hv *hv, int gsi, uint64_t address, uint32_t data)
{
	struct hv_route *route = &hv->routes[gsi - HV_GSI_MSI];
	int error = 0;

	pthread_mutex_lock(&hv->routes_lock);
	if (route->address != address || route->data != data) {
		route->address = address;
		route->data = data;
		error = routes_commit(hv);
	}
	pthread_mutex_unlock(&hv->routes_lock);
	return error;
}

int hv_irqfd(struct hv *hv, int gsi, int fd, bool on)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = (uint32_t)gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(hv->vm, KVM_IRQFD, &irqfd);
}

int hv_ioeventfd(struct hv *hv, uint16_t port, int fd, bool on)
{
	struct kvm_ioeventfd event = {
		.addr = port,
		.len = 2,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_PIO | (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(hv->vm, KVM_IOEVENTFD, &event);
}
