/*
 * Damaged files by the hundred, each in a profile beside a whole program: programs,
 * separate debug files that are found by build-id, perf-maps. Whatever the scribe makes
 * of them, every profile is published and the whole program has its names in it.
 *
 * The same damage every time; `make fuzz` has MUTATION_SECONDS set, and then it is other
 * damage in each round, until that time is over. MUTATION_SEED repeats a round.
 */
#include "scribe-harness.h"

#include <time.h>

#include "daemon/proc/elf_links.h"

#define N_PER_JOB  5
#define JOB_LIMIT  (10 * NSEC_PER_SEC)
#define HEAD_BYTES 4096 /* of a file: its headers */
#define SEED	   20261121
#define NO_PID	   0x7ffffff0 /* more than any machine has */
#define MAP_BYTES  (32 << 10)

enum kind { PROGRAM, DEBUG_FILE, PERF_MAP, N_KINDS };

static const unsigned n_jobs[N_KINDS] = {[PROGRAM] = 60, [DEBUG_FILE] = 40, [PERF_MAP] = 20};
static const char *const kind_names[N_KINDS] = {"programs", "debug files", "perf-maps"};

struct fixture {
	struct context *c;
	struct keeper *keeper;
	char debug_dir[64];
	int id_fd; /* where the debug files are */
	uint8_t *whole;
	size_t n;
	uint64_t code, code_end;
	size_t id_at; /* of its build-id */
	uint64_t seed;
	unsigned n_made, n_named, n_jobs, n_killed;
};

/* The same ones every time. */
static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 33);
}

static void read_shapes(struct fixture *f)
{
	_cleanup_close_ int fd = open_shapes();
	struct elf_links links;
	struct stat st;
	uint64_t bytes;
	uint8_t *id;

	assert_int_equal(fstat(fd, &st), 0);
	f->n = (size_t)st.st_size;
	f->whole = malloc(f->n);
	assert_int_equal(read(fd, f->whole, f->n), f->n);
	assert_int_equal(elf_read_links(fd, &links), 0);
	assert_int_equal(links.build_id_bytes, MODULE_BUILD_ID_MAX);
	id = memmem(f->whole, f->n, links.build_id, links.build_id_bytes);
	assert_non_null(id);
	f->id_at = (size_t)(id - f->whole);
	find_code(&f->code, &bytes);
	f->code_end = f->code + bytes;
}

/* ---- what is damaged */

/* Where the code ends and what describes it begins: most damage goes there, and to
 * the section headers at the end. */
static size_t choose_place(struct fixture *f, size_t n)
{
	size_t at = next_random(&f->seed);

	switch (next_random(&f->seed) % 8) {
	case 0:
		return at % HEAD_BYTES;
	case 1:
	case 2:
		return n - 1 - at % HEAD_BYTES;
	default:
		return f->code_end + at % (n - f->code_end);
	}
}

static uint8_t choose_byte(struct fixture *f)
{
	static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x10, 0x55};

	return next_random(&f->seed) % 2 ? telling[next_random(&f->seed) % sizeof(telling)]
					 : (uint8_t)next_random(&f->seed);
}

static void damage(struct fixture *f, uint8_t *bytes, size_t *n)
{
	unsigned n_bytes = 1 + next_random(&f->seed) % 64;

	for (unsigned i = 0; i < n_bytes; i++)
		bytes[choose_place(f, *n)] = choose_byte(f);
	if (next_random(&f->seed) % 10 == 0)
		*n = f->code_end + next_random(&f->seed) % (*n - f->code_end);
}

static void write_file(int fd, const uint8_t *bytes, size_t n)
{
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
}

static int make_file(const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC);

	write_file(fd, bytes, n);
	return fd;
}

static struct module *make_program(struct fixture *f)
{
	_cleanup_free_ uint8_t *bytes = malloc(f->n);
	size_t n = f->n;
	char path[64];

	memcpy(bytes, f->whole, n);
	damage(f, bytes, &n);
	snprintf(path, sizeof(path), "/opt/damaged-%u", f->n_made);
	return add_module(f->c, path, make_file(bytes, n));
}

/* Stands for strip: the section has another name, so that it is looked for elsewhere. */
static void hide_debug_info(const struct fixture *f, uint8_t *bytes)
{
	static const char name[] = ".debug_info";
	uint8_t *at = bytes + f->code_end;

	while ((at = memmem(at, f->n - (size_t)(at - bytes), name, sizeof(name))))
		*at++ = '_';
}

/* A program without debug information, and its damaged debug file where it belongs. A
 * build-id of its own, for by that it is in quarantine. */
