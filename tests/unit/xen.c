// SPDX-License-Identifier: GPL-2.0-or-later
/* fronts/xen: domains, memory, versions, the tools' calls. On hosts/fake. */
#include <pthread.h>

#include "xen_guest.h"

#include <xen/hvm/hvm_vcpu.h>
#include <xen/platform.h>

/* ---- Dom0 alone ---- */

/* What the tools of Debian 12 expect, and of Debian 13. */
#ifdef XENVER_extraversion2
#define XEN_MINOR 20
#else
#define XEN_MINOR 17
#endif

TEST(it_says_which_xen_it_is)
{
	struct xen_feature_info features = { 0 };
	char caps[1024];

	world_start();
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0),
		 4 << 16 | XEN_MINOR);
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_xen_version, XENVER_get_features, &features,
			  sizeof(features)),
		 0);
	CHECK(features.submap & 1u << XENFEAT_dom0);
	CHECK(features.submap & 1u << XENFEAT_auto_translated_physmap);
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_xen_version, XENVER_capabilities, caps,
			  sizeof(caps)),
		 0);
	CHECK(strstr(caps, "hvm-3.0-x86_64") != NULL);
	CHECK_EQ(caps[1023], 0);
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_xen_version, 99, 0, 0, 0, 0), -XEN_ENOSYS);
	CHECK_EQ(fake_hypercall(dom0.v[0], 46, 0, 0, 0, 0, 0), -XEN_ENOSYS);
	world_stop();
}

/* What a vCPU is told of the command line. */
static long command_line_of(struct bvx_vcpu *vcpu, char *text, size_t size)
{
	memset(text, 0, size);
	return call_arg(vcpu, __HYPERVISOR_xen_version, XENVER_commandline, text, size);
}

TEST(a_guest_is_not_told_the_command_line)
{
	char text[sizeof(xen_commandline_t)];
	struct dom d;

	world_start();
	domu_make(&d, 1, 64);
	CHECK_EQ(command_line_of(dom0.v[0], text, sizeof(text)), 0);
	CHECK_EQ(strcmp(text, bvx_host_command_line()), 0);
	CHECK_EQ(command_line_of(d.v[0], text, sizeof(text)), 0);
	CHECK_EQ(strcmp(text, "<denied>"), 0);
	domu_destroy(&d);
	world_stop();
}

#ifdef XENVER_extraversion2
TEST(texts_of_any_length_are_whole_or_refused)
{
	struct {
		u32 size;
		char text[60];
	} arg = { .size = sizeof(arg.text) };
	long length;

	world_start();
	length = fake_hypercall(dom0.v[0], __HYPERVISOR_xen_version, XENVER_extraversion2, 0, 0, 0,
				0);
	CHECK(length > 0);
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_xen_version, XENVER_extraversion2, &arg,
			  sizeof(arg)),
		 length);
	CHECK(strstr(arg.text, "bivisor") != NULL);
	CHECK_EQ(strlen(arg.text), (size_t)length);
	arg.size = (u32)length - 1;
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_xen_version, XENVER_extraversion2, &arg,
			  sizeof(arg)),
		 -XEN_ENOBUFS);
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_xen_version, XENVER_commandline2,
				0x7fffffff000ULL, 0, 0, 0),
		 -XEN_EFAULT);
	world_stop();
}
#endif

TEST(an_argument_that_is_nowhere_is_refused)
{
	world_start();
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_xen_version, XENVER_get_features,
				0x7fffffff000ULL, 0, 0, 0),
		 -XEN_EFAULT);
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_domctl, ~0ULL, 0, 0, 0, 0), -XEN_EFAULT);
	world_stop();
}

TEST(given_back_memory_is_free_and_can_be_asked_for_again)
{
	struct xen_memory_reservation op = { .nr_extents = 2, .domid = DOMID_SELF };
	u64 before;

	world_start();
	before = fake_xen_frames();
	((xen_pfn_t *)at(dom0.domain, LIST))[0] = 0x300;
	((xen_pfn_t *)at(dom0.domain, LIST))[1] = 0x301;
	*(u64 *)at(dom0.domain, 0x300000) = 0x1234;
	op.extent_start.p = (void *)LIST;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_decrease_reservation, &op), 2);
	CHECK_EQ(fake_xen_frames(), before - 2);
	CHECK_EQ(bvx_pages_of(dom0.domain), DOM0_PAGES - 2);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_decrease_reservation, &op), 0);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_populate_physmap, &op), 2);
	CHECK_EQ(fake_xen_frames(), before);
	CHECK_EQ(*(u64 *)at(dom0.domain, 0x300000), 0);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_populate_physmap, &op), 0);
	CHECK_EQ(fake_xen_frames(), before);
	world_stop();
}

TEST(a_multicall_carries_several_results)
{
	struct multicall_entry entries[3] = {
		{ .op = __HYPERVISOR_xen_version, .args = { XENVER_version } },
		{ .op = 46 },
		{ .op = __HYPERVISOR_multicall },
	};

	world_start();
	memcpy(at(dom0.domain, LIST), entries, sizeof(entries));
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_multicall, LIST, 3, 0, 0, 0), 0);
	memcpy(entries, at(dom0.domain, LIST), sizeof(entries));
	CHECK_EQ(entries[0].result, 4 << 16 | XEN_MINOR);
	CHECK_EQ((long)entries[1].result, -XEN_ENOSYS);
	CHECK_EQ((long)entries[2].result, -XEN_ENOSYS);
	world_stop();
}

