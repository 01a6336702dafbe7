/*
 * Hundreds of damaged copies of a program, each in a profile beside a whole one:
 * whatever the scribe makes of them, every profile is published and the whole
 * program has its names in it.
 */
#include "scribe-harness.h"

#define N_JOBS	   60
#define N_PER_JOB  5
#define JOB_LIMIT  (10 * NSEC_PER_SEC)
#define HEAD_BYTES 4096 /* of a file: its headers */

/* The same ones every time. */
static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 33);
}

static uint8_t *read_shapes(size_t *ret_n)
{
	_cleanup_close_ int fd = open_shapes();
	struct stat st;
	uint8_t *bytes;

	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	*ret_n = (size_t)st.st_size;
	return bytes;
}

/* Where the code ends and what describes it begins: most damage goes there, and to
 * the section headers at the end. */
static void damage(uint8_t *bytes, size_t *n, uint64_t code_end, uint64_t *seed)
{
	static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x10, 0x55};
	unsigned n_bytes = 1 + next_random(seed) % 64;

	for (unsigned i = 0; i < n_bytes; i++) {
		size_t at = next_random(seed);

		switch (next_random(seed) % 8) {
		case 0:
			at %= HEAD_BYTES;
			break;
		case 1:
		case 2:
			at = *n - 1 - at % HEAD_BYTES;
			break;
		default:
			at = code_end + at % (*n - code_end);
			break;
		}
		bytes[at] = next_random(seed) % 2 ? telling[next_random(seed) % sizeof(telling)]
						  : (uint8_t)next_random(seed);
	}
	if (next_random(seed) % 10 == 0)
		*n = code_end + next_random(seed) % (*n - code_end);
}

static int make_damaged(const uint8_t *whole, size_t n, uint64_t code_end, uint64_t *seed)
{
	_cleanup_free_ uint8_t *bytes = malloc(n);
	int fd = memfd_create("damaged", MFD_CLOEXEC);

	assert_non_null(bytes);
	memcpy(bytes, whole, n);
	damage(bytes, &n, code_end, seed);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

static void test_damaged_files(void **state)
{
	struct context *c = *state;
	uint64_t offset = 0, bytes = 0, seed = 20261121;
	size_t n;
	_cleanup_free_ uint8_t *whole = read_shapes(&n);
	struct module *modules[1 + N_PER_JOB] = {c->shapes};
	struct scribe_stats stats;
	unsigned n_named = 0;

	find_code(&offset, &bytes);
	scribe_set_job_limit(c->scribe, JOB_LIMIT);
	for (unsigned job = 0; job < N_JOBS; job++) {
		for (unsigned i = 1; i <= N_PER_JOB; i++) {
			char path[64];

			snprintf(path, sizeof(path), "/opt/damaged-%u", job * N_PER_JOB + i);
			modules[i] =
				add_module(c, path, make_damaged(whole, n, offset + bytes, &seed));
		}
		run(c, modules, 1 + N_PER_JOB);
		assert_int_equal(c->result.error, 0);
		check_named(c, 1);
		n_named += c->result.locations_named;
		assert_int_equal(count_files(c, true), 1);
		for (unsigned i = 1; i <= N_PER_JOB; i++) {
			profd_closep(&modules[i]->fd);
			modules[i]->fd = -1;
		}
	}
	scribe_get_stats(c->scribe, &stats);
	assert_int_equal(stats.locations, N_JOBS * (1 + N_PER_JOB) * N_LOCATIONS);
	/* Damage seldom takes all names: they were read, not refused. */
	assert_true(n_named > N_JOBS * (1 + N_PER_JOB) * N_LOCATIONS / 2);
	print_message("%u damaged files, %u scribes died, %u of %u addresses named, %u profiles\n",
		      N_JOBS * N_PER_JOB, (unsigned)stats.restarts, n_named,
		      (unsigned)stats.locations, N_JOBS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_damaged_files, set_up, tear_down),
	};

	if (argc == 2 && strcmp(argv[1], "--scribe") == 0)
		return scribe_main(3);
	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