static struct module *make_debug_file(struct fixture *f)
{
	_cleanup_free_ uint8_t *bytes = malloc(f->n);
	_cleanup_close_ int fd = -1;
	uint8_t *id = bytes + f->id_at;
	struct module *module;
	size_t n = f->n;
	char name[64];

	memcpy(bytes, f->whole, n);
	memset(id, 0xdd, MODULE_BUILD_ID_MAX);
	memcpy(id + 1, &f->n_made, sizeof(f->n_made));
	hide_debug_info(f, bytes);
	snprintf(name, sizeof(name), "/opt/stripped-%u", f->n_made);
	module = add_module(f->c, name, make_file(bytes, n));
	memcpy(module->build_id, id, MODULE_BUILD_ID_MAX);
	module->build_id_bytes = MODULE_BUILD_ID_MAX;

	memcpy(bytes, f->whole, f->id_at);
	memcpy(id + MODULE_BUILD_ID_MAX, f->whole + f->id_at + MODULE_BUILD_ID_MAX,
	       n - f->id_at - MODULE_BUILD_ID_MAX);
	damage(f, bytes, &n);
	for (unsigned i = 1; i < MODULE_BUILD_ID_MAX; i++)
		snprintf(name + 2 * (i - 1), 3, "%02x", module->build_id[i]);
	strcat(name, ".debug");
	fd = openat(f->id_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	write_file(fd, bytes, n);
	return module;
}

/* Lines over all of the code, some of them damaged. */
static struct module *make_perf_map(struct fixture *f)
{
	_cleanup_free_ char *text = malloc(MAP_BYTES);
	struct module *module = module_get_jit(f->c->modules, NO_PID - (int)f->n_made);
	uint64_t step = (f->code_end - f->code) / 200 + 1;
	unsigned n_bytes = next_random(&f->seed) % 200;
	size_t n = 0;

	assert_non_null(module);
	for (uint64_t at = f->code; at < f->code_end && n < MAP_BYTES - 64; at += step)
		n += (size_t)snprintf(text + n, MAP_BYTES - n, "%llx %llx LazyCompile:*f%llu\n",
				      (unsigned long long)at, (unsigned long long)step,
				      (unsigned long long)at);
	for (unsigned i = 0; i < n_bytes; i++)
		text[next_random(&f->seed) % n] = (char)choose_byte(f);
	module->fd = make_file((const uint8_t *)text, n);
	return module;
}

static struct module *make_damaged(struct fixture *f, enum kind kind)
{
	f->n_made++;
	switch (kind) {
	case PROGRAM:
		return make_program(f);
	case DEBUG_FILE:
		return make_debug_file(f);
	case PERF_MAP:
		return make_perf_map(f);
	case N_KINDS:
		break;
	}
	return NULL;
}

/* ---- a round */

static void open_debug_dir(struct fixture *f)
{
	char path[96];

	strcpy(f->debug_dir, "/tmp/test-scribe-debug-XXXXXX");
	assert_non_null(mkdtemp(f->debug_dir));
	snprintf(path, sizeof(path), "%s/.build-id", f->debug_dir);
	assert_int_equal(mkdir(path, 0755), 0);
	strcat(path, "/dd");
	assert_int_equal(mkdir(path, 0755), 0);
	f->id_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->id_fd >= 0);
	assert_int_equal(keeper_add_debug_dir(f->keeper, f->debug_dir), 0);
}