TEST(dom0_writes_to_the_console_and_reads_what_was_typed)
{
	world_start();
	memcpy(at(dom0.domain, ARG), "hello\n", 6);
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_console_io, CONSOLEIO_write, 6, ARG, 0, 0),
		 0);
	CHECK(!strcmp(fake_xen_console(), "hello\n"));
	fake_xen_type("ls");
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_console_io, CONSOLEIO_read, 16, ARG, 0, 0),
		 2);
	CHECK(!memcmp(at(dom0.domain, ARG), "ls", 2));
	world_stop();
}

TEST(dom0_ends_the_machine)
{
	struct sched_shutdown op = { SHUTDOWN_reboot };

	world_start();
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_sched_op, SCHEDOP_shutdown, &op, sizeof(op)), 0);
	CHECK_EQ(fake_xen_ended(), BVX_END_REBOOT);
	world_stop();
}

/* ---- the tools ---- */

TEST(xl_info_gets_its_answers)
{
	struct xen_sysctl op = { 0 };
	struct xen_sysctl_cputopo *topo;

	world_start();
	CHECK_EQ(sysctl(&op, XEN_SYSCTL_physinfo), 0);
	CHECK_EQ(op.u.physinfo.nr_cpus, FAKE_CPUS);
	CHECK_EQ(op.u.physinfo.total_pages, FRAMES);
	CHECK(op.u.physinfo.capabilities & XEN_SYSCTL_PHYSCAP_hap);
	CHECK_EQ(sysctl(&op, XEN_SYSCTL_sched_id), 0);
	CHECK_EQ(op.u.sched_id.sched_id, XEN_SCHEDULER_CREDIT2);
	memset(&op, 0, sizeof(op));
	CHECK_EQ(sysctl(&op, XEN_SYSCTL_cputopoinfo), 0);
	CHECK_EQ(op.u.cputopoinfo.num_cpus, FAKE_CPUS);
	op.u.cputopoinfo.cputopo.p = (void *)LIST;
	CHECK_EQ(sysctl(&op, XEN_SYSCTL_cputopoinfo), 0);
	topo = at(dom0.domain, LIST);
	CHECK_EQ(topo[2].core, 2);
	op.interface_version = 0;
	memcpy(at(dom0.domain, ARG), &op, sizeof(op));
	((struct xen_sysctl *)at(dom0.domain, ARG))->interface_version = 0x14;
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_sysctl, ARG, 0, 0, 0, 0), -XEN_EACCES);
	world_stop();
}

TEST(the_list_of_domains_has_them_in_order)
{
	struct xen_sysctl op = { 0 };
	struct xen_domctl_getdomaininfo *list;
	struct dom a, b;

	world_start();
	domu_make(&a, 1, 64);
	domu_make(&b, 2, 64);
	op.u.getdomaininfolist.max_domains = 16;
	op.u.getdomaininfolist.buffer.p = (void *)LIST;
	CHECK_EQ(sysctl(&op, XEN_SYSCTL_getdomaininfolist), 0);
	CHECK_EQ(op.u.getdomaininfolist.num_domains, 3);
	list = at(dom0.domain, LIST);
	CHECK_EQ(list[0].domain, 0);
	CHECK_EQ(list[1].domain, a.domain->id);
	CHECK_EQ(list[1].tot_pages, 64);
	CHECK_EQ(list[2].max_vcpu_id, 1);
	CHECK(list[2].flags & XEN_DOMINF_paused);
	CHECK(list[2].flags & XEN_DOMINF_hvm_guest);
	world_stop();
}

TEST(a_destroyed_domain_gives_everything_back)
{
	struct xen_domctl op = { 0 };
	u64 frames = 0;
	long allocs = 0;

	world_start();
	for (u32 round = 0; round < 4; round++) {
		struct dom d;

		if (round == 1) {
			frames = fake_xen_frames();
			allocs = fake_allocs();
		}
		domu_make(&d, 2, 300);
		map_shared(&d);
		map_grants(&d);
		CHECK_EQ(bvx_pages_of(d.domain), 300 - 2);
		domu_destroy(&d);
		CHECK_EQ(domctl(&op, XEN_DOMCTL_pausedomain, round + 1), -XEN_ESRCH);
	}
	CHECK_EQ(fake_xen_frames(), frames);
	CHECK_EQ(fake_allocs(), allocs);
	world_stop();
}

TEST(a_domain_gets_no_more_than_its_maximum)
{
	struct dom d;

	world_start();
	domu_make(&d, 1, 64);
	CHECK_EQ(populate(&d, 0x1000, 100), 16);
	CHECK_EQ(bvx_pages_of(d.domain), 80);
	domu_destroy(&d);
	world_stop();
}

/* A PVH guest with one vCPU, to be made. */
static struct xen_domctl_createdomain plain_domain(void)
{
	return (struct xen_domctl_createdomain){
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = 1,
		.max_evtchn_port = 1023,
		.max_grant_frames = 32,
		.max_maptrack_frames = 64,
		.arch = { .emulation_flags = XEN_X86_EMU_LAPIC },
	};
}

