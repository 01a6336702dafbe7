/*
 * Sets never change, so what has been read of them holds; more are read when a thread
 * has one that is not known, at most once a drain.
 */
#include "daemon/heap/labels.h"

#include <errno.h>

static int read_sets(struct heap_client *client)
{
	struct heap_copy_labels labels;
	struct heap_header header;
	int r = heap_table_check(client->table_fd, &header);

	if (r >= 0)
		r = heap_table_labels(client->table_fd, &header, &labels);
	if (r < 0)
		return r;
	heap_copy_labels_done(&client->labels);
	client->labels = labels;
	return 0;
}

static const char *find_set(const struct heap_client *client, uint32_t set)
{
	return set <= client->labels.n_sets ? client->labels.sets[set - 1] : NULL;
}

/* A thread id is what the process sees. In a pid namespace of its own that is not what
 * we see, but for the first thread. */
static int own_tid(const struct heap_client *client, pid_t tid, uint32_t *ret_tid)
{
	struct heap_header header;
	int r = heap_table_header(client->table_fd, &header);

	if (r < 0)
		return r;
	if (header.pid != (uint32_t)client->pid && tid != client->pid)
		return -ENODATA;
	*ret_tid = tid == client->pid ? header.pid : (uint32_t)tid;
	return 0;
}

int heap_client_labels_at(struct heap_client *client, pid_t tid, uint64_t mono_ns, uint64_t drain,
			  const char **ret_labels)
{
	uint32_t own, set;
	const char *found;
	int r = own_tid(client, tid, &own);

	if (r >= 0)
		r = heap_table_set_at(client->table_fd, own, mono_ns, &set);
	if (r < 0)
		return r;
	if (set == 0) {
		*ret_labels = NULL;
		return 0;
	}
	found = find_set(client, set);
	if (!found && client->labels_drain != drain) {
		client->labels_drain = drain;
		r = read_sets(client);
		if (r < 0)
			return r;
		found = find_set(client, set);
	}
	if (!found)
		return -ENODATA;
	*ret_labels = found;
	return 0;
}
