// SPDX-License-Identifier: GPL-2.0-or-later
/* The store of images; see image.h. An image is made in a directory of another name and renamed
 * when it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/image.h"
#include "cli/places.h"
#include "cli/vm.h"

#define INFO_MOST (64 << 10)

static const char *const firmware_words[] = { "none", "bios", "uefi" };

const char *bv_firmware_word(enum bv_firmware firmware)
{
	return firmware_words[firmware];
}

char **bv_image_names(unsigned int *count)
{
	return bv_dir_names(bv_path("%s/images", bv_places()->data).text, "", count);
}

static struct bv_path image_directory(const char *name)
{
	return bv_path("%s/images/%s", bv_places()->data, name);
}

static int fail_unknown(const char *name, struct bv_error *error)
{
	bv_error_set(error, BV_UNKNOWN, "there is no image '%s'", name);
	return bv_error_advise(error, "'bv image list' shows those there are.");
}

static void take_text(const json_t *info, const char *key, char *out, size_t size)
{
	snprintf(out, size, "%s", json_string_value(json_object_get(info, key)) ?: "");
}

static int take_info(struct bv_image *image, const json_t *info, struct bv_error *error)
{
	const char *format = json_string_value(json_object_get(info, "format"));
	const char *firmware = json_string_value(json_object_get(info, "firmware"));

	if (!format || !firmware)
		return bv_error_set(error, BV_FAILED,
				    "image '%s' is damaged: its image.json says "
				    "neither format nor firmware",
				    image->name);
	image->format = strcmp(format, "qcow2") ? BV_DISK_RAW : BV_DISK_QCOW2;
	for (int i = 0; i < 3; i++)
		if (!strcmp(firmware, firmware_words[i]))
			image->firmware = i;
	take_text(info, "append", image->append, sizeof(image->append));
	take_text(info, "login", image->login, sizeof(image->login));
	take_text(info, "from", image->from, sizeof(image->from));
	image->made_at = json_number_value(json_object_get(info, "made"));
	return 0;
}

int bv_image_open(struct bv_image *image, const char *name, struct bv_error *error)
{
	size_t size;
	char *text;
	json_t *info;
	int status;

	memset(image, 0, sizeof(*image));
	if (bv_name_check(name, "an image", error))
		return -1;
	snprintf(image->name, sizeof(image->name), "%s", name);
	image->directory = image_directory(name);
	text = bv_file_read(bv_path("%s/image.json", image->directory.text).text, INFO_MOST, &size,
			    error);
	if (!text)
		return error->status == BV_UNKNOWN ? fail_unknown(name, error) : -1;
	info = json_loadb(text, size, 0, NULL);
	free(text);
	status = take_info(image, info, error);
	json_decref(info);
	image->disk = bv_path("%s/disk.%s", image->directory.text,
			      image->format == BV_DISK_QCOW2 ? "qcow2" : "raw");
	image->kernel = bv_file_exists(bv_path("%s/vmlinuz", image->directory.text).text);
	image->initrd = bv_file_exists(bv_path("%s/initrd.img", image->directory.text).text);
	image->size = bv_disk_size(image->disk.text, image->format);
	return status;
}

json_t *bv_image_json(const struct bv_image *image)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:f, s:s, s:s}", "name", image->name,
			 "format", image->format == BV_DISK_QCOW2 ? "qcow2" : "raw", "firmware",
			 firmware_words[image->firmware], "bytes", (json_int_t)image->size,
			 "allocated", (json_int_t)bv_file_allocated(image->disk.text), "from",
			 image->from, "made", image->made_at, "login", image->login, "directory",
			 image->directory.text);
}

/* --- making ---------------------------------------------------------------------------------- */

/* The directory in which it is made, and the lock that says that somebody does. */
struct making {
	struct bv_path directory;
	int lock;
};

static int making_begin(struct making *making, const char *name, struct bv_error *error)
{
	struct bv_path lock = bv_path("%s/images/.%s.lock", bv_places()->data, name);
	char words[128];

	making->lock = -1;
	if (bv_name_check(name, "an image", error))
		return -1;
	snprintf(words, sizeof(words), "another bv command is making the image '%s'", name);
	making->directory = bv_path("%s/images/.making-%s", bv_places()->data, name);
	making->lock = bv_lock_take(lock.text, 0, words, error);
	if (making->lock < 0)
		return -1;
	if (bv_file_exists(image_directory(name).text)) {
		bv_error_set(error, BV_EXISTS, "there is an image '%s' already", name);
		bv_error_advise(error, "'bv image delete %s' deletes it.", name);
	} else if (!bv_dir_delete(making->directory.text, error) &&
		   !bv_dir_make(making->directory.text, error)) {
		return 0;
	}
	close(making->lock);
	making->lock = -1;
	return -1;
}