TEST(a_domain_with_what_is_not_there_is_refused)
{
	struct xen_domctl op = { .u.createdomain = plain_domain() };

	world_start();
	op.u.createdomain.vmtrace_size = 4096;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_createdomain, 0), -XEN_EINVAL);
	op.u.createdomain = plain_domain();
	op.u.createdomain.cpupool_id = 1;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_createdomain, 0), -XEN_EINVAL);
#ifdef XEN_DOMCTL_ALTP2M_mode_mask
	op.u.createdomain = plain_domain();
	op.u.createdomain.altp2m_opts = XEN_DOMCTL_ALTP2M_mixed;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_createdomain, 0), -XEN_EINVAL);
#endif
	world_stop();
}

TEST(without_memory_a_domain_is_not_made_and_nothing_is_left)
{
	struct xen_domctl op = { 0 };
	long allocs = 0;
	u64 frames = 0;

	world_start();
	allocs = fake_allocs();
	frames = fake_xen_frames();
	for (long n = 1; n < 400; n++) {
		long result;

		memset(&op, 0, sizeof(op));
		op.u.createdomain = plain_domain();
		fake_fail_alloc_after(n);
		result = domctl(&op, XEN_DOMCTL_createdomain, 0);
		fake_fail_alloc_after(0);
		if (!result) {
			CHECK_EQ(domctl(&op, XEN_DOMCTL_destroydomain, op.domain), 0);
			CHECK(n > 8);
			break;
		}
		CHECK_EQ(result, -XEN_ENOMEM);
		CHECK_EQ(fake_allocs(), allocs);
		CHECK_EQ(fake_xen_frames(), frames);
	}
	world_stop();
}

TEST(a_claim_keeps_memory_from_others)
{
	struct xen_memory_reservation op = { .nr_extents = 8000 };
	struct dom a, b;

	world_start();
	domu_make(&a, 1, 64);
	domu_make(&b, 1, 64);
	a.domain->max_pages = b.domain->max_pages = 100000;
	op.domid = (domid_t)a.domain->id;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_claim_pages, &op), 0);
	CHECK_EQ(a.domain->claimed, 8000 - 64);
	op.domid = (domid_t)b.domain->id;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_claim_pages, &op), -XEN_ENOMEM);
	CHECK_EQ(populate(&a, 0x100, 10), 10);
	CHECK_EQ(a.domain->claimed, 8000 - 74);
	domu_destroy(&a);
	CHECK_EQ(bvx.claimed, 0);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_claim_pages, &op), 0);
	domu_destroy(&b);
	CHECK_EQ(bvx.claimed, 0);
	world_stop();
}

TEST(a_guest_may_not_do_what_is_dom0s)
{
	struct xen_memory_reservation op = { .nr_extents = 1, .domid = 0 };
	struct sched_remote_shutdown remote = { 0, 0 };
	u64 value = 1;
	struct dom d;

	world_start();
	domu_make(&d, 1, 64);
	op.extent_start.p = (void *)LIST;
	*(u64 *)at(d.domain, LIST) = 0x10;
	CHECK_EQ(MEMORY(d.v[0], XENMEM_decrease_reservation, &op), -XEN_EPERM);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_domctl, ARG, 0, 0, 0, 0), -XEN_EPERM);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_sysctl, ARG, 0, 0, 0, 0), -XEN_EPERM);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_platform_op, ARG, 0, 0, 0, 0), -XEN_EPERM);
	CHECK_EQ(call_arg(d.v[0], __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, &remote,
			  sizeof(remote)),
		 -XEN_EPERM);
	CHECK_EQ(hvm_param(d.v[0], HVMOP_set_param, DOMID_SELF, HVM_PARAM_STORE_PFN, &value),
		 -XEN_EPERM);
	CHECK_EQ(hvm_param(d.v[0], HVMOP_get_param, 0, HVM_PARAM_STORE_PFN, &value), -XEN_EPERM);
	CHECK_EQ(hvm_param(dom0.v[0], HVMOP_set_param, d.domain->id, HVM_PARAM_STORE_PFN, &value),
		 0);
	value = 0;
	CHECK_EQ(hvm_param(d.v[0], HVMOP_get_param, DOMID_SELF, HVM_PARAM_STORE_PFN, &value), 0);
	CHECK_EQ(value, 1);
	world_stop();
}

/* What Dom0 is told of this display. */
static long display_ask(const struct bvx_screen *screen, struct dom0_vga_console_info *info)
{
	struct xen_platform_op op = { .cmd = 64 /* get_dom0_console */,
				      .interface_version = XENPF_INTERFACE_VERSION };
	long result;

	fake_xen_screen(screen);
	result = call_arg(dom0.v[0], __HYPERVISOR_platform_op, ARG, &op, sizeof(op));
	memcpy(info, &op.u, sizeof(*info));
	return result;
}

