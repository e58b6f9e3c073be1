// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Definitions: reading, rules, writing; see definition.h.
 *
 * The format: lines of `key = value`; the first ones are the VM's own, those behind a line
 * `[disk]`, `[net]` or `[share]` that section's, of which there may be several, counted from 0.
 * Lines that begin with # and empty lines say nothing. A value is the rest of its line without the
 * blanks around it; there is no quoting.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/definition.h"
#include "cli/keys.h"

#define LINE_MOST 4096
#define MIB (1ull << 20)

/* Where the parser is. */
struct parser {
	struct bv_definition *definition;
	struct bv_error *error;
	const char *where;
	unsigned int line;
	const struct key_section *section;
	unsigned int place;
	uint64_t seen; /* a bit for each key of the table that this section has had */
};

static void init_item(const struct key_section *section, void *item)
{
	if (!strcmp(section->name, "net"))
		((struct bv_net *)item)->queues = 1;
}

void bv_definition_init(struct bv_definition *definition)
{
	memset(definition, 0, sizeof(*definition));
	definition->cpus = 1;
	definition->memory = 512 * MIB;
	definition->firmware = BV_FIRMWARE_NONE;
}

static unsigned int *section_count(struct bv_definition *definition,
				   const struct key_section *section)
{
	return (unsigned int *)((char *)definition + section->count);
}

static unsigned int section_items(const struct bv_definition *definition,
				  const struct key_section *section)
{
	if (!section->count)
		return 1;
	return *(const unsigned int *)((const char *)definition + section->count);
}

static void *section_item(struct bv_definition *definition, const struct key_section *section,
			  unsigned int place)
{
	return (char *)definition + section->items + place * section->item_size;
}

static int add_item(struct bv_definition *definition, const struct key_section *section,
		    unsigned int *place, struct bv_error *error)
{
	unsigned int *count = section_count(definition, section);

	if (*count == section->most)
		return bv_error_set(error, BV_USAGE, "more than %u sections [%s]", section->most,
				    section->name);
	memset(section_item(definition, section, *count), 0, section->item_size);
	init_item(section, section_item(definition, section, *count));
	*place = (*count)++;
	return 0;
}

int bv_definition_add(struct bv_definition *definition, const char *name, unsigned int *place,
		      struct bv_error *error)
{
	const struct key_section *section = key_section_find(name);

