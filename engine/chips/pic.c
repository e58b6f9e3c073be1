/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The pair of 8259 interrupt controllers of a PC, with the edge/level registers of later chipsets.
 * Facts: Intel 8259A data sheet. The slave's output is the master's line 2. The master's output
 * goes to LINT0 of every local APIC; whoever takes ExtINT there asks bv_pic_acknowledge for the
 * vector.
 *
 * All under chips->lock. The slave's output is followed as a level: a request that goes away before
 * it was acknowledged goes away in the master too, so that the pair itself never makes a spurious
 * interrupt.
 */
#include "chips/chips.h"

enum pic_which {
	MASTER,
	SLAVE
};

#define CASCADE_LINE 2
#define SPURIOUS_LINE 7

/*
 * Lines of each that a guest may make level-triggered: not the timer, keyboard, cascade; not the
 * RTC and FPU.
 */
static const u8 elcr_mask[2] = { 0xf8, 0xde };

/* ---- who is first ---- */

/*
 * How far the first line of the set is behind the one with the highest priority; 8: the set is
 * empty.
 */
static int pic_rank(const struct pic_chip *chip, u8 lines)
{
	u8 rotated;

	if (!lines)
		return 8;
	rotated = (u8)(lines >> chip->priority_add | lines << (8 - chip->priority_add));
	return __builtin_ctz(rotated);
}

static int pic_line_at(const struct pic_chip *chip, int rank)
{
	return (rank + chip->priority_add) & 7;
}

/*
 * The line that the chip asks for, or -1: the first unmasked request that no line in service holds
 * back.
 */
static int pic_chip_request(const struct bv_pic *pic, enum pic_which which)
{
	const struct pic_chip *chip = &pic->chip[which];
	u8 in_service = chip->isr;
	int rank = pic_rank(chip, chip->irr & (u8)~chip->imr);

	if (rank == 8)
		return -1;
	if (chip->special_mask)
		in_service &= (u8)~chip->imr;
	/* Fully nested also across the cascade: a higher request of the slave comes through. */
	if (chip->special_nested && which == MASTER)
		in_service &= (u8) ~(1 << CASCADE_LINE);
	return rank < pic_rank(chip, in_service) ? pic_line_at(chip, rank) : -1;
}

/* INTR rises: LINT0 of every local APIC. */
static void pic_output_rose(struct bv_chips *chips)
{
	struct bv_lapic *lapic;
	u32 i;

	bv_chips_for_each_lapic(i, lapic, chips)
	{
		if (lapic_present(lapic))
			bv_lapic_local(lapic, LVT_LINT0);
		else if (bv_lapic_takes_extint(lapic->vcpu))
			bv_vcpu_irq_arrived(lapic->vcpu);
	}
}

static void pic_update(struct bv_chips *chips)
{
	struct bv_pic *pic = &chips->pic;
	bool output, before = pic->output;

	if (pic_chip_request(pic, SLAVE) >= 0)
		pic->chip[MASTER].irr |= 1 << CASCADE_LINE;
	else
		pic->chip[MASTER].irr &= (u8) ~(1 << CASCADE_LINE);
	output = pic_chip_request(pic, MASTER) >= 0;
	BV_WRITE_ONCE(pic->output, output);
	if (output && !before)
		pic_output_rose(chips);
}

/* ---- lines ---- */

/* 1 newly requested (or lowered), 0 already requested, -1 masked. */
static int pic_chip_line(struct pic_chip *chip, u8 mask, bool level)
{
	bool level_triggered = chip->elcr & mask;
	bool rises = level && (level_triggered || !(chip->last_irr & mask));
	int result = 1;

	if (level)
		chip->last_irr |= mask;
	else
		chip->last_irr &= (u8)~mask;
	if (rises) {
		result = !(chip->irr & mask);
		chip->irr |= mask;
	} else if (level_triggered) {
		chip->irr &= (u8)~mask;
	} else if (level) {
		result = 0;
	}
	return chip->imr & mask ? -1 : result;
}

int bv_pic_set_line(struct bv_chips *chips, u32 pin, bool level)
{
	int result = pic_chip_line(&chips->pic.chip[pin >> 3], (u8)(1 << (pin & 7)), level);

	pic_update(chips);
	return result;
}

/* ---- acknowledging ---- */

/* The line goes into service; with automatic EOI it is out again at once. */
static void pic_chip_acknowledge(struct pic_chip *chip, enum pic_which which, int line, u32 *acked)
{
	u8 mask = (u8)(1 << line);

	if (!(chip->elcr & mask))
		chip->irr &= (u8)~mask;
	if (!chip->auto_eoi) {
		chip->isr |= mask;
		return;
	}
	if (chip->rotate_on_auto_eoi)
		chip->priority_add = (u8)((line + 1) & 7);
	*acked |= (u32)mask << 8 * which;
}

