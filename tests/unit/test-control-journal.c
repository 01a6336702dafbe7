/* What is said on standard error, where that is not the journal's: one line each,
 * whatever a process calls itself, and not without end. */
#include "daemon/control/journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/test-control-journal-XXXXXX";
static int real_stderr;

static int catch_stderr(void **state)
{
	int fd = mkstemp(path);

	real_stderr = dup(STDERR_FILENO);
	return fd < 0 || dup2(fd, STDERR_FILENO) < 0 || close(fd) < 0 ? -1 : 0;
}

static int release_stderr(void **state)
{
	return dup2(real_stderr, STDERR_FILENO) < 0 ? -1 : unlink(path);
}

static size_t said(char *text, size_t size)
{
	size_t lines = 0;
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_int_equal(ftruncate(STDERR_FILENO, 0), 0);
	lseek(STDERR_FILENO, 0, SEEK_SET);
	return lines;
}

static void test_a_message_is_one_line(void **state)
{
	struct journal j;
	char text[4096];

	journal_init(&j);
	assert_false(j.structured);
	journal_say(&j, JOURNAL_NOTE, NULL, "%s is here", "a\nb\tc\x1b[1m\x7f");
	assert_int_equal(said(text, sizeof(text)), 1);
	assert_string_equal(text, "profd: a?b?c?[1m? is here\n");
}

static void test_a_flood_is_counted_and_not_sent(void **state)
{
	static char text[64 * 1024];
	struct journal j;

	journal_init(&j);
	for (int i = 0; i < 10 * JOURNAL_BURST; i++)
		journal_say(&j, JOURNAL_LAST_HEAP, NULL, "one more");
	/* some more may be said in the time that this takes */
	assert_in_range(said(text, sizeof(text)), JOURNAL_BURST,
			JOURNAL_BURST + 60 * JOURNAL_PER_SECOND);
	assert_in_range(j.suppressed, 8 * JOURNAL_BURST, 9 * JOURNAL_BURST);
}

static void test_what_was_saved_up_has_an_end(void **state)
{
	static char text[64 * 1024];
	struct journal j;

	journal_init(&j);
	j.refilled_mono_ns = 0; /* quiet since the machine started */
	for (int i = 0; i < 10 * JOURNAL_BURST; i++)
		journal_say(&j, JOURNAL_NOTE, NULL, "one more");
	assert_in_range(said(text, sizeof(text)), JOURNAL_BURST,
			JOURNAL_BURST + 60 * JOURNAL_PER_SECOND);
}

/* The variable outlives a redirection: what it names has to be standard error. */
static void test_the_journal_is_known_by_its_inode(void **state)
{
	struct journal j;
	struct stat st;
	char stream[64];

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	journal_init(&j);
	assert_true(j.structured);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	journal_init(&j);
	assert_false(j.structured);
	unsetenv("JOURNAL_STREAM");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_message_is_one_line),
		cmocka_unit_test(test_a_flood_is_counted_and_not_sent),
		cmocka_unit_test(test_what_was_saved_up_has_an_end),
		cmocka_unit_test(test_the_journal_is_known_by_its_inode),
	};

	return cmocka_run_group_tests(tests, catch_stderr, release_stderr);
}
