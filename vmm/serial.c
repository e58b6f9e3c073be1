// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The 16550A: see serial.h (National Semiconductor PC16550D datasheet). Sending takes no time.
 * Bytes received that do not reach the trigger level raise the timeout interrupt at once.
 */
#include "vmm/serial.h"
#include "vmm/console.h"
#include "vmm/snap.h"

#include <stdlib.h>
#include <string.h>

#define SERIAL_IRQ 4u

#define IER_RECEIVED 0x01u
#define IER_SENT 0x02u
#define IER_LINE 0x04u
#define IIR_NONE 0x01u
#define IIR_SENT 0x02u
#define IIR_RECEIVED 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u
#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_DLAB 0x80u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define LSR_READY 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_EMPTY 0x60u
#define MSR_CONNECTED 0xb0u /* DCD, DSR, CTS */

static unsigned int trigger_level(const struct serial *serial)
{
	static const uint8_t LEVELS[] = { 1, 4, 8, 14 };

	return serial->fcr & FCR_ENABLE ? LEVELS[serial->fcr >> 6] : 1;
}

static unsigned int capacity(const struct serial *serial)
{
	return serial->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;
}

static uint8_t pending(const struct serial *serial)
{
	if ((serial->ier & IER_LINE) && serial->line_errors)
		return IIR_LINE;
	if ((serial->ier & IER_RECEIVED) && serial->fifo_count >= trigger_level(serial))
		return IIR_RECEIVED;
	if ((serial->ier & IER_RECEIVED) && serial->fifo_count)
		return IIR_TIMEOUT;
	if ((serial->ier & IER_SENT) && serial->tx_empty_irq)
		return IIR_SENT;
	return IIR_NONE;
}

/* On a PC, OUT2 switches the interrupt line on; guests that poll leave it off. */
static void update_irq(struct serial *serial)
{
	bool level = pending(serial) != IIR_NONE && (serial->mcr & MCR_OUT2) &&
		     !(serial->mcr & MCR_LOOP);

	if (level != serial->level)
		hv_irq_set(serial->vm->hv, SERIAL_IRQ, level);
	serial->level = level;
}

unsigned int serial_room(const struct serial *serial)
{
	unsigned int room = capacity(serial);

	if (serial->mcr & MCR_LOOP)
		return 0;
	return serial->fifo_count < room ? room - serial->fifo_count : 0;
}

void serial_receive(struct serial *serial, const uint8_t *bytes, unsigned int count)
{
	while (count-- && serial->fifo_count < capacity(serial))
		serial->fifo[serial->fifo_count++] = *bytes++;
	update_irq(serial);
}

static uint8_t read_data(struct serial *serial)
{
	uint8_t byte = serial->fifo[0];

	if (!serial->fifo_count)
		return 0;
	memmove(serial->fifo, serial->fifo + 1, --serial->fifo_count);
	update_irq(serial);
	if (!serial->fifo_count)
		console_input_wanted(serial->vm->console);
	return byte;
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t value = pending(serial);

	if (value == IIR_SENT)
		serial->tx_empty_irq = false;
	update_irq(serial);
	return (uint8_t)(value | (serial->fcr & FCR_ENABLE ? IIR_FIFOS : 0));
}

static uint8_t read_lsr(struct serial *serial)
{
	uint8_t value =
		(uint8_t)(LSR_EMPTY | serial->line_errors | (serial->fifo_count ? LSR_READY : 0));

	serial->line_errors = 0;
	update_irq(serial);
	return value;
}

/* In a loop, the outputs come back as inputs: DTR as DSR, RTS as CTS, OUT1 as RI, OUT2 as DCD. */
static uint8_t read_msr(const struct serial *serial)
{
	uint8_t mcr = serial->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4);
}

static uint64_t serial_read(void *owner, uint64_t offset, unsigned int size)
{
	struct serial *serial = owner;
	bool dlab = serial->lcr & LCR_DLAB;

	(void)size;
	switch (offset) {
	case 0:
		return dlab ? serial->divisor & 0xff : read_data(serial);
	case 1:
		return dlab ? serial->divisor >> 8 : serial->ier;
	case 2:
		return read_iir(serial);
	case 3:
		return serial->lcr;
	case 4:
		return serial->mcr;
	case 5:
		return read_lsr(serial);
	case 6:
		return read_msr(serial);
	default:
		return serial->scratch;
	}
}

static void write_data(struct serial *serial, uint8_t byte)
{
	if (serial->mcr & MCR_LOOP) {
		if (serial->fifo_count < capacity(serial))
			serial->fifo[serial->fifo_count++] = byte;
		else
			serial->line_errors |= LSR_OVERRUN;
	} else {
		console_output(serial->vm->console, &byte, 1, CONSOLE_SERIAL);
	}
	serial->tx_empty_irq = true;
	update_irq(serial);
}

static void write_ier(struct serial *serial, uint8_t value)
{
	if ((value & IER_SENT) && !(serial->ier & IER_SENT))
		serial->tx_empty_irq = true;
	serial->ier = value & 0x0f;
	update_irq(serial);
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	if ((value & FCR_CLEAR_RX) || ((value ^ serial->fcr) & FCR_ENABLE))
		serial->fifo_count = 0;
	serial->fcr = value & 0xc9;
	update_irq(serial);
	console_input_wanted(serial->vm->console);
}

static void serial_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct serial *serial = owner;
	uint8_t byte = (uint8_t)value;
	bool dlab = serial->lcr & LCR_DLAB;

	(void)size;
	if (offset == 0 && dlab)
		serial->divisor = (uint16_t)((serial->divisor & 0xff00) | byte);
	else if (offset == 0)
		write_data(serial, byte);
	else if (offset == 1 && dlab)
		serial->divisor = (uint16_t)((serial->divisor & 0xff) | byte << 8);
	else if (offset == 1)
		write_ier(serial, byte);
	else if (offset == 2)
		write_fcr(serial, byte);
	else if (offset == 3)
		serial->lcr = byte;
	else if (offset == 7)
		serial->scratch = byte;
	if (offset != 4)
		return;
	serial->mcr = byte & 0x1f;
	update_irq(serial);
}

static const struct bus_ops SERIAL_OPS = { serial_read, serial_write };

static void serial_reset(void *owner)
{
	struct serial *serial = owner;

	serial->ier = serial->fcr = serial->lcr = serial->mcr = serial->scratch = 0;
	serial->line_errors = 0;
	serial->divisor = 12;
	serial->fifo_count = 0;
	serial->tx_empty_irq = false;
	update_irq(serial);
}

static void serial_state(void *owner, struct snap *snap)
{
	struct serial *serial = owner;

	snap_bytes(snap, &serial->ier,
		   offsetof(struct serial, tx_empty_irq) - offsetof(struct serial, ier));
	snap_value(snap, &serial->tx_empty_irq);
	if (serial->fifo_count > SERIAL_FIFO)
		snap_spoil(snap, "%u bytes in a FIFO of 16", serial->fifo_count);
	if (!snap->load || snap->bad)
		return;
	serial->level = false;
	update_irq(serial);
}

struct serial *serial_create(struct vm *vm)
{
	struct serial *serial = calloc(1, sizeof(*serial));

	if (!serial)
		return NULL;
	serial->vm = vm;
	bus_add(&vm->ports, SERIAL_PORT, 8, &SERIAL_OPS, serial);
	serial->device = (struct vm_device){ .name = "serial",
					     .version = 1,
					     .reset = serial_reset,
					     .state = serial_state,
					     .owner = serial,
					     .destroy = free };
	vm_device_add(vm, &serial->device);
	return serial;
}
