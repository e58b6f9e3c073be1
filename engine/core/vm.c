/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* The engine as a whole, VMs, and the list of a VM's vCPUs. */
#include "core/vcpu.h"
#include "lib/format.h"
#include "x86/mitigate.h"

const struct bv_vendor *bv_vendor;

static struct {
	u64 vms_made;
	bool nesting; /* guests that run guests are wanted */
} engine;

/* In the order in which they are tried. */
static const struct bv_vendor *const vendors[] = { &bv_svm_vendor, &bv_vmx_vendor };

int bv_engine_init(void)
{
	const char *why[BV_ARRAY_SIZE(vendors)];
	int error;

	bv_why_init(bv_why_global());
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(vendors) && !bv_vendor; i++)
		if (vendors[i]->probe(&why[i]))
			bv_vendor = vendors[i];
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(vendors) && !bv_vendor; i++)
		bv_refuse(bv_why_global(), BV_ENODEV, "%s", why[i]);
	if (!bv_vendor)
		return -BV_ENODEV;
	error = bv_vendor->init();
	if (error) {
		bv_refuse(bv_why_global(), -error, "%s: no memory for its tables", bv_vendor->name);
		bv_vendor = NULL;
	}
	return error;
}

void bv_engine_fini(void)
{
	bv_vendor->fini();
	bv_vendor = NULL;
}

int bv_engine_mitigate(const char *words, bool safe_returns, char *text, size_t size)
{
	struct bv_mitigation_facts facts;
	u32 set, cannot;

	bv_mitigation_facts(&facts);
	facts.safe_returns = safe_returns;
	if (!bv_mitigations_parse(words, bv_mitigations_choose(&facts), &set))
		return bv_refuse(bv_why_global(), BV_EINVAL,
				 "mitigations \"%s\": auto, off, or names of docs/mitigations.md",
				 words);
	cannot = set & ~bv_mitigations_possible(&facts);
	bv_mitigations_say(cannot ? cannot : set, text, size);
	if (cannot)
		return bv_refuse(bv_why_global(), BV_EINVAL, "mitigations: this CPU cannot: %s",
				 text);
	bv_mitigations_set(set);
	return 0;
}

void bv_engine_nesting(bool on)
{
	engine.nesting = on;
}

bool bv_engine_nests(void)
{
	return engine.nesting && bv_vendor->nesting;
}

void bv_vm_set_nested(struct bv_vm *vm)
{
	vm->nested = bv_engine_nests();
}

int bv_engine_cpu_enable(void)
{
	return bv_vendor->cpu_enable();
}

void bv_engine_cpu_disable(void)
{
	bv_vendor->cpu_disable();
}

struct bv_vm *bv_vm_create(void *host_cookie)
{
	struct bv_vm *vm = bv_host_alloc(sizeof(*vm));

	if (!vm)
		return NULL;
	vm->serial = __atomic_add_fetch(&engine.vms_made, 1, __ATOMIC_RELAXED);
	vm->host = host_cookie;
	bv_why_init(&vm->why);
	bv_host_rwsem_init(&vm->mem_lock);
	bv_host_mutex_init(&vm->vcpu_lock);
	bv_host_spin_init(&vm->tsc_lock);
	if (bv_nest_init(&vm->nest, bv_vendor->nest))
		goto no_nest;
	vm->serves = bv_vendor->serves && bv_vendor->serves();
	vm->nest.hw_log = bv_vendor->logs_pages && bv_vendor->logs_pages();
	if (bv_vendor->vm_init(vm))
		goto no_vendor;
	return vm;
no_vendor:
	bv_nest_fini(&vm->nest);
no_nest:
	bv_host_free(vm);
	return NULL;
}

static void vcpu_free(struct bv_vcpu *vcpu)
{
	bv_host_free(vcpu->cpuid);
	bv_host_free(vcpu->msrs);
	bv_host_free(vcpu);
}

static void vcpu_destroy(struct bv_vcpu *vcpu)
{
	if (vcpu->vm->intc && vcpu->intc)
		vcpu->vm->intc->vcpu_fini(vcpu);
	bv_nested_fini(vcpu);
	bv_vendor->vcpu_fini(vcpu);
	bv_nest_cache_drop(&vcpu->cache);
	bv_host_free(vcpu->ring);
	vcpu_free(vcpu);
}

void bv_vm_destroy(struct bv_vm *vm)
{
	for (unsigned int i = 0; i < BV_MAX_VCPUS; i++)
		if (vm->vcpu[i])
			vcpu_destroy(vm->vcpu[i]);
	if (vm->intc)
		vm->intc->vm_fini(vm);
	for (unsigned int i = 0; i < BV_BUS_COUNT; i++)
		bv_host_free(vm->bus[i].device);
	bv_vendor->vm_fini(vm);
	bv_nest_fini(&vm->nest);
	bv_regions_free(vm);
	bv_host_free(vm);
}

static struct bv_vcpu *vcpu_alloc(struct bv_vm *vm, unsigned int index)
{
	struct bv_vcpu *vcpu = bv_host_alloc(sizeof(*vcpu));

	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->index = index;
	vcpu->front_irq = -1;
	vcpu->offered = -1;
	vcpu->turn_ticks = BV_NO_TURN;
	vcpu->cpu = ~0u;
	vcpu->emul.gpr = vcpu->gprs.gpr;
	vcpu->emul.owner = vcpu;
	vcpu->emul.replay = &vcpu->replay;
	return vcpu;
}