int bv_pic_peek(struct bv_chips *chips)
{
	struct bv_pic *pic = &chips->pic;
	int line = pic_chip_request(pic, MASTER);

	if (line < 0)
		return -1;
	if (line != CASCADE_LINE)
		return pic->chip[MASTER].irq_base + line;
	return pic->chip[SLAVE].irq_base + pic_chip_request(pic, SLAVE);
}

int bv_pic_acknowledge(struct bv_chips *chips, u32 *acked)
{
	struct bv_pic *pic = &chips->pic;
	int vector = bv_pic_peek(chips);
	int line = pic_chip_request(pic, MASTER);

	if (vector < 0)
		return -1;
	if (line == CASCADE_LINE)
		pic_chip_acknowledge(&pic->chip[SLAVE], SLAVE, pic_chip_request(pic, SLAVE), acked);
	pic_chip_acknowledge(&pic->chip[MASTER], MASTER, line, acked);
	pic_update(chips);
	return vector;
}

/* ---- the guest's commands ---- */

static void pic_end(struct pic_chip *chip, enum pic_which which, int line, u32 *acked)
{
	u8 mask = (u8)(1 << line);

	if (chip->isr & mask)
		*acked |= (u32)mask << 8 * which;
	chip->isr &= (u8)~mask;
}

/*
 * The first initialization word: forgets edges and what is in service; whoever waits for the end of
 * those is told.
 */
static void pic_icw1(struct pic_chip *chip, enum pic_which which, u8 value, u32 *acked)
{
	u8 edges = chip->irr & (u8)~chip->elcr;

	*acked |= (u32)(edges | chip->isr) << 8 * which;
	chip->irr &= chip->elcr;
	chip->last_irr &= chip->elcr;
	chip->imr = 0;
	chip->isr = 0;
	chip->priority_add = 0;
	chip->special_mask = false;
	chip->read_isr = false;
	chip->poll = false;
	chip->init4 = value & 1;
	if (!chip->init4) {
		chip->special_nested = false;
		chip->auto_eoi = false;
	}
	chip->init_state = 1;
}

enum pic_ocw2 {
	CLEAR_AUTO_ROTATE,
	EOI_FIRST,
	NO_OPERATION,
	EOI_LINE,
	SET_AUTO_ROTATE,
	EOI_FIRST_ROTATE,
	SET_PRIORITY,
	EOI_LINE_ROTATE,
};

/* EOI without a line: the first in service, of those the special mask mode does not take out. */
static int pic_first_in_service(const struct pic_chip *chip)
{
	int rank = pic_rank(chip, chip->special_mask ? chip->isr & (u8)~chip->imr : chip->isr);

	return rank == 8 ? -1 : pic_line_at(chip, rank);
}

static void pic_ocw2(struct pic_chip *chip, enum pic_which which, u8 value, u32 *acked)
{
	enum pic_ocw2 command = value >> 5;
	int line = value & 7;

	switch (command) {
	case CLEAR_AUTO_ROTATE:
	case SET_AUTO_ROTATE:
		chip->rotate_on_auto_eoi = command == SET_AUTO_ROTATE;
		break;
	case EOI_FIRST:
	case EOI_FIRST_ROTATE:
		line = pic_first_in_service(chip);
		if (line < 0)
			break;
		pic_end(chip, which, line, acked);
		if (command == EOI_FIRST_ROTATE)
			chip->priority_add = (u8)((line + 1) & 7);
		break;
	case EOI_LINE:
	case EOI_LINE_ROTATE:
		pic_end(chip, which, line, acked);
		if (command == EOI_LINE_ROTATE)
			chip->priority_add = (u8)((line + 1) & 7);
		break;
	case SET_PRIORITY:
		chip->priority_add = (u8)((line + 1) & 7);
		break;
	case NO_OPERATION:
		break;
	}
}

static void pic_ocw3(struct pic_chip *chip, u8 value)
{
	if (value & 0x04)
		chip->poll = true;
	if (value & 0x02)
		chip->read_isr = value & 1;
	if (value & 0x40)
		chip->special_mask = value & 0x20;
}

static void pic_write_command(struct pic_chip *chip, enum pic_which which, u8 value, u32 *acked)
{
	if (value & 0x10)
		pic_icw1(chip, which, value, acked);
	else if (value & 0x08)
		pic_ocw3(chip, value);
	else
		pic_ocw2(chip, which, value, acked);
}

