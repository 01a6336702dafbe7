#include "daemon/scribe/quarantine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <uthash.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/scribe/file_key.h"

struct entry {
	UT_hash_handle hh; /* in the order of arrival */
	struct file_key key;
	struct quarantined said;
	char *path, *why;
	char build_id[2 * MODULE_BUILD_ID_MAX + 1];
};

struct quarantine {
	struct entry *entries;
	uint64_t total;
};

int quarantine_new(struct quarantine **ret_quarantine)
{
	struct quarantine *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	*ret_quarantine = q;
	return 0;
}

static void entry_free(struct entry *entry)
{
	free(entry->path);
	free(entry->why);
	free(entry);
}

static void remove_entry(struct quarantine *q, struct entry *entry)
{
	HASH_DEL(q->entries, entry);
	entry_free(entry);
}

void quarantine_free(struct quarantine *q)
{
	struct entry *entry, *next;

	if (!q)
		return;
	HASH_ITER (hh, q->entries, entry, next)
		remove_entry(q, entry);
	free(q);
}

static struct entry *find_key(const struct quarantine *q, const struct file_key *key)
{
	struct entry *entry = NULL;

	if (key->n > 0)
		HASH_FIND (hh, q->entries, key->bytes, key->n, entry)
			;
	return entry;
}

/* NULL: out of memory. */
static char *name_module(const struct module *module)
{
	char *name;

	if (module->kind != MODULE_JIT)
		return strdup(module->path);
	return asprintf(&name, "perf-map of process %d", (int)module->pid) < 0 ? NULL : name;
}

/* NULL: out of memory. */
static char *describe(int status, uint64_t hung_ns)
{
	const char *name;
	char *text;
	int r;

	if (hung_ns > 0)
		r = asprintf(&text, "kept the symbolizer busy for %llu s",
			     (unsigned long long)(hung_ns / NSEC_PER_SEC));
	else if (!WIFSIGNALED(status))
		r = asprintf(&text, "made the symbolizer exit with status %d", WEXITSTATUS(status));
	else if (WTERMSIG(status) == SIGPROF)
		r = asprintf(&text, "used up the symbolizer's CPU time");
	else if ((name = sigabbrev_np(WTERMSIG(status))))
		r = asprintf(&text, "killed the symbolizer by SIG%s", name);
	else
		r = asprintf(&text, "killed the symbolizer by signal %d", WTERMSIG(status));
	return r < 0 ? NULL : text;
}

bool quarantine_add(struct quarantine *q, const struct module *module, int status, uint64_t hung_ns,
		    int64_t unix_ns)
{
	struct file_key key;
	struct entry *entry;

	file_key_of_module(module, &key);
	if (key.n == 0 || find_key(q, &key))
		return false;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return false;
	entry->key = key;
	entry->path = name_module(module);
	entry->why = describe(status, hung_ns);
	if (!entry->path || !entry->why) {
		entry_free(entry);
		return false;
	}
	module_build_id_hex(module, entry->build_id);
	entry->said = (struct quarantined){entry->path, entry->build_id, entry->why, unix_ns};
	if (HASH_COUNT(q->entries) >= PROFD_MAX_QUARANTINED)
		remove_entry(q, q->entries);
	HASH_ADD_KEYPTR(hh, q->entries, entry->key.bytes, entry->key.n, entry);
	q->total++;
	return true;
}

const struct quarantined *quarantine_find(const struct quarantine *q, const struct module *module)
{
	const struct entry *entry;
	struct file_key key;

	if (!q->entries)
		return NULL;
	file_key_of_module(module, &key);
	entry = find_key(q, &key);
	return entry ? &entry->said : NULL;
}

const struct quarantined *quarantine_get(const struct quarantine *q, size_t i)
{
	const struct entry *entry = q->entries;

	while (entry && i-- > 0)
		entry = entry->hh.next;
	return entry ? &entry->said : NULL;
}

uint64_t quarantine_total(const struct quarantine *q)
{
	return q->total;
}
