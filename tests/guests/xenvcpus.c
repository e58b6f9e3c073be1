// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A DomU on Xen's interface: where its other vCPUs begin (VCPUOP_initialise), in 64-bit and in
 * 32-bit code, and what is shared with 32-bit code, whose longs are shorter.
 */
#include "cpu.h"
#include "modes.h"
#include "xen.h"

#define VCPUOP_INITIALISE 0
#define VCPUOP_UP 1
#define VCPUOP_DOWN 2
#define VCPUOP_IS_UP 3
#define VCPUOP_RUNSTATE 5
#define EINVAL 22
#define EEXIST 17

static volatile u32 arrived_64, arrived_32;
static u8 stack[4096] __attribute__((aligned(16)));

/* ---- where a vCPU begins ---- */

struct context {
	u32 mode, pad;
	union {
		struct {
			u64 rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, rip, rflags;
			u64 cr0, cr3, cr4, efer;
		} wide;
		struct {
			u32 eax, ecx, edx, ebx, esp, ebp, esi, edi, eip, eflags;
			u32 cr0, cr3, cr4, pad1;
			u64 efer;
			u32 base[5], limit[5]; /* CS DS SS ES TR */
			u16 rights[5], pad2[3];
		} narrow;
	};
};

static s64 vcpu_op(u32 op, u32 vcpu, const void *argument)
{
	return (s64)hypercall(HC_VCPU, op, vcpu, (u64)argument);
}

static void begin_64(void)
{
	store32(&arrived_64, 1);
	for (;;)
		vcpu_op(VCPUOP_DOWN, 1, NULL);
}

/* EDI tells where it says that it is there. It takes itself out of service. */
extern const u8 begin_32[];
__asm__(".text\n"
	".code32\n"
	"begin_32:\n"
	"	movl $1, (%edi)\n"
	"1:	movl $24, %eax\n"
	"	movl $2, %ebx\n"
	"	movl $2, %ecx\n"
	"	vmmcall\n"
	"	jmp 1b\n"
	".code64\n");

static void a_vcpu_begins_in_64_bit_code(void)
{
	struct context context = { .mode = 1 };

	context.wide.rip = (u64)begin_64;
	context.wide.rsp = (u64)(stack + sizeof(stack) - 8);
	context.wide.cr0 = read_cr0();
	context.wide.cr3 = read_cr3();
	context.wide.efer = rdmsr(MSR_EFER);
	CHECK_EQ(vcpu_op(VCPUOP_IS_UP, 1, NULL), 0);
	CHECK_EQ(vcpu_op(VCPUOP_UP, 1, NULL), -EINVAL);
	CHECK_EQ(vcpu_op(VCPUOP_INITIALISE, 0, &context), -EEXIST);
	/* Long mode without PAE is none. */
	CHECK_EQ(vcpu_op(VCPUOP_INITIALISE, 1, &context), -EINVAL);
	context.wide.cr4 = read_cr4();
	CHECK_EQ(vcpu_op(VCPUOP_INITIALISE, 1, &context), 0);
	CHECK_EQ(vcpu_op(VCPUOP_INITIALISE, 1, &context), -EEXIST);
	CHECK(!wait_for(&arrived_64, 1, SHORT_WAIT));
	CHECK_EQ(vcpu_op(VCPUOP_UP, 1, NULL), 0);
	CHECK(wait_for(&arrived_64, 1, LONG_WAIT));
}

static void a_vcpu_begins_in_32_bit_code(void)
{
	struct context context = { .mode = 0 };
	u32 i;

	context.narrow.eip = (u32)(u64)begin_32;
	context.narrow.edi = (u32)(u64)&arrived_32;
	context.narrow.cr0 = CR0_PE;
	for (i = 0; i < 5; i++) {
		context.narrow.limit[i] = i < 4 ? ~0u : 0x67;
		context.narrow.rights[i] = (u16[]){ 0xc9b, 0xc93, 0xc93, 0xc93, 0x8b }[i];
	}
	context.narrow.rights[0] = 0xc93;
	CHECK_EQ(vcpu_op(VCPUOP_INITIALISE, 2, &context), -EINVAL);
	context.narrow.rights[0] = 0xc9b;
	CHECK_EQ(vcpu_op(VCPUOP_INITIALISE, 2, &context), 0);
	CHECK_EQ(vcpu_op(VCPUOP_UP, 2, NULL), 0);
	CHECK(wait_for(&arrived_32, 1, LONG_WAIT));
}

