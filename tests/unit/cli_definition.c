// SPDX-License-Identifier: GPL-2.0-or-later
/* Definitions of VMs: what is read, what is refused in which words, what is written. */
#include "test.h"

#include "cli/definition.h"

static struct bv_definition d;
static struct bv_error e;

static int parse(const char *text)
{
	return bv_definition_parse(&d, text, strlen(text), "x.vm", &e);
}

static const char whole[] = "# a comment\n"
			    "description = my VM, the = first\n"
			    "cpus=3\n"
			    "  memory =\t1.5G  \r\n"
			    "kernel = /boot/a kernel\n"
			    "append = root=/dev/vda # no comment\n"
			    "\n"
			    "[disk]\n"
			    "file = disk0.raw\n"
			    "cache = none\n"
			    "[disk]\n"
			    "file = /srv/b.qcow2\n"
			    "format = qcow2\n"
			    "read-only = yes\n"
			    "[net]\n"
			    "forward = tcp:2222:22, udp:10.0.0.1:53:5353\n"
			    "[net]\n"
			    "kind = tap\n"
			    "tap = tap0\n"
			    "mac = 52:54:00:aB:cd:ef\n"
			    "[share]\n"
			    "directory = /home/me\n"
			    "tag = home";

TEST(a_whole_definition_is_read)
{
	CHECK_EQ(parse(whole), 0);
	CHECK(!strcmp(d.description, "my VM, the = first"));
	CHECK_EQ(d.cpus, 3);
	CHECK_EQ(d.memory, 1536ull << 20);
	CHECK(!strcmp(d.kernel, "/boot/a kernel"));
	CHECK(!strcmp(d.append, "root=/dev/vda # no comment"));
	CHECK_EQ(d.disks_count, 2);
	CHECK_EQ(d.disks[0].cache, BV_CACHE_DIRECT);
	CHECK_EQ(d.disks[1].format, BV_DISK_QCOW2);
	CHECK(d.disks[1].read_only);
	CHECK_EQ(d.nets_count, 2);
	CHECK_EQ(d.nets[0].forwards_count, 2);
	CHECK_EQ(d.nets[0].forwards[0].host_port, 2222);
	CHECK(d.nets[0].forwards[1].udp);
	CHECK(!strcmp(d.nets[0].forwards[1].address, "10.0.0.1"));
	CHECK_EQ(d.nets[1].mac[3], 0xab);
	CHECK_EQ(d.nets[1].queues, 1);
	CHECK_EQ(d.shares_count, 1);
}

TEST(what_is_written_reads_back_the_same)
{
	struct bv_definition first;
	char *text;

	CHECK_EQ(parse(whole), 0);
	first = d;
	text = bv_definition_format(&first);
	CHECK(text != NULL);
	CHECK_EQ(parse(text), 0);
	CHECK(!memcmp(&first, &d, sizeof(d)));
	free(text);
}

TEST(a_net_with_nothing_but_defaults_is_written)
{
	char *text;

	CHECK_EQ(parse("firmware = uefi\n[net]\n[net]\n"), 0);
	text = bv_definition_format(&d);
	CHECK_EQ(parse(text), 0);
	CHECK_EQ(d.nets_count, 2);
	free(text);
}