/* Info last, then the name: what has its name is whole. */
static int making_finish(struct making *making, const char *name, json_t *info,
			 struct bv_error *error)
{
	char *text = info ? json_dumps(info, JSON_INDENT(2)) : NULL;
	struct bv_path path = bv_path("%s/image.json", making->directory.text);
	int status;

	json_decref(info);
	if (!text)
		return bv_error_set(error, BV_FAILED, "no memory");
	status = bv_file_write(path.text, text, strlen(text), error);
	free(text);
	if (!status && rename(making->directory.text, image_directory(name).text))
		status = bv_error_errno(error, "cannot give the image its name");
	return status;
}

static void making_end(struct making *making, bool good)
{
	struct bv_error ignored;

	if (making->lock < 0)
		return;
	if (!good)
		bv_dir_delete(making->directory.text, &ignored);
	close(making->lock);
}

/* --- building -------------------------------------------------------------------------------- */

/* make-image says on descriptor 3 how far it is: "PERCENT WORDS". */
static void follow_progress(int fd, struct bv_progress *progress)
{
	char line[256], now[128] = "";
	FILE *file = fdopen(fd, "r");
	unsigned int percent = 0;
	int skip;

	if (!file) {
		close(fd);
		return;
	}
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%u %n", &percent, &skip) < 1)
			continue;
		snprintf(now, sizeof(now), "%.120s", line + skip);
		bv_progress_show(progress, percent, now);
	}
	fclose(file);
}

static void become_maker(const char *const *arguments, const char *log, int progress)
{
	int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    (progress == 3 ? fcntl(3, F_SETFD, 0) : dup2(progress, 3)) < 0)
		_exit(126);
	execv(arguments[0], (char **)arguments);
	_exit(127);
}

static int run_maker(const struct bv_call *call, const char *const *arguments, const char *log,
		     struct bv_error *error)
{
	struct bv_progress progress;
	int pipes[2], status = 0;
	pid_t child;

