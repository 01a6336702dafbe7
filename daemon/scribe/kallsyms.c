/*
 * A line is "address type name" and, for a loadable module's symbol, a tab and
 * "[module]". The text is kept as read and cut into strings in place; the table
 * points into it. Sizes are not told, so a symbol reaches to the next one, of
 * whatever type, but not beyond KALLSYMS_MAX_REACH: behind the last function of
 * a region comes nothing of its own.
 */
#include "daemon/scribe/kallsyms.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profd/base.h"

#define KALLSYMS_MAX_BYTES (128u << 20)
#define KALLSYMS_MAX_REACH (1u << 20)

struct kallsyms_entry {
	uint64_t address;
	const char *name;
	const char *file;
	bool text;
};

struct kallsyms {
	char *bytes;
	struct kallsyms_entry *entries; /* by address */
	size_t n, room;
};

static int read_all(int fd, char **ret_bytes)
{
	_cleanup_free_ char *bytes = NULL;
	size_t n = 0, room = 0;
	ssize_t got;
	char *grown;

	/* A scribe before this one may have read it. */
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	do {
		if (n + 1 >= room) {
			room = room ? room * 2 : 4u << 20;
			if (room > KALLSYMS_MAX_BYTES)
				return -EFBIG;
			grown = realloc(bytes, room);
			if (!grown)
				return -ENOMEM;
			bytes = grown;
		}
		got = read(fd, bytes + n, room - n - 1);
		if (got < 0 && errno != EINTR)
			return -errno;
		n += got > 0 ? (size_t)got : 0;
	} while (got != 0);
	bytes[n] = '\0';
	*ret_bytes = take_ptr(bytes);
	return 0;
}

static int add_entry(struct kallsyms *kallsyms, const struct kallsyms_entry *entry)
{
	struct kallsyms_entry *grown;
	size_t room;

	if (kallsyms->n == kallsyms->room) {
		room = max(kallsyms->room * 2, (size_t)65536);
		grown = reallocarray(kallsyms->entries, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		kallsyms->entries = grown;
		kallsyms->room = room;
	}
	kallsyms->entries[kallsyms->n++] = *entry;
	return 0;
}

/* Cuts one line, without its newline, into an entry. */
static int parse_line(char *line, struct kallsyms_entry *ret_entry)
{
	char *end, *name, *module, type;
	uint64_t address;

	address = strtoull(line, &end, 16);
	if (end == line || end[0] != ' ' || end[1] == '\0' || end[2] != ' ')
		return -EBADMSG;
	type = end[1];
	name = end + 3;
	module = strchr(name, '\t');
	if (module)
		*module++ = '\0';
	if (name[0] == '\0')
		return -EBADMSG;
	*ret_entry = (struct kallsyms_entry){
		.address = address,
		.name = name,
		.file = module && module[0] == '[' ? module : "[kernel]",
		.text = type == 't' || type == 'T' || type == 'w' || type == 'W',
	};
	return 0;
}

static int parse_lines(struct kallsyms *kallsyms)
{
	struct kallsyms_entry entry;
	char *line, *next;
	int r;

	for (line = kallsyms->bytes; line[0] != '\0'; line = next) {
		next = strchrnul(line, '\n');
		if (next[0] == '\n')
			*next++ = '\0';
		r = parse_line(line, &entry);
		if (r < 0)
			return r;
		if (entry.address == 0)
			continue;
		r = add_entry(kallsyms, &entry);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Code first among equals; then by name, for the same answer every time. */
static int compare_entries(const void *pa, const void *pb)
{
	const struct kallsyms_entry *a = pa, *b = pb;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->text != b->text)
		return a->text ? -1 : 1;
	return strcmp(a->name, b->name);
}

int kallsyms_new(int fd, struct kallsyms **ret_kallsyms)
{
	struct kallsyms *kallsyms;
	int r;

	kallsyms = calloc(1, sizeof(*kallsyms));
	if (!kallsyms)
		return -ENOMEM;
	r = read_all(fd, &kallsyms->bytes);
	if (r == 0)
		r = parse_lines(kallsyms);
	if (r < 0) {
		kallsyms_free(kallsyms);
		return r;
	}
	if (kallsyms->n > 0)
		qsort(kallsyms->entries, kallsyms->n, sizeof(*kallsyms->entries), compare_entries);
	*ret_kallsyms = kallsyms;
	return 0;
}

void kallsyms_free(struct kallsyms *kallsyms)
{
	if (!kallsyms)
		return;
	free(kallsyms->entries);
	free(kallsyms->bytes);
	free(kallsyms);
}

size_t kallsyms_count(const struct kallsyms *kallsyms)
{
	return kallsyms->n;
}

int kallsyms_find(const struct kallsyms *kallsyms, uint64_t address, struct symbol *symbol)
{
	size_t low = 0, high = kallsyms->n, middle;
	const struct kallsyms_entry *entry;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (kallsyms->entries[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return -ENOENT;
	/* Back to the first of those at this address: the one that sorts best. */
	for (low--;
	     low > 0 && kallsyms->entries[low - 1].address == kallsyms->entries[low].address;)
		low--;
	entry = &kallsyms->entries[low];
	if (!entry->text || address - entry->address >= KALLSYMS_MAX_REACH)
		return -ENOENT;
	return symbol_push(symbol, entry->name, entry->file, 0, 0);
}
