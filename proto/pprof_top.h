/*
 * What `top` shows: values summed by function, less those of an earlier profile.
 *
 * flat: of the samples whose innermost frame is the function; cum: of those
 * that have it anywhere (once, however often it recurs). Inlined functions
 * count as frames. A function is known by its name and file. A location without
 * a name counts under its mapping, as "[libfoo.so]", or "<unknown>".
 *
 * The profile's own drop_frames and keep_frames are honoured as pprof does it:
 * of each stack, the outermost frame that matches goes, and all it called; but
 * a stack never goes whole. An expression beyond POSIX syntax is ignored.
 * Functions that come to nothing (flat and cum 0) are not listed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/pprof.h"

struct pprof_top_entry {
	const char *name, *file; /* "": not known */
	int64_t line;		 /* where most of flat is, else the first one seen; 0: not known */
	int64_t flat, cum;
};

struct pprof_top {
	struct pprof_top_entry *entries; /* by |flat|, then |cum|, largest first, then by name */
	size_t n_entries;
	int64_t total;			   /* of all samples */
	struct pprof_top_strings *strings; /* what names and files point into */
};

/* Sums sample type @type of @p, less the type of the same name and unit in
 * @base (NULL: none). The result does not need the profiles. Returns 0;
 * -EINVAL: no such type; -ENOENT: @base has none like it; -ENOMEM. */
int pprof_top_new(const struct pprof *p, const struct pprof *base, size_t type,
		  struct pprof_top **ret_top);
void pprof_top_free(struct pprof_top *top);
