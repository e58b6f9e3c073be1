// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keys of a definition: the table, and how each kind of value is read and written.
 * docs/man/bv-vm.5 describes the same keys for people; a unit test compares the two.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/keys.h"
#include "vmm/vmm.h"

#define MIB (1ull << 20)

const struct key_section key_sections[] = {
	{ "vm", 0, sizeof(struct bv_definition), 0, 1 },
	{ "disk", offsetof(struct bv_definition, disks), sizeof(struct bv_disk),
	  offsetof(struct bv_definition, disks_count), BV_DISKS },
	{ "net", offsetof(struct bv_definition, nets), sizeof(struct bv_net),
	  offsetof(struct bv_definition, nets_count), BV_NETS },
	{ "share", offsetof(struct bv_definition, shares), sizeof(struct bv_share),
	  offsetof(struct bv_definition, shares_count), BV_SHARES },
	{ NULL, 0, 0, 0, 0 },
};

static const char *const firmwares[] = { "none", "bios", "uefi", NULL };
static const char *const resets[] = { "restart", "stop", NULL };
static const char *const formats[] = { "raw", "qcow2", NULL };
static const char *const caches[] = { "host", "none", NULL };
static const char *const net_kinds[] = { "user", "tap", NULL };

#define VM(member) \
	offsetof(struct bv_definition, member), sizeof(((struct bv_definition *)0)->member)
#define DISK(member) offsetof(struct bv_disk, member), sizeof(((struct bv_disk *)0)->member)
#define NET(member) offsetof(struct bv_net, member), sizeof(((struct bv_net *)0)->member)
#define SHARE(member) offsetof(struct bv_share, member), sizeof(((struct bv_share *)0)->member)

/* clang-format off */
const struct key key_table[] = {
	{ &key_sections[0], "description", KEY_TEXT, VM(description), 0, 0, NULL,
	  "a line about the VM, for people" },
	{ &key_sections[0], "image", KEY_TEXT, VM(image), 0, 0, NULL,
	  "the image that it was made from, for people" },
	{ &key_sections[0], "cpus", KEY_COUNT, VM(cpus), 1, VMM_CPUS_MAX, NULL,
	  "virtual CPUs" },
	{ &key_sections[0], "memory", KEY_SIZE, VM(memory), 16 * MIB, 1ull << 42, NULL,
	  "memory, such as 1G or 512M" },
	{ &key_sections[0], "firmware", KEY_WORD, VM(firmware), 0, 0, firmwares,
	  "what starts: bios, uefi, or none where there is a kernel" },
	{ &key_sections[0], "firmware-file", KEY_TEXT, VM(firmware_file), 0, 0, NULL,
	  "a firmware of your own instead of the distribution's" },
	{ &key_sections[0], "kernel", KEY_TEXT, VM(kernel), 0, 0, NULL,
	  "a kernel to start without firmware" },
	{ &key_sections[0], "initrd", KEY_TEXT, VM(initrd), 0, 0, NULL,
	  "its initramfs" },
	{ &key_sections[0], "append", KEY_TEXT, VM(append), 0, 0, NULL,
	  "its command line" },
	{ &key_sections[0], "on-reset", KEY_WORD, VM(on_reset), 0, 0, resets,
	  "what the guest's reset does: restart or stop" },
	{ &key_sections[0], "uuid", KEY_UUID, VM(uuid), 0, 0, NULL,
	  "the machine's UUID; made from the name if not given" },
	{ &key_sections[0], "vsock", KEY_COUNT, VM(vsock), 0, UINT32_MAX - 1, NULL,
	  "its vsock address, 3 or more; 0: no vsock" },
	{ &key_sections[1], "file", KEY_TEXT, DISK(file), 0, 0, NULL,
	  "the file or block device, relative to the VM's directory" },
	{ &key_sections[1], "format", KEY_WORD, DISK(format), 0, 0, formats,
	  "raw or qcow2" },
	{ &key_sections[1], "cache", KEY_WORD, DISK(cache), 0, 0, caches,
	  "host: through this machine's page cache, or none" },
	{ &key_sections[1], "read-only", KEY_FLAG, DISK(read_only), 0, 0, NULL,
	  "yes: the guest cannot write to it" },
	{ &key_sections[1], "serial", KEY_TEXT, DISK(serial), 0, 0, NULL,
	  "the serial number that the guest sees" },
	{ &key_sections[2], "kind", KEY_WORD, NET(kind), 0, 0, net_kinds,
	  "user: needs no privilege, or tap" },
	{ &key_sections[2], "tap", KEY_TEXT, NET(tap), 0, 0, NULL,
	  "the tap interface" },
	{ &key_sections[2], "mac", KEY_MAC, NET(mac), 0, 0, NULL,
	  "the card's address; made from the VM's name if not given" },
	{ &key_sections[2], "vhost", KEY_FLAG, NET(vhost), 0, 0, NULL,
	  "yes: a tap served by the kernel" },
	{ &key_sections[2], "queues", KEY_COUNT, NET(queues), 1, 16, NULL,
	  "pairs of queues of a tap" },
	{ &key_sections[2], "restricted", KEY_FLAG, NET(restricted), 0, 0, NULL,
	  "yes: a user net that reaches nothing but its forwards" },
	{ &key_sections[2], "forward", KEY_FORWARDS, NET(forwards), 0, 0, NULL,
	  "ports of this machine that lead to the guest's: tcp:2222:22" },
	{ &key_sections[3], "directory", KEY_TEXT, SHARE(directory), 0, 0, NULL,
	  "a directory of this machine" },
	{ &key_sections[3], "tag", KEY_TEXT, SHARE(tag), 0, 0, NULL,
	  "the name by which the guest mounts it" },
	{ &key_sections[3], "read-only", KEY_FLAG, SHARE(read_only), 0, 0, NULL,
	  "yes: the guest cannot write to it" },
	{ NULL, NULL, KEY_TEXT, 0, 0, 0, 0, NULL, NULL },
};
/* clang-format on */

