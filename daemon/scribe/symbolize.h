/*
 * Gives a raw profile its names.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/scribe/cache.h"
#include "daemon/scribe/file_key.h"
#include "daemon/scribe/source.h"
#include "proto/pprof.h"

struct symbolize {
	struct source_table *sources;
	struct cache *cache;
	const uint32_t *modules; /* of mapping i+1; 0: none to be read */
	size_t n_modules;
	/* What the file of a module is (file_key.h): its answers are kept under it. False:
	 * they are not kept. */
	bool (*file_of)(uint32_t module, struct file_key *ret_key, void *userdata);
	uint64_t deadline_mono_ns; /* from then on names only, for lines take longer */
	/* Called before a module is parsed. May be NULL. */
	void (*reading)(uint32_t module, void *userdata);
	void *userdata;
};

struct symbolize_result {
	uint32_t locations, named;
	uint32_t cached; /* answers that were there from an earlier job */
};

/*
 * Every location gets lines, unless it has some with a place in a source file: those
 * of its module, or else what it had, or one made of file name and address
 * ("libfoo.so.1+0x1234"), so that a report can be read and two of them subtracted; code
 * of no file gets the mapping's own name, and what is in no mapping "[unknown]".
 * Mappings with a path are marked as symbolized. Returns 0 or -ENOMEM.
 */
int symbolize_profile(struct pprof *p, const struct symbolize *how,
		      struct symbolize_result *ret_result);
