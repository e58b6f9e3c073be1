// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A plugin for QEMU's TCG that counts the instructions which the emulated PC executes, at all
 * levels: -plugin file=count.so,out=FILE. FILE holds the number, eight bytes, and grows while the
 * machine runs: bench/run looks at it when the machine is idle.
 *
 * Debian has no header for plugins; declared here is what is used of the interface, version 1.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;

enum qemu_plugin_op {
	QEMU_PLUGIN_INLINE_ADD_U64,
};

typedef void (*tb_translated)(uint64_t id, struct qemu_plugin_tb *tb);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_translated callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
					      void *counter, uint64_t more);
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

extern EXPORT int qemu_plugin_version;
int qemu_plugin_version = 1;

static uint64_t *executed;

/* A block that is left in its middle counts as a whole: a few instructions at each page fault. */
static void count_block(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, executed,
						 qemu_plugin_tb_n_insns(tb));
}

static bool map_counter(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	void *page;

	if (fd < 0 || ftruncate(fd, sizeof(*executed)))
		return false;
	page = mmap(NULL, sizeof(*executed), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	executed = page;
	return page != MAP_FAILED;
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) || !map_counter(argv[0] + 4))
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
	return 0;
}