const struct key_section *key_section_find(const char *name)
{
	for (const struct key_section *section = key_sections; section->name; section++)
		if (!strcmp(section->name, name))
			return section;
	return NULL;
}

const struct key *key_find(const struct key_section *section, const char *name)
{
	for (const struct key *key = key_table; key->name; key++)
		if (key->section == section && !strcmp(key->name, name))
			return key;
	return NULL;
}

const char *bv_key_name(unsigned int number, const char **section, const char **help)
{
	if (number >= sizeof(key_table) / sizeof(key_table[0]) - 1)
		return NULL;
	*section = key_table[number].section->name;
	*help = key_table[number].help;
	return key_table[number].name;
}

/* Decimal digits and nothing else. */
static bool parse_number(const char *text, uint64_t *number)
{
	uint64_t sum = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text) ||
		    __builtin_mul_overflow(sum, (uint64_t)10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum))
			return false;
	}
	*number = sum;
	return true;
}

/* The power of 1024 of a unit: "K", "M", "G", "T", each also with "B" or "iB"; -1: none of them. */
static int unit_power(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *at = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;

	if (!at || (unit[1] && strcmp(unit + 1, "B") && strcmp(unit + 1, "iB")))
		return -1;
	return at - letters + 1;
}

/* "1.5G" is whole in units of 1024 below: up to three digits behind the point. */
static bool parse_fraction(const char *digits, size_t size, unsigned int shift, uint64_t *part)
{
	uint64_t number = 0, scale = 1;

	if (size > 3)
		return false;
	for (size_t i = 0; i < size; i++, scale *= 10) {
		if (!isdigit((unsigned char)digits[i]))
			return false;
		number = number * 10 + (digits[i] - '0');
	}
	*part = (number << shift) / scale;
	return true;
}

static bool parse_size(const char *text, uint64_t *bytes)
{
	size_t whole = strspn(text, "0123456789"), fraction = 0;
	uint64_t number, part = 0;
	char digits[20];
	int power;

	if (!whole || whole >= sizeof(digits))
		return false;
	memcpy(digits, text, whole);
	digits[whole] = 0;
	if (text[whole] == '.')
		fraction = 1 + strspn(text + whole + 1, "0123456789");
	power = unit_power(text + whole + fraction);
	if (power < 0 || !parse_number(digits, &number) || number > (UINT64_MAX >> 10 * power))
		return false;
	if (fraction && !parse_fraction(text + whole + 1, fraction - 1, 10 * power, &part))
		return false;
	return !__builtin_add_overflow(number << 10 * power, part, bytes);
}

int bv_size_parse(const char *text, uint64_t *bytes, struct bv_error *error)
{
	if (parse_size(text, bytes))
		return 0;
	return bv_error_set(error, BV_USAGE,
			    "'%s' is no size; write a number and K, M, G or T, such as 512M", text);
}

void bv_size_format(uint64_t bytes, char text[static 24])
{
	static const char letters[] = "KMGT";
	int power = 0;

	while (power < 4 && bytes && !(bytes & 1023)) {
		bytes >>= 10;
		power++;
	}
	if (power)
		snprintf(text, 24, "%" PRIu64 "%c", bytes, letters[power - 1]);
	else
		snprintf(text, 24, "%" PRIu64, bytes);
}

