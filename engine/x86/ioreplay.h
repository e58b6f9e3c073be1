/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The memory of an instruction that waits for devices.
 *
 * A device that user space plays answers only after the vCPU has left the engine. The emulator
 * keeps no state over that: it is run again from the start of the instruction, and every device
 * access that has been answered is answered again from this log, in order, so that each device sees
 * each access once. Whoever implements the emulator's memory and port operations calls
 * bv_ioreplay_access() for each device access; the emulator empties the log when the instruction
 * (or one repetition of a string instruction) is complete.
 *
 *	answered entries:  [0, cursor) used by this run   [cursor, count) still to be used
 *	pending:           entry [count] has been asked for and not answered
 */
#ifndef BV_X86_IOREPLAY_H
#define BV_X86_IOREPLAY_H

#include "bv/types.h"

#define BV_IOREPLAY_ENTRIES \
	16 /* a 32-byte access of which each byte lies elsewhere does not occur */
#define BV_IOREPLAY_BYTES 1024 /* what one INS or OUTS may move at a time */

enum bv_io_kind {
	BV_IO_MMIO_READ,
	BV_IO_MMIO_WRITE,
	BV_IO_PORT_READ,
	BV_IO_PORT_WRITE,
};

struct bv_io_entry {
	u64 address; /* guest physical, or a port */
	u32 count; /* how many elements, more than one only for ports */
	u16 offset; /* of the data in .bytes */
	u8 size; /* of an element */
	u8 kind; /* enum bv_io_kind */
};

struct bv_ioreplay {
	u8 count;
	u8 cursor;
	bool pending;
	u16 used; /* of .bytes, by the answered entries */
	struct bv_io_entry entries[BV_IOREPLAY_ENTRIES];
	u8 bytes[BV_IOREPLAY_BYTES];
};

enum bv_ioreplay_rc {
	BV_IOREPLAY_DONE, /* answered from the log: reads have their data */
	BV_IOREPLAY_NEW, /* not in the log: reach the device, then bv_ioreplay_answer() */
	BV_IOREPLAY_FULL, /* too much for one instruction: give the instruction up */
};

static inline void bv_ioreplay_reset(struct bv_ioreplay *log)
{
	log->count = 0;
	log->cursor = 0;
	log->pending = false;
	log->used = 0;
}

/* To be called before each run of the emulator, which does so itself if it was given the log. */
static inline void bv_ioreplay_rewind(struct bv_ioreplay *log)
{
	log->cursor = 0;
}

/*
 * One device access of the instruction: .data holds .size * .count bytes, to be filled by a read.
 * After BV_IOREPLAY_NEW the access is the pending entry (its data, of a write, copied in); the
 * caller either answers it at once and goes on, or leaves with it to user space and returns
 * BV_EMUL_IO. If the guest's code or tables changed in between, the new run may do other accesses
 * than the log has: the rest of the log is then dropped.
 */
enum bv_ioreplay_rc bv_ioreplay_access(struct bv_ioreplay *log, enum bv_io_kind kind, u64 address,
				       unsigned int size, unsigned int count, void *data);

/* The pending access, or NULL; its data is at bv_ioreplay_data(). */
struct bv_io_entry *bv_ioreplay_pending(struct bv_ioreplay *log);

static inline u8 *bv_ioreplay_data(struct bv_ioreplay *log, const struct bv_io_entry *entry)
{
	return log->bytes + entry->offset;
}

/*
 * Answers the pending access; .data is what a read got, NULL to leave what bv_ioreplay_data()
 * holds.
 */
void bv_ioreplay_answer(struct bv_ioreplay *log, const void *data);

#endif