TEST(dom0_learns_of_the_display)
{
	const struct bvx_screen text = { .kind = BVX_SCREEN_TEXT,
					 .width = 80,
					 .height = 25,
					 .font_height = 16,
					 .cursor_x = 7,
					 .cursor_y = 24 };
	const struct bvx_screen pixels = { .kind = BVX_SCREEN_RGB,
					   .efi = true,
					   .width = 1280,
					   .height = 800,
					   .pitch = 5120,
					   .depth = 32,
					   .address = 0x1c0000000,
					   .color = { 16, 8, 8, 8, 0, 8 } };
	const struct bvx_screen none = { .kind = BVX_SCREEN_NONE };
	struct dom0_vga_console_info info;

	world_start();
	CHECK_EQ(display_ask(&none, &info), -XEN_ENODEV);
	CHECK_EQ(display_ask(&text, &info), sizeof(info));
	CHECK_EQ(info.video_type, XEN_VGATYPE_TEXT_MODE_3);
	CHECK_EQ(info.u.text_mode_3.columns, 80);
	CHECK_EQ(info.u.text_mode_3.rows, 25);
	CHECK_EQ(info.u.text_mode_3.font_height, 16);
	CHECK_EQ(info.u.text_mode_3.cursor_y, 24);
	CHECK_EQ(display_ask(&pixels, &info), sizeof(info));
	CHECK_EQ(info.video_type, XEN_VGATYPE_EFI_LFB);
	CHECK_EQ(info.u.vesa_lfb.bytes_per_line, 5120);
	CHECK_EQ(info.u.vesa_lfb.lfb_base, 0xc0000000);
	CHECK_EQ(info.u.vesa_lfb.ext_lfb_base, 1);
	CHECK_EQ(info.u.vesa_lfb.lfb_size, 0x3f);
	CHECK_EQ(info.u.vesa_lfb.red_pos, 16);
	CHECK_EQ(info.u.vesa_lfb.blue_size, 8);
	world_stop();
}

TEST(a_foreign_map_keeps_the_page_of_a_dead_domain)
{
	struct xen_add_to_physmap_batch op = { .domid = DOMID_SELF,
					       .space = XENMAPSPACE_gmfn_foreign,
					       .size = 2 };
	struct xen_remove_from_physmap gone = { .domid = DOMID_SELF, .gpfn = 0x5000 };
	struct xen_domctl info = { 0 };
	struct dom d;
	u32 id;

	world_start();
	domu_make(&d, 1, 64);
	id = d.domain->id;
	*(u64 *)at(d.domain, 0x7000) = 0xabcdef;
	op.u.foreign_domid = (domid_t)id;
	op.idxs.p = (void *)LIST;
	op.gpfns.p = (void *)LIST2;
	op.errs.p = (void *)LIST3;
	((u64 *)at(dom0.domain, LIST))[0] = 7;
	((u64 *)at(dom0.domain, LIST))[1] = 0x9999;
	((u64 *)at(dom0.domain, LIST2))[0] = 0x5000;
	((u64 *)at(dom0.domain, LIST2))[1] = 0x5001;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_add_to_physmap_batch, &op), 0);
	CHECK_EQ(((int *)at(dom0.domain, LIST3))[0], 0);
	CHECK_EQ(((int *)at(dom0.domain, LIST3))[1], -XEN_EINVAL);
	CHECK_EQ(*(u64 *)at(dom0.domain, 0x5000000), 0xabcdef);
	domu_destroy(&d);
	CHECK_EQ(domctl(&info, XEN_DOMCTL_getdomaininfo, id), 0);
	CHECK(info.u.getdomaininfo.flags & XEN_DOMINF_dying);
	CHECK_EQ(info.u.getdomaininfo.tot_pages, 1);
	CHECK_EQ(*(u64 *)at(dom0.domain, 0x5000000), 0xabcdef);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_remove_from_physmap, &gone), 0);
	CHECK_EQ(domctl(&info, XEN_DOMCTL_getdomaininfo, id), -XEN_ESRCH);
	world_stop();
}

TEST(a_guest_takes_its_memory_map)
{
	struct xen_foreign_memory_map set = { .map.nr_entries = 2 };
	struct xen_memory_map get = { .nr_entries = 4 };
	struct dom d;

	world_start();
	domu_make(&d, 1, 64);
	get.buffer.p = (void *)LIST;
	CHECK_EQ(MEMORY(d.v[0], XENMEM_memory_map, &get), -XEN_ENOSYS);
	set.domid = (domid_t)d.domain->id;
	set.map.buffer.p = (void *)LIST;
	memset(at(dom0.domain, LIST), 0x5a, 40);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_set_memory_map, &set), 0);
	get.nr_entries = 4;
	CHECK_EQ(MEMORY(d.v[0], XENMEM_memory_map, &get), 0);
	CHECK_EQ(get.nr_entries, 2);
	CHECK_EQ(((u8 *)at(d.domain, LIST))[39], 0x5a);
	CHECK_EQ(((u8 *)at(d.domain, LIST))[40], 0);
	world_stop();
}

TEST(a_saved_context_comes_back_the_same)
{
	struct xen_domctl op = { 0 };
	u32 size;
	struct dom d, e;
	static u8 first[16384], second[16384];

	world_start();
	domu_make(&d, 1, 64);
	domu_make(&e, 1, 64);
	bvx_vcpu_begin_pvh(d.v[0], 0x123456, 0x7890);
	op.u.hvmcontext.buffer.p = NULL;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_gethvmcontext, d.domain->id), 0);
	size = op.u.hvmcontext.size;
	CHECK(size > 2000 && size < sizeof(first));
	op.u.hvmcontext.buffer.p = (void *)LIST;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_gethvmcontext, d.domain->id), 0);
	memcpy(first, at(dom0.domain, LIST), size);
	CHECK_EQ(domctl(&op, XEN_DOMCTL_sethvmcontext, e.domain->id), 0);
	op.u.hvmcontext.size = size;
	memset(at(dom0.domain, LIST), 0, size);
	CHECK_EQ(domctl(&op, XEN_DOMCTL_gethvmcontext, e.domain->id), 0);
	memcpy(second, at(dom0.domain, LIST), size);
	CHECK(!memcmp(first, second, size));
	((u8 *)at(dom0.domain, LIST))[0] = 99;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_sethvmcontext, e.domain->id), -XEN_EINVAL);
	world_stop();
}

