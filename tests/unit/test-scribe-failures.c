/*
 * What goes wrong with a scribe: hostile modules, hangs, deaths at any moment,
 * errors of the output. The profile is written all the same, or the error told.
 */
#include "scribe-harness.h"

#include "daemon/scribe/quarantine.h"

static uint64_t quarantined(const struct context *c)
{
	struct scribe_stats stats;

	scribe_get_stats(c->scribe, &stats);
	return stats.quarantined;
}

/* Of the last profile: the comments that begin so. */
static unsigned count_comments(struct context *c, const char *prefix)
{
	struct pprof *p = read_profile(c->dir_fd, c->name);
	unsigned n = 0;

	for (size_t i = 0; i < pprof_n_comments(p); i++)
		n += strncmp(pprof_comment(p, i), prefix, strlen(prefix)) == 0;
	pprof_free(p);
	return n;
}

static void check_makeshift(struct context *c, uint64_t mapping, const char *file)
{
	struct pprof *p = read_profile(c->dir_fd, c->name);
	struct pprof_mapping m;

	pprof_mapping(p, mapping, &m);
	assert_true(m.symbolized);
	assert_int_equal(count_named(p, mapping, file), N_LOCATIONS);
	pprof_free(p);
}

static void test_modules_that_are_no_modules(void **state)
{
	struct context *c = *state;
	struct module *modules[4] = {c->shapes};
	int garbage = memfd_create("garbage", MFD_CLOEXEC), pipes[2];

	assert_int_equal(write(garbage, "\177ELF\2\1\1 nothing of the kind", 27), 27);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	modules[1] = add_module(c, "/opt/libgarbage.so.1", garbage);
	modules[2] = add_module(c, "/opt/libpipe.so", pipes[0]);
	modules[3] = add_module(c, "/opt/libgone.so", -1);
	run(c, modules, 4);
	close(pipes[1]);
	assert_int_equal(c->result.error, 0);
	check_named(c, 1);
	check_makeshift(c, 2, "libgarbage.so.1+0x");
	check_makeshift(c, 3, "libpipe.so+0x");
	check_makeshift(c, 4, "libgone.so+0x");
	assert_int_equal(scribe_restarts(c->scribe), 0);
}

static void write_at(int fd, const void *bytes, size_t n, off_t at)
{
	assert_int_equal(pwrite(fd, bytes, n, at), n);
}

/* A valid file whose symbols take hours to sort: very many, at one address, with
 * names that are equal for a million characters. */
static int make_endless(void)
{
	enum { N_SYMBOLS = 200000, NAME_BYTES = 1 << 20 };
	const Elf64_Sym sym = {.st_name = 1,
			       .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
			       .st_shndx = 1,
			       .st_value = 0x1000,
			       .st_size = 16};
	const uint64_t names_at = 4096, symbols_at = names_at + NAME_BYTES + 16;
	const uint64_t symbols_bytes = N_SYMBOLS * sizeof(sym);
	const Elf64_Phdr segment = {
		.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 1 << 20, .p_memsz = 1 << 20};
	const Elf64_Shdr sections[3] = {
		{},
		{.sh_type = SHT_STRTAB, .sh_offset = names_at, .sh_size = NAME_BYTES + 2},
		{.sh_type = SHT_SYMTAB,
		 .sh_offset = symbols_at,
		 .sh_size = symbols_bytes,
		 .sh_link = 1,
		 .sh_entsize = sizeof(sym)},
	};
	const Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = 64,
		.e_shoff = 256,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3,
		.e_shstrndx = 1,
	};
	_cleanup_free_ Elf64_Sym *symbols = calloc(N_SYMBOLS, sizeof(*symbols));
	_cleanup_free_ char *name = malloc(NAME_BYTES);
	int fd = memfd_create("endless", MFD_CLOEXEC);

	for (unsigned i = 0; i < N_SYMBOLS; i++)
		symbols[i] = sym;
	memset(name, 'x', NAME_BYTES);
	write_at(fd, &header, sizeof(header), 0);
	write_at(fd, &segment, sizeof(segment), 64);
	write_at(fd, sections, sizeof(sections), 256);
	write_at(fd, name, NAME_BYTES, (off_t)names_at + 1);
	write_at(fd, symbols, symbols_bytes, (off_t)symbols_at);
	return fd;
}

static void test_module_that_hangs_the_scribe(void **state)
{
	struct context *c = *state;
	struct module *modules[2] = {c->shapes};

	modules[1] = add_module_by_id(c, "/opt/libendless.so", make_endless(), 0xee);
	scribe_set_job_limit(c->scribe, NSEC_PER_SEC);
	run(c, modules, 2);
	assert_int_equal(c->result.error, 0);
	assert_int_equal(scribe_restarts(c->scribe), 1);
	assert_int_equal(quarantined(c), 1);
	check_named(c, 1);
	check_makeshift(c, 2, "libendless.so+0x");
	assert_int_equal(count_files(c, true), 1);
	/* It is not tried again. */
	run(c, modules, 2);
	assert_int_equal(c->result.error, 0);
	assert_int_equal(scribe_restarts(c->scribe), 1);
	check_named(c, 1);
	/* Nor when the same file is another module. */
	modules[1] = add_module_by_id(c, "/srv/libother.so", make_endless(), 0xee);
	run(c, modules, 2);
	assert_int_equal(c->result.error, 0);
	assert_int_equal(scribe_restarts(c->scribe), 1);
	assert_int_equal(quarantined(c), 1);
	assert_int_equal(count_comments(c, "not symbolized: /opt/libendless.so (build-id ee00"), 1);
	/* Another one is. */
	modules[1] = add_module_by_id(c, "/opt/libendless.so", open_shapes(), 0xef);
	run(c, modules, 2);
	check_named(c, 2);
	assert_int_equal(count_comments(c, "not symbolized"), 0);
}