	if (!section || !section->count)
		return bv_error_set(error, BV_USAGE, "no such section: [%s]", name);
	return add_item(definition, section, place, error);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Puts the place in front of what is in the error. */
static int parser_fail(struct parser *parser)
{
	char text[sizeof(parser->error->text)];

	snprintf(text, sizeof(text), "%s:%u: %.800s", parser->where, parser->line,
		 parser->error->text);
	memcpy(parser->error->text, text, sizeof(text));
	return -1;
}

static char *trim(char *text)
{
	size_t size;

	while (*text == ' ' || *text == '\t')
		text++;
	size = strlen(text);
	while (size && (text[size - 1] == ' ' || text[size - 1] == '\t'))
		text[--size] = 0;
	return text;
}

static int parse_section(struct parser *parser, char *text)
{
	size_t size = strlen(text);

	if (text[size - 1] != ']')
		return bv_error_set(parser->error, BV_USAGE, "'%.60s' has no ] at its end", text);
	text[size - 1] = 0;
	parser->section = key_section_find(text + 1);
	if (!parser->section || !parser->section->count) {
		bv_error_set(parser->error, BV_USAGE,
			     "no such section: [%.60s]; there are [disk], [net] and [share]",
			     text + 1);
		return -1;
	}
	parser->seen = 0;
	return add_item(parser->definition, parser->section, &parser->place, parser->error);
}

static int parse_key(struct parser *parser, const char *name, const char *value)
{
	const struct key *key = key_find(parser->section, name);
	uint64_t bit;

	if (!key)
		return bv_error_set(parser->error, BV_USAGE, "no such key%s%s%s: %.60s",
				    parser->section->count ? " in [" : "",
				    parser->section->count ? parser->section->name : "",
				    parser->section->count ? "]" : "", name);
	bit = 1ull << (key - key_table);
	if (parser->seen & bit)
		return bv_error_set(parser->error, BV_USAGE, "%s stands there twice", name);
	parser->seen |= bit;
	return key_parse(key, section_item(parser->definition, parser->section, parser->place),
			 name, value, parser->error);
}

static int parse_line(struct parser *parser, char *text)
{
	char *equals;

	text = trim(text);
	if (!*text || *text == '#')
		return 0;
	for (const char *at = text; *at; at++)
		if (iscntrl((unsigned char)*at) && *at != '\t')
			return bv_error_set(parser->error, BV_USAGE,
					    "there is a control character (code %u) in the line",
					    (unsigned char)*at);
	if (*text == '[')
		return parse_section(parser, text);
	equals = strchr(text, '=');
	if (!equals)
		return bv_error_set(parser->error, BV_USAGE,
				    "'%.60s' is no 'key = value', no [section], no # comment",
				    text);
	*equals = 0;
	return parse_key(parser, trim(text), trim(equals + 1));
}

/* Copies a line out, without its end; a zero byte in it cannot pass for its end. */
static int take_line(struct parser *parser, const char *text, size_t size, char *line)
{
	if (size >= LINE_MOST)
		return bv_error_set(parser->error, BV_USAGE, "the line has %zu bytes, more than %d",
				    size, LINE_MOST - 1);
	if (memchr(text, 0, size))
		return bv_error_set(parser->error, BV_USAGE,
				    "there is a control character (code 0) in the line");
	memcpy(line, text, size);
	if (size && line[size - 1] == '\r')
		size--;
	line[size] = 0;
	return 0;
}

static int parse_lines(struct parser *parser, const char *text, size_t size)
{
	char line[LINE_MOST];

	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t used = end ? (size_t)(end - text) : size;

		parser->line++;
		if (take_line(parser, text, used, line) || parse_line(parser, line))
			return parser_fail(parser);
		used += end ? 1 : 0;
		text += used;
		size -= used;
	}
	return 0;
}

int bv_definition_parse(struct bv_definition *definition, const char *text, size_t size,
			const char *where, struct bv_error *error)
{
	struct parser parser = { definition, error, where, 0, &key_sections[0], 0, 0 };

	bv_definition_init(definition);
	if (size > BV_DEFINITION_MOST)
		return bv_error_set(error, BV_USAGE, "%s has more than %d bytes", where,
				    BV_DEFINITION_MOST);
	error->advice[0] = 0;
	if (parse_lines(&parser, text, size))
		return -1;
	if (bv_definition_check(definition, error)) {
		char words[sizeof(error->text)];

		snprintf(words, sizeof(words), "%s: %.800s", where, error->text);
		memcpy(error->text, words, sizeof(words));
		return -1;
	}
	return 0;
}

/* --- rules ----------------------------------------------------------------------------------- */

static int check_boot(const struct bv_definition *definition, struct bv_error *error)
{
	bool kernel = definition->kernel[0];

	if (kernel && definition->firmware != BV_FIRMWARE_NONE)
		return bv_error_set(error, BV_USAGE,
				    "there is a kernel and a firmware; only one of them can start");
	if (!kernel && definition->firmware == BV_FIRMWARE_NONE)
		return bv_error_set(error, BV_USAGE,
				    "nothing would start: give firmware = uefi or bios, or a "
				    "kernel");
	if (!kernel && (definition->initrd[0] || definition->append[0]))
		return bv_error_set(error, BV_USAGE, "%s is there without a kernel",
				    definition->initrd[0] ? "initrd" : "append");
	if (definition->firmware_file[0] && definition->firmware == BV_FIRMWARE_NONE)
		return bv_error_set(error, BV_USAGE,
				    "firmware-file is there, but firmware is none");
	return 0;
}

