/*
 * Files that ended a scribe, and are not given to another. A file is known by what
 * it is (file_key.h): it stays here when the module that it was goes and comes back
 * with another number, or when another process maps it under another name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/proc/module.h"

struct quarantine;

struct quarantined {
	const char *path;     /* as the module had it; or what it is */
	const char *build_id; /* hex; "" when there is none */
	const char *why;      /* what it did: "killed the symbolizer by SIGSEGV" */
	int64_t unix_ns;      /* when */
};

int quarantine_new(struct quarantine **ret_quarantine);
void quarantine_free(struct quarantine *quarantine);

/* @status: how the scribe ended, as wait() says it; @hung_ns: how long it had been
 * given when it was ended for that, 0: it ended by itself. True: a file that was
 * not in here yet. At most PROFD_MAX_QUARANTINED are kept; beyond, the one that
 * has been here longest goes. */
bool quarantine_add(struct quarantine *quarantine, const struct module *module, int status,
		    uint64_t hung_ns, int64_t unix_ns);

/* NULL: it may be read. Holds until the next quarantine_add(). */
const struct quarantined *quarantine_find(const struct quarantine *quarantine,
					  const struct module *module);

/* The @i-th, oldest first; NULL: there are not so many. */
const struct quarantined *quarantine_get(const struct quarantine *quarantine, size_t i);

uint64_t quarantine_total(const struct quarantine *quarantine); /* ever added */