/* Copies remember where pages lie; not beyond a change. */
TEST(a_copy_knows_what_lies_there_now)
{
	struct xen_memory_reservation op = { .nr_extents = 1, .domid = DOMID_SELF };
	u32 word = 0x1234;

	world_start();
	((xen_pfn_t *)at(dom0.domain, LIST))[0] = 0x300;
	op.extent_start.p = (void *)LIST;
	CHECK_EQ(bvx_copy_to_gpa(dom0.domain, 0x300010, &word, 4), 0);
	word = 0;
	CHECK_EQ(bvx_copy_from_gpa(dom0.domain, 0x300010, &word, 4), 0);
	CHECK_EQ(word, 0x1234);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_decrease_reservation, &op), 1);
	CHECK_EQ(bvx_copy_from_gpa(dom0.domain, 0x300010, &word, 4), -XEN_EFAULT);
	CHECK_EQ(bvx_copy_to_gpa(dom0.domain, 0x300010, &word, 4), -XEN_EFAULT);
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_populate_physmap, &op), 1);
	CHECK_EQ(bvx_copy_from_gpa(dom0.domain, 0x300010, &word, 4), 0);
	CHECK_EQ(word, 0);
	world_stop();
}

TEST(dirty_pages_are_logged)
{
	struct xen_domctl op = { 0 };
	struct dom d;
	u8 *bits;

	world_start();
	domu_make(&d, 1, 64);
	op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_CLEAN;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_shadow_op, d.domain->id), -XEN_EINVAL);
	op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_shadow_op, d.domain->id), 0);
	bv_mem_write(d.domain->vm, 0x9008, "x", 1);
	bvx_copy_to_gpa(d.domain, 0x13000, "x", 1);
	op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_CLEAN;
	op.u.shadow_op.pages = 64;
	op.u.shadow_op.dirty_bitmap.p = (void *)LIST;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_shadow_op, d.domain->id), 0);
	bits = at(dom0.domain, LIST);
	CHECK_EQ(bits[1], 2);
	CHECK_EQ(bits[2], 8);
	CHECK_EQ(op.u.shadow_op.stats.dirty_count, 2);
	CHECK_EQ(domctl(&op, XEN_DOMCTL_shadow_op, d.domain->id), 0);
	CHECK_EQ(op.u.shadow_op.stats.dirty_count, 0);
	op.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_OFF;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_shadow_op, d.domain->id), 0);
	world_stop();
}

TEST(weights_and_affinity_come_back_as_set)
{
	struct xen_domctl op = { 0 };
	struct dom d;

	world_start();
	domu_make(&d, 2, 64);
	op.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT2;
	op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
	op.u.scheduler_op.u.credit2.weight = 512;
	op.u.scheduler_op.u.credit2.cap = 25;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_scheduler_op, d.domain->id), 0);
	memset(&op.u.scheduler_op.u, 0, sizeof(op.u.scheduler_op.u));
	op.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_scheduler_op, d.domain->id), 0);
	CHECK_EQ(op.u.scheduler_op.u.credit2.weight, 512);
	CHECK_EQ(op.u.scheduler_op.u.credit2.cap, 25);
	memset(&op.u, 0, sizeof(op.u));
	op.u.vcpuaffinity.vcpu = 1;
	op.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD;
	op.u.vcpuaffinity.cpumap_hard.nr_bits = FAKE_CPUS;
	op.u.vcpuaffinity.cpumap_hard.bitmap.p = (void *)LIST;
	*(u8 *)at(dom0.domain, LIST) = 0x2;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_setvcpuaffinity, d.domain->id), 0);
	*(u8 *)at(dom0.domain, LIST) = 0;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_getvcpuaffinity, d.domain->id), 0);
	CHECK_EQ(*(u8 *)at(dom0.domain, LIST), 2);
	*(u8 *)at(dom0.domain, LIST) = 0;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_setvcpuaffinity, d.domain->id), -XEN_EINVAL);
	world_stop();
}

/* ---- threads ---- */

static u32 entries;

/* A guest that does nothing but leave at once. */
static bool busy_guest(struct bv_vcpu *vcpu, void *arg)
{
	(void)arg;
	__atomic_fetch_add(&entries, 1, __ATOMIC_SEQ_CST);
	vcpu->exit.kind = BV_EXIT_HOST;
	return true;
}

static void *thread_run(void *vcpu)
{
	fake_xen_run(vcpu);
	return NULL;
}

static void wait_for_entries(void)
{
	u32 before = __atomic_load_n(&entries, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&entries, __ATOMIC_SEQ_CST) < before + 3)
		sched_yield();
}

