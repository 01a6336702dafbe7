/*
 * Memory that was short once is not remembered: whichever allocation fails while a profile
 * is being named, the next one gets every name, file and line, though answers are kept and
 * a file that cannot be read is not tried for each address. By this program's own malloc;
 * a process for each failure, as libdw may end it (and the scribe is there for that).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profd/base.h"
#include "daemon/scribe/symbolize.h"

#define N_LOCATIONS 24
#define FILE_BYTES  16384 /* of the program, that are asked about */
#define EACH	    200	  /* of the first allocations each fails, then one in STEP */
#define STEP	    23
#define STATUS_SAME 0
#define STATUS_LESS 9

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static long countdown; /* to the one that fails; 0: none does */
static unsigned long counted;

static bool is_to_fail(void)
{
	counted++;
	if (countdown == 0 || --countdown > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return is_to_fail() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return is_to_fail() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return is_to_fail() ? NULL : __libc_realloc(p, n);
}

void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

struct world {
	struct source_table *sources;
	struct cache *cache;
	uint32_t module;
	enum source_kind kind;
};

static bool file_of(uint32_t module, struct file_key *ret_key, void *userdata)
{
	*ret_key = (struct file_key){.bytes = "k", .n = 1};
	return true;
}

static int open_fixture(const char *name)
{
	char self[2048], path[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd;

	assert_true(n > 0);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(path, sizeof(path), "%s/../fixtures/%s", self, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s is missing: make fixtures", path);
	return fd;
}

static int open_text(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void set_up_world(struct world *w, enum source_kind kind, int fd)
{
	*w = (struct world){.module = 7, .kind = kind};
	assert_int_equal(source_table_new(&w->sources), 0);
	assert_int_equal(cache_new(1 << 20, &w->cache), 0);
	assert_int_equal(source_add(w->sources, w->module, kind, fd), 0);
}

static struct pprof *make_profile(void)
{
	struct pprof *p = pprof_new();
	struct pprof_mapping place = {
		.start = 0x1000, .limit = 0x1000 + FILE_BYTES, .file_offset = 0x1000, .path = "/a"};
	uint64_t mapping, location;

	assert_int_equal(pprof_add_mapping(p, &place, &mapping), 0);
	for (unsigned i = 0; i < N_LOCATIONS; i++) {
		struct pprof_location l = {.mapping = mapping,
					   .address = 0x1000 + i * FILE_BYTES / N_LOCATIONS};

		assert_int_equal(pprof_add_location(p, &l, &location), 0);
	}
	return p;
}

static uint64_t add_text(uint64_t sum, const char *text)
{
	for (; *text; text++)
		sum = (sum ^ (uint8_t)*text) * 0x100000001b3;
	return sum * 31;
}

/* Of all that is told of all locations. */
static uint64_t sum_names(const struct pprof *p)
{
	uint64_t sum = 0xcbf29ce484222325;
	struct pprof_location l;
	struct pprof_line line;

	for (uint64_t id = 1; id <= pprof_n_locations(p); id++) {
		pprof_location(p, id, &l);
		for (size_t i = 0; i < l.n_lines; i++) {
			pprof_location_line(p, id, i, &line);
			sum = add_text(add_text(sum, line.name), line.file) + (uint64_t)line.line;
		}
	}
	return sum;
}

/* One job, as the worker does it. Returns the sum; 0: it failed. */
static uint64_t name_profile(struct world *w, long fail)
{
	struct symbolize how = {
		.sources = w->sources,
		.cache = w->cache,
		.modules = &w->module,
		.n_modules = 1,
		.file_of = file_of,
		.deadline_mono_ns = UINT64_MAX,
	};
	struct pprof *p = make_profile();
	struct symbolize_result result;
	uint64_t sum = 0;

	counted = 0;
	countdown = fail;
	if (symbolize_profile(p, &how, &result) == 0)
		sum = sum_names(p);
	countdown = 0;
	pprof_free(p);
	source_table_trim(w->sources);
	return sum;
}

/* The handlers are the test's, for itself. */
static void die_quietly(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_DFL);
	dup2(null, STDERR_FILENO);
}

static void check(enum source_kind kind, int fd)
{
	unsigned long most, same = 0, ended = 0;
	struct world w;
	uint64_t whole;

	set_up_world(&w, kind, dup(fd));
	whole = name_profile(&w, 0);
	most = counted;
	assert_true(whole != 0 && most > 0);
	for (unsigned long fail = 1; fail <= most; fail += fail < EACH ? 1 : STEP) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			die_quietly();
			set_up_world(&w, kind, dup(fd));
			name_profile(&w, (long)fail);
			_exit(name_profile(&w, 0) == whole ? STATUS_SAME : STATUS_LESS);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_LESS)
			fail_msg("allocation %lu of %lu failed, and it is remembered", fail, most);
		same += WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SAME;
		ended += !WIFEXITED(status) || WEXITSTATUS(status) != STATUS_SAME;
	}
	printf("figure: %lu allocations; one failed: %lu times all was told the next time, "
	       "%lu times the process ended\n",
	       most, same, ended);
	assert_true(same > ended);
	close(fd);
}

static void a_program(void **state)
{
	check(SOURCE_ELF, open_fixture("sym-shapes"));
}

static void the_kernel(void **state)
{
	check(SOURCE_KALLSYMS, open_text("0000000000001000 T first\n0000000000002000 T second\n"));
}

static void generated_code(void **state)
{
	check(SOURCE_PERF_MAP, open_text("1000 800 first\n2000 1000 second\n"));
}
#else
#define SKIPPED(name)                                                                              \
	static void name(void **state)                                                             \
	{                                                                                          \
		fprintf(stderr, "SKIPPED: the sanitizer has a malloc of its own\n");               \
		skip();                                                                            \
	}
SKIPPED(a_program)
SKIPPED(the_kernel)
SKIPPED(generated_code)
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program),
		cmocka_unit_test(the_kernel),
		cmocka_unit_test(generated_code),
	};

	return cmocka_run_group_tests_name("scribe-shortage", tests, NULL, NULL);
}
