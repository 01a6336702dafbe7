/*
 * Debug files that are elsewhere, or not there yet: a separate one, and that of a split
 * unit. What arrives after its module was in a profile is found when it is looked for again,
 * and not sooner; a split unit's file is taken only if it is the right one.
 */
#include "scribe-harness.h"

#include <limits.h>

#include "daemon/proc/elf_links.h"
#include "daemon/scribe/quarantine.h"

struct fixture {
	struct context *c;
	struct keeper *keeper;
	char debug_dir[64], id_dir[96];
};

static void open_scribe(struct fixture *f, void **state)
{
	struct context *c;

	*f = (struct fixture){};
	set_up(state);
	c = f->c = *state;
	scribe_free(c->scribe);
	assert_int_equal(keeper_new_local(&f->keeper), 0);
	strcpy(f->debug_dir, "/tmp/test-scribe-debug-XXXXXX");
	assert_non_null(mkdtemp(f->debug_dir));
	snprintf(f->id_dir, sizeof(f->id_dir), "%s/.build-id", f->debug_dir);
	assert_int_equal(mkdir(f->id_dir, 0755), 0);
	assert_int_equal(keeper_add_debug_dir(f->keeper, f->debug_dir), 0);
	assert_int_equal(scribe_new(c->loop, c->modules, f->keeper, "/proc/self/exe", &c->scribe),
			 0);
}

static void close_scribe(struct fixture *f, void **state)
{
	assert_int_equal(rmdir(f->id_dir), 0);
	assert_int_equal(rmdir(f->debug_dir), 0);
	tear_down(state);
	keeper_free(f->keeper);
}

/* A copy of a fixture, in memory. */
static int copy_fixture(const char *name, uint8_t **ret_bytes, size_t *ret_n)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	_cleanup_close_ int fd = -1;
	struct stat st;

	assert_true(n > 0);
	path[n] = '\0';
	snprintf(strrchr(path, '/'), 64, "/../fixtures/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s is missing: make fixtures", path);
	assert_int_equal(fstat(fd, &st), 0);
	*ret_n = (size_t)st.st_size;
	*ret_bytes = malloc(*ret_n);
	assert_int_equal(read(fd, *ret_bytes, *ret_n), *ret_n);
	return memfd_create("copy", MFD_CLOEXEC);
}

static void write_all(int fd, const uint8_t *bytes, size_t n)
{
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, 0), n);
}

static void write_path(const char *path, const uint8_t *bytes, size_t n)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	write_all(fd, bytes, n);
}

/* Inlined calls are told by debug information alone. */
static unsigned count_inlined(struct context *c)
{
	struct pprof *p = read_profile(c->dir_fd, c->name);
	unsigned n = count_named(p, 1, "innermost");

	assert_true(count_named(p, 1, "outermost") > 1);
	pprof_free(p);
	return n;
}

static unsigned run_and_count(struct context *c, struct module *module)
{
	run(c, &module, 1);
	assert_int_equal(c->result.error, 0);
	return count_inlined(c);
}

static void test_debug_file_that_comes_later(void **state)
{
	static const char name[] = ".debug_info";
	_cleanup_free_ uint8_t *whole = NULL;
	char dir[128], path[256];
	struct module *module;
	struct elf_links links;
	struct scribe_stats stats;
	struct fixture f;
	uint8_t *at;
	size_t n;
	int fd;

	open_scribe(&f, state);
	fd = copy_fixture("sym-shapes", &whole, &n);
	/* Stands for strip: the section has another name. */
	at = memmem(whole, n, name, sizeof(name));
	assert_non_null(at);
	*at = '_';
	write_all(fd, whole, n);
	*at = '.';
	assert_int_equal(elf_read_links(fd, &links), 0);
	module = add_module(f.c, "/opt/stripped", fd);
	memcpy(module->build_id, links.build_id, links.build_id_bytes);
	module->build_id_bytes = links.build_id_bytes;
	assert_int_equal(run_and_count(f.c, module), 0);

	snprintf(dir, sizeof(dir), "%s/%02x", f.id_dir, links.build_id[0]);
	assert_int_equal(mkdir(dir, 0755), 0);
	strcpy(path, dir);
	strcat(path, "/");
	for (size_t i = 1; i < links.build_id_bytes; i++)
		sprintf(path + strlen(path), "%02x", links.build_id[i]);
	strcat(path, ".debug");
	write_path(path, whole, n);
	assert_int_equal(run_and_count(f.c, module), 0); /* not yet */
	scribe_set_debug_recheck(f.c->scribe, 0);
	assert_true(run_and_count(f.c, module) > 10);
	scribe_get_stats(f.c->scribe, &stats);
	assert_int_equal(stats.debug_files, 1);
	/* And then it is left alone. */
	assert_true(run_and_count(f.c, module) > 10);
	scribe_get_stats(f.c->scribe, &stats);
	assert_int_equal(stats.debug_files, 1);
	assert_int_equal(stats.restarts, 0);
	unlink(path);
	rmdir(dir);
	close_scribe(&f, state);
}