/* ---- calls of 32-bit code ---- */

struct call32 {
	u32 number, a, b, c, result;
};
LOW_DATA struct call32 call32;

extern const u8 call32_code[];
__asm__(".text\n"
	".code32\n"
	"call32_code:\n"
	"	pushl %ebx\n"
	"	movl call32, %eax\n"
	"	movl call32 + 4, %ebx\n"
	"	movl call32 + 8, %ecx\n"
	"	movl call32 + 12, %edx\n"
	"	vmmcall\n"
	"	movl %eax, call32 + 16\n"
	"	popl %ebx\n"
	"	ret\n"
	".code64\n");

static s32 hypercall32(u32 number, u32 a, const volatile void *b, const void *c)
{
	call32 = (struct call32){ number, a, (u32)(u64)b, (u32)(u64)c, 0 };
	protected_call(call32_code, 0, 0);
	return (s32)call32.result;
}

static volatile u8 shared[GUEST_PAGE_SIZE] __attribute__((aligned(4096)));
static u32 port;

static u32 word_at(u32 offset)
{
	return load32((volatile u32 *)(shared + offset));
}

#define VCPU_INFOS (32 * 64)

static void ports_bind(u32 count)
{
	struct {
		u32 vcpu, port;
	} bind = { 0, 0 };

	while (bind.port < count)
		xen_must("bind_ipi", hypercall(HC_EVENT, 7, (u64)&bind, 0));
	port = bind.port;
}

static void what_is_shared_with_32_bit_code_has_short_longs(void)
{
	struct {
		u16 domid, size;
		u32 space, index, gfn;
	} add = { DOMID_SELF, 0, XEN_SHARED_INFO, 0, (u32)((u64)shared / GUEST_PAGE_SIZE) };

	CHECK_EQ(hypercall32(HC_MEMORY, 7, &add, NULL), 0);
	ports_bind(40);
	CHECK_EQ(port, 40);
	CHECK_EQ(hypercall32(HC_EVENT, 4, &port, NULL), 0);
	CHECK_EQ(word_at(VCPU_INFOS + 4), 1u << 8);
	CHECK_EQ(word_at(4), 2);
	CHECK_EQ(shared[0], 1);
}

static void run_states_of_32_bit_code_are_shorter(void)
{
	static volatile u32 area[12];
	const u64 where = (u64)area | 0x1234ull << 32;

	area[11] = 0x5a5a5a5a;
	CHECK_EQ(hypercall32(HC_VCPU, VCPUOP_RUNSTATE, NULL, &where), 0);
	CHECK_EQ(area[0], 0);
	CHECK(area[1] | area[2]);
	CHECK(area[3] | area[4]);
	CHECK_EQ(area[11], 0x5a5a5a5a);
}

static void the_layout_follows_64_bit_code_again(void)
{
	xen_map((void *)shared, XEN_SHARED_INFO);
	ports_bind(70);
	shared[0] = 0;
	CHECK_EQ(hypercall(HC_EVENT, 4, (u64)&port, 0), 0);
	CHECK_EQ(word_at(VCPU_INFOS + 8), 1u << (70 - 64));
	CHECK_EQ(word_at(8), 2);
	CHECK_EQ(shared[0], 1);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(a_vcpu_begins_in_64_bit_code),
	GUEST_TEST(a_vcpu_begins_in_32_bit_code),
	GUEST_TEST(what_is_shared_with_32_bit_code_has_short_longs),
	GUEST_TEST(run_states_of_32_bit_code_are_shorter),
	GUEST_TEST(the_layout_follows_64_bit_code_again),
	GUEST_TESTS_END,
};