/* Each bad definition, and a part of the words that refuse it. */
static const struct {
	const char *text, *words;
} bad[] = {
	{ "", "nothing would start" },
	{ "firmware = uefi\nkernel = /k\n", "only one of them" },
	{ "firmware = efi\n", "x.vm:1: firmware is 'efi'; it must be none, bios or uefi" },
	{ "kernel = /k\ncpus = 0\n", "x.vm:2: cpus is '0'; it must be a number from 1 to 64" },
	{ "cpus = 65\n", "from 1 to 64" },
	{ "cpus = -1\n", "number" },
	{ "cpus = 1 2\n", "number" },
	{ "cpus = 99999999999999999999999\n", "number" },
	{ "cpus = \n", "number" },
	{ "memory = 512\n", "such as 512M" },
	{ "memory = 5.12345G\n", "such as 512M" },
	{ "memory = 15M\n", "from 16M" },
	{ "memory = 99999999999T\n", "from 16M" },
	{ "memory = 17M\nkernel = /k\n", "multiple of 2M" },
	{ "cpu = 1\n", "no such key: cpu" },
	{ "cpus\n", "no 'key = value'" },
	{ "cpus = 1\ncpus = 2\n", "x.vm:2: cpus stands there twice" },
	{ "[cpu]\n", "no such section" },
	{ "[vm]\n", "no such section" },
	{ "[disk\n", "no ] at its end" },
	{ "[disk]\nfile = a\nformat = vmdk\n", "raw or qcow2" },
	{ "kernel = k\n[disk]\nserial = x\n", "disk0 has no file" },
	{ "kernel = k\n[disk]\nfile = a\n[disk]\nfile = a\n", "the same file" },
	{ "[disk]\nserial = 123456789012345678901\n", "at most 20" },
	{ "[disk]\nread-only = 1\n", "yes or no" },
	{ "kernel = k\n[net]\nkind = tap\n", "tap = NAME" },
	{ "kernel = k\n[net]\ntap = tap0\n", "is for taps" },
	{ "[net]\nforward = 2222:22\n", "no forward" },
	{ "[net]\nforward = tcp:0:22\n", "no forward" },
	{ "[net]\nforward = tcp:65536:22\n", "no forward" },
	{ "[net]\nforward = tcp:1.2.3:22:22\n", "no forward" },
	{ "[net]\nforward = tcp:::22\n", "no forward" },
	{ "[net]\nforward = tcp:\n", "no forward" },
	{ "kernel = k\n[net]\nforward = tcp:22:22, tcp:22:23\n", "forwarded twice" },
	{ "kernel = k\n[net]\nforward = tcp:22:22, tcp:0.0.0.0:22:23\n", "forwarded twice" },
	{ "[net]\nmac = 01:00:00:00:00:00\n", "multicast" },
	{ "[net]\nmac = 52:54:00:12:34\n", "no address" },
	{ "[net]\nmac = 52:54:00:12:34:567\n", "no address" },
	{ "uuid = 123\n", "no UUID" },
	{ "kernel = k\nvsock = 2\n", "3 or more" },
	{ "firmware = uefi\nappend = x\n", "append is there without a kernel" },
	{ "kernel = k\n[share]\ntag = x\n", "no directory" },
	{ "cpus = 1\x01\n", "control character (code 1)" },
};

TEST(what_breaks_a_rule_is_refused_by_its_line_and_rule)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int status = parse(bad[i].text);

		CHECK_EQ(status, -1);
		CHECK_EQ(e.status, BV_USAGE);
		if (!strstr(e.text, bad[i].words))
			printf("%zu: %s\n", i, e.text);
		CHECK(strstr(e.text, bad[i].words) != NULL);
	}
}

TEST(a_zero_byte_hides_nothing)
{
	static const char text[] = "kernel = k\0\ncpus = 99\n";

	CHECK_EQ(bv_definition_parse(&d, text, sizeof(text) - 1, "x.vm", &e), -1);
	CHECK(strstr(e.text, "code 0") != NULL);
}

TEST(too_many_sections_and_too_long_lines_are_refused)
{
	char text[8192] = "kernel = k\n";
	size_t used = strlen(text);

	for (int i = 0; i < 17; i++)
		used += snprintf(text + used, sizeof(text) - used, "[disk]\nfile = d%d\n", i);
	CHECK_EQ(parse(text), -1);
	CHECK(strstr(e.text, "more than 16 sections [disk]") != NULL);
	memset(text, 'a', 5000);
	text[5000] = 0;
	CHECK_EQ(parse(text), -1);
	CHECK(strstr(e.text, "5000 bytes") != NULL);
}

TEST(single_keys_are_set_and_put_back)
{
	CHECK_EQ(parse("kernel = k\n[net]\nmac = 52:54:00:00:00:01\n"), 0);
	CHECK_EQ(bv_definition_set(&d, "memory", "2G", &e), 0);
	CHECK_EQ(d.memory, 2ull << 30);
	CHECK_EQ(bv_definition_set(&d, "memory", "", &e), 0);
	CHECK_EQ(d.memory, 512ull << 20);
	CHECK_EQ(bv_definition_set(&d, "net0.mac", "", &e), 0);
	CHECK_EQ(d.nets[0].mac[0], 0);
	CHECK_EQ(bv_definition_set(&d, "net1.mac", "52:54:00:00:00:02", &e), -1);
	CHECK(strstr(e.text, "there is no net1") != NULL);
	CHECK_EQ(bv_definition_set(&d, "net0.speed", "1", &e), -1);
	CHECK_EQ(bv_definition_set(&d, "vm0.cpus", "1", &e), -1);
	CHECK_EQ(bv_definition_set(&d, "net00000000.mac", "", &e), -1);
	CHECK_EQ(bv_definition_set(&d, "append", "a\nkernel = b", &e), -1);
	CHECK(strstr(e.text, "control character (code 10)") != NULL);
}