TEST(a_paused_domain_stands_still_and_a_destroyed_one_ends)
{
	struct xen_domctl op = { 0 };
	pthread_t threads[2];
	struct dom d;
	u32 seen;

	world_start();
	domu_make(&d, 2, 64);
	for (u32 i = 0; i < 2; i++) {
		bv_vcpu_mp_set(d.v[i]->vcpu, BV_MP_RUNNABLE);
		fake_guest(d.v[i]->vcpu, busy_guest, NULL);
		pthread_create(&threads[i], NULL, thread_run, d.v[i]);
	}
	CHECK_EQ(entries, 0);
	for (u32 round = 0; round < 20; round++) {
		CHECK_EQ(domctl(&op, XEN_DOMCTL_unpausedomain, d.domain->id), 0);
		wait_for_entries();
		CHECK_EQ(domctl(&op, XEN_DOMCTL_pausedomain, d.domain->id), 0);
		seen = __atomic_load_n(&entries, __ATOMIC_SEQ_CST);
		for (u32 i = 0; i < 50; i++)
			sched_yield();
		CHECK_EQ(entries, seen);
	}
	CHECK_EQ(domctl(&op, XEN_DOMCTL_unpausedomain, d.domain->id), 0);
	wait_for_entries();
	domu_destroy(&d);
	for (u32 i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	world_stop();
}

TEST(a_vcpu_is_taken_down_and_up_by_another)
{
	struct dom d;

	world_start();
	domu_make(&d, 2, 64);
	for (u32 i = 0; i < 2; i++)
		bv_vcpu_mp_set(d.v[i]->vcpu, BV_MP_RUNNABLE);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_down, 1, 0, 0, 0), 0);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_down, 1, 0, 0, 0), 0);
	CHECK_EQ(d.v[1]->stops, 1);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 0);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0, 0, 0), 0);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0, 0, 0), 0);
	CHECK_EQ(d.v[1]->stops, 0);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 1);
	/* One that never ran. */
	bv_vcpu_mp_set(d.v[1]->vcpu, BV_MP_UNINITIALIZED);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0, 0, 0), -XEN_EINVAL);
	/* The last one. */
	CHECK_EQ(d.domain->shut_down, false);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_down, 0, 0, 0, 0), 0);
	CHECK_EQ(d.domain->shut_down, true);
	domu_destroy(&d);
	world_stop();
}

static struct xen_pod_target pod(struct dom *d, u32 cmd, u64 target)
{
	struct xen_pod_target op = { .target_pages = target, .domid = (domid_t)d->domain->id };

	CHECK_EQ(memory_op(dom0.v[0], cmd, &op, sizeof(op)), 0);
	return op;
}

/* A guest that has `target` pages of the 1024 that it is told of. */
static void pod_make(struct dom *d, u64 most, u64 target)
{
	struct xen_memory_reservation op = { .nr_extents = 2,
					     .extent_order = 9,
					     .mem_flags = XENMEMF_populate_on_demand };
	struct xen_domctl max = { .u.max_mem.max_memkb = most * 4 };

	domu_make(d, 1, 0);
	CHECK_EQ(domctl(&max, XEN_DOMCTL_max_mem, d->domain->id), 0);
	pod(d, XENMEM_set_pod_target, target);
	op.domid = (domid_t)d->domain->id;
	op.extent_start.p = (void *)LIST;
	((xen_pfn_t *)at(dom0.domain, LIST))[0] = 0;
	((xen_pfn_t *)at(dom0.domain, LIST))[1] = 512;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_populate_physmap, &op), 2);
}

static bool pod_is(struct dom *d, u64 all, u64 pooled, u64 empty)
{
	struct xen_pod_target op = pod(d, XENMEM_get_pod_target, 0);

	return op.tot_pages == all && op.pod_cache_pages == pooled && op.pod_entries == empty;
}

static long give_back(struct dom *d, u64 gfn)
{
	struct xen_memory_reservation op = { .nr_extents = 1, .domid = DOMID_SELF };

	*(xen_pfn_t *)at(d->domain, LIST) = gfn;
	op.extent_start.p = (void *)LIST;
	return MEMORY(d->v[0], XENMEM_decrease_reservation, &op);
}

/* 20 pages, one of which is there from the start, for 1024 that it is told of. */
TEST(memory_comes_when_it_is_touched)
{
	struct dom d;
	u64 word = ~0ULL;

	world_start();
	pod_make(&d, 22, 20);
	CHECK(pod_is(&d, 20, 20, 1024));
	/* Read, it has zeroes. */
	CHECK_EQ(bvx_copy_from_gpa(d.domain, 0x5000, &word, 8), 0);
	CHECK_EQ(word, 0);
	CHECK_EQ(bvx_copy_to_gpa(d.domain, ARG, "argument", 8), 0);
	CHECK_EQ(bvx_copy_to_gpa(d.domain, LIST, "list", 4), 0);
	CHECK(pod_is(&d, 20, 17, 1021));
	/* What the guest gives back waits for another page, and has zeroes then. */
	CHECK_EQ(bvx_copy_to_gpa(d.domain, 0x5000, "dirty", 5), 0);
	CHECK_EQ(give_back(&d, 5), 1);
	CHECK_EQ(give_back(&d, 6), 1);
	CHECK(pod_is(&d, 20, 18, 1020));
	for (u64 gfn = 512; gfn < 512 + 18; gfn++) {
		CHECK_EQ(bvx_copy_from_gpa(d.domain, gfn << 12, &word, 8), 0);
		CHECK_EQ(word, 0);
	}
	CHECK_EQ(bvx_copy_from_gpa(d.domain, 600ULL << 12, &word, 8), -XEN_EFAULT);
	CHECK(pod_is(&d, 20, 0, 1002));
	/* More, up to what it may have at most. */
	pod(&d, XENMEM_set_pod_target, 22);
	CHECK_EQ(bvx_copy_from_gpa(d.domain, 600ULL << 12, &word, 8), 0);
	CHECK(pod_is(&d, 22, 1, 1001));
	domu_destroy(&d);
	world_stop();
}