static void pic_write_data(struct pic_chip *chip, u8 value)
{
	switch (chip->init_state) {
	case 0:
		chip->imr = value;
		break;
	case 1: /* ICW2 */
		chip->irq_base = value & 0xf8;
		chip->init_state = 2;
		break;
	case 2: /* ICW3: the cascade is wired */
		chip->init_state = chip->init4 ? 3 : 0;
		break;
	case 3: /* ICW4 */
		chip->special_nested = value & 0x10;
		chip->auto_eoi = value & 0x02;
		chip->init_state = 0;
		break;
	}
}

/* Poll mode: a read stands in for INTA. */
static u8 pic_poll(struct bv_pic *pic, enum pic_which which, u32 *acked)
{
	int line = pic_chip_request(pic, which);

	pic->chip[which].poll = false;
	if (line < 0)
		return SPURIOUS_LINE;
	pic_chip_acknowledge(&pic->chip[which], which, line, acked);
	return (u8)(0x80 | line);
}

/* ---- ports ---- */

#define PORT_MASTER 0x20
#define PORT_SLAVE 0xa0
#define PORT_ELCR 0x4d0

/*
 * What a byte at a port shows, without a poll: bit 0 of the port is the chip's A0, or for ELCR, the
 * chip. Nothing is behind the two ELCRs. Needs no lock: while a byte changes, a reader gets the one
 * or the other.
 */
static u8 pic_port_peek(const struct bv_pic *pic, u64 port)
{
	const struct pic_chip *chip = &pic->chip[(port & ~1ULL) == PORT_SLAVE ? SLAVE : MASTER];

	if ((port & ~1ULL) == PORT_ELCR)
		return BV_READ_ONCE(pic->chip[port & 1].elcr);
	if (port >= PORT_ELCR)
		return 0xff;
	if (port & 1)
		return BV_READ_ONCE(chip->imr);
	return BV_READ_ONCE(chip->read_isr) ? BV_READ_ONCE(chip->isr) : BV_READ_ONCE(chip->irr);
}

/* The same, and where the chip is to be polled, that. Under the lock. */
static u8 pic_port_read(struct bv_pic *pic, u64 port, u32 *acked)
{
	enum pic_which which = (port & ~1ULL) == PORT_SLAVE ? SLAVE : MASTER;

	if (port < PORT_ELCR && pic->chip[which].poll)
		return pic_poll(pic, which, acked);
	return pic_port_peek(pic, port);
}

static void pic_port_write(struct bv_chips *chips, u64 port, u8 value, u32 *acked)
{
	enum pic_which which = (port & ~1ULL) == PORT_SLAVE ? SLAVE : MASTER;
	struct pic_chip *chip = &chips->pic.chip[which];

	if ((port & ~1ULL) == PORT_ELCR)
		chips->pic.chip[port & 1].elcr = value & elcr_mask[port & 1];
	else if (port >= PORT_ELCR)
		return;
	else if (port & 1)
		pic_write_data(chip, value);
	else
		pic_write_command(chip, which, value, acked);
}

static void pic_read_polled(struct bv_chips *chips, u64 addr, u32 bytes, u8 *data)
{
	u64 flags = bv_host_spin_lock_irq(&chips->lock);
	u32 acked = 0;

	for (u32 i = 0; i < bytes; i++)
		data[i] = pic_port_read(&chips->pic, addr + i, &acked);
	pic_update(chips);
	bv_host_spin_unlock_irq(&chips->lock, flags);
	if (acked)
		bv_irq_acked(chips, CHIP_PIC, acked);
}

static bool pic_polled(const struct bv_pic *pic)
{
	return BV_READ_ONCE(pic->chip[MASTER].poll) || BV_READ_ONCE(pic->chip[SLAVE].poll);
}

/* Only a poll changes anything by being read. */
static enum bv_access_result pic_bus_read(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					  u64 addr, u32 bytes, void *data)
{
	struct bv_chips *chips = vm_chips(vcpu->vm);

	(void)device;
	if (addr >= PORT_ELCR + 2)
		return BV_ACCESS_NOT_MINE;
	if (bv_unlikely(pic_polled(&chips->pic))) {
		pic_read_polled(chips, addr, bytes, data);
		return BV_ACCESS_DONE;
	}
	for (u32 i = 0; i < bytes; i++)
		((u8 *)data)[i] = pic_port_peek(&chips->pic, addr + i);
	return BV_ACCESS_DONE;
}

static enum bv_access_result pic_bus_write(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					   u64 addr, u32 bytes, const void *data)
{
	struct bv_chips *chips = vm_chips(vcpu->vm);
	u32 acked = 0;
	u64 flags;