static int check_disks(const struct bv_definition *definition, struct bv_error *error)
{
	for (unsigned int i = 0; i < definition->disks_count; i++) {
		const struct bv_disk *disk = &definition->disks[i];

		if (!disk->file[0])
			return bv_error_set(error, BV_USAGE, "disk%u has no file", i);
		for (unsigned int j = 0; j < i; j++) {
			if (strcmp(disk->file, definition->disks[j].file))
				continue;
			if (disk->read_only && definition->disks[j].read_only)
				continue;
			return bv_error_set(error, BV_USAGE,
					    "disk%u and disk%u are the same file, %s: it would be "
					    "damaged",
					    j, i, disk->file);
		}
	}
	return 0;
}

static bool forwards_collide(const struct bv_forward *one, const struct bv_forward *other)
{
	return one->udp == other->udp && one->host_port == other->host_port &&
	       (!strcmp(one->address, other->address) || !strcmp(one->address, "0.0.0.0") ||
		!strcmp(other->address, "0.0.0.0"));
}

static int check_forwards(const struct bv_net *net, unsigned int place, struct bv_error *error)
{
	for (unsigned int i = 0; i < net->forwards_count; i++)
		for (unsigned int j = 0; j < i; j++)
			if (forwards_collide(&net->forwards[i], &net->forwards[j]))
				return bv_error_set(error, BV_USAGE,
						    "net%u: port %u is forwarded twice", place,
						    net->forwards[i].host_port);
	return 0;
}

static int check_net(const struct bv_net *net, unsigned int place, struct bv_error *error)
{
	bool tap = net->kind == BV_NET_TAP;

	if (tap && !net->tap[0])
		return bv_error_set(error, BV_USAGE,
				    "net%u is a tap; its interface is missing: "
				    "tap = NAME",
				    place);
	if (tap && (net->forwards_count || net->restricted))
		return bv_error_set(error, BV_USAGE, "net%u is a tap; %s is for user nets", place,
				    net->forwards_count ? "forward" : "restricted");
	if (!tap && (net->tap[0] || net->vhost || net->queues > 1))
		return bv_error_set(error, BV_USAGE, "net%u is a user net; %s is for taps", place,
				    net->tap[0] ? "tap" :
				    net->vhost	? "vhost" :
						  "queues");
	return check_forwards(net, place, error);
}

static int check_shares(const struct bv_definition *definition, struct bv_error *error)
{
	for (unsigned int i = 0; i < definition->shares_count; i++) {
		const struct bv_share *share = &definition->shares[i];

		if (!share->directory[0] || !share->tag[0])
			return bv_error_set(error, BV_USAGE, "share%u has no %s", i,
					    share->directory[0] ? "tag" : "directory");
		for (unsigned int j = 0; j < i; j++)
			if (!strcmp(share->tag, definition->shares[j].tag))
				return bv_error_set(error, BV_USAGE,
						    "share%u and share%u have the same tag, %s", j,
						    i, share->tag);
	}
	return 0;
}

int bv_definition_check(const struct bv_definition *definition, struct bv_error *error)
{
	error->advice[0] = 0;
	if (definition->memory % (2 * MIB))
		return bv_error_set(error, BV_USAGE,
				    "memory must be a multiple of 2M, which %llu bytes are not",
				    (unsigned long long)definition->memory);
	if (definition->vsock && definition->vsock < 3)
		return bv_error_set(error, BV_USAGE,
				    "vsock is %llu; 1 and 2 are taken: it must "
				    "be 3 or more",
				    (unsigned long long)definition->vsock);
	if (check_boot(definition, error) || check_disks(definition, error))
		return -1;
	for (unsigned int i = 0; i < definition->nets_count; i++)
		if (check_net(&definition->nets[i], i, error))
			return -1;
	return check_shares(definition, error);
}

