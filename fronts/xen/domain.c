// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Domains: the list, birth and death. Called by domctl, by the host for Dom0, and by all that name
 * a domain.
 *
 * Life of a domain. Made paused, listed. Held by the list, by each lookup, by event channels and
 * maps of others only through its frames (domain.live). Killed: its vCPUs stop for good and their
 * threads end; its ports, its maps of others and its memory are given back; it is dead. Frames that
 * others hold keep it listed (as a zombie with pages) until they let go; then the last reference
 * frees it, in a thread of the host's, since that may sleep.
 */
#include "event.h"
#include "front.h"
#include "grant.h"
#include "pod.h"

struct bvx_state bvx;

#define KILL_STEP 1024

/* ---- the list ---- */

static struct bvx_domain **bucket(u32 id)
{
	return &bvx.hash[id % BVX_HASH];
}

void bvx_domain_hold(struct bvx_domain *domain)
{
	__atomic_add_fetch(&domain->refs, 1, __ATOMIC_SEQ_CST);
}

struct bvx_domain *bvx_domain_get(u32 id)
{
	u64 flags = bv_host_spin_lock_irq(&bvx.lock);
	struct bvx_domain *domain = *bucket(id);

	while (domain && domain->id != id)
		domain = domain->next;
	if (domain)
		bvx_domain_hold(domain);
	bv_host_spin_unlock_irq(&bvx.lock, flags);
	return domain;
}

struct bvx_domain *bvx_domain_get_from(u32 id)
{
	u64 flags = bv_host_spin_lock_irq(&bvx.lock);
	struct bvx_domain *best = NULL;

	for (u32 i = 0; i < BVX_HASH; i++)
		for (struct bvx_domain *at = bvx.hash[i]; at; at = at->next)
			if (at->id >= id && (!best || at->id < best->id))
				best = at;
	if (best)
		bvx_domain_hold(best);
	bv_host_spin_unlock_irq(&bvx.lock, flags);
	return best;
}

struct bvx_domain *bvx_domain_named(struct bvx_vcpu *caller, u32 id, int *error)
{
	struct bvx_domain *domain = caller->domain;

	*error = 0;
	if (id == DOMID_SELF || id == domain->id) {
		bvx_domain_hold(domain);
		return domain;
	}
	if (!domain->privileged) {
		*error = bvx_refuse(domain, XEN_EPERM, "domain %u is not its own", id);
		return NULL;
	}
	domain = bvx_domain_get(id);
	if (!domain)
		*error = bvx_refuse(caller->domain, XEN_ESRCH, "there is no domain %u", id);
	return domain;
}

/* ---- birth ---- */

/* Takes a free id (or the one asked for) and puts the domain in the list. */
static int list_add(struct bvx_domain *domain, u32 id)
{
	u64 flags = bv_host_spin_lock_irq(&bvx.lock);
	struct bvx_domain *other = NULL;
	u32 tries = DOMID_FIRST_RESERVED;
	bool any = id >= DOMID_FIRST_RESERVED;

	do {
		if (any) {
			id = bvx.next_id;
			bvx.next_id = id + 1 < DOMID_FIRST_RESERVED ? id + 1 : 1;
		}
		for (other = *bucket(id); other && other->id != id;)
			other = other->next;
	} while (other && any && --tries);
	if (!other) {
		domain->id = id;
		domain->next = *bucket(id);
		*bucket(id) = domain;
		domain->listed = true;
	}
	bv_host_spin_unlock_irq(&bvx.lock, flags);
	return other ? -XEN_EEXIST : 0;
}

static void list_del_locked(struct bvx_domain *domain)
{
	for (struct bvx_domain **at = bucket(domain->id); *at; at = &(*at)->next) {
		if (*at != domain)
			continue;
		*at = domain->next;
		break;
	}
	domain->listed = false;
	for (u32 i = 0; i < NR_VIRQS; i++)
		if (bvx.virq_handler[i] == domain)
			bvx.virq_handler[i] = NULL;
}

/* The reverse of construction; whatever is not there yet is passed over. */
static void domain_free(struct bvx_domain *domain)
{
	bvx_watchdogs_fini(domain);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i])
			bvx_vcpu_end(domain->vcpu[i]);
	if (domain->vm)
		bv_vm_destroy(domain->vm);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		bvx_vcpu_free(domain->vcpu[i]);
	bvx_events_fini(domain);
	bvx_grants_fini(domain);
	bvx_shared_drop(domain, &domain->shared_info);
	bvx_p2m_fini(&domain->p2m);
	if (domain->host)
		bvx_host_domain_free(domain->host);
	bv_host_free(domain->e820);
	bv_host_free(domain->policy);
	bv_host_free(domain->text);
	bv_host_free(domain);
}

