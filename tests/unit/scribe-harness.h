/*
 * A scribe with a loop, a module and a directory to publish in, for the tests
 * of the scribe as a process. The test program is its own scribe: called with
 * --scribe it is one.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profd/base.h"
#include "daemon/scribe/scribe.h"
#include "proto/pprof.h"

#define NAME	      "heap_shapes_1_20261121T031244.123Z.pb.gz"
#define PROFILE_LIMIT (64u << 20)
#define N_LOCATIONS   500
#define LOAD_BIAS     0x555500000000ULL

struct context {
	char dir[64];
	int dir_fd;
	sd_event *loop;
	struct module_table *modules;
	struct scribe *scribe;
	struct module *shapes;
	/* of the last job */
	bool done;
	struct scribe_result result;
	char name[256];
};

static int open_shapes(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	int fd;

	assert_true(n > 0);
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/../fixtures/sym-shapes");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s is missing: make fixtures", path);
	return fd;
}

/* A module with a file that nobody has checked. */
static struct module *add_module(struct context *c, const char *path, int fd)
{
	struct module_key key = {.inode = module_count(c->modules) + 1};
	struct module *module = module_get_file(c->modules, path, &key);

	assert_non_null(module);
	module->opened = true;
	module->fd = fd;
	return module;
}

/* One that is known by a build-id. */
static struct module *add_module_by_id(struct context *c, const char *path, int fd, uint8_t id)
{
	struct module *module = add_module(c, path, fd);

	module->build_id[0] = id;
	module->build_id_bytes = MODULE_BUILD_ID_MAX;
	return module;
}

static int set_up(void **state)
{
	struct context *c = calloc(1, sizeof(*c));

	strcpy(c->dir, "/tmp/test-scribe-XXXXXX");
	assert_non_null(mkdtemp(c->dir));
	c->dir_fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(c->dir_fd >= 0);
	assert_true(sd_event_new(&c->loop) >= 0);
	assert_int_equal(module_table_new(&c->modules), 0);
	assert_int_equal(scribe_new(c->loop, c->modules, NULL, "/proc/self/exe", &c->scribe), 0);
	c->shapes = add_module_by_id(c, "/opt/shapes", open_shapes(), 1);
	*state = c;
	return 0;
}

static unsigned count_files(struct context *c, bool and_remove)
{
	DIR *dir = opendir(c->dir);
	struct dirent *entry;
	unsigned n = 0;

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (and_remove)
			unlinkat(c->dir_fd, entry->d_name, 0);
		n++;
	}
	closedir(dir);
	return n;
}

static int tear_down(void **state)
{
	struct context *c = *state;

	scribe_free(c->scribe);
	module_table_free(c->modules);
	sd_event_unref(c->loop);
	count_files(c, true);
	close(c->dir_fd);
	rmdir(c->dir);
	free(c);
	return 0;
}

/* The executable segment of our fixture. */
static void find_code(uint64_t *ret_offset, uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = open_shapes();
	GElf_Phdr header;
	size_t n;
	Elf *elf;

	elf = elf_begin(fd, ELF_C_READ, NULL);
	assert_int_equal(elf_getphdrnum(elf, &n), 0);
	for (int i = 0; i < (int)n; i++)
		if (gelf_getphdr(elf, i, &header) && header.p_type == PT_LOAD &&
		    (header.p_flags & PF_X)) {
			*ret_offset = header.p_offset;
			*ret_bytes = header.p_filesz;
		}
	elf_end(elf);
}

/* A profile with samples all over the code of each of @modules. */
static struct frozen make_frozen(struct module *const *modules, size_t n)
{
	struct frozen frozen = {.profile = pprof_new(), .n_modules = n};
	uint64_t offset = 0, bytes = 0, mapping, location;
	int64_t value = 1;

	find_code(&offset, &bytes);
	frozen.modules = calloc(n, sizeof(*frozen.modules));
	assert_int_equal(pprof_add_sample_type(frozen.profile, "samples", "count"), 0);
	assert_int_equal(pprof_set_time(frozen.profile, 1, 1), 0);
	for (size_t m = 0; m < n; m++) {
		struct pprof_mapping place = {
			.start = LOAD_BIAS + (m << 24) + offset,
			.limit = LOAD_BIAS + (m << 24) + offset + bytes,
			.file_offset = offset,
			.path = modules[m]->path,
			.build_id = "",
		};

		frozen.modules[m] = modules[m]->id;
		assert_int_equal(pprof_add_mapping(frozen.profile, &place, &mapping), 0);
		for (unsigned i = 0; i < N_LOCATIONS; i++) {
			struct pprof_location l = {
				.mapping = mapping,
				.address = place.start + i * bytes / N_LOCATIONS,
			};
			struct pprof_sample s = {.locations = &location, .n_locations = 1};

			s.values = &value;
			assert_int_equal(pprof_add_location(frozen.profile, &l, &location), 0);
			assert_int_equal(pprof_add_sample(frozen.profile, &s), 0);
		}
	}
	return frozen;
}

static void on_done(const struct scribe_result *result, void *userdata)
{
	struct context *c = userdata;

	assert_false(c->done);
	c->done = true;
	c->result = *result;
	assert_non_null(result->name);
	snprintf(c->name, sizeof(c->name), "%s", result->name);
}

static void wait_done(struct context *c)
{
	for (unsigned i = 0; i < 100000 && !c->done; i++)
		assert_true(sd_event_run(c->loop, 60 * 1000000ULL) > 0);
	assert_true(c->done);
	assert_int_equal(scribe_pending(c->scribe), 0);
}

static void submit(struct context *c, struct module *const *modules, size_t n, int fd,
		   const char *name)
{
	struct frozen frozen = make_frozen(modules, n);

	c->done = false;
	assert_int_equal(scribe_submit(c->scribe, &frozen, fd, name, on_done, c), 0);
	assert_null(frozen.profile);
	assert_false(c->done);
	assert_int_equal(scribe_pending(c->scribe), 1);
}

static void run(struct context *c, struct module *const *modules, size_t n)
{
	submit(c, modules, n, c->dir_fd, NAME);
	wait_done(c);
}

static struct pprof *read_profile(int dir_fd, const char *name)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct pprof *p;

	assert_true(fd >= 0);
	assert_int_equal(pprof_read(fd, PROFILE_LIMIT, &p), 0);
	return p;
}

/* Of the locations of @mapping: how many have a line in @function's name. */
static unsigned count_named(const struct pprof *p, uint64_t mapping, const char *part)
{
	unsigned n = 0;

	for (uint64_t id = 1; id <= pprof_n_locations(p); id++) {
		struct pprof_location location;
		struct pprof_line line;
		bool found = false;

		pprof_location(p, id, &location);
		if (location.mapping != mapping)
			continue;
		assert_true(location.n_lines > 0);
		for (size_t i = 0; i < location.n_lines && !found; i++) {
			pprof_location_line(p, id, i, &line);
			assert_true(line.name[0] != '\0');
			found = strstr(line.name, part) != NULL;
		}
		n += found;
	}
	return n;
}

__attribute__((unused)) static void check_named(struct context *c, uint64_t mapping)
{
	struct pprof *p = read_profile(c->dir_fd, c->name);
	struct pprof_mapping m;

	pprof_mapping(p, mapping, &m);
	assert_true(m.symbolized);
	assert_true(count_named(p, mapping, "shapes::outermost(unsigned int)") > 1);
	assert_true(count_named(p, mapping, "innermost") > 10);
	pprof_free(p);
}
