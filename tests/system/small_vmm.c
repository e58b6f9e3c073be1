// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM of one file for machines on which QEMU takes too long: it gives a PVH kernel memory, CPUs,
 * the chips of /dev/kvm, a little ACPI, a serial port and the port for verdicts, and nothing
 * else. It takes the options of QEMU's that tests/guests/run and the tests of Linux guests use, so
 * that it can stand in QEMU's place, and ends with the status that QEMU would end with. What it
 * does not know it refuses. It is no VMM for users (that is bv).
 */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_CPUS 16
#define HUGE_PAGE (2u << 20)
#define TABLES 0xe0000u /* ACPI's tables, where a guest looks for them */
#define START 0x6000u /* the start info and what hangs on it */
#define COMMAND_LINE 0x7000u

static struct {
	unsigned int mib, cpus;
	const char *kernel, *initrd, *append, *serial;
	bool verdict_port;
} options = { .mib = 128, .cpus = 1 };

static int kvm, vm, cpus[MAX_CPUS];
static uint8_t *memory;
static uint64_t memory_bytes, initrd_at, initrd_bytes, entry;
static size_t run_bytes;
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;

static long call(int fd, unsigned long request, unsigned long argument, const char *name)
{
	long result = ioctl(fd, request, argument);

	if (result < 0)
		err(2, "%s", name);
	return result;
}
#define CALL(fd, request, argument) call(fd, request, (unsigned long)(argument), #request)

/* ---- options, as QEMU has them ---- */

static void option_take(const char *name, const char *value)
{
	if (!strcmp(name, "-m"))
		options.mib = strtoul(value, NULL, 0);
	else if (!strcmp(name, "-smp"))
		options.cpus = strtoul(value, NULL, 0);
	else if (!strcmp(name, "-kernel"))
		options.kernel = value;
	else if (!strcmp(name, "-initrd"))
		options.initrd = value;
	else if (!strcmp(name, "-append"))
		options.append = value;
	else if (!strcmp(name, "-serial") && !strncmp(value, "file:", 5))
		options.serial = value + 5;
	else if (!strcmp(name, "-serial") && !strcmp(value, "stdio"))
		options.serial = "/dev/stdout";
	else if (!strcmp(name, "-device") && !strncmp(value, "isa-debug-exit,", 15))
		options.verdict_port = true;
	else if (strcmp(name, "-display"))
		errx(2, "option %s %s is not known here", name, value);
}

static void options_read(char **words)
{
	for (; *words; words++) {
		if (!strcmp(*words, "-nodefaults") || !strcmp(*words, "-no-reboot"))
			continue;
		if (!words[1])
			errx(2, "%s has no value", *words);
		option_take(words[0], words[1]);
		words++;
	}
	if (!options.kernel || !options.cpus || options.cpus > MAX_CPUS || options.mib < 16 ||
	    options.mib > 2048)
		errx(2, "needs -kernel, 1 to %d CPUs, 16 to 2048 MiB", MAX_CPUS);
}

/* ---- the kernel ---- */

static uint8_t *file_map(const char *path, uint64_t *bytes)
{
	int fd = open(path, O_RDONLY);
	struct stat stat;
	uint8_t *file;

	if (fd < 0 || fstat(fd, &stat))
		err(2, "%s", path);
	*bytes = stat.st_size;
	file = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		err(2, "%s", path);
	close(fd);
	return file;
}

static uint8_t *guest(uint64_t at, uint64_t bytes)
{
	if (at > memory_bytes || bytes > memory_bytes - at)
		errx(2, "the guest has no memory at %#lx", (unsigned long)at);
	return memory + at;
}

static void note_read(const uint8_t *note, uint64_t bytes)
{
	const uint8_t *end = note + bytes;

	while (note + sizeof(Elf64_Nhdr) <= end) {
		const Elf64_Nhdr *head = (const void *)note;
		const uint8_t *name = note + sizeof(*head);
		const uint8_t *data = name + ((head->n_namesz + 3) & ~3u);

		if (head->n_type == 18 && head->n_namesz == 4 && !memcmp(name, "Xen", 4))
			entry = *(const uint32_t *)data;
		note = data + ((head->n_descsz + 3) & ~3u);
	}
}

