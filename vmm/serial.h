/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550A at 0x3f8, interrupt 4; its other end is the console. */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include "vmm/vm.h"

#define SERIAL_PORT 0x3f8u
#define SERIAL_FIFO 16

struct serial {
	struct vm *vm;
	uint8_t ier, fcr, lcr, mcr, scratch;
	uint8_t line_errors; /* overrun, break: until LSR is read */
	uint16_t divisor;
	uint8_t fifo[SERIAL_FIFO];
	uint32_t fifo_count;
	bool tx_empty_irq; /* the transmitter became empty and nobody has looked */
	bool level;
	struct vm_device device;
};

struct serial *serial_create(struct vm *vm);

/* How many bytes it can take now; giving them. */
unsigned int serial_room(const struct serial *serial);
void serial_receive(struct serial *serial, const uint8_t *bytes, unsigned int count);

#endif