/* 600 pages for 1024: one block of 512, and the others one by one. */
TEST(memory_comes_in_blocks_while_there_is_enough)
{
	struct dom d;
	u64 word;

	world_start();
	pod_make(&d, 600, 600);
	CHECK_EQ(bvx_copy_from_gpa(d.domain, 0x5000, &word, 8), 0);
	CHECK(pod_is(&d, 600, 88, 512));
	CHECK_EQ(bvx_p2m_look(&d.domain->p2m, 7).order, 9);
	CHECK_EQ(bvx_copy_from_gpa(d.domain, 600ULL << 12, &word, 8), 0);
	CHECK(pod_is(&d, 600, 87, 511));
	domu_destroy(&d);
	world_stop();
}

TEST(the_tools_hear_that_a_guest_has_no_numa_nodes)
{
	struct xen_vnuma_topology_info op = { 0 };
	struct dom d;

	world_start();
	domu_make(&d, 1, 64);
	op.domid = (domid_t)d.domain->id;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_get_vnumainfo, &op), -XEN_EOPNOTSUPP);
	op.domid = 0;
	CHECK_EQ(MEMORY(d.v[0], XENMEM_get_vnumainfo, &op), -XEN_EPERM);
	domu_destroy(&d);
	world_stop();
}

/* The layouts of x86-32: longs and handles are 4 bytes, and nothing is aligned to more. */
struct narrow_reservation {
	u32 extents, count, order, flags;
	u16 domid;
};

TEST(calls_of_32_bit_code_have_their_own_layouts)
{
	struct narrow_reservation reservation = { (u32)LIST, 2, 0, 0, DOMID_SELF };
	const u32 batch[2][8] = {
		{ __HYPERVISOR_xen_version, 77, XENVER_pagesize },
		{ __HYPERVISOR_memory_op, 77, XENMEM_current_reservation, (u32)LIST2 },
	};
	const struct {
		u16 domid, size;
		u32 space, idx, gpfn;
	} add = { DOMID_SELF, 0, XENMAPSPACE_shared_info, 0, 0x50 };
	struct dom d;
	u32 *list;

	world_start();
	domu_make(&d, 1, 256);
	list = at(d.domain, LIST);
	list[0] = 0xa0;
	list[1] = 0xa1;
	memcpy(at(d.domain, ARG), &reservation, sizeof(reservation));
	CHECK_EQ(fake_hypercall32(d.v[0], __HYPERVISOR_memory_op, XENMEM_decrease_reservation, ARG,
				  0, 0, 0),
		 2);
	CHECK_EQ(bvx_p2m_look(&d.domain->p2m, 0xa0).type, BVX_NONE);
	CHECK_EQ(bvx_p2m_look(&d.domain->p2m, 0xa1).type, BVX_NONE);
	CHECK_EQ(bvx_p2m_look(&d.domain->p2m, 0xa2).type, BVX_RAM);
	memcpy(at(d.domain, ARG), &add, sizeof(add));
	CHECK_EQ(fake_hypercall32(d.v[0], __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARG, 0, 0,
				  0),
		 0);
	CHECK_EQ(bvx_p2m_look(&d.domain->p2m, 0x50).type, BVX_SHARED);
	*(u16 *)at(d.domain, LIST2) = DOMID_SELF;
	memcpy(at(d.domain, LIST), batch, sizeof(batch));
	CHECK_EQ(fake_hypercall32(d.v[0], __HYPERVISOR_multicall, LIST, 2, 0, 0, 0), 0);
	CHECK_EQ(list[1], BV_PAGE_SIZE);
	CHECK_EQ(list[9], 253);
	/* Run states are four bytes shorter for them; of the argument only half is an address. */
	*(u64 *)at(d.domain, ARG) = LIST3 | 0xabcdULL << 32;
	memset(at(d.domain, LIST3), 0xaa, 64);
	CHECK_EQ(fake_hypercall32(d.v[0], __HYPERVISOR_vcpu_op,
				  VCPUOP_register_runstate_memory_area, 0, ARG, 0, 0),
		 0);
	CHECK(*(u32 *)at(d.domain, LIST3) < 4);
	CHECK(*(u8 *)at(d.domain, LIST3 + 43) != 0xaa);
	CHECK_EQ(*(u8 *)at(d.domain, LIST3 + 44), 0xaa);
	/* What the tools alone call has no form for them. */
	CHECK_EQ(fake_hypercall32(d.v[0], __HYPERVISOR_memory_op, XENMEM_set_memory_map, ARG, 0, 0,
				  0),
		 -XEN_ENOSYS);
	domu_destroy(&d);
	world_stop();
}

static long initialise(struct bvx_vcpu *v, u32 index, const struct vcpu_hvm_context *context)
{
	memcpy(at(v->domain, ARG), context, sizeof(*context));
	return fake_hypercall(v, __HYPERVISOR_vcpu_op, VCPUOP_initialise, index, ARG, 0, 0);
}

