// SPDX-License-Identifier: GPL-2.0-or-later
/* The client's side of the control socket, against answers good and ill; and histories in words. */
#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/history.h"

static struct bv_control control;
static struct bv_error e;

/* Asks, where the VM has said `said` already, and then nothing more; NULL: it keeps the
 * connection. */
static json_t *ask(const char *said, size_t size, int closes, char *heard, size_t room)
{
	int ends[2];
	json_t *answer;
	ssize_t got;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		abort();
	control = (struct bv_control){ .fd = ends[0] };
	if (send(ends[1], said, size, MSG_DONTWAIT) < 0)
		abort();
	if (closes)
		shutdown(ends[1], SHUT_WR);
	answer = bv_control_ask(&control, json_pack("{s:s}", "do", "status"), -1, 1, &e);
	got = recv(ends[1], heard, room - 1, MSG_DONTWAIT);
	heard[got > 0 ? got : 0] = 0;
	close(ends[1]);
	bv_control_close(&control);
	return answer;
}

static char heard[256];

#define SAID(text) text, strlen(text)

TEST(an_answer_comes_through_and_events_before_it_do_not)
{
	json_t *answer =
		ask(SAID("{\"event\": \"paused\"}\n{\"ok\": true, \"state\": \"running\"}\n"), 0,
		    heard, sizeof(heard));

	CHECK(answer != NULL);
	CHECK(!strcmp(json_string_value(json_object_get(answer, "state")), "running"));
	CHECK(!strcmp(heard, "{\"do\":\"status\"}\n"));
	json_decref(answer);
}

TEST(a_refusal_is_told_in_the_vm_s_words_without_its_control_characters)
{
	CHECK(!ask(SAID("{\"ok\": false, \"error\": \"bytes\\u001b is -1\"}\n"), 0, heard,
		   sizeof(heard)));
	CHECK(!strcmp(e.text, "the VM refused: bytes. is -1"));
	CHECK(!ask(SAID("{\"ok\": 1}\n"), 0, heard, sizeof(heard)));
	CHECK(!ask(SAID("{}\n"), 0, heard, sizeof(heard)));
}

TEST(lines_that_are_no_answers_are_errors)
{
	static char endless[70000];

	memset(endless, 'x', sizeof(endless));
	CHECK(!ask(SAID("[]\n"), 0, heard, sizeof(heard)));
	CHECK(strstr(e.text, "no JSON object") != NULL);
	CHECK(!ask(SAID("nonsense\n"), 0, heard, sizeof(heard)));
	CHECK(!ask("{\0}\n", 4, 0, heard, sizeof(heard)));
	CHECK(!ask(endless, sizeof(endless), 0, heard, sizeof(heard)));
	CHECK(strstr(e.text, "a line of more than") != NULL);
}

TEST(a_vm_that_ends_or_is_silent_does_not_keep_us)
{
	CHECK(!ask("", 0, 1, heard, sizeof(heard)));
	CHECK_EQ(e.status, BV_ENDED);
	CHECK(!ask(SAID("{\"ok\": tr"), 1, heard, sizeof(heard)));
	CHECK_EQ(e.status, BV_ENDED);
	CHECK(!ask(SAID("{\"ok\": tr"), 0, heard, sizeof(heard)));
	CHECK(strstr(e.text, "does not answer") != NULL);
}

/* Reads the given history, of the launch at that time; -1: of the last. */
static void history_of_launch(const char *text, double launched_at, struct bv_history *history)
{
	static char path[] = "/tmp/bv-history-XXXXXX";
	static struct bv_vm vm;

	if (!vm.data.text[0]) {
		if (!mkdtemp(path))
			abort();
		vm.data = bv_path("%s", path);
	}
	CHECK_EQ(bv_file_write(bv_vm_file(&vm, "history").text, text, strlen(text), &e), 0);
	CHECK_EQ(launched_at < 0 ? bv_history_read(&vm, history, &e) :
				   bv_history_read_launch(&vm, launched_at, history, &e),
		 0);
	bv_dir_delete(bv_vm_file(&vm, "history").text, &e);
	rmdir(path);
	vm.data.text[0] = 0;
	strcpy(path, "/tmp/bv-history-XXXXXX");
}

