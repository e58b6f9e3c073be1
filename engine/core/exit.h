/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* The neutral record of an exit, which vendors fill and core/exit.c acts on, and the counters. */
#ifndef BV_CORE_EXIT_H
#define BV_CORE_EXIT_H

#include "bv/types.h"
#include "data/exits.h"

#define BV_EXIT_ENUM(name, text) BV_EXIT_##name,
#define BV_COUNT_ENUM(name, text) BV_COUNT_##name,
enum bv_exit_kind {
	BV_EXITS(BV_EXIT_ENUM) BV_EXIT_KINDS
};
/* Exits come first in a vCPU's counters, then the rest. */
enum bv_counter {
	BV_COUNT_BASE = BV_EXIT_KINDS - 1,
	BV_COUNTS(BV_COUNT_ENUM) BV_COUNTER_COUNT
};

enum bv_vectoring {
	BV_VECTORING_NONE,
	BV_VECTORING_IRQ,
	BV_VECTORING_NMI,
	BV_VECTORING_EXCEPTION,
	BV_VECTORING_SOFT_IRQ
};

struct bv_exit {
	enum bv_exit_kind kind;
	/* The interrupt offered to the hardware over this entry was delivered, or began to be. */
	bool offer_taken;
	/* Where the hardware ends interrupts: vcpu->service.isr is not what it was. */
	bool served;
	/* An interrupt shadow may be on: what is carried out for the guest ends it. */
	bool shadow;
	/* Length of the instruction that exited, if the hardware told; 0: find it out. */
	u8 length;
	/* The instruction's bytes, if the hardware told (count 0: fetch them). */
	u8 bytes_count;
	u8 bytes[15];
	/*
	 * An event whose delivery was under way when the exit came, and which must be delivered
	 * again.
	 */
	struct {
		u8 kind; /* enum bv_vectoring */
		u8 vector;
		bool has_error;
		u32 error;
	} vectoring;
	union {
		struct {
			u64 gpa;
			bool write, fetch, user;
			bool present; /* there was a mapping, but it did not allow this */
			bool table_walk; /* the guest's own page tables lie there */
		} fault;
		struct {
			u16 port;
			u8 bytes;
			bool in, string;
		} port;
		struct {
			u8 vector;
			bool has_error;
			u32 error;
			u64 address;
		} exception;
		struct {
			u16 sel;
			u8 source; /* enum bv_task_source */
		} task;
		/* The last byte of the opcode 0F 01 xx of an instruction of hypervisors. */
		u8 virt;
		struct {
			u64 code, info1, info2;
		} raw;
	};
};

/* What a handler wants next. */
enum bv_exit_next {
	BV_NEXT_GUEST, /* enter the guest again */
	BV_NEXT_FRONT, /* vcpu->run is filled: return to the front */
};

#endif