	if (pipe2(pipes, O_CLOEXEC))
		return bv_error_errno(error, "cannot make a pipe");
	child = fork();
	if (!child)
		become_maker(arguments, log, pipes[1]);
	close(pipes[1]);
	bv_progress_begin(&progress, call, "building the image");
	follow_progress(pipes[0], &progress);
	bv_progress_end(&progress);
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return bv_error_errno(error, "cannot run %s", arguments[0]);
	if (status)
		bv_error_set(error, BV_FAILED, "building the image failed (status %d)",
			     WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	return status ? -1 : 0;
}

/* The last lines of the log say why; the log itself outlives its directory. */
static void explain_failure(const char *log, const char *name, struct bv_error *error)
{
	struct bv_path kept = bv_path("%s/images/.%s.log", bv_places()->data, name);
	struct bv_error ignored;
	size_t size, from, used = strlen(error->text);
	char *text = bv_file_read(log, 64 << 20, &size, &ignored);

	if (text) {
		for (from = size; from && size - from < 300; from--)
			;
		for (size_t i = from; i < size; i++)
			text[i] = text[i] == '\n' ? ' ' : text[i];
		snprintf(error->text + used, sizeof(error->text) - used, ": ...%s", text + from);
	}
	free(text);
	rename(log, kept.text);
	if (!strstr(error->text, "apt install"))
		bv_error_advise(error, "All that was said is in %s.", kept.text);
}

static json_t *built_info(const char *directory, const struct bv_source *source)
{
	struct bv_error ignored;
	char *said =
		bv_file_read(bv_path("%s/info.json", directory).text, INFO_MOST, NULL, &ignored);
	json_t *info = said ? json_loads(said, 0, NULL) : json_object();

	free(said);
	if (!info)
		return NULL;
	json_object_set_new(info, "format", json_string("raw"));
	json_object_set_new(info, "made", json_real(time(NULL)));
	json_object_set_new(
		info, "from",
		json_string(source->kind == BV_SOURCE_RECIPE ? "packages" : source->path.text));
	unlink(bv_path("%s/info.json", directory).text);
	return info;
}

static const char *source_word(const struct bv_source *source)
{
	switch (source->kind) {
	case BV_SOURCE_TREE:
		return "--tree";
	case BV_SOURCE_TAR:
		return "--tar";
	default:
		return "--recipe";
	}
}

int bv_image_build(const struct bv_call *call, const char *name, const struct bv_source *source,
		   const char *const *more, struct bv_error *error)
{
	struct bv_path tool = bv_path("%s/make-image", bv_places()->support), log;
	const char *arguments[16] = { tool.text };
	unsigned int count = 1;
	struct making making;
	int status;

	if (making_begin(&making, name, error))
		return -1;
	arguments[count++] = source_word(source);
	arguments[count++] = source->kind == BV_SOURCE_RECIPE ? source->name : source->path.text;
	while (more && *more && count < 14)
		arguments[count++] = *more++;
	arguments[count++] = making.directory.text;
	log = bv_path("%s/log", making.directory.text);
	status = run_maker(call, arguments, log.text, error);
	if (status)
		explain_failure(log.text, name, error);
	else
		status = making_finish(&making, name, built_info(making.directory.text, source),
				       error);
	making_end(&making, !status);
	return status;
}

/* --- importing ------------------------------------------------------------------------------- */

static int import_disk(const struct bv_call *call, struct making *making, const char *name,
		       const struct bv_source *source, struct bv_error *error)
{
	const char *format = source->kind == BV_SOURCE_QCOW2 ? "qcow2" : "raw";
	struct bv_path to = bv_path("%s/disk.%s", making->directory.text, format);
	struct bv_progress progress;
	int status;

	bv_progress_begin(&progress, call, "copying the disk");
	status = bv_file_copy(source->path.text, to.text, bv_progress_bytes, &progress, error);
	bv_progress_end(&progress);
	if (status)
		return -1;
	return making_finish(making, name,
			     json_pack("{s:s, s:s, s:s, s:f}", "format", format, "firmware", "uefi",
				       "from", source->path.text, "made", (double)time(NULL)),
			     error);
}

int bv_image_import(const struct bv_call *call, const char *name, const struct bv_source *source,
		    struct bv_error *error)
{
	struct making making;
	int status;

	if (source->kind == BV_SOURCE_QCOW2 && bv_qcow2_has_backing(source->path.text)) {
		bv_error_set(error, BV_USAGE, "%s needs another file below it", source->path.text);
		return bv_error_advise(error,
				       "'qemu-img convert -O qcow2 %s NEW' makes a file "
				       "that stands alone.",
				       source->path.text);
	}
	if (making_begin(&making, name, error))
		return -1;
	status = import_disk(call, &making, name, source, error);
	making_end(&making, !status);
	return status;
}

/* --- deleting -------------------------------------------------------------------------------- */

/* An overlay is of no use without the image below it. */
static int check_unused(const char *name, struct bv_error *error)
{
	unsigned int count;
	char **names = bv_vm_names(&count);
	int status = 0;

	for (unsigned int i = 0; i < count && !status; i++) {
		struct bv_vm *vm = malloc(sizeof(*vm));
		struct bv_error ignored;

		if (!vm)
			break;
		if (!bv_vm_open(vm, names[i], BV_VM_LOOK_BROKEN, &ignored) &&
		    !strcmp(vm->definition.image, name) && vm->definition.disks_count &&
		    vm->definition.disks[0].format == BV_DISK_QCOW2) {
			status = bv_error_set(error, BV_BUSY,
					      "VM '%s' has its disk on top of the image '%s'",
					      names[i], name);
			bv_error_advise(error, "Delete that VM first: bv delete %s", names[i]);
		}
		bv_vm_close(vm);
		free(vm);
	}
	bv_names_free(names, count);
	return status;
}

int bv_image_delete(const char *name, struct bv_error *error)
{
	struct bv_path doomed = bv_path("%s/images/.making-%s", bv_places()->data, name);
	int store, status = -1;

	if (bv_name_check(name, "an image", error))
		return -1;
	if (!bv_file_exists(image_directory(name).text))
		return fail_unknown(name, error);
	store = bv_store_lock(error);
	if (store < 0)
		return -1;
	if (!check_unused(name, error) && !bv_dir_delete(doomed.text, error)) {
		status = rename(image_directory(name).text, doomed.text);
		if (status)
			bv_error_errno(error, "cannot delete the image");
		else
			status = bv_dir_delete(doomed.text, error);
	}
	close(store);
	return status;
}