/* Whatever came from a command line or a directory's entry: it becomes part of paths. */
int bv_name_check(const char *name, const char *what, struct bv_error *error)
{
	size_t size = strlen(name);

	if (size < 1 || size > BV_NAME_MAX || !isascii((unsigned char)name[0]) ||
	    !isalnum((unsigned char)name[0]) ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
		    size) {
		bv_error_set(error, BV_USAGE, "'%.60s' cannot be the name of %s", name, what);
		return bv_error_advise(error,
				       "A name has 1 to %d letters, digits, dots, underscores and "
				       "dashes, and begins with a letter or digit.",
				       BV_NAME_MAX);
	}
	return 0;
}

/* --- single keys ----------------------------------------------------------------------------- */

/* What a key's name on the command line stands for. */
struct reference {
	const struct key_section *section;
	const struct key *key; /* NULL: the section itself */
	unsigned int place;
};

/* "disk1" as a section and its place. */
static int refer_section(const char *text, size_t size, struct reference *reference)
{
	for (const struct key_section *at = key_sections; at->name; at++) {
		size_t length = strlen(at->name), digits;

		if (!at->count || size <= length || strncmp(at->name, text, length))
			continue;
		digits = strspn(text + length, "0123456789");
		if (length + digits != size || digits > 2)
			continue;
		reference->section = at;
		reference->place = atoi(text + length);
		return 0;
	}
	return -1;
}

/* "cpus" or "disk1.cache" */
static int refer(const char *text, struct reference *reference, struct bv_error *error)
{
	const char *dot = strchr(text, '.');

	reference->section = &key_sections[0];
	reference->place = 0;
	if (dot && refer_section(text, dot - text, reference))
		return bv_error_set(error, BV_USAGE,
				    "'%.60s' names no section; write disk0, net0, share0 and so on "
				    "before the dot",
				    text);
	reference->key = key_find(reference->section, dot ? dot + 1 : text);
	if (!reference->key) {
		bv_error_set(error, BV_USAGE, "there is no key '%.60s'", text);
		return bv_error_advise(error, "'bv help keys' lists all of them.");
	}
	return 0;
}

static int refer_item(struct bv_definition *definition, const struct reference *reference,
		      struct bv_error *error)
{
	if (reference->place < section_items(definition, reference->section))
		return 0;
	bv_error_set(error, BV_USAGE, "there is no %s%u", reference->section->name,
		     reference->place);
	return bv_error_advise(error, "'bv set NAME --add %s ...' adds one.",
			       reference->section->name);
}

static int set_default(const struct reference *reference, void *item, const char *name,
		       struct bv_error *error)
{
	struct bv_definition *fresh = malloc(sizeof(*fresh));
	char value[KEY_VALUE_MAX];
	int status;

	if (!fresh)
		return bv_error_set(error, BV_FAILED, "no memory");
	bv_definition_init(fresh);
	if (reference->section->count)
		add_item(fresh, reference->section, &(unsigned int){ 0 }, error);
	key_format(reference->key, section_item(fresh, reference->section, 0), value);
	free(fresh);
	if (!value[0]) { /* these have a default that no text stands for */
		memset((char *)item + reference->key->offset, 0, reference->key->size);
		return 0;
	}
	status = key_parse(reference->key, item, name, value, error);
	return status;
}

int bv_definition_set(struct bv_definition *definition, const char *key, const char *value,
		      struct bv_error *error)
{
	struct reference reference;
	void *item;

	error->advice[0] = 0;
	for (const char *at = value; *at; at++)
		if (iscntrl((unsigned char)*at))
			return bv_error_set(error, BV_USAGE, "%s has a control character (code %u)",
					    key, (unsigned char)*at);
	if (refer(key, &reference, error) || refer_item(definition, &reference, error))
		return -1;
	item = section_item(definition, reference.section, reference.place);
	if (!*value)
		return set_default(&reference, item, key, error);
	return key_parse(reference.key, item, key, value, error);
}

/* --- writing --------------------------------------------------------------------------------- */

