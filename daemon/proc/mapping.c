/*
 * A process's executable mappings: an array sorted by address, in which no two
 * overlap. A new mapping cuts whatever it covers, as mmap does, so that the
 * array needs no record of munmap to stay true where it matters.
 *
 * Code without a file (JIT) comes in many small adjoining pieces; they are one
 * module whose offsets are addresses, so they are joined. Pieces of a file are
 * not: their bounds are what the kernel knows the mapping by.
 */
#include "daemon/proc/process-table.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "daemon/proc/maps.h"
#include "profd/base.h"
#include "profd/limits.h"

/* 64-bit processes have their vdso far above; below lies that of a 32-bit one,
 * which is another image. */
#define VDSO_LOWEST (1ULL << 32)

/* The first mapping that ends after @address. */
static size_t first_after(const struct process *process, uint64_t address)
{
	size_t low = 0, high = process->n_maps;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (process->maps[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct process_map *process_find_map(const struct process *process, uint64_t address)
{
	size_t i = first_after(process, address);

	if (i == process->n_maps || process->maps[i].start > address)
		return NULL;
	return &process->maps[i];
}

static int insert_at(struct process *process, size_t i, const struct process_map *map)
{
	if (process->n_maps == process->maps_room) {
		size_t room = process->maps_room ? 2 * process->maps_room : 16;
		void *p;

		if (process->n_maps >= PROFD_MAX_MAPPINGS)
			return -ENOSPC;
		p = realloc(process->maps, room * sizeof(*process->maps));
		if (!p)
			return -ENOMEM;
		process->maps = p;
		process->maps_room = room;
	}
	memmove(&process->maps[i + 1], &process->maps[i],
		(process->n_maps - i) * sizeof(*process->maps));
	process->maps[i] = *map;
	process->n_maps++;
	return 0;
}

static void remove_range(struct process *process, size_t first, size_t end)
{
	if (first == end)
		return;
	memmove(&process->maps[first], &process->maps[end],
		(process->n_maps - end) * sizeof(*process->maps));
	process->n_maps -= end - first;
}

static void cut_front(struct process_map *map, uint64_t start)
{
	map->file_offset += start - map->start;
	map->start = start;
}

int mapping_cut(struct process *process, uint64_t start, uint64_t end)
{
	size_t i = first_after(process, start), gone;

	if (i < process->n_maps && process->maps[i].start < start) {
		struct process_map tail = process->maps[i];

		process->maps[i].end = start;
		if (tail.end > end) { /* a hole in the middle */
			cut_front(&tail, end);
			return insert_at(process, i + 1, &tail);
		}
		i++;
	}
	gone = i;
	while (gone < process->n_maps && process->maps[gone].end <= end)
		gone++;
	remove_range(process, i, gone);
	if (i < process->n_maps && process->maps[i].start < end)
		cut_front(&process->maps[i], end);
	return 0;
}

static bool may_join(const struct process_map *a, const struct process_map *b)
{
	return a->module == b->module && a->module->kind == MODULE_JIT && a->end == b->start;
}

/* Maps @map over whatever was there; adjacent code without a file is joined. */
static int insert(struct process *process, const struct process_map *map)
{
	size_t i;
	int rc = mapping_cut(process, map->start, map->end);

	if (rc < 0)
		return rc;
	i = first_after(process, map->start);
	if (i > 0 && may_join(&process->maps[i - 1], map)) {
		process->maps[--i].end = map->end;
	} else {
		rc = insert_at(process, i, map);
		if (rc < 0)
			return rc;
	}
	if (i + 1 < process->n_maps && may_join(&process->maps[i], &process->maps[i + 1])) {
		process->maps[i].end = process->maps[i + 1].end;
		remove_range(process, i + 1, i + 2);
	}
	return 0;
}

void mapping_clear(struct process *process)
{
	free(process->maps);
	process->maps = NULL;
	process->n_maps = process->maps_room = 0;
}

int mapping_copy(struct process *to, const struct process *from)
{
	struct process_map *maps = NULL;

	if (from->n_maps > 0) {
		maps = malloc(from->n_maps * sizeof(*maps));
		if (!maps)
			return -ENOMEM;
		memcpy(maps, from->maps, from->n_maps * sizeof(*maps));
	}
	mapping_clear(to);
	to->maps = maps;
	to->n_maps = to->maps_room = from->n_maps;
	return 0;
}

/* ---- from a path to a module */

static bool starts_with(const char *s, const char *head)
{
	return strncmp(s, head, strlen(head)) == 0;
}

/* Shared anonymous memory has paths that look like files. */
static bool is_file_path(const char *path)
{
	return path[0] == '/' && !starts_with(path, "//anon") && !starts_with(path, "/dev/zero") &&
	       !starts_with(path, "/SYSV") && !starts_with(path, "/anon_hugepage");
}

struct module *mapping_module(struct module_table *modules, pid_t pid, uint64_t start,
			      const char *path, const struct module_key *key)
{
	if (is_file_path(path))
		return module_get_file(modules, path, key);
	if (strcmp(path, "[vsyscall]") == 0)
		return NULL;
	if (strcmp(path, "[vdso]") == 0 && start >= VDSO_LOWEST)
		return module_get_vdso(modules);
	return module_get_jit(modules, pid);
}

int mapping_add(struct process *process, struct module *module, uint64_t start, uint64_t end,
		uint64_t file_offset)
{
	struct process_map map = {
		.start = start,
		.end = end,
		.file_offset = file_offset,
		.module = module,
	};

	if (module->kind == MODULE_JIT) {
		map.file_offset = start;
	} else {
		if (module->kind == MODULE_VDSO)
			map.file_offset = 0;
		module_add_place(module, &(struct module_place){start, end, map.file_offset});
	}
	return insert(process, &map);
}

struct reading {
	struct process_table *table;
	struct process *process;
};

static int on_entry(const struct maps_entry *e, void *userdata)
{
	struct reading *r = userdata;
	struct module_key key = {.dev = makedev(e->major, e->minor), .inode = e->inode};
	struct module *module;
	int rc;

	if (!e->executable)
		return 0;
	module = mapping_module(r->table->modules, r->process->pid, e->start, e->path, &key);
	if (!module)
		return 0;
	rc = mapping_add(r->process, module, e->start, e->end, e->file_offset);
	if (rc == -ENOSPC) { /* better some mappings than none */
		r->table->refused++;
		return 0;
	}
	return rc;
}

int mapping_read(struct process_table *table, struct process *process)
{
	struct process fresh = {.pid = process->pid};
	struct reading r = {.table = table, .process = &fresh};
	_cleanup_close_ int fd = keeper_open_file(table->keeper, process->witness, KEEPER_MAPS);
	int rc;

	if (fd < 0)
		return fd;
	rc = maps_read(fd, on_entry, &r, NULL);
	if (rc < 0) {
		mapping_clear(&fresh);
		return rc;
	}
	mapping_clear(process);
	process->maps = fresh.maps;
	process->n_maps = fresh.n_maps;
	process->maps_room = fresh.maps_room;
	return 0;
}
