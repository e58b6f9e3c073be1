/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI machine language, as little as the machine's DSDT needs (ACPI 6.4, chapter 20), and resource
 * descriptors (section 6.4). What has a length is opened by a function that returns where, and
 * closed by aml_end().
 */
#ifndef VMM_AML_H
#define VMM_AML_H

#include "vmm/buf.h"

enum aml_op {
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_NOTIFY = 0x86,
	AML_ARG0 = 0x68,
	AML_ARG1 = 0x69,
};

/* A path as in ASL: \_SB_.PCI0, each name of four characters. */
void aml_path(struct buf *buf, const char *path);
void aml_integer(struct buf *buf, uint64_t value);
void aml_string(struct buf *buf, const char *text);

size_t aml_scope(struct buf *buf, const char *path);
size_t aml_device(struct buf *buf, const char *name);
size_t aml_method(struct buf *buf, const char *name, unsigned int arguments);
size_t aml_package(struct buf *buf, unsigned int elements);
size_t aml_if(struct buf *buf); /* the condition follows, then what is done */
void aml_end(struct buf *buf, size_t at);

void aml_name(struct buf *buf, const char *name); /* the value follows */
void aml_name_integer(struct buf *buf, const char *name, uint64_t value);
void aml_name_eisa(struct buf *buf, const char *name, const char *id);
/* Ports as words of 32 bits, one name each. */
void aml_port_words(struct buf *buf, const char *region, uint16_t port, const char *const *names,
		    unsigned int count);

/* A resource template: descriptors come between these two. */
size_t aml_resources(struct buf *buf);
void aml_resources_end(struct buf *buf, size_t at);
void aml_res_ports(struct buf *buf, uint16_t first, uint8_t count);
void aml_res_irq(struct buf *buf, unsigned int irq);
void aml_res_fixed_memory(struct buf *buf, uint32_t first, uint32_t count);
/* What a bridge passes on. */
void aml_res_bus_numbers(struct buf *buf, uint16_t first, uint16_t last);
void aml_res_port_window(struct buf *buf, uint16_t first, uint16_t last);
void aml_res_memory_window(struct buf *buf, uint32_t first, uint32_t last);

#endif