static void domain_end(struct bvx_work *work)
{
	domain_free(BV_CONTAINER(work, struct bvx_domain, end));
}

/* Off the list with the last reference, so that nobody finds it any more. */
static bool domain_put_last(struct bvx_domain *domain)
{
	u64 flags = bv_host_spin_lock_irq(&bvx.lock);
	bool last = !__atomic_sub_fetch(&domain->refs, 1, __ATOMIC_SEQ_CST);

	if (last && domain->listed)
		list_del_locked(domain);
	bv_host_spin_unlock_irq(&bvx.lock, flags);
	return last;
}

/* What may be the last reference is given back under the list's lock, where lookups take theirs. */
void bvx_domain_put(struct bvx_domain *domain)
{
	u32 refs = __atomic_load_n(&domain->refs, __ATOMIC_RELAXED);

	while (refs > 1)
		if (__atomic_compare_exchange_n(&domain->refs, &refs, refs - 1, true,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return;
	if (!domain_put_last(domain))
		return;
	/* The rest may sleep. */
	domain->end.perform = domain_end;
	bvx_host_work(&domain->end);
}

static int engine_init(struct bvx_domain *domain)
{
	int error;

	domain->vm = bv_vm_create(domain->host);
	if (!domain->vm)
		return -XEN_ENOMEM;
	bv_vm_set_front(domain->vm, domain);
	bv_vm_set_pv(domain->vm, &bvx_pv_ops);
	if (domain->flags & XEN_DOMCTL_CDF_nested_virt)
		bv_vm_set_nested(domain->vm);
	error = bv_irqchip_create_split(domain->vm, domain->hardware ? bvx_host_gsis() : 0);
	return error ? error : bvx_regions_set(domain);
}

static void fields_init(struct bvx_domain *domain, const struct xen_domctl_createdomain *spec)
{
	domain->refs = 1;
	domain->live = 1;
	domain->stops = 1;
	domain->pauses = 1;
	domain->max_vcpus = spec->max_vcpus;
	domain->flags = spec->flags;
	domain->emulation = spec->arch.emulation_flags;
	domain->max_port = spec->max_evtchn_port;
	domain->created_ns = bv_host_ns();
	domain->share.weight = 256;
	domain->text_tokens = 4096;
	__builtin_memcpy(domain->handle, spec->handle, sizeof(domain->handle));
	domain->params[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_reboot;
	domain->shared_gfn = ~0ULL;
	bv_host_mutex_init(&domain->lock);
	bv_host_mutex_init(&domain->e820_lock);
	bv_host_spin_init(&domain->count_lock);
}

static int parts_init(struct bvx_domain *domain, const struct xen_domctl_createdomain *spec)
{
	int error = bvx_p2m_init(&domain->p2m);

	domain->host = bvx_host_domain_new(domain->id);
	if (!domain->host || error)
		return -XEN_ENOMEM;
	bvx_host_domain_share(domain->host, &domain->share);
	error = engine_init(domain);
	if (!error)
		error = bvx_shared_new(&domain->shared_info);
	if (!error)
		error = bvx_events_init(domain);
	if (!error)
		error = bvx_grants_init(domain, spec);
	if (!error)
		error = bvx_policy_init(domain);
	if (!error)
		bvx_wall_update(domain);
	return error;
}

struct bvx_domain *bvx_domain_new(const struct xen_domctl_createdomain *spec, u32 id, int *error)
{
	struct bvx_domain *domain = bv_host_alloc(sizeof(*domain));

	*error = domain ? 0 : -XEN_ENOMEM;
	if (!domain)
		return NULL;
	fields_init(domain, spec);
	domain->hardware = domain->privileged = !id;
	/* Listed early for its id; a lookup finds a domain that is paused and has no vCPUs. */
	*error = list_add(domain, id);
	if (!*error)
		*error = parts_init(domain, spec);
	if (!*error)
		return domain;
	if (domain_put_last(domain))
		domain_free(domain);
	return NULL;
}

static struct bvx_vcpu *vcpu_new(struct bvx_domain *domain, u32 index)
{
	struct bvx_vcpu *vcpu = bvx_vcpu_new(domain, index);

	if (vcpu)
		bvx_host_vcpu_start(vcpu->host, vcpu->vcpu);
	return vcpu;
}

int bvx_domain_add_vcpus(struct bvx_domain *domain, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (!domain->vcpu[i] && !vcpu_new(domain, i))
			return bvx_refuse(domain, XEN_ENOMEM, "no memory for its vCPU %u", i);
	return 0;
}

/* ---- shutdown and death ---- */

bool bvx_domain_dying(const struct bvx_domain *domain)
{
	return __atomic_load_n(&domain->dying, __ATOMIC_ACQUIRE);
}

static const char *const shutdown_words[] = {
	[SHUTDOWN_poweroff] = "power-off", [SHUTDOWN_reboot] = "reboot",
	[SHUTDOWN_suspend] = "suspend",	   [SHUTDOWN_crash] = "crash",
	[SHUTDOWN_watchdog] = "watchdog",  [SHUTDOWN_soft_reset] = "soft reset",
};

/* A watchdog calls it in an interrupt; the machine ends in a thread. */
static void hardware_end(struct bvx_work *work)
{
	u32 code = BV_CONTAINER(work, struct bvx_domain, over)->shutdown_code;

	bvx_note("Dom0 is over: %s", shutdown_words[code]);
	bvx_host_end(code == SHUTDOWN_poweroff ? BVX_END_POWEROFF :
		     code == SHUTDOWN_reboot   ? BVX_END_REBOOT :
		     code == SHUTDOWN_watchdog ? BVX_END_WATCHDOG :
						 BVX_END_CRASH);
}

void bvx_domain_shutdown(struct bvx_domain *domain, u32 code)
{
	if (code > SHUTDOWN_MAX)
		code = SHUTDOWN_crash;
	if (__atomic_exchange_n(&domain->shut_down, true, __ATOMIC_SEQ_CST))
		return;
	domain->shutdown_code = code;
	if (domain->hardware) {
		domain->over.perform = hardware_end;
		bvx_host_work(&domain->over);
	}
	if (code != SHUTDOWN_poweroff && code != SHUTDOWN_reboot && code != SHUTDOWN_suspend)
		bvx_note("d%u is over: %s", domain->id, shutdown_words[code]);
	bvx_domain_stop(domain);
	bvx_virq_global(VIRQ_DOM_EXC);
}

void bvx_domain_resume(struct bvx_domain *domain)
{
	if (__atomic_exchange_n(&domain->shut_down, false, __ATOMIC_SEQ_CST))
		bvx_domain_go(domain);
}

static void claim_drop(struct bvx_domain *domain)
{
	u64 flags = bv_host_spin_lock_irq(&domain->count_lock);

	__atomic_sub_fetch(&bvx.claimed, domain->claimed, __ATOMIC_SEQ_CST);
	domain->claimed = 0;
	bv_host_spin_unlock_irq(&domain->count_lock, flags);
}

void bvx_domain_kill(struct bvx_domain *domain)
{
	u32 alive = BVX_ALIVE;
	u64 gfn = 0;

	if (!__atomic_compare_exchange_n(&domain->dying, &alive, BVX_DYING, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return;
	bvx_domain_stop_sync(domain, NULL);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i])
			bvx_vcpu_end(domain->vcpu[i]);
	bvx_events_close(domain);
	bvx_grants_release(domain);
	while (!bvx_p2m_empty(domain, &gfn, KILL_STEP))
		bvx_host_yield();
	bvx_pod_fini(domain);
	claim_drop(domain);
	__atomic_store_n(&domain->dying, BVX_DEAD, __ATOMIC_SEQ_CST);
	if (!__atomic_sub_fetch(&domain->live, 1, __ATOMIC_SEQ_CST))
		bvx_domain_put(domain);
	bvx_virq_global(VIRQ_DOM_EXC);
}

/* ---- the entry header ---- */

int bvx_init(void)
{
	bv_host_spin_init(&bvx.lock);
	bv_host_mutex_init(&bvx.control);
	bv_host_spin_init(&bvx.log_lock);
	bv_why_init(&bvx.why);
	bvx.next_id = 1;
	/* For domains that are made so. */
	bv_engine_nesting(true);
	bvx.log_tokens = 50;
	return bvx_frames_init();
}

void bvx_fini(void)
{
	struct bvx_domain *domain;

	bvx.hardware = NULL;
	for (u32 id = 0; (domain = bvx_domain_get_from(id)); id++) {
		id = domain->id;
		bvx_domain_kill(domain);
		bvx_domain_put(domain);
	}
}

void bvx_fini_frames(void)
{
	bvx_frames_fini();
}

struct bvx_domain *bvx_dom0_new(const struct bvx_dom0_spec *spec)
{
	const struct xen_domctl_createdomain create = {
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = spec->max_vcpus,
		.max_evtchn_port = ~0u,
		.max_grant_frames = 64,
		.max_maptrack_frames = 1024,
		.grant_opts = XEN_DOMCTL_GRANT_version(2),
		.arch = { .emulation_flags =
				  XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC | XEN_X86_EMU_VPCI },
	};
	struct bvx_domain *domain;
	int error;

	if (!spec->max_vcpus || spec->max_vcpus > BVX_MAX_VCPUS) {
		bvx_note("Dom0 with %u vCPUs: it can have 1 to %u", spec->max_vcpus, BVX_MAX_VCPUS);
		return NULL;
	}
	domain = bvx_domain_new(&create, 0, &error);
	if (!domain) {
		bvx_note("Dom0 could not be made: error %d", error);
		return NULL;
	}
	domain->max_pages = spec->max_pages;
	bvx.hardware = domain;
	return domain;
}

static int dom0_map_block(struct bvx_domain *dom0, u64 gfn, struct bvx_entry *entry, u64 left)
{
	struct bvx_entry old;

	for (entry->order = 18;; entry->order -= 9) {
		u64 mask = (1ULL << entry->order) - 1;
		int error;

		if ((gfn | entry->mfn.n) & mask || left <= mask)
			continue;
		error = bvx_p2m_set(dom0, gfn, entry, &old);
		if (error == -XEN_EBUSY && entry->order)
			continue;
		if (!error)
			bvx_p2m_release(dom0, &old);
		return error;
	}
}

int bvx_dom0_map(struct bvx_domain *dom0, struct bv_gfn gfn, struct bv_mfn mfn, u64 count,
		 enum bvx_dom0_kind kind)
{
	struct bvx_entry entry = { .type = kind == BVX_DOM0_RAM ? BVX_RAM : BVX_MMIO };

	for (u64 done = 0, step; done < count; done += step) {
		int error;

		entry.mfn = BV_MFN(mfn.n + done);
		error = dom0_map_block(dom0, gfn.n + done, &entry, count - done);
		if (error)
			return error;
		step = 1ULL << entry.order;
		if (kind == BVX_DOM0_RAM)
			__atomic_add_fetch(&dom0->live, step, __ATOMIC_SEQ_CST);
	}
	return 0;
}

void bvx_dom0_unmap(struct bvx_domain *dom0, struct bv_gfn gfn, u64 count)
{
	for (u64 i = 0; i < count; i++)
		bvx_p2m_clear(dom0, gfn.n + i);
}

void bvx_domain_start(struct bvx_domain *domain)
{
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i])
			bvx_host_vcpu_start(domain->vcpu[i]->host, domain->vcpu[i]->vcpu);
	domain->pauses = 0;
	domain->finished = true;
	bvx_domain_go(domain);
}

struct bv_vm *bvx_domain_vm(struct bvx_domain *domain)
{
	return domain->vm;
}

u32 bvx_domain_id(const struct bvx_domain *domain)
{
	return domain->id;
}

/* Where Linux's kernel lies in a guest: whoever looks into the machine finds the guest by it. */
#define KERNEL_GFN 0x1000u

void bvx_dump(void (*line)(const char *text))
{
	struct bvx_domain *domain;

	for (u32 id = 0; (domain = bvx_domain_get_from(id)); id++) {
		struct bvx_entry kernel = bvx_p2m_look(&domain->p2m, KERNEL_GFN);
		char text[BV_WHY_CHARS];

		id = domain->id;
		bv_format(text, sizeof(text),
			  "d%u: %llu pages of %llu, gfn %#x at mfn %#llx, stops %u, dying %u, "
			  "refs %u",
			  id, bvx_pages_of(domain), domain->max_pages, KERNEL_GFN,
			  (u64)kernel.mfn.n, domain->stops, domain->dying, domain->refs);
		line(text);
		for (u32 i = 0; i < domain->max_vcpus; i++) {
			struct bvx_vcpu *vcpu = domain->vcpu[i];

			if (!vcpu)
				continue;
			bv_format(text, sizeof(text),
				  "  v%u: %s%s%s upcall %u (taken %u, vector %u), sel %lx", i,
				  bvx_vcpu_online(vcpu) ? "online" : "offline",
				  vcpu->parked ? " parked" : "", vcpu->polling ? " polling" : "",
				  vcpu->info->evtchn_upcall_pending, vcpu->upcall_taken,
				  vcpu->upcall_vector, vcpu->info->evtchn_pending_sel);
			line(text);
		}
		bvx_domain_put(domain);
	}
}