/* The program, saying that its split unit's file is @path. */
static struct module *add_split(struct fixture *f, const char *path)
{
	static const char end[] = ".dwo";
	_cleanup_free_ uint8_t *whole = NULL;
	size_t n, old, wanted = strlen(path);
	int fd = copy_fixture("sym-split-units", &whole, &n);
	uint8_t *at = memmem(whole, n, end, sizeof(end));

	assert_non_null(at);
	/* As long as the old one, by more slashes. It may be the first in its section. */
	for (old = sizeof(end) - 1; at[-1] > ' ' && at[-1] < 0x7f; old++)
		at--;
	assert_true(old >= wanted);
	memset(at, '/', old - wanted);
	memcpy(at + old - wanted, path, wanted);
	write_all(fd, whole, n);
	return add_module_by_id(f->c, "/opt/split", fd, 0x5b);
}

static void test_split_unit_that_comes_later(void **state)
{
	_cleanup_free_ uint8_t *unit = NULL;
	struct scribe_stats stats;
	struct module *module;
	struct fixture f;
	char path[80];
	size_t n;

	open_scribe(&f, state);
	close(copy_fixture("sym-split-units.dwo", &unit, &n));
	snprintf(path, sizeof(path), "%s/u.dwo", f.c->dir);
	module = add_split(&f, path);
	assert_int_equal(run_and_count(f.c, module), 0);
	write_path(path, unit, n);
	assert_int_equal(run_and_count(f.c, module), 0);
	scribe_set_debug_recheck(f.c->scribe, 0);
	assert_true(run_and_count(f.c, module) > 10);
	assert_true(run_and_count(f.c, module) > 10);
	scribe_get_stats(f.c->scribe, &stats);
	assert_int_equal(stats.debug_refused, 0);
	assert_int_equal(stats.restarts, 0);
	close_scribe(&f, state);
}

/* Of another build, or no such file at all. */
static void test_split_unit_that_is_another(void **state)
{
	_cleanup_free_ uint8_t *unit = NULL;
	struct scribe_stats stats;
	struct module *module;
	struct fixture f;
	char path[80];
	size_t n;

	open_scribe(&f, state);
	snprintf(path, sizeof(path), "%s/u.dwo", f.c->dir);
	close(copy_fixture("sym-split-units.dwo", &unit, &n));
	/* The id is in the header of the only unit, the first thing in .debug_info.dwo. */
	for (uint8_t *at = unit; (at = memmem(at, n - (size_t)(at - unit), "\5\0\5\10", 4)); at++)
		at[8]++;
	write_path(path, unit, n);
	module = add_split(&f, path);
	assert_int_equal(run_and_count(f.c, module), 0);
	scribe_get_stats(f.c->scribe, &stats);
	assert_int_equal(stats.debug_refused, 1);
	assert_int_equal(stats.restarts, 0);
	close_scribe(&f, state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_debug_file_that_comes_later),
		cmocka_unit_test(test_split_unit_that_comes_later),
		cmocka_unit_test(test_split_unit_that_is_another),
	};

	if (argc == 2 && strcmp(argv[1], "--scribe") == 0)
		return scribe_main(3);
	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