TEST(a_guest_says_where_its_other_vcpus_begin)
{
	struct vcpu_hvm_context wide = {
		.mode = VCPU_HVM_MODE_64B,
		.cpu_regs.x86_64 = { .rip = 0x5000,
				     .rsp = 0x6000,
				     .rdi = 77,
				     .cr0 = 0x80000001,
				     .cr3 = 0x7000,
				     .cr4 = 0x20,
				     .efer = 0x500 },
	};
	struct vcpu_hvm_context narrow = {
		.mode = VCPU_HVM_MODE_32B,
		.cpu_regs.x86_32 = { .eip = 0x5000,
				     .cr0 = 1,
				     .cs_limit = ~0u,
				     .ds_limit = ~0u,
				     .ss_limit = ~0u,
				     .tr_limit = 0x67,
				     .cs_ar = 0xc9b,
				     .ds_ar = 0xc93,
				     .ss_ar = 0xc93,
				     .tr_ar = 0x8b },
	};
	struct bv_gprs gprs;
	struct bv_sregs sregs;
	struct dom d;

	world_start();
	domu_make(&d, 3, 64);
	bv_vcpu_mp_set(d.v[0]->vcpu, BV_MP_RUNNABLE);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0, 0, 0), -XEN_EINVAL);
	CHECK_EQ(initialise(d.v[0], 0, &wide), -XEN_EEXIST);
	wide.cpu_regs.x86_64.cr4 = 0;
	CHECK_EQ(initialise(d.v[0], 1, &wide), -XEN_EINVAL);
	wide.cpu_regs.x86_64.cr4 = 0x20;
	wide.pad = 1;
	CHECK_EQ(initialise(d.v[0], 1, &wide), -XEN_EINVAL);
	wide.pad = 0;
	CHECK_EQ(initialise(d.v[0], 1, &wide), 0);
	CHECK_EQ(initialise(d.v[0], 1, &wide), -XEN_EEXIST);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 0);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0, 0, 0), 0);
	CHECK_EQ(fake_hypercall(d.v[0], __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 1);
	bv_vcpu_gprs_get(d.v[1]->vcpu, &gprs);
	bv_vcpu_sregs_get(d.v[1]->vcpu, &sregs);
	CHECK_EQ(gprs.rip, 0x5000);
	CHECK_EQ(gprs.gpr[BV_RDI], 77);
	CHECK_EQ(sregs.cr3, 0x7000);
	CHECK_EQ(sregs.seg[BV_SEG_CS].attr, 0xa9b);
	/* A stack that is code, a task that is none. */
	narrow.cpu_regs.x86_32.ss_ar = 0xc9b;
	CHECK_EQ(initialise(d.v[0], 2, &narrow), -XEN_EINVAL);
	narrow.cpu_regs.x86_32.ss_ar = 0xc93;
	narrow.cpu_regs.x86_32.tr_ar = 0xc93;
	CHECK_EQ(initialise(d.v[0], 2, &narrow), -XEN_EINVAL);
	narrow.cpu_regs.x86_32.tr_ar = 0x8b;
	CHECK_EQ(initialise(d.v[0], 2, &narrow), 0);
	bv_vcpu_sregs_get(d.v[2]->vcpu, &sregs);
	CHECK_EQ(sregs.seg[BV_SEG_CS].attr, 0xc9b);
	domu_destroy(&d);
	world_stop();
}

/* It suspends itself: from 64-bit code, as a guest in long mode with paging would be. */
static bool suspending_guest(struct bv_vcpu *vcpu, void *arg)
{
	(void)arg;
	vcpu->gprs.gpr[BV_RAX] = __HYPERVISOR_sched_op;
	vcpu->gprs.gpr[BV_RBX] = SCHEDOP_shutdown;
	vcpu->gprs.gpr[BV_RCX] = ARG;
	vcpu->exit.kind = BV_EXIT_HYPERCALL;
	vcpu->exit.length = 3;
	return true;
}

TEST(a_guest_that_suspended_itself_has_the_result_of_its_call)
{
	const struct sched_shutdown reason = { SHUTDOWN_suspend };
	struct bv_gprs gprs = { 0 };
	struct xen_domctl op = { 0 };
	struct dom d;
	pthread_t thread;

	world_start();
	domu_make(&d, 1, 64);
	memcpy(at(d.domain, ARG), &reason, sizeof(reason));
	bv_vcpu_mp_set(d.v[0]->vcpu, BV_MP_RUNNABLE);
	fake_guest(d.v[0]->vcpu, suspending_guest, NULL);
	pthread_create(&thread, NULL, thread_run, d.v[0]);
	CHECK_EQ(domctl(&op, XEN_DOMCTL_unpausedomain, d.domain->id), 0);
	do {
		CHECK_EQ(domctl(&op, XEN_DOMCTL_getdomaininfo, d.domain->id), 0);
	} while (!(op.u.getdomaininfo.flags & XEN_DOMINF_shutdown));
	CHECK_EQ(domctl(&op, XEN_DOMCTL_pausedomain, d.domain->id), 0);
	bv_vcpu_gprs_get(d.v[0]->vcpu, &gprs);
	CHECK_EQ(gprs.gpr[BV_RAX], 0);
	domu_destroy(&d);
	pthread_join(thread, NULL);
	world_stop();
}
