/*
 * The scribe as a process doing its job: names, files, queues, privileges.
 */
#include "scribe-harness.h"

/* How long the one job took: more than nothing, and no longer than the test so far. */
static void check_counted_once(const struct context *c, uint64_t before_ns)
{
	struct scribe_stats stats;
	uint64_t n = 0;

	scribe_get_stats(c->scribe, &stats);
	for (size_t i = 0; i < ARRAY_SIZE(stats.durations.counts); i++)
		n += stats.durations.counts[i];
	assert_int_equal(n, 1);
	assert_in_range(stats.durations.sum_ns, 1, clock_mono_ns() - before_ns);
}

static void test_publishes_with_names(void **state)
{
	struct context *c = *state;
	uint64_t before_ns = clock_mono_ns();
	struct stat st;

	run(c, &c->shapes, 1);
	assert_int_equal(c->result.error, 0);
	assert_string_equal(c->name, NAME);
	assert_int_equal(c->result.locations, N_LOCATIONS);
	assert_true(c->result.locations_named > N_LOCATIONS * 9 / 10);
	assert_int_equal(fstatat(c->dir_fd, NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, SCRIBE_FILE_MODE);
	assert_int_equal(st.st_size, c->result.bytes);
	check_named(c, 1);
	assert_int_equal(scribe_restarts(c->scribe), 0);
	assert_int_equal(count_files(c, false), 1);
	check_counted_once(c, before_ns);
}

static void test_writes_to_a_file(void **state)
{
	struct context *c = *state;
	_cleanup_close_ int fd = memfd_create("out", MFD_CLOEXEC);
	struct pprof *p;

	assert_int_equal(write(fd, "old", 3), 3);
	submit(c, &c->shapes, 1, fd, NULL);
	wait_done(c);
	assert_int_equal(c->result.error, 0);
	assert_string_equal(c->name, "");
	assert_int_equal(lseek(fd, 0, SEEK_END), c->result.bytes);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(pprof_read(fd, PROFILE_LIMIT, &p), 0);
	assert_true(count_named(p, 1, "innermost") > 10);
	pprof_free(p);
	assert_int_equal(count_files(c, false), 0);
}

static void test_ten_snapshots(void **state)
{
	struct context *c = *state;
	uint32_t named = 0;

	for (unsigned i = 0; i < 10; i++) {
		char expected[64];

		run(c, &c->shapes, 1);
		assert_int_equal(c->result.error, 0);
		snprintf(expected, sizeof(expected), "heap_shapes_1_20261121T031244.%uZ.pb.gz",
			 123 + i);
		assert_string_equal(c->name, expected);
		check_named(c, 1);
		/* The second asks the file for nothing. */
		assert_int_equal(c->result.locations_cached, i > 0 ? N_LOCATIONS : 0);
		/* The cache tells names from makeshifts as well. */
		if (i > 0)
			assert_int_equal(c->result.locations_named, named);
		named = c->result.locations_named;
	}
	assert_int_equal(count_files(c, false), 10);
}

/* A module that was let go and comes back has another number, and is the same file;
 * another file at the same path is not. */
static void test_answers_are_known_by_the_file(void **state)
{
	struct context *c = *state;
	struct module *again = add_module_by_id(c, "/srv/shapes", open_shapes(), 1);
	struct module *other = add_module_by_id(c, "/opt/shapes", open_shapes(), 2);
	struct scribe_stats stats;

	run(c, &c->shapes, 1);
	assert_int_equal(c->result.locations_cached, 0);
	run(c, &again, 1);
	assert_int_equal(c->result.locations_cached, N_LOCATIONS);
	check_named(c, 1);
	run(c, &other, 1);
	assert_int_equal(c->result.locations_cached, 0);
	check_named(c, 1);
	scribe_get_stats(c->scribe, &stats);
	assert_int_equal(stats.locations, 3 * N_LOCATIONS);
	assert_int_equal(stats.locations_cached, N_LOCATIONS);
	assert_true(stats.locations_named > 2 * N_LOCATIONS);
}

/* A debug file that stands for its program has other answers than the program. */
static void test_answers_of_a_lone_debug_file(void **state)
{
	struct context *c = *state;
	struct module *lone = add_module_by_id(c, "/srv/shapes", open_shapes(), 1);
	struct module *again = add_module_by_id(c, "/srv/shapes", open_shapes(), 1);

	lone->only_debug = again->only_debug = true;
	run(c, &c->shapes, 1);
	run(c, &lone, 1);
	assert_int_equal(c->result.locations_cached, 0);
	run(c, &again, 1);
	assert_int_equal(c->result.locations_cached, N_LOCATIONS);
}

/* More than the socket takes at once. */
static void test_many_modules(void **state)
{
	enum { N_MODULES = 400 };
	struct context *c = *state;
	struct module *modules[N_MODULES];
	struct pprof *p;

	for (unsigned i = 0; i < N_MODULES; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/opt/many-%u", i);
		modules[i] = add_module(c, path, open_shapes());
	}
	run(c, modules, N_MODULES);
	assert_int_equal(c->result.error, 0);
	p = read_profile(c->dir_fd, c->name);
	for (unsigned i = 0; i < N_MODULES; i += 57)
		assert_true(count_named(p, i + 1, "innermost") > 10);
	pprof_free(p);
	assert_int_equal(scribe_restarts(c->scribe), 0);
}

static void test_queue_keeps_order(void **state)
{
	struct context *c = *state;
	struct context seen[5] = {};
	char name[64];

	for (unsigned i = 0; i < 5; i++) {
		struct frozen frozen = make_frozen(&c->shapes, 1);

		snprintf(name, sizeof(name), "job-%u", i);
		assert_int_equal(
			scribe_submit(c->scribe, &frozen, c->dir_fd, name, on_done, &seen[i]), 0);
	}
	assert_int_equal(scribe_pending(c->scribe), 5);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned n = 0; n < 100000 && !seen[i].done; n++)
			assert_true(sd_event_run(c->loop, 60 * 1000000ULL) > 0);
		assert_int_equal(scribe_pending(c->scribe), 4 - i);
		snprintf(name, sizeof(name), "job-%u", i);
		assert_string_equal(seen[i].name, name);
	}
}

