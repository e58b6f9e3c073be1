// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzzes the instruction decoder: any bytes, any number of them, each code size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x86/decode.h"

#define REQUIRE(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, line, condition);
	abort();
}

static void check_insn(const struct bv_insn *insn, unsigned int count)
{
	REQUIRE(insn->len >= 1 && insn->len <= count && insn->len <= BV_INSN_MAX);
	REQUIRE(insn->row.op > BV_OP_UD && insn->row.op < BV_OP_COUNT);
	REQUIRE(!(insn->row.flags & (BV_OPF_GROUP | BV_OPF_BY_PREFIX | BV_OPF_PREFIX)));
	REQUIRE(insn->op_size == 2 || insn->op_size == 4 || insn->op_size == 8);
	REQUIRE(insn->addr_size == 2 || insn->addr_size == 4 || insn->addr_size == 8);
	REQUIRE(insn->code == BV_CODE64 || (insn->op_size != 8 && insn->addr_size != 8));
	REQUIRE(insn->reg < 16 && insn->rm < 16 && insn->scale < 4 && insn->seg <= BV_SEG_GS);
	REQUIRE(insn->base < 16 || insn->base == BV_INSN_NO_REG);
	REQUIRE(insn->index < 16 || insn->index == BV_INSN_NO_REG);
	REQUIRE(insn->code == BV_CODE64 || (insn->reg < 8 || insn->row.op == BV_OP_MOV_FROM_CR ||
					    insn->row.op == BV_OP_MOV_TO_CR));
}

/* What is missing is told, whatever stands in the bytes that are not valid. */
static void check_prefixes(const u8 *bytes, unsigned int count, enum bv_code_size code,
			   const struct bv_insn *whole)
{
	struct bv_insn insn;
	u8 part[BV_INSN_WINDOW];

	for (unsigned int valid = 1; valid <= count && valid <= BV_INSN_MAX; valid++) {
		enum bv_decode_rc rc;

		memset(part, 0xcc, sizeof(part));
		memcpy(part, bytes, valid);
		rc = bv_insn_decode(&insn, part, valid, code);
		if (valid < whole->len)
			REQUIRE(rc == BV_DECODE_SHORT);
		else
			REQUIRE(rc == BV_DECODE_OK && insn.len == whole->len &&
				insn.imm == whole->imm && insn.disp == whole->disp);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum bv_code_size codes[] = { BV_CODE16, BV_CODE32, BV_CODE64 };
	u64 gpr[16] = { 0 };
	struct bv_insn insn;
	struct bv_mmio mmio;
	u8 window[BV_INSN_WINDOW] = { 0 };
	unsigned int count;

	if (size < 2)
		return 0;
	count = size - 1 < BV_INSN_WINDOW ? (unsigned int)size - 1 : BV_INSN_WINDOW;
	memcpy(window, data + 1, count);
	if (bv_insn_decode(&insn, window, count, codes[data[0] % 3]) != BV_DECODE_OK)
		return 0;
	check_insn(&insn, count);
	check_prefixes(window, count, codes[data[0] % 3], &insn);
	if (bv_insn_as_mmio(&insn, gpr, &mmio)) {
		REQUIRE(mmio.size == 1 || mmio.size == 2 || mmio.size == 4 || mmio.size == 8);
		REQUIRE(bv_insn_one_access(&insn));
		if (!mmio.write)
			bv_mmio_finish(&mmio, gpr, 0x8877665544332211);
	}
	return 0;
}