static void each_key(const struct bv_definition *definition, const struct key_section *section,
		     unsigned int place, bool defaults, bv_definition_fn *call, void *context)
{
	struct bv_definition *whole = (struct bv_definition *)definition;
	static struct bv_definition fresh;
	char value[KEY_VALUE_MAX], standard[KEY_VALUE_MAX];
	unsigned int ignored;
	struct bv_error error;

	bv_definition_init(&fresh);
	if (section->count)
		add_item(&fresh, section, &ignored, &error);
	for (const struct key *key = key_table; key->name; key++) {
		if (key->section != section)
			continue;
		key_format(key, section_item(whole, section, place), value);
		key_format(key, section_item(&fresh, section, 0), standard);
		if (!defaults && !strcmp(value, standard) && strcmp(key->name, "cpus") &&
		    strcmp(key->name, "memory"))
			continue;
		if (value[0] || defaults)
			call(context, section->name, place, key->name, value);
	}
}

void bv_definition_each(const struct bv_definition *definition, bool defaults,
			bv_definition_fn *call, void *context)
{
	for (const struct key_section *section = key_sections; section->name; section++)
		for (unsigned int i = 0; i < section_items(definition, section); i++)
			each_key(definition, section, i, defaults, call, context);
}

/* A text that grows. Once memory is out, it stays so. */
struct text {
	char *data;
	size_t size;
	bool lost;
};

static void text_add(struct text *text, const char *data, size_t size)
{
	char *more = text->lost ? NULL : realloc(text->data, text->size + size + 1);

	if (!more) {
		text->lost = true;
		return;
	}
	memcpy(more + text->size, data, size);
	text->data = more;
	text->size += size;
	text->data[text->size] = 0;
}

static void text_line(struct text *text, const char *first, const char *second, const char *third)
{
	text_add(text, first, strlen(first));
	text_add(text, second, strlen(second));
	text_add(text, third, strlen(third));
	text_add(text, "\n", 1);
}

static char *text_done(struct text *text)
{
	if (text->lost) {
		free(text->data);
		return NULL;
	}
	return text->data;
}

/* Begins a section with its first key. */
struct formatter {
	struct text text;
	const char *section;
	unsigned int place;
};

static void format_key(void *context, const char *section, unsigned int place, const char *key,
		       const char *value)
{
	struct formatter *formatter = context;

	if (strcmp(section, "vm") &&
	    (strcmp(section, formatter->section) || place != formatter->place))
		text_line(&formatter->text, "\n[", section, "]");
	formatter->section = section;
	formatter->place = place;
	text_line(&formatter->text, key, " = ", value);
}

/* A section of which all is standard has no key to begin it with: a net, mostly. */
static void format_empty(struct formatter *formatter, const struct bv_definition *definition,
			 const struct key_section *section, unsigned int place)
{
	size_t before = formatter->text.size;

	each_key(definition, section, place, false, format_key, formatter);
	if (formatter->text.size == before && section->count) {
		text_line(&formatter->text, "\n[", section->name, "]");
		formatter->section = section->name;
		formatter->place = place;
	}
}

char *bv_definition_format(const struct bv_definition *definition)
{
	struct formatter formatter = { .section = "" };

	text_line(&formatter.text, "# A VM of bv; what may stand here is in bv-vm(5).", "", "");
	for (const struct key_section *section = key_sections; section->name; section++)
		for (unsigned int i = 0; i < section_items(definition, section); i++)
			format_empty(&formatter, definition, section, i);
	return text_done(&formatter.text);
}

/* --- changing a text ------------------------------------------------------------------------- */

/* Walks the lines of a text, knowing each one's section. */
struct lines {
	const char *at;
	const char *line;
	size_t size; /* with the end of the line */
	const struct key_section *section;
	unsigned int place, counts[4];
	bool header;
	char key[64]; /* "" for lines without one */
};