static void history_of(const char *text, struct bv_history *history)
{
	history_of_launch(text, -1, history);
}

TEST(the_last_launch_counts)
{
	struct bv_history history;
	struct bv_ending ending;

	history_of(
		"{\"event\": \"launch\", \"time\": 1, \"boot\": \"x\"}\n"
		"{\"event\": \"started\", \"time\": 2}\n"
		"{\"event\": \"ended\", \"kind\": \"panic\", \"time\": 3, \"why\": \"It fell.\"}\n"
		"{\"event\": \"launch\", \"time\": 4, \"boot\": \"x\"}\n"
		"{\"event\": \"started\", \"time\": 5}\n"
		"{\"event\": \"disk-error\", \"id\": \"disk0\", \"why\": \"full\"}\n"
		"{\"event\": \"reset\"}\n"
		"{\"event\": \"ended\", \"kind\": \"poweroff\", \"time\": 6}\n",
		&history);
	CHECK(history.ended && !strcmp(history.kind, "poweroff") && history.ended_at == 6);
	CHECK_EQ(history.resets, 1);
	CHECK(!strcmp(history.trouble, "disk0: full"));
	bv_history_ending(&history, &ending);
	CHECK(ending.good && strstr(ending.text, "switched itself off"));
}

TEST(a_launch_keeps_its_own_end_when_another_follows)
{
	static const char text[] = "{\"event\": \"launch\", \"time\": 1.5, \"boot\": \"x\"}\n"
				   "{\"event\": \"started\", \"time\": 2}\n"
				   "{\"event\": \"ended\", \"kind\": \"quit\", \"time\": 3}\n"
				   "{\"event\": \"launch\", \"time\": 4, \"boot\": \"x\"}\n"
				   "{\"event\": \"started\", \"time\": 5}\n";
	struct bv_history history;
	struct bv_ending ending;

	history_of_launch(text, 1.5, &history);
	CHECK(history.followed && history.ended && history.ended_at == 3);
	bv_history_ending(&history, &ending);
	CHECK(ending.good && !strcmp(ending.kind, "quit"));
	history_of_launch(text, 4, &history);
	CHECK(!history.followed && history.started_at == 5 && !history.ended);
	history_of_launch(text, 1, &history); /* one that a trim has taken away */
	CHECK(history.followed && !history.launched);
	bv_history_ending(&history, &ending);
	CHECK(ending.good && !ending.text[0]);
}

TEST(a_history_that_was_damaged_says_what_it_can)
{
	struct bv_history history;
	struct bv_ending ending;

	history_of("rubbish\n[]\n{\"event\": 7}\n{\"event\": \"launch\", \"boot\": 3}\n"
		   "{\"event\": \"ended\", \"kind\": {}, \"why\": null, \"code\": "
		   "\"x\"}\n{\"event\": \"sta",
		   &history);
	CHECK(history.launched && history.ended && !history.started);
	bv_history_ending(&history, &ending);
	CHECK(!ending.good);
	history_of("", &history);
	bv_history_ending(&history, &ending);
	CHECK(strstr(ending.text, "never started") != NULL);
}

TEST(a_launch_without_an_end_tells_a_kill_from_a_restart_of_the_host)
{
	struct bv_history history;
	struct bv_ending ending;
	char boot[40], text[128];

	bv_boot_id(boot);
	snprintf(text, sizeof(text), "{\"event\": \"launch\", \"boot\": \"%s\"}\n", boot);
	history_of(text, &history);
	bv_history_ending(&history, &ending);
	CHECK(ending.gone && strstr(ending.text, "SIGKILL"));
	history_of("{\"event\": \"launch\", \"boot\": \"other\"}\n", &history);
	bv_history_ending(&history, &ending);
	CHECK(ending.gone && strstr(ending.text, "restarted"));
}
