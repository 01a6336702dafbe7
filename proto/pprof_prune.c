/*
 * pprof's rules, as its users know them: the expression must match a function's
 * whole name, without its parameter list. Within a location the outermost line
 * that matches goes, with all lines inlined into it. In a stack, seen from the
 * root, the first such location goes, with all it called; those that come
 * before any frame of the program's own are spared, so that no stack goes
 * whole.
 */
#include "proto/pprof_prune.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "proto/pprof_table.h"

#define REGEX_MAX_BYTES 4096

struct pprof_filter {
	char *drop_frames, *keep_frames; /* what it was made of */
	regex_t drop, keep;
	bool has_drop, has_keep;
};

void pprof_filter_free(struct pprof_filter *f)
{
	if (!f)
		return;
	if (f->has_drop)
		regfree(&f->drop);
	if (f->has_keep)
		regfree(&f->keep);
	free(f->drop_frames);
	free(f->keep_frames);
	free(f);
}

static void free_filter(struct pprof_filter **f)
{
	pprof_filter_free(*f);
}

/* False: there is none, or none that we can use. Counted repetition is refused
 * because the C library's compiler can be made to take gigabytes for it. */
static bool compile(const char *expression, regex_t *ret)
{
	_cleanup_free_ char *anchored = NULL;

	if (!*expression || strlen(expression) > REGEX_MAX_BYTES || strpbrk(expression, "{}") ||
	    strstr(expression, "(?"))
		return false;
	if (asprintf(&anchored, "^(%s)$", expression) < 0) {
		anchored = NULL;
		return false;
	}
	return regcomp(ret, anchored, REG_EXTENDED | REG_NOSUB) == 0;
}

int pprof_filter_new(const char *drop_frames, const char *keep_frames,
		     struct pprof_filter **ret_filter)
{
	struct pprof_filter *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->drop_frames = strdup(drop_frames);
	f->keep_frames = strdup(keep_frames);
	if (!f->drop_frames || !f->keep_frames) {
		pprof_filter_free(f);
		return -ENOMEM;
	}
	f->has_drop = compile(drop_frames, &f->drop);
	f->has_keep = compile(keep_frames, &f->keep);
	*ret_filter = f;
	return 0;
}

static bool is_filter_of(const struct pprof_filter *f, const char *drop_frames,
			 const char *keep_frames)
{
	return f && !strcmp(f->drop_frames, drop_frames) && !strcmp(f->keep_frames, keep_frames);
}

/* The length of @name without its parameters: up to the first parenthesis that
 * is not part of a name. */
static size_t plain_length(const char *name)
{
	static const char *const parts[] = {"(anonymous namespace)", "operator()"};
	size_t i = 0;

	while (name[i]) {
		size_t n = name[i] != '(';

		for (size_t j = 0; j < ARRAY_SIZE(parts); j++)
			if (!strncmp(name + i, parts[j], strlen(parts[j])))
				n = strlen(parts[j]);
		if (!n)
			break;
		i += n;
	}
	return i;
}

static bool matches(const struct pprof_filter *f, const char *name)
{
	_cleanup_free_ char *plain = NULL;

	if (!*name)
		return false;
	name += *name == '.'; /* PowerPC's mark of a function's code */
	plain = strndup(name, plain_length(name));
	if (!plain)
		return false;
	return !regexec(&f->drop, plain, 0, NULL, 0) &&
	       !(f->has_keep && !regexec(&f->keep, plain, 0, NULL, 0));
}

static struct pprof_pruned
prune_location(const struct pprof *p, const struct pprof_location_record *l, const bool *functions)
{
	uint32_t n = l->n_lines;

	while (n && !functions[p->lines.items[l->first_line + n - 1].function - 1])
		n--;
	if (!n)
		return (struct pprof_pruned){0};
	if (n == l->n_lines)
		return (struct pprof_pruned){.beneath = true, .whole = true};
	return (struct pprof_pruned){.n_lines = n, .beneath = true};
}

int pprof_prune(const struct pprof *p, const struct pprof_filter *ready,
		struct pprof_pruned **ret_pruned)
{
	const char *drop = string_table_get(&p->strings, p->drop_frames);
	const char *keep = string_table_get(&p->strings, p->keep_frames);
	_cleanup_(free_filter) struct pprof_filter *own = NULL;
	const struct pprof_filter *f = ready;
	_cleanup_free_ bool *functions = NULL; /* those that match */
	struct pprof_pruned *pruned;

	if (!is_filter_of(ready, drop, keep)) {
		if (pprof_filter_new(drop, keep, &own) < 0)
			return -ENOMEM;
		f = own;
	}
	pruned = calloc(max(p->locations.n, (size_t)1), sizeof(*pruned));
	functions = calloc(max(p->functions.n, (size_t)1), sizeof(*functions));
	if (!pruned || !functions) {
		free(pruned);
		return -ENOMEM;
	}
	if (f->has_drop) {
		for (size_t i = 0; i < p->functions.n; i++)
			functions[i] = matches(
				f, string_table_get(&p->strings, p->functions.items[i].name));
		for (size_t i = 0; i < p->locations.n; i++)
			pruned[i] = prune_location(p, &p->locations.items[i], functions);
	}
	*ret_pruned = pruned;
	return 0;
}

size_t pprof_prune_sample(const struct pprof_pruned *pruned, const uint64_t *locations, size_t n)
{
	bool found_own = false;

	for (size_t i = n; i > 0; i--) {
		const struct pprof_pruned *at = &pruned[locations[i - 1] - 1];

		if (!at->beneath)
			found_own = true;
		else if (found_own)
			return at->whole ? i : i - 1;
	}
	return 0;
}
