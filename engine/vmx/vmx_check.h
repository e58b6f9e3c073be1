/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* What the two files of the checker share; the checker itself is in vmx.h. */
#ifndef BV_VMX_CHECK_H
#define BV_VMX_CHECK_H

#include "bv/x86.h"
#include "vmx/vmx.h"

struct vmx_checked {
	const struct vmx_caps *caps;
	u64 (*read)(void *arg, u32 field);
	void (*broken)(void *arg, const char *rule, u64 value);
	void *arg;
	unsigned int count;
	u32 pin, proc, proc2, exit, entry, event;
	bool long_mode, virtual_8086, unrestricted;
};

static inline u64 check_get(struct vmx_checked *c, enum vmcs_field field)
{
	return c->read(c->arg, field);
}

/* One rule: what must be so, in the manual's order and with its section, and the value shown. */
static inline void check_must(struct vmx_checked *c, bool good, const char *rule, u64 value)
{
	if (good)
		return;
	c->count++;
	c->broken(c->arg, rule, value);
}

static inline bool check_canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

static inline bool check_fits(const struct vmx_checked *c, u64 address)
{
	return !(address >> c->caps->phys_bits);
}

static inline bool check_page(const struct vmx_checked *c, u64 address)
{
	return !(address & 0xfff) && check_fits(c, address);
}

/* vmx_check_guest.c: 26.3.1 */
void vmx_check_guest(struct vmx_checked *c);

#endif