static bool parse_port(const char *text, size_t size, uint16_t *port)
{
	uint64_t number;
	char digits[6];

	if (!size || size >= sizeof(digits))
		return false;
	memcpy(digits, text, size);
	digits[size] = 0;
	if (!parse_number(digits, &number) || !number || number > 65535)
		return false;
	*port = number;
	return true;
}

/* "[ADDRESS:]PORT:GUESTPORT" */
static bool parse_ports(const char *text, struct bv_forward *forward)
{
	const char *last = strrchr(text, ':');
	const char *colon = strchr(text, ':');
	struct in_addr address;

	if (!last || !parse_port(last + 1, strlen(last + 1), &forward->guest_port))
		return false;
	if (colon == last)
		return parse_port(text, last - text, &forward->host_port);
	if ((size_t)(colon - text) >= sizeof(forward->address))
		return false;
	memcpy(forward->address, text, colon - text);
	return inet_pton(AF_INET, forward->address, &address) == 1 &&
	       parse_port(colon + 1, last - colon - 1, &forward->host_port);
}

int bv_forward_parse(const char *text, struct bv_forward *forward, struct bv_error *error)
{
	memset(forward, 0, sizeof(*forward));
	forward->udp = !strncmp(text, "udp:", 4);
	if ((forward->udp || !strncmp(text, "tcp:", 4)) && parse_ports(text + 4, forward))
		return 0;
	return bv_error_set(error, BV_USAGE,
			    "'%s' is no forward; write tcp:[ADDRESS:]PORT:GUESTPORT, such as "
			    "tcp:2222:22, ports from 1 to 65535",
			    text);
}

static int parse_forwards(struct bv_net *net, const char *name, const char *value,
			  struct bv_error *error)
{
	char list[KEY_VALUE_MAX], *rest = list, *word;
	struct bv_forward forwards[BV_FORWARDS];
	unsigned int count = 0;

	snprintf(list, sizeof(list), "%s", value);
	while ((word = strsep(&rest, ", "))) {
		if (!*word)
			continue;
		if (count == BV_FORWARDS)
			return bv_error_set(error, BV_USAGE, "%s: more than %d forwards", name,
					    BV_FORWARDS);
		if (bv_forward_parse(word, &forwards[count++], error))
			return -1;
	}
	memcpy(net->forwards, forwards, count * sizeof(forwards[0]));
	net->forwards_count = count;
	return 0;
}

static int parse_mac(uint8_t *mac, const char *name, const char *value, struct bv_error *error)
{
	unsigned int byte[6];
	int end = 0;

	if (sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
		   &byte[4], &byte[5], &end) != 6 ||
	    end != 17 || value[end])
		return bv_error_set(error, BV_USAGE,
				    "%s: '%s' is no address; write six pairs of hexadecimal "
				    "digits, such as 52:54:00:12:34:56",
				    name, value);
	if (byte[0] & 1)
		return bv_error_set(error, BV_USAGE,
				    "%s: %s is a multicast address: the first byte must be even",
				    name, value);
	for (int i = 0; i < 6; i++)
		mac[i] = byte[i];
	return 0;
}

static int parse_uuid(uint8_t *uuid, const char *name, const char *value, struct bv_error *error)
{
	static const char form[] = "00000000-0000-0000-0000-000000000000";
	unsigned int digits = 0;
	size_t i;

	for (i = 0; form[i] && value[i]; i++)
		if (form[i] == '-' ? value[i] != '-' : !isxdigit((unsigned char)value[i]))
			break;
	if (form[i] || value[i])
		return bv_error_set(error, BV_USAGE, "%s: '%s' is no UUID; its form is %s", name,
				    value, form);
	memset(uuid, 0, 16);
	for (i = 0; value[i]; i++) {
		char c = tolower((unsigned char)value[i]);

		if (c == '-')
			continue;
		uuid[digits / 2] |= (isdigit((unsigned char)c) ? c - '0' : c - 'a' + 10)
				    << (digits % 2 ? 0 : 4);
		digits++;
	}
	return 0;
}

static int parse_word(const struct key *key, uint32_t *item, const char *name, const char *value,
		      struct bv_error *error)
{
	char list[128] = "";

	for (uint32_t i = 0; key->words[i]; i++) {
		size_t used = strlen(list);

		if (!strcmp(key->words[i], value)) {
			*item = i;
			return 0;
		}
		snprintf(list + used, sizeof(list) - used, "%s%s",
			 !i		   ? "" :
			 key->words[i + 1] ? ", " :
					     " or ",
			 key->words[i]);
	}
	return bv_error_set(error, BV_USAGE, "%s is '%s'; it must be %s", name, value, list);
}

