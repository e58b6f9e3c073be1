// SPDX-License-Identifier: GPL-2.0-or-later
/* Where bv keeps things; see places.h. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/definition.h"
#include "cli/places.h"

/* A socket's path must fit in 107 bytes: what is left for the directory when the longest VM's
 * name and "/control" are behind it. */
#define RUN_MOST (107 - BV_NAME_MAX - 10)

static struct bv_places places;

const struct bv_places *bv_places(void)
{
	return &places;
}

static const char *home_directory(void)
{
	const char *home = getenv("HOME");
	const struct passwd *entry;

	if (home && home[0] == '/')
		return home;
	entry = getpwuid(getuid());
	return entry && entry->pw_dir ? entry->pw_dir : "/";
}

/* A directory by its XDG variable, or else below the home directory. */
static void xdg_place(char *out, const char *variable, const char *otherwise)
{
	const char *value = getenv(variable);

	if (value && value[0] == '/')
		snprintf(out, sizeof(places.data), "%s/bivisor", value);
	else
		snprintf(out, sizeof(places.data), "%s/%s/bivisor", home_directory(), otherwise);
}

/* Without a session there is no XDG_RUNTIME_DIR; /tmp is everyone's, so what is there must be
 * ours alone. */
static void user_run_place(void)
{
	const char *value = getenv("XDG_RUNTIME_DIR");

	if (value && value[0] == '/' && strlen(value) < RUN_MOST - 8 && !access(value, W_OK))
		snprintf(places.run, sizeof(places.run), "%s/bivisor", value);
	else
		snprintf(places.run, sizeof(places.run), "/tmp/bivisor-%u", getuid());
}

static void choose_places(void)
{
	const char *all = getenv("BV_HOME");

	if (all && all[0]) {
		snprintf(places.config, sizeof(places.config), "%.2000s/config", all);
		snprintf(places.data, sizeof(places.data), "%.2000s/data", all);
		snprintf(places.run, sizeof(places.run), "%.2000s/run", all);
	} else if (getuid() == 0) {
		strcpy(places.config, "/etc/bivisor");
		strcpy(places.data, "/var/lib/bivisor");
		strcpy(places.run, "/run/bivisor");
	} else {
		xdg_place(places.config, "XDG_CONFIG_HOME", ".config");
		xdg_place(places.data, "XDG_DATA_HOME", ".local/share");
		user_run_place();
	}
}

/* As installed: ../lib/bivisor beside the program; in the source tree: cli/, two above the
 * built one. */
static void find_support(void)
{
	static const char *const around[] = { "../lib/bivisor", "../../cli" };
	const char *named = getenv("BV_SUPPORT");
	char directory[1024];
	ssize_t size = readlink("/proc/self/exe", directory, sizeof(directory) - 1);

	directory[size > 0 ? size : 0] = 0;
	*(strrchr(directory, '/') ?: directory) = 0;
	for (size_t i = 0; i < 2 && !named; i++) {
		struct bv_path path = bv_path("%s/%s/make-image", directory, around[i]);

		if (access(path.text, X_OK))
			continue;
		snprintf(places.support, sizeof(places.support), "%.1900s/%s", directory,
			 around[i]);
		return;
	}
	snprintf(places.support, sizeof(places.support), "%s", named ?: "/usr/lib/bivisor");
}

/* Relative directories would mean another place after each cd. */
static int check_places(struct bv_error *error)
{
	const char *const all[] = { places.config, places.data, places.run };

	for (size_t i = 0; i < 3; i++)
		if (all[i][0] != '/' || strlen(all[i]) > 1000)
			return bv_error_set(error, BV_USAGE,
					    "%.200s is no absolute path of at most 1000 bytes; see "
					    "BV_HOME in bv(1)",
					    all[i]);
	if (strlen(places.run) > RUN_MOST)
		return bv_error_set(error, BV_USAGE,
				    "%s is too long for sockets in it: at most %d bytes",
				    places.run, RUN_MOST);
	return 0;
}

static int check_run(struct bv_error *error)
{
	struct stat stat;

	if (lstat(places.run, &stat))
		return bv_error_errno(error, "cannot look at %s", places.run);
	if (!S_ISDIR(stat.st_mode) || stat.st_uid != geteuid() || stat.st_mode & 022)
		return bv_error_set(error, BV_DENIED,
				    "%s is not a directory of yours that only you can write to",
				    places.run);
	return 0;
}

int bv_places_init(struct bv_error *error)
{
	choose_places();
	find_support();
	if (check_places(error))
		return -1;
	if (bv_dir_make(places.config, error) ||
	    bv_dir_make(bv_path("%s/vms", places.data).text, error) ||
	    bv_dir_make(bv_path("%s/images", places.data).text, error) ||
	    bv_dir_make(places.run, error))
		return -1;
	return check_run(error);
}
