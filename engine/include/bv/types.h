/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The basic types of the engine, the same under every host.
 *
 * The fixed-width names are those of the Linux kernel, with the kernel's own underlying types, so
 * that a host file may include its OS's headers and these together (OS headers first). Page numbers
 * are one-member structs: a guest frame number does not convert to a machine frame number by
 * accident.
 */
#ifndef BV_TYPES_H
#define BV_TYPES_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

/* A guest frame number: guest physical address >> 12. */
struct bv_gfn {
	u64 n;
};

/* A machine frame number: host physical address >> 12. */
struct bv_mfn {
	u64 n;
};

#define BV_GFN(number) ((struct bv_gfn){ (number) })
#define BV_MFN(number) ((struct bv_mfn){ (number) })

#define BV_PAGE_SHIFT 12
#define BV_PAGE_SIZE 4096UL
#define BV_PAGE_MASK (~0xfffULL)

#define BV_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BV_BIT(number) (1ULL << (number))
#define BV_CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define BV_STATIC_ASSERT(condition) _Static_assert(condition, #condition)

#define bv_likely(condition) __builtin_expect(!!(condition), 1)
#define bv_unlikely(condition) __builtin_expect(!!(condition), 0)

/* A word shared with somebody who may change it at any moment is read or written exactly once. */
#define BV_READ_ONCE(object) (*(const volatile __typeof__(object) *)&(object))
#define BV_WRITE_ONCE(object, value) (*(volatile __typeof__(object) *)&(object) = (value))

/* A case that goes on in the next one. */
#define bv_fallthrough __attribute__((__fallthrough__))
#define bv_printf_like(text, first) __attribute__((format(__printf__, text, first)))

#endif