static uint64_t kernel_load(void)
{
	uint64_t bytes, end = 0;
	const uint8_t *file = file_map(options.kernel, &bytes);
	const Elf64_Ehdr *elf = (const void *)file;
	const Elf64_Phdr *segment = (const void *)(file + elf->e_phoff);

	if (memcmp(elf->e_ident, ELFMAG, SELFMAG))
		errx(2, "%s is no ELF file", options.kernel);
	for (unsigned int i = 0; i < elf->e_phnum; i++, segment++) {
		if (segment->p_type == PT_NOTE)
			note_read(file + segment->p_offset, segment->p_filesz);
		if (segment->p_type != PT_LOAD)
			continue;
		memcpy(guest(segment->p_paddr, segment->p_memsz), file + segment->p_offset,
		       segment->p_filesz);
		if (segment->p_paddr + segment->p_memsz > end)
			end = segment->p_paddr + segment->p_memsz;
	}
	if (!entry)
		errx(2, "%s has no PVH entry", options.kernel);
	return end;
}

static void initrd_load(uint64_t after)
{
	const uint8_t *file = file_map(options.initrd, &initrd_bytes);

	initrd_at = (memory_bytes - initrd_bytes) & ~0xfffull;
	if (initrd_at < after)
		errx(2, "the initramfs does not fit");
	memcpy(guest(initrd_at, initrd_bytes), file, initrd_bytes);
}

/* Xen's public header arch-x86/hvm/start_info.h */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

static void start_info_write(void)
{
	struct start_info *info = (void *)guest(START, 4096);
	uint64_t *module = (uint64_t *)guest(START + 0x100, 32);
	struct {
		uint64_t at, bytes;
		uint32_t type, reserved;
	} map[] = {
		{ 0, 0xa0000, 1, 0 },
		{ TABLES, 0x20000, 2, 0 },
		{ 0x100000, memory_bytes - 0x100000, 1, 0 },
	};

	*info = (struct start_info){ .magic = 0x336ec578,
				     .version = 1,
				     .nr_modules = initrd_bytes != 0,
				     .modlist = START + 0x100,
				     .cmdline = COMMAND_LINE,
				     .rsdp = TABLES,
				     .memmap = START + 0x200,
				     .memmap_entries = 3 };
	module[0] = initrd_at;
	module[1] = initrd_bytes;
	memcpy(guest(START + 0x200, sizeof(map)), map, sizeof(map));
	if (options.append)
		strncpy((char *)guest(COMMAND_LINE, 2048), options.append, 2047);
}

/* ---- ACPI: RSDP, RSDT, MADT, a FADT with the registers that Linux insists on, _S5 ---- */

static void checksum(uint8_t *table, size_t bytes, size_t at)
{
	uint8_t sum = 0;

	table[at] = 0;
	for (size_t i = 0; i < bytes; i++)
		sum += table[i];
	table[at] = -sum;
}

static void table_end(uint8_t *table, const char *signature, uint8_t revision, uint32_t bytes)
{
	memcpy(table, signature, 4);
	memcpy(table + 4, &bytes, 4);
	table[8] = revision;
	memcpy(table + 10, "BIVISRSMALLVMM ", 14);
	checksum(table, bytes, 9);
}

#define PM_EVENT 0x600u
#define PM_CONTROL 0x604u
#define PM_TIMER 0x608u
#define PM_SCI_ENABLED 1u
#define PM_SLEEP (1u << 13)

/* As in the ACPI specification, 5.2.9. */
static void fadt_write(uint8_t *fadt, uint32_t dsdt)
{
	uint32_t ports[] = { PM_EVENT, 0, PM_CONTROL, 0, 0, PM_TIMER };

	memcpy(fadt + 40, &dsdt, 4);
	fadt[46] = 9; /* SCI */
	memcpy(fadt + 56, ports, sizeof(ports));
	fadt[88] = 4; /* bytes of these blocks */
	fadt[89] = 2;
	fadt[91] = 4;
	fadt[109] = 1 | 1 << 2 | 1 << 5; /* legacy devices; no VGA, no clock */
	table_end(fadt, "FACP", 3, 244);
}