static const char commented[] = "# mine\n"
				"cpus = 1\n"
				"kernel = k # really\n"
				"\n"
				"# the disk\n"
				"[disk]\n"
				"file = a\n"
				"\n"
				"[net]\n";

static void check_text(char *got, const char *want)
{
	CHECK(got && !strcmp(got, want));
	if (got && strcmp(got, want))
		printf("got:\n%s\nwanted:\n%s\n", got, want);
	free(got);
}

TEST(a_change_leaves_the_rest_of_the_text_alone)
{
	check_text(
		bv_text_set(commented, "cpus", "4", &e),
		"# mine\ncpus = 4\nkernel = k # really\n\n# the disk\n[disk]\nfile = a\n\n[net]\n");
	check_text(bv_text_set(commented, "memory", "1G", &e),
		   "# mine\ncpus = 1\nkernel = k # really\nmemory = 1G\n\n# the disk\n[disk]\n"
		   "file = a\n\n[net]\n");
	check_text(bv_text_set(commented, "disk0.cache", "none", &e),
		   "# mine\ncpus = 1\nkernel = k # really\n\n# the disk\n[disk]\nfile = a\n"
		   "cache = none\n\n[net]\n");
	check_text(
		bv_text_set(commented, "net0.restricted", "yes", &e),
		"# mine\ncpus = 1\nkernel = k # really\n\n# the disk\n[disk]\nfile = a\n\n[net]\n"
		"restricted = yes\n");
	check_text(bv_text_set(commented, "cpus", "", &e),
		   "# mine\nkernel = k # really\n\n# the disk\n[disk]\nfile = a\n\n[net]\n");
	check_text(bv_text_remove(commented, "disk0", &e),
		   "# mine\ncpus = 1\nkernel = k # really\n\n# the disk\n[net]\n");
	CHECK(bv_text_remove(commented, "disk1", &e) == NULL);
	CHECK(bv_text_remove(commented, "vm", &e) == NULL);
	check_text(bv_text_add("cpus = 1", "net"), "cpus = 1\n\n[net]\n");
	check_text(bv_text_set("", "cpus", "2", &e), "cpus = 2\n");
}

TEST(names_are_fit_for_paths)
{
	static const char *const good[] = { "a", "debian-12.x_y", "0",
					    "abcdefghijabcdefghijabcdefghijabcdefghij" };
	static const char *const ill[] = { "",
					   ".",
					   "..",
					   "-a",
					   "a/b",
					   "../x",
					   "a b",
					   "\xc3\xa4",
					   "a\n",
					   "_a",
					   "abcdefghijabcdefghijabcdefghijabcdefghijk" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK_EQ(bv_name_check(good[i], "a VM", &e), 0);
	for (size_t i = 0; i < sizeof(ill) / sizeof(ill[0]); i++)
		CHECK_EQ(bv_name_check(ill[i], "a VM", &e), -1);
}

TEST(sizes_are_read_and_written)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = { { "1K", 1024 },
		      { "512M", 512ull << 20 },
		      { "2GiB", 2ull << 30 },
		      { "2gb", 0 },
		      { "1.5G", 1536ull << 20 },
		      { "0.25T", 256ull << 30 },
		      { "1", 0 },
		      { "M", 0 },
		      { "1 G", 0 },
		      { "-1G", 0 },
		      { "16777216T", 0 },
		      { "1.G", 1ull << 30 } };
	char text[24];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t bytes = 0;
		int status = bv_size_parse(sizes[i].text, &bytes, &e);

		CHECK_EQ(status, sizes[i].bytes ? 0 : -1);
		CHECK_EQ(status ? 0 : bytes, sizes[i].bytes);
	}
	bv_size_format(1536ull << 20, text);
	CHECK(!strcmp(text, "1536M"));
	bv_size_format(0, text);
	CHECK(!strcmp(text, "0"));
}

/* Run from the top of the tree, as make does. */
TEST(the_manual_has_every_key)
{
	FILE *file = fopen("docs/man/bv-vm.5", "r");
	const char *section, *help, *key;
	static char text[65536], item[64];
	size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	CHECK(size > 0);
	for (unsigned int i = 0; (key = bv_key_name(i, &section, &help)); i++) {
		snprintf(item, sizeof(item), ".It Ic %s", key);
		if (!strstr(text, item))
			printf("bv-vm(5) lacks %s\n", key);
		CHECK(strstr(text, item) != NULL);
	}
	if (file)
		fclose(file);
}
