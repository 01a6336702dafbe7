#include "daemon/scribe/ages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"

#define AGES_PREFIX	   "age of "
#define AGES_MAX_ADDRESSES 16
#define AGES_MAX_NAME	   80

struct braces {
	size_t start, end; /* of the text: those of "{" and behind "}" */
	uint64_t addresses[AGES_MAX_ADDRESSES];
	size_t n;
};

/* False: not a comment of this kind. */
static bool find_braces(const char *text, struct braces *ret)
{
	const char *open = strchr(text, '{'), *p = open;

	if (strncmp(text, AGES_PREFIX, strlen(AGES_PREFIX)) || !open)
		return false;
	*ret = (struct braces){.start = (size_t)(open - text)};
	do {
		char *end;

		if (ret->n == AGES_MAX_ADDRESSES || strncmp(p + 1, "0x", 2))
			return false;
		ret->addresses[ret->n++] = strtoull(p + 1, &end, 16);
		p = end;
	} while (*p == ' ');
	ret->end = (size_t)(p + 1 - text);
	return *p == '}';
}

/* The location ids of the addresses; 0: there is none. */
static void find_locations(const struct pprof *p, const struct braces *b, uint64_t *ret_ids)
{
	struct pprof_location l;

	memset(ret_ids, 0, b->n * sizeof(*ret_ids));
	for (uint64_t id = 1; id <= pprof_n_locations(p); id++) {
		pprof_location(p, id, &l);
		for (size_t i = 0; i < b->n; i++)
			if (l.address == b->addresses[i])
				ret_ids[i] = id;
	}
}

/* The innermost line that is shown in reports; if none is, that of the leaf. */
static bool find_line(const struct pprof *p, const struct pprof_pruned *pruned, const uint64_t *ids,
		      size_t n, struct pprof_line *ret)
{
	struct pprof_location l;
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		if (!ids[i])
			continue;
		pprof_location(p, ids[i], &l);
		if (l.n_lines == 0 || (found && pruned[ids[i] - 1].whole))
			continue;
		found = true;
		if (pruned[ids[i] - 1].whole) {
			pprof_location_line(p, ids[i], 0, ret);
			continue;
		}
		pprof_location_line(p, ids[i], pruned[ids[i] - 1].n_lines, ret);
		return true;
	}
	return found;
}

/* Of a name that is very long, as C++'s may be: reports and graphs show comments in one
 * line each, and become as wide. Never part of a character. */
static size_t shown_bytes(const char *name)
{
	size_t n = strlen(name);

	if (n <= AGES_MAX_NAME)
		return n;
	for (n = AGES_MAX_NAME; n > 0 && (name[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

static int name_comment(struct pprof *p, const struct pprof_pruned *pruned, size_t i)
{
	const char *text = pprof_comment(p, i);
	_cleanup_free_ char *place = NULL, *named = NULL;
	uint64_t ids[AGES_MAX_ADDRESSES];
	struct pprof_line line;
	struct braces b;
	int r;

	if (!find_braces(text, &b))
		return 0;
	find_locations(p, &b, ids);
	if (find_line(p, pruned, ids, b.n, &line)) {
		const char *slash = strrchr(line.file, '/');
		const char *file = slash ? slash + 1 : line.file;

		int n = (int)shown_bytes(line.name);
		const char *more = line.name[n] ? "..." : "";

		r = *file ? asprintf(&place, "%.*s%s %s:%" PRId64, n, line.name, more, file,
				     line.line)
			  : asprintf(&place, "%.*s%s", n, line.name, more);
	} else {
		r = asprintf(&place, "0x%" PRIx64, b.addresses[0]);
	}
	if (r < 0) {
		place = NULL;
		return -ENOMEM;
	}
	if (asprintf(&named, "%.*s%s%s", (int)b.start, text, place, text + b.end) < 0) {
		named = NULL;
		return -ENOMEM;
	}
	return pprof_set_comment(p, i, named);
}

static bool has_ages(const struct pprof *p)
{
	for (size_t i = 0; i < pprof_n_comments(p); i++)
		if (!strncmp(pprof_comment(p, i), AGES_PREFIX, strlen(AGES_PREFIX)))
			return true;
	return false;
}

int ages_name(struct pprof *p, const struct pprof_filter *ready)
{
	_cleanup_free_ struct pprof_pruned *pruned = NULL;
	int r;

	if (!has_ages(p))
		return 0;
	r = pprof_prune(p, ready, &pruned);
	for (size_t i = 0; r == 0 && i < pprof_n_comments(p); i++)
		r = name_comment(p, pruned, i);
	return r;
}