/* Name (_S5, Package { 5, 5, 0, 0 }): how to turn the machine off. */
static void dsdt_write(uint8_t *dsdt)
{
	static const uint8_t s5[] = { 0x08, '_',  'S', '5',  '_', 0x12, 0x08,
				      0x04, 0x0a, 5,   0x0a, 5,	  0x00, 0x00 };

	memcpy(dsdt + 36, s5, sizeof(s5));
	table_end(dsdt, "DSDT", 2, 36 + sizeof(s5));
}

static uint32_t madt_write(uint8_t *madt)
{
	uint32_t apic = 0xfee00000, ioapic = 0xfec00000, gsi = 2, at = 44;

	memcpy(madt + 36, &apic, 4);
	madt[40] = 1;
	for (unsigned int i = 0; i < options.cpus; i++, at += 8)
		memcpy(madt + at, (uint8_t[]){ 0, 8, i, i, 1, 0, 0, 0 }, 8);
	memcpy(madt + at, (uint8_t[]){ 1, 12, 0, 0 }, 4);
	memcpy(madt + at + 4, &ioapic, 4);
	at += 12;
	/* The 8254 is at pin 2. */
	memcpy(madt + at, (uint8_t[]){ 2, 10, 0, 0 }, 4);
	memcpy(madt + at + 4, &gsi, 4);
	at += 10;
	table_end(madt, "APIC", 3, at);
	return at;
}

static void acpi_write(void)
{
	uint8_t *at = guest(TABLES, 0x1000);
	uint32_t rsdt = TABLES + 0x40, madt = TABLES + 0x100, fadt = TABLES + 0x400,
		 dsdt = TABLES + 0x600;

	memcpy(at, "RSD PTR ", 8);
	memcpy(at + 9, "BIVISR", 6);
	memcpy(at + 16, &rsdt, 4);
	checksum(at, 20, 8);
	madt_write(at + 0x100);
	fadt_write(at + 0x400, dsdt);
	dsdt_write(at + 0x600);
	memcpy(at + 0x40 + 36, &madt, 4);
	memcpy(at + 0x40 + 40, &fadt, 4);
	table_end(at + 0x40, "RSDT", 1, 44);
}

/* ---- devices: a serial port, PCI's address port with nothing behind it ---- */

static struct {
	int fd;
	uint8_t ier, lcr, mcr, scratch, divisor[2];
	bool empty_told;
} serial = { .fd = -1 };
static uint32_t pci_address;

static void serial_line(void)
{
	struct kvm_irq_level level = { .irq = 4, .level = serial.ier & 2 && !serial.empty_told };

	CALL(vm, KVM_IRQ_LINE, &level);
}

static void serial_write(unsigned int reg, uint8_t value)
{
	bool divisor = serial.lcr & 0x80;

	if (reg < 2 && divisor)
		serial.divisor[reg] = value;
	else if (reg == 0 && !(serial.mcr & 0x10)) {
		serial.empty_told = false;
		if (serial.fd >= 0 && write(serial.fd, &value, 1) != 1)
			err(2, "%s", options.serial);
	} else if (reg == 1) {
		serial.ier = value & 0xf;
		serial.empty_told = false;
	} else if (reg == 3)
		serial.lcr = value;
	else if (reg == 4)
		serial.mcr = value & 0x1f;
	else if (reg == 7)
		serial.scratch = value;
	serial_line();
}

static uint8_t serial_modem(void)
{
	uint8_t mcr = serial.mcr;

	if (!(mcr & 0x10))
		return 0xb0;
	return (mcr & 2) << 3 | (mcr & 1) << 5 | (mcr & 4) << 4 | (mcr & 8) << 4;
}

static uint8_t serial_read(unsigned int reg)
{
	switch (reg) {
	case 0:
	case 1:
		return serial.lcr & 0x80 ? serial.divisor[reg] : reg ? serial.ier : 0;
	case 2:
		if (!(serial.ier & 2) || serial.empty_told)
			return 1;
		serial.empty_told = true;
		serial_line();
		return 2;
	case 3:
		return serial.lcr;
	case 4:
		return serial.mcr;
	case 5:
		return 0x60;
	case 6:
		return serial_modem();
	default:
		return serial.scratch;
	}
}

