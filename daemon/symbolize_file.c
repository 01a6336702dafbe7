/*
 * The daemon's own way from a frozen profile to a published one, without a daemon: a
 * table of modules, one for each build-id in the profile, and a scribe. What is
 * different is how a module comes by its file: no process has it mapped, so it is
 * whichever candidate shows the build-id.
 *
 * Where only the debug file is to be had, its sections have the addresses, but its
 * program headers no longer say where the code was in the program's file. The mapping
 * does: it began at the page of the executable segment's beginning.
 */
#include "daemon/symbolize_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "daemon/keeper/keeper.h"
#include "daemon/proc/elf_links.h"
#include "daemon/proc/module.h"
#include "daemon/scribe/scribe.h"
#include "daemon/scribe/separate.h"
#include "profd/base.h"
#include "profd/limits.h"

#define SYMBOLIZE_MAX_PROFILE (512u << 20)
#define SYMBOLIZE_PAGE	      4096u

struct session {
	struct keeper *keeper;
	struct module_table *modules;
	struct scribe *scribe;
	sd_event *loop;
	struct frozen frozen;
	struct symbolize_file_counts counts;
	int error;
};

static void session_done(struct session *s)
{
	frozen_done(&s->frozen);
	scribe_free(s->scribe);
	module_table_free(s->modules);
	keeper_free(s->keeper);
	sd_event_unref(s->loop);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the number of bytes; 0: no build-id. */
static size_t parse_build_id(const char *hex, uint8_t *ret)
{
	size_t n = strlen(hex);

	if (n % 2 != 0 || n / 2 > MODULE_BUILD_ID_MAX)
		return 0;
	for (size_t i = 0; i < n / 2; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return 0;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return n / 2;
}

typedef bool (*adopt_t)(struct session *s, struct module *module,
			const struct pprof_mapping *mapping, int fd);

static bool adopt_program(struct session *s, struct module *module,
			  const struct pprof_mapping *mapping, int fd)
{
	struct module *found;

	return fd >= 0 && module_adopt_fd(s->modules, module, fd, &found) == 0;
}

/* Takes the debug file for the module's own. */
static bool adopt_debug(struct session *s, struct module *module,
			const struct pprof_mapping *mapping, int fd)
{
	_cleanup_close_ int owned = fd;
	_cleanup_free_ struct elf_links *links = malloc(sizeof(*links));

	if (fd < 0 || !links || elf_read_links(fd, links) < 0 || links->n_code != 1 ||
	    links->build_id_bytes != module->build_id_bytes ||
	    memcmp(links->build_id, module->build_id, module->build_id_bytes) != 0)
		return false;
	module->only_debug = true;
	module->vaddr_minus_offset =
		(links->code_vaddr & ~(uint64_t)(SYMBOLIZE_PAGE - 1)) - mapping->file_offset;
	module->opened = true;
	module->fd = take_fd(&owned);
	return true;
}

/* One place, in each of the directories. */
static bool find_in_dirs(struct session *s, struct module *module,
			 const struct pprof_mapping *mapping, struct keeper_debug *wanted,
			 enum keeper_debug_place place, const char *name, adopt_t adopt)
{
	int fd = 0;

	wanted->place = place;
	wanted->name = name;
	for (wanted->dir = 0; fd != -ERANGE; wanted->dir++) {
		fd = keeper_open_debug(s->keeper, wanted);
		if (adopt(s, module, mapping, fd))
			return true;
	}
	return false;
}

static bool find_program(struct session *s, struct module *module,
			 const struct pprof_mapping *mapping, struct keeper_debug *wanted)
{
	const char *slash = strrchr(module->path, '/');

	if (find_in_dirs(s, module, mapping, wanted, KEEPER_DEBUG_PROGRAM_BY_ID, NULL,
			 adopt_program))
		return true;
	if (!slash)
		return false;
	return find_in_dirs(s, module, mapping, wanted, KEEPER_DEBUG_BELOW, slash + 1,
			    adopt_program) ||
	       find_in_dirs(s, module, mapping, wanted, KEEPER_DEBUG_IN, slash + 1,
			    adopt_program) ||
	       adopt_program(s, module, mapping,
			     keeper_open_mapped(s->keeper, getpid(), 0, 0, module->path));
}

static bool find_debug(struct session *s, struct module *module,
		       const struct pprof_mapping *mapping, struct keeper_debug *wanted)
{
	const char *slash = strrchr(module->path, '/');
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%s.debug", slash ? slash + 1 : module->path);
	return find_in_dirs(s, module, mapping, wanted, KEEPER_DEBUG_BY_ID, NULL, adopt_debug) ||
	       find_in_dirs(s, module, mapping, wanted, KEEPER_DEBUG_IN, name, adopt_debug);
}

static void add_lacking(struct symbolize_file_counts *counts, const uint8_t *id, size_t bytes)
{
	char hex[2 * MODULE_BUILD_ID_MAX + 1] = "";

	if (bytes == 0 || counts->n_lacking == SYMBOLIZE_FILE_MAX_LACKING)
		return;
	for (size_t i = 0; i < bytes; i++)
		sprintf(hex + 2 * i, "%02x", id[i]);
	for (size_t i = 0; i < counts->n_lacking; i++)
		if (strcmp(counts->lacking[i], hex) == 0)
			return;
	strcpy(counts->lacking[counts->n_lacking++], hex);
}

/* A program may be here without its debug file, and that without dwz's. */
static void look_what_lacks(struct session *s, const struct module *module)
{
	_cleanup_(separate_done) struct separate separate = {.debug_fd = -1, .alt_fd = -1};
	struct separate_counts counts = {};

	if (module->fd < 0) {
		add_lacking(&s->counts, module->build_id, module->build_id_bytes);
		return;
	}
	separate_find(s->keeper, module, &counts, &separate);
	add_lacking(&s->counts, separate.missing, separate.missing_bytes);
}

/* Returns 0, or -ENOMEM. Without a file the mapping stays as it is. */
static int find_module(struct session *s, uint64_t mapping, uint32_t *ret_module)
{
	uint8_t build_id[MODULE_BUILD_ID_MAX];
	struct module_key key = {.build_id = build_id};
	struct keeper_debug wanted = {};
	struct pprof_mapping m;
	struct module *module;

	pprof_mapping(s->frozen.profile, mapping, &m);
	if (m.path[0] != '/' || m.path[1] == '/')
		return 0;
	s->counts.mappings++;
	key.build_id_bytes = parse_build_id(m.build_id, build_id);
	if (key.build_id_bytes == 0)
		return 0;
	module = module_get_file(s->modules, m.path, &key);
	if (!module)
		return -ENOMEM;
	wanted.build_id = module->build_id;
	wanted.build_id_bytes = module->build_id_bytes;
	wanted.path = module->path;
	wanted.owner = geteuid();
	if (module->fd < 0 && !find_program(s, module, &m, &wanted))
		find_debug(s, module, &m, &wanted);
	look_what_lacks(s, module);
	if (module->fd < 0)
		return 0;
	s->counts.found++;
	*ret_module = module->id;
	return 0;
}

static int find_modules(struct session *s)
{
	size_t n = pprof_n_mappings(s->frozen.profile);
	int r = 0;

	s->frozen.modules = calloc(n + 1, sizeof(*s->frozen.modules));
	if (!s->frozen.modules)
		return -ENOMEM;
	s->frozen.n_modules = n;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = find_module(s, i + 1, &s->frozen.modules[i]);
	return r;
}

static void on_done(const struct scribe_result *result, void *userdata)
{
	struct session *s = userdata;

	s->error = result->error;
	s->counts.locations = result->locations;
	s->counts.named = result->locations_named;
	sd_event_exit(s->loop, 0);
}

static int session_init(struct session *s, char *const *dirs, size_t n_dirs)
{
	int r;

	r = sd_event_new(&s->loop);
	if (r >= 0)
		r = keeper_new_local(&s->keeper);
	for (size_t i = n_dirs; r >= 0 && i > 0; i--)
		r = keeper_add_debug_dir(s->keeper, dirs[i - 1]);
	if (r >= 0)
		r = module_table_new(&s->modules);
	if (r >= 0)
		r = scribe_new(s->loop, s->modules, s->keeper, "/proc/self/exe", &s->scribe);
	return min(r, 0);
}

int symbolize_file(int in_fd, int out_fd, char *const *dirs, size_t n_dirs,
		   struct symbolize_file_counts *ret_counts)
{
	_cleanup_(session_done) struct session s = {};
	int r;

	r = session_init(&s, dirs, n_dirs);
	if (r == 0)
		r = pprof_read(in_fd, SYMBOLIZE_MAX_PROFILE, &s.frozen.profile);
	if (r == 0)
		r = find_modules(&s);
	if (r == 0)
		r = scribe_submit(s.scribe, &s.frozen, out_fd, NULL, on_done, &s);
	if (r == 0)
		r = min(sd_event_loop(s.loop), 0);
	if (r == 0)
		r = s.error;
	if (r < 0)
		return r;
	*ret_counts = s.counts;
	return 0;
}