static int parse_flag(bool *item, const char *name, const char *value, struct bv_error *error)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return bv_error_set(error, BV_USAGE, "%s is '%s'; it must be yes or no", name,
				    value);
	*item = value[0] == 'y';
	return 0;
}

static int parse_count(const struct key *key, uint64_t *item, const char *name, const char *value,
		       struct bv_error *error)
{
	uint64_t number;

	if (!parse_number(value, &number) || number < key->min || number > key->max)
		return bv_error_set(error, BV_USAGE,
				    "%s is '%s'; it must be a number from %" PRIu64 " to %" PRIu64,
				    name, value, key->min, key->max);
	*item = number;
	return 0;
}

static int parse_bytes(const struct key *key, uint64_t *item, const char *name, const char *value,
		       struct bv_error *error)
{
	char least[24], most[24];
	uint64_t bytes;

	if (!parse_size(value, &bytes) || bytes < key->min || bytes > key->max) {
		bv_size_format(key->min, least);
		bv_size_format(key->max, most);
		return bv_error_set(error, BV_USAGE,
				    "%s is '%s'; it must be a size from %s to %s, such as 512M or "
				    "2G",
				    name, value, least, most);
	}
	*item = bytes;
	return 0;
}

static int parse_text(const struct key *key, char *item, const char *name, const char *value,
		      struct bv_error *error)
{
	size_t size = strlen(value);

	if (size >= key->size)
		return bv_error_set(error, BV_USAGE, "%s has %zu bytes; at most %zu are possible",
				    name, size, key->size - 1);
	memset(item, 0, key->size);
	memcpy(item, value, size);
	return 0;
}

int key_parse(const struct key *key, void *item, const char *name, const char *value,
	      struct bv_error *error)
{
	void *at = (char *)item + key->offset;

	switch (key->kind) {
	case KEY_COUNT:
		return parse_count(key, at, name, value, error);
	case KEY_SIZE:
		return parse_bytes(key, at, name, value, error);
	case KEY_WORD:
		return parse_word(key, at, name, value, error);
	case KEY_FLAG:
		return parse_flag(at, name, value, error);
	case KEY_TEXT:
		return parse_text(key, at, name, value, error);
	case KEY_MAC:
		return parse_mac(at, name, value, error);
	case KEY_UUID:
		return parse_uuid(at, name, value, error);
	case KEY_FORWARDS:
		return parse_forwards(item, name, value, error);
	}
	return -1;
}

static void format_forwards(const struct bv_net *net, char *text)
{
	size_t used = 0;

	text[0] = 0;
	for (unsigned int i = 0; i < net->forwards_count; i++) {
		const struct bv_forward *forward = &net->forwards[i];

		used += snprintf(text + used, KEY_VALUE_MAX - used, "%s%s:%s%s%u:%u", i ? ", " : "",
				 forward->udp ? "udp" : "tcp", forward->address,
				 forward->address[0] ? ":" : "", forward->host_port,
				 forward->guest_port);
	}
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

static void format_bytes(const uint8_t *bytes, size_t size, bool uuid, char *text)
{
	size_t used = 0;

	text[0] = 0;
	if (all_zero(bytes, size))
		return;
	for (size_t i = 0; i < size; i++) {
		bool dash = uuid && (i == 4 || i == 6 || i == 8 || i == 10);

		used += sprintf(text + used, "%s%02x",
				dash	   ? "-" :
				i && !uuid ? ":" :
					     "",
				bytes[i]);
	}
}

void key_format(const struct key *key, const void *item, char text[static KEY_VALUE_MAX])
{
	const void *at = (const char *)item + key->offset;

	switch (key->kind) {
	case KEY_COUNT:
		snprintf(text, KEY_VALUE_MAX, "%" PRIu64, *(const uint64_t *)at);
		break;
	case KEY_SIZE:
		bv_size_format(*(const uint64_t *)at, text);
		break;
	case KEY_WORD:
		snprintf(text, KEY_VALUE_MAX, "%s", key->words[*(const uint32_t *)at]);
		break;
	case KEY_FLAG:
		snprintf(text, KEY_VALUE_MAX, "%s", *(const bool *)at ? "yes" : "no");
		break;
	case KEY_TEXT:
		snprintf(text, KEY_VALUE_MAX, "%s", (const char *)at);
		break;
	case KEY_MAC:
		format_bytes(at, 6, false, text);
		break;
	case KEY_UUID:
		format_bytes(at, 16, true, text);
		break;
	case KEY_FORWARDS:
		format_forwards(item, text);
		break;
	}
}