/* PCI: the address can be read back, and no device answers. */
static bool pci_port(uint16_t port, unsigned int bytes, bool in, uint8_t *data)
{
	if (port == 0xcf8 && bytes == 4) {
		memcpy(in ? (void *)data : &pci_address, in ? (void *)&pci_address : data, 4);
		return true;
	}
	return false;
}

/* ACPI's: no event ever comes, the timer runs at 3.579545 MHz, a sleep is the end. */
static bool pm_port(uint16_t port, bool in, uint8_t *data, unsigned int bytes)
{
	struct timespec now;
	uint32_t value = 0;

	if (port < PM_EVENT || port >= PM_TIMER + 4)
		return false;
	if (!in && port == PM_CONTROL && bytes == 2 && data[1] & PM_SLEEP >> 8)
		_exit(0);
	if (!in)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (port == PM_CONTROL)
		value = PM_SCI_ENABLED;
	else if (port == PM_TIMER)
		value = (now.tv_sec * 3579545ull + now.tv_nsec * 3579545ull / 1000000000) &
			0xffffff;
	memcpy(data, &value, bytes);
	return true;
}

static void port_item(uint16_t port, unsigned int bytes, bool in, uint8_t *data)
{
	if (!in && options.verdict_port && port >= 0xf4 && port < 0xf8)
		_exit(data[0] << 1 | 1);
	if (pci_port(port, bytes, in, data) || pm_port(port, in, data, bytes))
		return;
	if (port >= 0x3f8 && port < 0x400) {
		for (unsigned int i = 0; i < bytes && port + i < 0x400; i++) {
			if (in)
				data[i] = serial_read(port + i - 0x3f8);
			else
				serial_write(port + i - 0x3f8, data[i]);
		}
		return;
	}
	if (in)
		memset(data, 0xff, bytes);
	/* The keyboard controller's reset, and the chipset's. */
	if (!in && ((port == 0x64 && data[0] == 0xfe) || (port == 0xcf9 && data[0] & 4)))
		_exit(0);
}

static void port_exit(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	pthread_mutex_lock(&device_lock);
	for (unsigned int i = 0; i < run->io.count; i++, data += run->io.size)
		port_item(run->io.port, run->io.size, run->io.direction == KVM_EXIT_IO_IN, data);
	pthread_mutex_unlock(&device_lock);
}

/* ---- CPUs ---- */

static void cpuid_give(int cpu, unsigned int index)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} all[MAX_CPUS];
	struct kvm_cpuid2 *list = &all[index].head;

	list->nent = 256;
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, list);
	for (unsigned int i = 0; i < list->nent; i++) {
		struct kvm_cpuid_entry2 *leaf = &list->entries[i];

		if (leaf->function == 1) {
			leaf->ebx = (leaf->ebx & 0xffff) | index << 24 | options.cpus << 16;
			/*
			 * KVM_CAP_TSC_DEADLINE_TIMER says so, not this list; and that there is a
			 * hypervisor is the VMM's to say.
			 */
			leaf->ecx |= 1u << 24 | 1u << 31;
		}
		if (leaf->function == 0xb)
			leaf->edx = index;
	}
	CALL(cpu, KVM_SET_CPUID2, list);
}

/* As QEMU has it: without, Linux does without the string instructions for memory. */
static void fast_strings_set(int cpu)
{
	static const struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} list = { { .nmsrs = 1 }, { .index = 0x1a0 /* MISC_ENABLE */, .data = 1 } };

	if (CALL(cpu, KVM_SET_MSRS, &list) != 1)
		errx(2, "MISC_ENABLE is refused");
}

