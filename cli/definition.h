/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's definition: one readable file of sections and `key = value` lines, see bv-vm(5). Here it
 * is read, checked, changed and written. Which keys there are is a table (keys.c); the file may
 * come from anyone, so the parser takes any bytes. Nothing here looks at other files or at VMs.
 */
#ifndef CLI_DEFINITION_H
#define CLI_DEFINITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/error.h"

#define BV_DEFINITION_MOST (256 << 10) /* bytes of a definition */
#define BV_NAME_MAX 40
#define BV_TEXT_MAX 1024
#define BV_APPEND_MAX 2048
#define BV_DISKS 16
#define BV_NETS 8
#define BV_SHARES 8
#define BV_FORWARDS 32

enum bv_firmware {
	BV_FIRMWARE_NONE,
	BV_FIRMWARE_BIOS,
	BV_FIRMWARE_UEFI
};
enum bv_on_reset {
	BV_RESET_RESTARTS,
	BV_RESET_STOPS
};
enum bv_disk_format {
	BV_DISK_RAW,
	BV_DISK_QCOW2
};
enum bv_disk_cache {
	BV_CACHE_HOST,
	BV_CACHE_DIRECT
};
enum bv_net_kind {
	BV_NET_USER,
	BV_NET_TAP
};

/* `tcp:[ADDRESS:]PORT:GUESTPORT` */
struct bv_forward {
	bool udp;
	uint16_t host_port;
	uint16_t guest_port;
	char address[16]; /* IPv4, of this machine */
};

struct bv_disk {
	char file[BV_TEXT_MAX]; /* relative to the VM's own directory */
	char serial[21];
	uint32_t format; /* enum bv_disk_format */
	uint32_t cache; /* enum bv_disk_cache */
	bool read_only;
};

struct bv_net {
	uint32_t kind; /* enum bv_net_kind */
	char tap[16];
	uint8_t mac[6]; /* all zero: made from the VM's name */
	bool vhost;
	bool restricted;
	uint64_t queues;
	struct bv_forward forwards[BV_FORWARDS];
	unsigned int forwards_count;
};

struct bv_share {
	char directory[BV_TEXT_MAX];
	char tag[32];
	bool read_only;
};

struct bv_definition {
	char description[256];
	char image[64]; /* the image that it was made from, for people */
	uint64_t cpus;
	uint64_t memory; /* bytes */
	uint32_t firmware; /* enum bv_firmware */
	uint32_t on_reset; /* enum bv_on_reset */
	uint8_t uuid[16]; /* all zero: made from the name */
	uint64_t vsock; /* 0: none */
	char firmware_file[BV_TEXT_MAX]; /* "": the distribution's */
	char kernel[BV_TEXT_MAX];
	char initrd[BV_TEXT_MAX];
	char append[BV_APPEND_MAX];
	struct bv_disk disks[BV_DISKS];
	struct bv_net nets[BV_NETS];
	struct bv_share shares[BV_SHARES];
	unsigned int disks_count, nets_count, shares_count;
};

/* What a VM has of which nothing is said. */
void bv_definition_init(struct bv_definition *definition);

/* Reads a definition; `where` begins error messages, which name the line. The text may hold any
 * bytes. What it gives is checked as a whole, too (bv_definition_check). */
int bv_definition_parse(struct bv_definition *definition, const char *text, size_t size,
			const char *where, struct bv_error *error);

/* The rules between keys: a kernel or firmware, addresses given once, and so on. */
int bv_definition_check(const struct bv_definition *definition, struct bv_error *error);

/* One key, as in the file. `key` is "cpus" or "disk0.cache", "net1.forward": the section, its
 * place, the key. An empty value puts back what stands for it by default. */
int bv_definition_set(struct bv_definition *definition, const char *key, const char *value,
		      struct bv_error *error);
/* One section more, at the end of its kind: "disk", "net" or "share"; the keys follow by
 * bv_definition_set. */
int bv_definition_add(struct bv_definition *definition, const char *section, unsigned int *place,
		      struct bv_error *error);

/* The definition as text, to be freed; NULL without memory. Parsing it gives the same
 * definition. */
char *bv_definition_format(const struct bv_definition *definition);

/* The text with one key of it changed, and all else, comments too, as it was: for `bv set`. To
 * be freed. The value was checked with bv_definition_set before. */
char *bv_text_set(const char *text, const char *key, const char *value, struct bv_error *error);
/* The text without a section, such as "disk1". */
char *bv_text_remove(const char *text, const char *section, struct bv_error *error);
/* The text with one section more at its end. */
char *bv_text_add(const char *text, const char *section);

/* Calls back with every key that has a value, as in the file: section ("vm", "disk"), place,
 * key, value. */
typedef void bv_definition_fn(void *context, const char *section, unsigned int place,
			      const char *key, const char *value);
void bv_definition_each(const struct bv_definition *definition, bool defaults,
			bv_definition_fn *call, void *context);

/* Names of VMs, images and snapshots: letters, digits, and inside of it . _ - */
int bv_name_check(const char *name, const char *what, struct bv_error *error);
/* "512M", "2G", "2GiB", "1.5G": bytes. Letters are powers of 1024; a number alone is refused. */
int bv_size_parse(const char *text, uint64_t *bytes, struct bv_error *error);
/* The shortest exact text for it: "512M". */
void bv_size_format(uint64_t bytes, char text[static 24]);
int bv_forward_parse(const char *text, struct bv_forward *forward, struct bv_error *error);

/* For help and completion: the table's keys in turn, NULL behind the last one. */
const char *bv_key_name(unsigned int number, const char **section, const char **help);

#endif