/* By CPU time, however busy the machine is; long before the job's own limit. */
static void test_module_that_takes_all_cpu_time(void **state)
{
	struct context *c = *state;
	struct module *modules[2] = {c->shapes};
	const struct quarantined *q;

	modules[1] = add_module_by_id(c, "/opt/libendless.so", make_endless(), 0xee);
	scribe_set_cpu_limit(c->scribe, 1);
	run(c, modules, 2);
	assert_int_equal(c->result.error, 0);
	assert_int_equal(scribe_restarts(c->scribe), 1);
	assert_int_equal(quarantined(c), 1);
	/* What `status` shows. */
	q = quarantine_get(scribe_quarantine(c->scribe), 0);
	assert_non_null(q);
	assert_string_equal(q->path, "/opt/libendless.so");
	assert_string_equal(q->why, "used up the symbolizer's CPU time");
	check_named(c, 1);
	check_makeshift(c, 2, "libendless.so+0x");
	assert_int_equal(count_comments(c, "not symbolized: /opt/libendless.so (build-id ee00"), 1);
	assert_int_equal(count_files(c, true), 1);
	/* Each job has its own time. */
	run(c, modules, 1);
	assert_int_equal(c->result.error, 0);
	assert_int_equal(scribe_restarts(c->scribe), 1);
}

static void test_stopped_scribe(void **state)
{
	struct context *c = *state;

	scribe_set_job_limit(c->scribe, NSEC_PER_SEC);
	assert_int_equal(kill(scribe_pid(c->scribe), SIGSTOP), 0);
	run(c, &c->shapes, 1);
	assert_int_equal(c->result.error, 0);
	assert_int_equal(scribe_restarts(c->scribe), 1);
	assert_int_equal(quarantined(c), 0);
	check_named(c, 1);
}

static void test_scribe_killed_while_idle(void **state)
{
	struct context *c = *state;

	run(c, &c->shapes, 1);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(kill(scribe_pid(c->scribe), SIGKILL), 0);
		while (scribe_pid(c->scribe) >= 0)
			assert_true(sd_event_run(c->loop, 60 * 1000000ULL) > 0);
		run(c, &c->shapes, 1);
		assert_int_equal(c->result.error, 0);
		assert_int_equal(scribe_restarts(c->scribe), i);
		check_named(c, 1);
	}
	assert_int_equal(quarantined(c), 0);
}

/* Killed at any moment of a job: one whole file at least, and no other. */
static void test_scribe_killed_while_working(void **state)
{
	struct context *c = *state;
	unsigned restarts = 0;

	srand(1);
	for (unsigned i = 0; i < 40; i++) {
		pid_t pid = scribe_pid(c->scribe);

		submit(c, &c->shapes, 1, c->dir_fd, NAME);
		for (int n = rand() % 4; n > 0 && !c->done; n--)
			assert_true(sd_event_run(c->loop, (uint64_t)(rand() % 10000)) >= 0);
		if (pid > 0 && pid == scribe_pid(c->scribe))
			kill(pid, SIGKILL);
		if (!c->done)
			wait_done(c);
		assert_int_equal(c->result.error, 0);
		pprof_free(read_profile(c->dir_fd, c->name));
		assert_true(count_files(c, true) <= 2);
		restarts = (unsigned)scribe_restarts(c->scribe);
	}
	print_message("40 jobs, %u scribes killed, 40 profiles\n", restarts);
	assert_true(restarts > 10);
	/* Whoever is killed from outside is not the victim of a module. */
	assert_int_equal(quarantined(c), 0);
}

static void test_errors_are_reported(void **state)
{
	struct context *c = *state;
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	_cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	submit(c, &c->shapes, 1, full, NULL);
	wait_done(c);
	assert_int_equal(c->result.error, -ENOSPC);
	submit(c, &c->shapes, 1, file, NAME);
	wait_done(c);
	assert_int_equal(c->result.error, -ENOTDIR);
	submit(c, &c->shapes, 1, c->dir_fd, "../escape");
	wait_done(c);
	assert_int_equal(c->result.error, -EINVAL);
	assert_int_equal(scribe_restarts(c->scribe), 0);
	assert_int_equal(count_files(c, false), 0);
}

static void test_scribe_that_cannot_start(void **state)
{
	struct context *c = *state;
	struct scribe *other;

	assert_int_equal(scribe_new(c->loop, c->modules, NULL, "/nonexistent", &other), -ENOENT);
	/* One that ends at once: an error after a bounded number of attempts. */
	scribe_free(c->scribe);
	assert_int_equal(scribe_new(c->loop, c->modules, NULL, "/bin/true", &c->scribe), 0);
	run(c, &c->shapes, 1);
	assert_int_equal(c->result.error, -EIO);
	assert_true(scribe_restarts(c->scribe) < 10);
	assert_int_equal(count_files(c, false), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_modules_that_are_no_modules, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_module_that_hangs_the_scribe, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_module_that_takes_all_cpu_time, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_scribe, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_scribe_killed_while_idle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_scribe_killed_while_working, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_errors_are_reported, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_scribe_that_cannot_start, set_up, tear_down),
	};

	if (argc == 2 && strcmp(argv[1], "--scribe") == 0)
		return scribe_main(3);
	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
