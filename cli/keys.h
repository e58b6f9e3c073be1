/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a definition as a table; for definition.c alone. */
#ifndef CLI_KEYS_H
#define CLI_KEYS_H

#include "cli/definition.h"

enum key_kind {
	KEY_COUNT, /* uint64_t, from min to max */
	KEY_SIZE, /* uint64_t bytes, from min to max */
	KEY_WORD, /* uint32_t, one of words */
	KEY_FLAG, /* bool: yes or no */
	KEY_TEXT, /* char[size] */
	KEY_MAC,
	KEY_UUID,
	KEY_FORWARDS, /* struct bv_net's list */
};

/* A kind of section: where the definition has its structures. */
struct key_section {
	const char *name;
	size_t items, item_size,
		count; /* count: where the definition counts them; 0: there is just one */
	unsigned int most;
};

struct key {
	const struct key_section *section;
	const char *name;
	enum key_kind kind;
	size_t offset, size;
	uint64_t min, max;
	const char *const *words;
	const char *help;
};

extern const struct key_section key_sections[];
extern const struct key key_table[];

/* NULL if there is none. */
const struct key_section *key_section_find(const char *name);
const struct key *key_find(const struct key_section *section, const char *name);

/* Puts the value into the item that holds the section's keys; `name` begins error messages. */
int key_parse(const struct key *key, void *item, const char *name, const char *value,
	      struct bv_error *error);
/* The value as text; "" if the key's default says it all. */
#define KEY_VALUE_MAX 2560
void key_format(const struct key *key, const void *item, char text[static KEY_VALUE_MAX]);

#endif
