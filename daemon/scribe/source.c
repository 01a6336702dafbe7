/*
 * What was parsed stays open for the next job, for a snapshot of the same
 * program comes along soon. Parsed debug information may be several times as
 * large as what is asked of it and cannot be let go in parts, so beyond
 * SOURCE_MAX_HEAP everything is closed; the cache of answers (cache.h) stays.
 * Pages of the files themselves are given back on the way.
 */
#include "daemon/scribe/source.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uthash.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/scribe/image.h"
#include "daemon/scribe/kallsyms.h"
#include "daemon/scribe/perf_map.h"
#include "daemon/scribe/transient.h"

#define SOURCE_MAX_HEAP	  (256ULL << 20) /* bytes allocated */
#define SOURCE_MAX_MAPPED (4ULL << 30)	 /* bytes of files mapped */
#define SOURCE_MAX_FAULTS 1024		 /* until pages of files are given back */

struct source {
	UT_hash_handle hh;
	struct source_table *table;
	uint32_t id;
	enum source_kind kind;
	int fd;
	struct image_debug debug;
	uint64_t bytes;
	unsigned refused; /* parts of it that are known to be refused */
	bool opened;
	int error; /* why it cannot be read; kept, so that it is tried once (in a job, if
		    * that passes) */
	struct image *image;
	struct kallsyms *kallsyms;
	struct perf_map *perf_map;
};

struct source_table {
	struct source *sources; /* by id */
	uint64_t mapped_bytes;
	long faults; /* when pages were last given back */
	unsigned refused;
	int (*open)(uint32_t id, const char *name, void *userdata); /* NULL: nobody */
	void *userdata;
};

int source_table_new(struct source_table **ret_table)
{
	struct source_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	*ret_table = table;
	return 0;
}

void source_table_set_opener(struct source_table *table,
			     int (*open)(uint32_t id, const char *name, void *userdata),
			     void *userdata)
{
	table->open = open;
	table->userdata = userdata;
}

static void source_close(struct source_table *table, struct source *source)
{
	if (source->image)
		table->mapped_bytes -= source->bytes;
	image_close(source->image);
	kallsyms_free(source->kallsyms);
	perf_map_free(source->perf_map);
	source->perf_map = NULL;
	source->image = NULL;
	source->kallsyms = NULL;
	source->opened = false;
}

static void source_free(struct source_table *table, struct source *source)
{
	source_close(table, source);
	HASH_DEL(table->sources, source);
	close(source->fd);
	profd_closep(&source->debug.debug_fd);
	profd_closep(&source->debug.alt_fd);
	free(source);
}

void source_table_free(struct source_table *table)
{
	struct source *source, *next;

	if (!table)
		return;
	HASH_ITER (hh, table->sources, source, next)
		source_free(table, source);
	free(table);
}

struct source *source_find(struct source_table *table, uint32_t id)
{
	struct source *source;

	HASH_FIND (hh, table->sources, &id, sizeof(id), source)
		;
	return source;
}

void source_remove(struct source_table *table, uint32_t id)
{
	struct source *source = source_find(table, id);

	if (source)
		source_free(table, source);
}

static uint64_t file_bytes(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

int source_add(struct source_table *table, uint32_t id, enum source_kind kind, int fd)
{
	_cleanup_close_ int owned = fd;
	struct source *source;

	source_remove(table, id);
	if (HASH_COUNT(table->sources) >= PROFD_SCRIBE_MAX_MODULES)
		return -ENOSPC;
	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	source->table = table;
	source->id = id;
	source->kind = kind;
	source->debug = (struct image_debug)IMAGE_DEBUG_NONE;
	source->bytes = file_bytes(owned);
	source->fd = take_fd(&owned);
	HASH_ADD(hh, table->sources, id, sizeof(source->id), source);
	return 0;
}

void source_set_debug(struct source_table *table, uint32_t id, const struct image_debug *debug)
{
	struct source *source = source_find(table, id);

	if (!source || source->opened || source->debug.debug_fd >= 0 || source->debug.alt_fd >= 0) {
		profd_closep(&debug->debug_fd);
		profd_closep(&debug->alt_fd);
		return;
	}
	source->debug = *debug;
	source->bytes += file_bytes(debug->debug_fd) + file_bytes(debug->alt_fd);
}

unsigned source_take_refused(struct source_table *table)
{
	unsigned refused = table->refused;

	table->refused = 0;
	return refused;
}

static void close_all(struct source_table *table)
{
	struct source *source, *next;

	HASH_ITER (hh, table->sources, source, next)
		source_close(table, source);
	malloc_trim(0);
}

bool source_is_whole(const struct source *source)
{
	return !is_transient(source->error) && !(source->image && !image_is_whole(source->image));
}

static void limit_held(struct source_table *table)
{
	struct mallinfo2 info = mallinfo2();

	if (info.uordblks + info.hblkhd > SOURCE_MAX_HEAP ||
	    table->mapped_bytes > SOURCE_MAX_MAPPED)
		close_all(table);
}

void source_table_trim(struct source_table *table)
{
	struct source *source, *next;

	limit_held(table);
	HASH_ITER (hh, table->sources, source, next) {
		if (source_is_whole(source))
			continue;
		source_close(table, source);
		source->error = 0;
	}
}

static int open_split(const char *name, void *userdata)
{
	const struct source *source = userdata;
	const struct source_table *table = source->table;

	return table->open ? table->open(source->id, name, table->userdata) : -ENOENT;
}

static void source_open(struct source_table *table, struct source *source)
{
	limit_held(table);
	source->opened = true;
	if (source->error < 0)
		return;
	switch (source->kind) {
	case SOURCE_ELF:
		source->error = image_open(source->fd, &source->image);
		if (source->image) {
			image_set_debug(source->image, &source->debug);
			image_set_opener(source->image,
					 &(struct splits_opener){open_split, source});
			table->mapped_bytes += source->bytes;
		}
		break;
	case SOURCE_KALLSYMS:
		source->error = kallsyms_new(source->fd, &source->kallsyms);
		break;
	case SOURCE_PERF_MAP:
		source->error = perf_map_new(source->fd, &source->perf_map);
		break;
	}
}

/* A file of debug information that is walked through becomes resident as a whole,
 * though little of it is needed twice. A fault brings in up to 64 KiB around it, so
 * the number of faults bounds what has come in. */
static void limit_resident(struct source_table *table)
{
	struct source *source, *next;
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0 ||
	    usage.ru_minflt + usage.ru_majflt - table->faults < SOURCE_MAX_FAULTS)
		return;
	table->faults = usage.ru_minflt + usage.ru_majflt;
	HASH_ITER (hh, table->sources, source, next)
		if (source->image)
			image_release_pages(source->image);
}

int source_name(struct source_table *table, struct source *source, uint64_t offset, bool lines,
		struct symbol *symbol, uint64_t *ret_vaddr)
{
	unsigned refused;
	int r;

	*ret_vaddr = offset;
	if (!source->opened)
		source_open(table, source);
	if (source->error < 0)
		return source->error;
	limit_resident(table);
	if (source->kallsyms)
		return kallsyms_find(source->kallsyms, offset, symbol);
	if (source->perf_map)
		return perf_map_find(source->perf_map, offset, symbol);
	if (!image_offset_to_vaddr(source->image, offset, ret_vaddr))
		return -ENOENT;
	r = image_find(source->image, *ret_vaddr, lines, symbol);
	/* It may be opened again, and is refused the same parts then. */
	refused = image_refused(source->image);
	if (refused > source->refused) {
		table->refused += refused - source->refused;
		source->refused = refused;
	}
	return r;
}