static void empty_debug_dir(struct fixture *f)
{
	DIR *dir = fdopendir(fcntl(f->id_fd, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;

	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(f->id_fd, entry->d_name, 0);
	closedir(dir);
}

static void remove_debug_dir(struct fixture *f)
{
	char path[96];

	close(f->id_fd);
	snprintf(path, sizeof(path), "%s/.build-id/dd", f->debug_dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/.build-id", f->debug_dir);
	rmdir(path);
	rmdir(f->debug_dir);
}

/* A scribe that has a keeper to find debug files with. */
static void begin(struct fixture *f, void **state, uint64_t seed)
{
	struct context *c;

	*f = (struct fixture){.seed = seed, .id_fd = -1};
	set_up(state);
	c = f->c = *state;
	scribe_free(c->scribe);
	assert_int_equal(keeper_new_local(&f->keeper), 0);
	open_debug_dir(f);
	assert_int_equal(scribe_new(c->loop, c->modules, f->keeper, "/proc/self/exe", &c->scribe),
			 0);
	scribe_set_job_limit(c->scribe, JOB_LIMIT);
	read_shapes(f);
}

static void end(struct fixture *f, void **state)
{
	tear_down(state);
	remove_debug_dir(f);
	keeper_free(f->keeper);
	free(f->whole);
}

/* Damage seldom kills by itself. Whoever is killed from outside is not to blame. */
static void run_killed(struct fixture *f, struct module *const *modules, size_t n)
{
	struct context *c = f->c;
	unsigned n_steps = f->n_jobs / 4 % 4;

	submit(c, modules, n, c->dir_fd, NAME);
	for (unsigned i = 0; i < n_steps && !c->done; i++)
		assert_true(sd_event_run(c->loop, 60 * 1000000ULL) > 0);
	if (!c->done && scribe_pid(c->scribe) >= 0) {
		assert_int_equal(kill(scribe_pid(c->scribe), SIGKILL), 0);
		f->n_killed++;
	}
	wait_done(c);
}

static void run_job(struct fixture *f, enum kind kind)
{
	struct context *c = f->c;
	struct module *modules[1 + N_PER_JOB] = {c->shapes};

	for (unsigned i = 1; i <= N_PER_JOB; i++)
		modules[i] = make_damaged(f, kind);
	if (f->n_jobs % 4 == 3)
		run_killed(f, modules, ARRAY_SIZE(modules));
	else
		run(c, modules, ARRAY_SIZE(modules));
	assert_int_equal(c->result.error, 0);
	check_named(c, 1);
	f->n_named += c->result.locations_named;
	f->n_jobs++;
	assert_int_equal(count_files(c, true), 1);
	for (unsigned i = 1; i <= N_PER_JOB; i++) {
		profd_closep(&modules[i]->fd);
		modules[i]->fd = -1;
	}
	empty_debug_dir(f);
}

static unsigned long long run_kind(enum kind kind, uint64_t seed)
{
	struct scribe_stats stats;
	struct fixture f;
	void *state;

	begin(&f, &state, seed);
	for (unsigned job = 0; job < n_jobs[kind]; job++)
		run_job(&f, kind);
	scribe_get_stats(f.c->scribe, &stats);
	assert_int_equal(stats.locations, n_jobs[kind] * (1 + N_PER_JOB) * N_LOCATIONS);
	/* Damage seldom takes all names: they were read, not refused. */
	assert_true(f.n_named > stats.locations / 2);
	if (kind == DEBUG_FILE)
		assert_true(stats.debug_files > f.n_made / 2);
	print_message("%u damaged %s, %u scribes killed, %u died, %u of %u addresses named, "
		      "%u profiles\n",
		      f.n_made, kind_names[kind], f.n_killed, (unsigned)stats.restarts - f.n_killed,
		      f.n_named, (unsigned)stats.locations, f.n_jobs);
	assert_true(f.n_killed > 0);
	end(&f, &state);
	return stats.restarts;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void test_damaged_programs(void **state)
{
	run_kind(PROGRAM, SEED);
}

static void test_damaged_debug_files(void **state)
{
	run_kind(DEBUG_FILE, SEED);
}

static void test_damaged_perf_maps(void **state)
{
	run_kind(PERF_MAP, SEED);
}

static int fuzz(uint64_t seconds, const char *seed_text)
{
	uint64_t end_ns = now_ns() + seconds * NSEC_PER_SEC;
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : now_ns();
	unsigned long long n_files = 0, n_deaths = 0, n_profiles = 0;

	for (unsigned round = 0; now_ns() < end_ns; round++, seed++) {
		enum kind kind = round % N_KINDS;

		printf("round %u: MUTATION_SEED=%llu, %s\n", round, (unsigned long long)seed,
		       kind_names[kind]);
		fflush(stdout);
		n_deaths += run_kind(kind, seed);
		n_files += n_jobs[kind] * N_PER_JOB;
		n_profiles += n_jobs[kind];
	}
	printf("%llu damaged files, %llu scribes died, %llu profiles, all published\n", n_files,
	       n_deaths, n_profiles);
	return 0;
}

static void test_fuzz(void **state)
{
	fuzz(strtoull(getenv("MUTATION_SECONDS"), NULL, 10), getenv("MUTATION_SEED"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged_programs),
		cmocka_unit_test(test_damaged_debug_files),
		cmocka_unit_test(test_damaged_perf_maps),
	};
	const struct CMUnitTest fuzzing[] = {cmocka_unit_test(test_fuzz)};

	if (argc == 2 && strcmp(argv[1], "--scribe") == 0)
		return scribe_main(3);
	elf_version(EV_CURRENT);
	if (getenv("MUTATION_SECONDS"))
		return cmocka_run_group_tests(fuzzing, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