/* PVH's entry: protected mode of 32 bits, flat, no paging. */
static void boot_cpu_set(int cpu)
{
	struct kvm_segment code = { 0, ~0u, 8, 11, 1, 0, 1, 1, 0, 1, 0, 0, 0 };
	struct kvm_segment data = { 0, ~0u, 16, 3, 1, 0, 1, 1, 0, 1, 0, 0, 0 };
	struct kvm_segment task = { 0, 0x67, 24, 11, 1, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct kvm_regs regs = { .rip = entry, .rbx = START, .rflags = 2 };
	struct kvm_sregs sregs;

	CALL(cpu, KVM_GET_SREGS, &sregs);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = task;
	sregs.cr0 = 0x11;
	CALL(cpu, KVM_SET_SREGS, &sregs);
	CALL(cpu, KVM_SET_REGS, &regs);
}

/* A VM's file gives the reasons for what was refused (docs/kvm-way.md); stock KVM's gives none. */
static void say_why(void)
{
	char text[8192];
	ssize_t bytes = read(vm, text, sizeof(text));

	if (bytes > 0)
		fprintf(stderr, "%.*s", (int)bytes, text);
}

static void stop(const struct kvm_run *run, int cpu)
{
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs = { 0 };

	ioctl(cpu, KVM_GET_REGS, &regs);
	ioctl(cpu, KVM_GET_SREGS, &sregs);
	fprintf(stderr,
		"KVM exit %u (%#llx): rip %#llx rsp %#llx flags %#llx cs %x:%#llx cr0 %#llx "
		"cr3 %#llx cr4 %#llx efer %#llx\n",
		run->exit_reason, run->fail_entry.hardware_entry_failure_reason, regs.rip, regs.rsp,
		regs.rflags, sregs.cs.selector, sregs.cs.base, sregs.cr0, sregs.cr3, sregs.cr4,
		sregs.efer);
	say_why();
	_exit(1);
}

static void mmio_exit(struct kvm_run *run)
{
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
}

static void cpu_run(int cpu, struct kvm_run *run)
{
	for (;;) {
		if (ioctl(cpu, KVM_RUN, 0)) {
			/* Stock KVM says EAGAIN, and no reason, when a CPU is started. */
			if (errno == EINTR || errno == EAGAIN)
				continue;
			warn("KVM_RUN");
			stop(run, cpu);
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			port_exit(run);
			break;
		case KVM_EXIT_MMIO:
			mmio_exit(run);
			break;
		case KVM_EXIT_SHUTDOWN:
		case KVM_EXIT_SYSTEM_EVENT:
			_exit(0);
		case KVM_EXIT_INTR:
			break;
		default:
			stop(run, cpu);
		}
	}
}

/* All are made before one runs: an INIT to a CPU that is not there yet would be lost. */
static void cpu_make(unsigned int index)
{
	cpus[index] = CALL(vm, KVM_CREATE_VCPU, index);
	cpuid_give(cpus[index], index);
	fast_strings_set(cpus[index]);
	if (!index)
		boot_cpu_set(cpus[index]);
}

static void *cpu_thread(void *argument)
{
	int cpu = cpus[(uintptr_t)argument];
	struct kvm_run *run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);

	if (run == MAP_FAILED)
		err(2, "the run page");
	cpu_run(cpu, run);
	return NULL;
}

/* ---- the machine ---- */

static void machine_make(void)
{
	struct kvm_userspace_memory_region region = { 0 };
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(2, "/dev/kvm");
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	run_bytes = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	memory_bytes = (uint64_t)options.mib << 20;
	memory = mmap(NULL, memory_bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(2, "%u MiB", options.mib);
	memory += -(uintptr_t)memory % HUGE_PAGE; /* so that huge pages fit */
	region.memory_size = memory_bytes;
	region.userspace_addr = (uintptr_t)memory;
	CALL(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &region);
	CALL(vm, KVM_CREATE_IRQCHIP, 0);
	CALL(vm, KVM_CREATE_PIT2, &pit);
}

int main(int count, char **words)
{
	pthread_t thread[MAX_CPUS];
	uint64_t end;

	(void)count;
	options_read(words + 1);
	if (options.serial) {
		serial.fd = open(options.serial, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (serial.fd < 0)
			err(2, "%s", options.serial);
	}
	machine_make();
	end = kernel_load();
	if (options.initrd)
		initrd_load(end);
	start_info_write();
	acpi_write();
	for (unsigned int i = 0; i < options.cpus; i++)
		cpu_make(i);
	for (unsigned int i = 0; i < options.cpus; i++)
		if (pthread_create(&thread[i], NULL, cpu_thread, (void *)(uintptr_t)i))
			errx(2, "no thread for CPU %u", i);
	pthread_join(thread[0], NULL);
	return 1;
}