/* What the vendor and the interrupt controllers add, and the state after RESET. */
static int vcpu_equip(struct bv_vcpu *vcpu)
{
	const struct bv_intc_ops *intc = vcpu->vm->intc;
	int error = bv_msr_store_init(vcpu);

	if (!error)
		error = bv_vcpu_cpuid_set(vcpu, NULL, 0);
	if (!error)
		error = bv_vendor->vcpu_init(vcpu);
	if (error)
		return error;
	error = intc ? intc->vcpu_init(vcpu) : 0;
	if (error) {
		bv_vendor->vcpu_fini(vcpu);
		return error;
	}
	bv_vcpu_reset(vcpu, false);
	bv_vcpu_msr_set(vcpu, 0x10, 0);
	return 0;
}

static int vcpu_make_known(struct bv_vcpu *vcpu)
{
	struct bv_vm *vm = vcpu->vm;
	unsigned int index = vcpu->index;
	int error = 0;

	bv_host_mutex_lock(&vm->vcpu_lock);
	if (vm->vcpu[index]) {
		error = bv_refuse(&vm->why, BV_EEXIST, "vCPU id %u exists", index);
	} else {
		__atomic_store_n(&vm->vcpu[index], vcpu, __ATOMIC_RELEASE);
		if (index >= vm->vcpu_count)
			__atomic_store_n(&vm->vcpu_count, index + 1, __ATOMIC_RELEASE);
	}
	bv_host_mutex_unlock(&vm->vcpu_lock);
	return error;
}

struct bv_vcpu *bv_vcpu_create(struct bv_vm *vm, unsigned int index, void *host_cookie,
			       void *io_page, int *error)
{
	struct bv_vcpu *vcpu;

	if (index >= BV_MAX_VCPUS) {
		*error = bv_refuse(&vm->why, BV_EINVAL, "vCPU id %u: the highest is %u", index,
				   BV_MAX_VCPUS - 1);
		return NULL;
	}
	vcpu = vcpu_alloc(vm, index);
	if (!vcpu) {
		*error = -BV_ENOMEM;
		return NULL;
	}
	vcpu->host = host_cookie;
	vcpu->io_page = io_page;
	*error = vcpu_equip(vcpu);
	if (*error) {
		vcpu_free(vcpu);
		return NULL;
	}
	*error = vcpu_make_known(vcpu);
	if (*error) {
		vcpu_destroy(vcpu);
		return NULL;
	}
	/* A VM that was killed before, or meanwhile, stays dead. */
	if (bv_vm_dead(vm))
		bv_vcpu_request(vcpu, BV_REQ_DEAD);
	return vcpu;
}

/* ---- small questions ---- */

void *bv_vm_host(const struct bv_vm *vm)
{
	return vm->host;
}

void bv_vm_set_front(struct bv_vm *vm, void *front)
{
	vm->front = front;
}

void *bv_vm_front(const struct bv_vm *vm)
{
	return vm->front;
}

struct bv_why *bv_vm_why(struct bv_vm *vm)
{
	return &vm->why;
}

void bv_vm_kill(struct bv_vm *vm, const char *format, ...)
{
	char text[BV_WHY_CHARS];
	struct bv_vcpu *vcpu;
	va_list arguments;
	unsigned int i;

	if (__atomic_exchange_n(&vm->dead, 1, __ATOMIC_SEQ_CST))
		return;
	va_start(arguments, format);
	bv_format_v(text, sizeof(text), format, arguments);
	va_end(arguments);
	bv_refuse(&vm->why, BV_EIO, "VM ended: %s", text);
	bv_vm_for_each_vcpu(i, vcpu, vm)
	{
		bv_vcpu_request(vcpu, BV_REQ_DEAD);
		bv_vcpu_kick(vcpu);
	}
}

bool bv_vm_dead(const struct bv_vm *vm)
{
	return __atomic_load_n(&vm->dead, __ATOMIC_ACQUIRE);
}

int bv_vm_ports_direct(struct bv_vm *vm, u16 first, u32 count)
{
	if (!bv_vendor->ports_direct)
		return bv_refuse(&vm->why, BV_EOPNOTSUPP, "ports without exits: not with %s",
				 bv_vendor->name);
	if (first + count > 0x10000 || vm->vcpu_count)
		return bv_refuse(&vm->why, BV_EINVAL,
				 "ports %#x+%u without exits: past the last port, or too late",
				 first, count);
	return bv_vendor->ports_direct(vm, first, count);
}

struct bv_vcpu *bv_vm_vcpu(struct bv_vm *vm, unsigned int index)
{
	return index < BV_MAX_VCPUS ? __atomic_load_n(&vm->vcpu[index], __ATOMIC_ACQUIRE) : NULL;
}

unsigned int bv_vm_vcpu_count(struct bv_vm *vm)
{
	return __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE);
}

void bv_vm_set_bsp(struct bv_vm *vm, unsigned int index)
{
	vm->bsp = index;
}

void bv_vm_set_pv(struct bv_vm *vm, const struct bv_pv_ops *ops)
{
	vm->pv = ops;
}

const char *bv_engine_vendor(void)
{
	return bv_vendor->name;
}