static void lines_header(struct lines *lines, char *text)
{
	size_t size = strlen(text);

	text[size ? size - 1 : 0] = 0;
	lines->header = true;
	lines->section = key_section_find(text + 1);
	if (lines->section)
		lines->place = lines->counts[lines->section - key_sections]++;
}

static bool lines_next(struct lines *lines)
{
	char text[LINE_MOST], *trimmed, *equals;
	const char *end;

	if (!*lines->at)
		return false;
	end = strchr(lines->at, '\n');
	lines->line = lines->at;
	lines->size = end ? (size_t)(end - lines->at) + 1 : strlen(lines->at);
	lines->at += lines->size;
	snprintf(text, sizeof(text), "%.*s", (int)(lines->size - (end ? 1 : 0)), lines->line);
	if (text[0] && text[strlen(text) - 1] == '\r')
		text[strlen(text) - 1] = 0;
	trimmed = trim(text);
	lines->header = false;
	lines->key[0] = 0;
	equals = strchr(trimmed, '=');
	if (*trimmed == '[') {
		lines_header(lines, trimmed);
	} else if (*trimmed && *trimmed != '#' && equals) {
		*equals = 0;
		snprintf(lines->key, sizeof(lines->key), "%s", trim(trimmed));
	}
	return true;
}

static struct lines lines_begin(const char *text)
{
	return (struct lines){ .at = text, .section = &key_sections[0] };
}

static bool lines_are_of(const struct lines *lines, const struct reference *reference)
{
	return lines->section == reference->section &&
	       (!reference->section->count || lines->place == reference->place);
}

/* Where a new key of the section goes: behind its last line that says something, or its header. */
static const char *place_for_key(const char *text, const struct reference *reference)
{
	struct lines lines = lines_begin(text);
	const char *place = NULL;

	while (lines_next(&lines))
		if (lines_are_of(&lines, reference) && (lines.key[0] || lines.header))
			place = lines.at;
	return place ? place : text;
}

static void add_key(struct text *out, const char *key, const char *value)
{
	if (out->size && out->data[out->size - 1] != '\n')
		text_add(out, "\n", 1);
	text_line(out, key, " = ", value);
}

char *bv_text_set(const char *text, const char *key, const char *value, struct bv_error *error)
{
	struct reference reference;
	struct lines lines = lines_begin(text);
	struct text out = { NULL, 0, false };
	const char *place;
	bool done = !*value;

	if (refer(key, &reference, error))
		return NULL;
	text_add(&out, "", 0);
	while (lines_next(&lines)) {
		bool same =
			lines_are_of(&lines, &reference) && !strcmp(lines.key, reference.key->name);

		if (same && *value)
			add_key(&out, reference.key->name, value);
		else if (!same)
			text_add(&out, lines.line, lines.size);
		done |= same;
	}
	if (done)
		return text_done(&out);
	place = place_for_key(text, &reference);
	out.size = 0;
	text_add(&out, text, place - text);
	add_key(&out, reference.key->name, value);
	text_add(&out, place, strlen(place));
	return text_done(&out);
}

char *bv_text_remove(const char *text, const char *section, struct bv_error *error)
{
	struct reference reference = { NULL, NULL, 0 };
	struct lines lines = lines_begin(text);
	struct text out = { NULL, 0, false };
	bool found = false;

	text_add(&out, "", 0);
	if (!refer_section(section, strlen(section), &reference)) {
		while (lines_next(&lines)) {
			if (lines_are_of(&lines, &reference))
				found = true;
			else
				text_add(&out, lines.line, lines.size);
		}
	}
	if (found)
		return text_done(&out);
	free(out.data);
	bv_error_set(error, BV_USAGE, "there is no %.60s", section);
	return NULL;
}

char *bv_text_add(const char *text, const char *section)
{
	struct text out = { NULL, 0, false };
	size_t size = strlen(text);

	text_add(&out, text, size);
	if (size && text[size - 1] != '\n')
		text_add(&out, "\n", 1);
	text_line(&out, "\n[", section, "]");
	return text_done(&out);
}