	(void)device;
	if (addr >= PORT_ELCR + 2)
		return BV_ACCESS_NOT_MINE;
	flags = bv_host_spin_lock_irq(&chips->lock);
	for (u32 i = 0; i < bytes; i++)
		pic_port_write(chips, addr + i, ((const u8 *)data)[i], &acked);
	pic_update(chips);
	bv_host_spin_unlock_irq(&chips->lock, flags);
	bv_irq_acked(chips, CHIP_PIC, acked);
	return BV_ACCESS_DONE;
}

static const struct bv_bus_ops pic_bus_ops = { .read = pic_bus_read, .write = pic_bus_write };
/* Two ports each; an access to the ELCRs may be wider, as if nothing were behind them. */
static const struct {
	u16 port, bytes;
} pic_ports[3] = { { PORT_MASTER, 2 }, { PORT_SLAVE, 2 }, { PORT_ELCR, 4 } };

int bv_pic_attach(struct bv_vm *vm)
{
	struct bv_pic *pic = &vm_chips(vm)->pic;

	for (u32 i = 0; i < BV_ARRAY_SIZE(pic_ports); i++) {
		int error;

		pic->device[i] = (struct bv_bus_device){ &pic_bus_ops, pic_ports[i].port,
							 pic_ports[i].bytes };
		error = bv_bus_add(vm, BV_BUS_PORT, &pic->device[i]);
		if (error) {
			bv_pic_detach(vm, i);
			return error;
		}
	}
	return 0;
}

void bv_pic_detach(struct bv_vm *vm, unsigned int count)
{
	while (count--)
		bv_bus_del(vm, BV_BUS_PORT, &vm_chips(vm)->pic.device[count]);
}

/* ---- state ---- */

static void pic_chip_save(const struct pic_chip *chip, struct bv_pic_state *state)
{
	*state = (struct bv_pic_state){
		.last_irr = chip->last_irr,
		.irr = chip->irr,
		.imr = chip->imr,
		.isr = chip->isr,
		.priority_add = chip->priority_add,
		.irq_base = chip->irq_base,
		.read_reg_select = chip->read_isr,
		.poll = chip->poll,
		.special_mask = chip->special_mask,
		.init_state = chip->init_state,
		.auto_eoi = chip->auto_eoi,
		.rotate_on_auto_eoi = chip->rotate_on_auto_eoi,
		.special_fully_nested_mode = chip->special_nested,
		.init4 = chip->init4,
		.elcr = chip->elcr,
	};
}

static void pic_chip_restore(struct pic_chip *chip, const struct bv_pic_state *state, u8 elcr)
{
	*chip = (struct pic_chip){
		.last_irr = state->last_irr,
		.irr = state->irr,
		.imr = state->imr,
		.isr = state->isr,
		.priority_add = state->priority_add & 7,
		.irq_base = state->irq_base & 0xf8, /* the line makes up the rest */
		.read_isr = state->read_reg_select,
		.poll = state->poll,
		.special_mask = state->special_mask,
		.init_state = state->init_state & 3,
		.auto_eoi = state->auto_eoi,
		.rotate_on_auto_eoi = state->rotate_on_auto_eoi,
		.special_nested = state->special_fully_nested_mode,
		.init4 = state->init4,
		.elcr = state->elcr & elcr,
	};
}

int bv_pic_get(struct bv_vm *vm, unsigned int which, struct bv_pic_state *state)
{
	struct bv_chips *chips = vm_chips(vm);
	u64 flags;

	if (!chips || !chips->full)
		return bv_refuse(&vm->why, BV_ENXIO,
				 "8259 state: this VM has no 8259 in the engine");
	if (which > SLAVE)
		return bv_refuse(&vm->why, BV_EINVAL, "8259 state: chip %u, there are 0 and 1",
				 which);
	flags = bv_host_spin_lock_irq(&chips->lock);
	pic_chip_save(&chips->pic.chip[which], state);
	state->elcr_mask = elcr_mask[which];
	bv_host_spin_unlock_irq(&chips->lock, flags);
	return 0;
}

int bv_pic_set(struct bv_vm *vm, unsigned int which, const struct bv_pic_state *state)
{
	struct bv_chips *chips = vm_chips(vm);
	u64 flags;

	if (!chips || !chips->full)
		return bv_refuse(&vm->why, BV_ENXIO,
				 "8259 state: this VM has no 8259 in the engine");
	if (which > SLAVE)
		return bv_refuse(&vm->why, BV_EINVAL, "8259 state: chip %u, there are 0 and 1",
				 which);
	flags = bv_host_spin_lock_irq(&chips->lock);
	pic_chip_restore(&chips->pic.chip[which], state, elcr_mask[which]);
	pic_update(chips);
	bv_host_spin_unlock_irq(&chips->lock, flags);
	return 0;
}
