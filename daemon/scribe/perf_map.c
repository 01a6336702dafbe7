/*
 * The text is kept as read and cut into strings in place. The program appends a
 * line whenever it has compiled something, and may use the memory of code that it
 * gave up for other code, so pieces overlap, and the later line is the true one.
 *
 * Sorted by start, each entry with the greatest end so far, like a table of
 * ranges (range.h), a search goes back from the last that begins at or before
 * the address while an earlier one may reach as far, MAX_STEPS at most.
 */
#include "daemon/scribe/perf_map.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profd/base.h"
#include "profd/limits.h"

#define MAX_STEPS 256

struct entry {
	uint64_t start, end, reach;
	uint32_t name; /* offset in the text */
	uint32_t line;
};

struct perf_map {
	char *text;
	struct entry *entries;
	size_t n, room;
};

static int read_all(int fd, char **ret_text, size_t *ret_bytes)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0, room = 0;
	ssize_t got;
	char *grown;

	do {
		if (n + 1 >= room) {
			room = room ? room * 2 : 1u << 16;
			grown = realloc(text, room);
			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		got = pread(fd, text + n, room - n - 1, (off_t)n);
		if (got < 0 && errno != EINTR)
			return -errno;
		n += got > 0 ? (size_t)got : 0;
		if (n > PROFD_MAX_PERF_MAP_BYTES)
			return -EFBIG;
	} while (got != 0);
	text[n] = '\0';
	*ret_text = take_ptr(text);
	*ret_bytes = n;
	return 0;
}

static bool take_hex(char **at, uint64_t *ret)
{
	char *end;

	if (!isxdigit((unsigned char)**at)) /* strtoull() skips blanks and signs */
		return false;
	errno = 0;
	*ret = strtoull(*at, &end, 16);
	if (errno != 0 || *end != ' ')
		return false;
	*at = end + 1;
	return true;
}

/* How many bytes the character at @s has in UTF-8; 0: it is none, or not to be shown. */
static size_t character_bytes(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;

	if (u[0] > 0xf4 || (u[0] == 0xc2 && u[1] < 0xa0) || /* control characters */
	    (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
	    (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80) /* the text's end, too */
			return 0;
	return n;
}

/* Makes a name fit to be shown: cut where it is too long, and what a terminal would
 * take for an order, or is no text, replaced. */
static void clean(char *name)
{
	size_t at = 0, bytes;

	while (name[at] != '\0') {
		bytes = character_bytes(name + at);
		if (at + max(bytes, (size_t)1) > PROFD_MAX_PERF_MAP_NAME)
			break;
		if (bytes == 0 || iscntrl((unsigned char)name[at]))
			name[at] = '?';
		at += max(bytes, (size_t)1);
	}
	name[at] = '\0';
}

static bool parse_line(char *line, struct entry *ret_entry, char **ret_name)
{
	uint64_t start, bytes;

	if (!take_hex(&line, &start) || !take_hex(&line, &bytes))
		return false;
	if (bytes == 0 || start + bytes < start || line[0] == '\0')
		return false;
	*ret_entry = (struct entry){.start = start, .end = start + bytes};
	*ret_name = line;
	return true;
}

static int add_entry(struct perf_map *map, const struct entry *entry)
{
	struct entry *grown;
	size_t room;

	if (map->n == map->room) {
		room = max(map->room * 2, (size_t)1024);
		grown = reallocarray(map->entries, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		map->entries = grown;
		map->room = room;
	}
	map->entries[map->n++] = *entry;
	return 0;
}

static int parse_lines(struct perf_map *map, size_t bytes)
{
	char *line = map->text, *end = map->text + bytes, *next, *name;
	struct entry entry;
	int r;

	for (uint32_t i = 0; line < end && i < PROFD_MAX_PERF_MAP_LINES; i++, line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		if (!next) /* still being written */
			break;
		*next++ = '\0';
		if (!parse_line(line, &entry, &name))
			continue;
		clean(name);
		entry.name = (uint32_t)(name - map->text);
		entry.line = i;
		r = add_entry(map, &entry);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_entries(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

static void sort(struct perf_map *map)
{
	uint64_t reach = 0;

	if (map->n > 0)
		qsort(map->entries, map->n, sizeof(*map->entries), compare_entries);
	for (size_t i = 0; i < map->n; i++) {
		reach = max(reach, map->entries[i].end);
		map->entries[i].reach = reach;
	}
}

int perf_map_new(int fd, struct perf_map **ret_map)
{
	struct perf_map *map = calloc(1, sizeof(*map));
	size_t bytes = 0;
	int r;

	if (!map)
		return -ENOMEM;
	r = read_all(fd, &map->text, &bytes);
	if (r == 0)
		r = parse_lines(map, bytes);
	if (r < 0) {
		perf_map_free(map);
		return r;
	}
	sort(map);
	*ret_map = map;
	return 0;
}

void perf_map_free(struct perf_map *map)
{
	if (!map)
		return;
	free(map->entries);
	free(map->text);
	free(map);
}

size_t perf_map_count(const struct perf_map *map)
{
	return map->n;
}

int perf_map_find(const struct perf_map *map, uint64_t address, struct symbol *symbol)
{
	const struct entry *found = NULL;
	size_t low = 0, high = map->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->entries[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (unsigned steps = 0; low > 0 && steps < MAX_STEPS; steps++) {
		const struct entry *e = &map->entries[--low];

		if (e->reach <= address)
			break;
		if (address < e->end && (!found || e->line > found->line))
			found = e;
	}
	return found ? symbol_push_plain(symbol, map->text + found->name) : -ENOENT;
}