/* A directory that only the engine's privileges open. */
static void test_engine_names_where_the_scribe_may_not(void **state)
{
	struct context *c = *state;

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	assert_int_equal(fchown(c->dir_fd, 65534, 65534), 0);
	assert_int_equal(fchmod(c->dir_fd, 0700), 0);
	run(c, &c->shapes, 1);
	assert_int_equal(c->result.error, 0);
	assert_string_equal(c->name, NAME);
	check_named(c, 1);
	run(c, &c->shapes, 1);
	assert_int_equal(c->result.error, 0);
	assert_string_not_equal(c->name, NAME);
	assert_int_equal(scribe_restarts(c->scribe), 0);
}

static void test_scribe_has_nothing_to_lose(void **state)
{
	struct context *c = *state;
	char path[64], line[256];
	unsigned found = 0;
	FILE *status;

	run(c, &c->shapes, 1);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)scribe_pid(c->scribe));
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status)) {
		if (strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "CapPrm:", 7) == 0) {
			assert_int_equal(strtoull(line + 7, NULL, 16), 0);
			found++;
		}
		if (strncmp(line, "NoNewPrivs:", 11) == 0) {
			assert_int_equal(atoi(line + 11), 1);
			found++;
		}
	}
	fclose(status);
	assert_int_equal(found, 3);
}

static void test_freeing_drops_what_is_pending(void **state)
{
	struct context *c = *state;
	pid_t pid = scribe_pid(c->scribe);

	submit(c, &c->shapes, 1, c->dir_fd, NAME);
	assert_true(sd_event_run(c->loop, 0) >= 0);
	scribe_free(c->scribe);
	c->scribe = NULL;
	assert_false(c->done);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* How many descriptors the scribe has of our fixture. */
static unsigned count_shapes(struct context *c)
{
	char path[64], link[4096];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)scribe_pid(c->scribe));
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t bytes = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		link[max(bytes, (ssize_t)0)] = '\0';
		n += strstr(link, "sym-shapes") != NULL;
	}
	closedir(dir);
	return n;
}

/* A sweep in which the scribe alone says what it needs. */
static void sweep(struct context *c)
{
	static uint64_t now_ns;

	scribe_keep_modules(c->scribe);
	module_sweep(c->modules, now_ns += 3600 * NSEC_PER_SEC);
	scribe_tidy(c->scribe);
}

static void test_freed_modules_are_forgotten(void **state)
{
	struct context *c = *state;
	uint32_t id = c->shapes->id;

	/* not before the profile that needs them has been written */
	submit(c, &c->shapes, 1, c->dir_fd, NAME);
	sweep(c);
	assert_non_null(module_by_id(c->modules, id));
	wait_done(c);
	check_named(c, 1);
	assert_int_equal(count_shapes(c), 1);

	sweep(c);
	assert_null(module_by_id(c->modules, id));
	c->shapes = add_module(c, "/opt/shapes-again", open_shapes());
	run(c, &c->shapes, 1);
	check_named(c, 1);
	assert_int_equal(count_shapes(c), 1); /* the new one; the other was let go */
	assert_int_equal(scribe_restarts(c->scribe), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_publishes_with_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writes_to_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ten_snapshots, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers_are_known_by_the_file, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_answers_of_a_lone_debug_file, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_many_modules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queue_keeps_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_engine_names_where_the_scribe_may_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_scribe_has_nothing_to_lose, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_freeing_drops_what_is_pending, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_freed_modules_are_forgotten, set_up,
						tear_down),
	};

	if (argc == 2 && strcmp(argv[1], "--scribe") == 0)
		return scribe_main(3);
	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
