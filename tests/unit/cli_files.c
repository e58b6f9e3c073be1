// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that must not be lost: written whole, copied with their holes, locked, deleted. */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/files.h"

static struct bv_error e;

/* A directory of the test's own. */
static const char *place(void)
{
	static char path[] = "/tmp/bv-files-XXXXXX";
	static char made;

	if (!made && !mkdtemp(path))
		abort();
	made = 1;
	return path;
}

static struct bv_path in(const char *name)
{
	return bv_path("%s/%s", place(), name);
}

TEST(a_file_is_replaced_whole_and_read_with_a_bound)
{
	size_t size = 0;
	char *text;

	CHECK_EQ(bv_file_write(in("a").text, "first", 5, &e), 0);
	CHECK_EQ(bv_file_write(in("a").text, "second one", 10, &e), 0);
	text = bv_file_read(in("a").text, 100, &size, &e);
	CHECK(text && size == 10 && !strcmp(text, "second one"));
	free(text);
	CHECK(bv_file_read(in("a").text, 9, &size, &e) == NULL);
	CHECK_EQ(e.status, BV_USAGE);
	CHECK(bv_file_read(in("nosuch").text, 9, &size, &e) == NULL);
	CHECK_EQ(e.status, BV_UNKNOWN);
	CHECK(bv_file_read("/dev/zero", 9, &size, &e) == NULL);
	CHECK(bv_file_read(place(), 9, &size, &e) == NULL);
}

TEST(what_cannot_be_written_leaves_the_old_file)
{
	char *text;

	CHECK_EQ(bv_file_write(in("b").text, "old", 3, &e), 0);
	CHECK_EQ(mkdir(bv_path("%s.new.%d", in("b").text, (int)getpid()).text, 0700), 0);
	CHECK_EQ(bv_file_write(in("b").text, "new", 3, &e), -1);
	rmdir(bv_path("%s.new.%d", in("b").text, (int)getpid()).text);
	text = bv_file_read(in("b").text, 100, NULL, &e);
	CHECK(text && !strcmp(text, "old"));
	free(text);
	CHECK_EQ(bv_file_append(in("b").text, "er", 2, &e), 0);
	text = bv_file_read(in("b").text, 100, NULL, &e);
	CHECK(text && !strcmp(text, "older"));
	free(text);
}

TEST(a_copy_has_the_content_and_the_holes)
{
	static char data[200000], back[200000];
	struct stat stat_now;
	int fd = open(in("sparse").text, O_RDWR | O_CREAT, 0600);

	memset(data, 'x', sizeof(data));
	CHECK_EQ(pwrite(fd, data, sizeof(data), 50 << 20), sizeof(data));
	memset(data, 0, sizeof(data)); /* zeroes that are no hole */
	CHECK_EQ(pwrite(fd, data, sizeof(data), 10 << 20), sizeof(data));
	CHECK_EQ(ftruncate(fd, 100 << 20), 0);
	close(fd);
	CHECK_EQ(bv_file_copy(in("sparse").text, in("copy").text, NULL, NULL, &e), 0);
	CHECK_EQ(bv_file_copy(in("sparse").text, in("copy").text, NULL, NULL, &e), -1);
	fd = open(in("copy").text, O_RDONLY);
	CHECK_EQ(fstat(fd, &stat_now), 0);
	CHECK_EQ(stat_now.st_size, 100 << 20);
	CHECK(stat_now.st_blocks * 512 < 2 << 20);
	CHECK_EQ(pread(fd, back, sizeof(back), 50 << 20), sizeof(back));
	memset(data, 'x', sizeof(data));
	CHECK(!memcmp(data, back, sizeof(back)));
	close(fd);
}

TEST(a_lock_is_one_process_s_and_goes_with_it)
{
	struct bv_path path = in("lock");
	int fd = bv_lock_take(path.text, 0, "taken", &e), status;
	pid_t child;

	CHECK(fd >= 0);
	CHECK(bv_lock_is_taken(path.text));
	child = fork();
	if (!child) /* another process: refused at once, with the words it gave */
		_exit(bv_lock_take(path.text, 0, "taken", &e) < 0 && e.status == BV_BUSY &&
		      !strcmp(e.text, "taken"));
	CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 1);
	close(fd);
	CHECK(!bv_lock_is_taken(path.text));
	child = fork();
	if (!child) {
		if (bv_lock_take(path.text, 0, "taken", &e) < 0)
			_exit(1);
		raise(9);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	CHECK(!bv_lock_is_taken(path.text));
}

TEST(a_lock_on_a_file_that_was_deleted_is_none)
{
	struct bv_path path = in("gone");
	int old = bv_lock_take(path.text, 0, "taken", &e), fresh;

	CHECK(old >= 0);
	unlink(path.text);
	fresh = bv_lock_take(path.text, 0, "taken", &e);
	CHECK(fresh >= 0);
	close(old);
	CHECK(bv_lock_is_taken(path.text));
	close(fresh);
}

TEST(deleting_a_directory_follows_no_link)
{
	CHECK_EQ(bv_dir_make(in("tree/a/b").text, &e), 0);
	CHECK_EQ(bv_file_write(in("kept").text, "x", 1, &e), 0);
	CHECK_EQ(symlink(in("kept").text, in("tree/a/link").text), 0);
	CHECK_EQ(symlink(place(), in("tree/up").text), 0);
	CHECK_EQ(bv_dir_delete(in("tree").text, &e), 0);
	CHECK(!bv_file_exists(in("tree").text));
	CHECK(bv_file_exists(in("kept").text));
	CHECK_EQ(bv_dir_delete(in("tree").text, &e), 0);
	CHECK_EQ(bv_dir_make(in("kept").text, &e), -1);
	CHECK_EQ(bv_dir_delete(place(), &e), 0);
}
