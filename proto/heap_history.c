/*
 * Which labels a thread had when a sample of it was taken, from the history of its
 * changes. The thread goes on changing them while this is read: a change is one word,
 * and the count is read before and after, so those that may have been overwritten in
 * between are known, and not looked at.
 */
#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/heap_table.h"

#define MAX_THREADS 4096 /* looked through */

bool heap_table_has_labels(int fd)
{
	uint32_t on = 0;

	return pread(fd, &on, sizeof(on), offsetof(struct heap_header, labels.on)) == sizeof(on) &&
	       on;
}

static bool lies_in(const struct heap_header *h, const struct heap_region *r, uint32_t stride,
		    uint32_t n)
{
	return r->stride == stride && r->offset >= sizeof(*h) && r->offset <= h->table_bytes &&
	       (uint64_t)n * stride <= h->table_bytes - r->offset;
}

/* The last change until @mono_ns. Returns its number plus one; 0: there is none before;
 * -ENODATA: it may have been overwritten. */
static int64_t find_change(const struct heap_label_history *h, uint64_t count_after,
			   uint64_t mono_ns)
{
	uint64_t oldest = 0;

	if (h->count > INT64_MAX || count_after > INT64_MAX)
		return -ENODATA;
	if (count_after >= HEAP_LABEL_CHANGES) /* one more may be being written */
		oldest = count_after - HEAP_LABEL_CHANGES + 1;
	for (uint64_t n = h->count; n > oldest; n--)
		if (HEAP_LABEL_CHANGE_NS(h->changes[(n - 1) % HEAP_LABEL_CHANGES]) <= mono_ns)
			return (int64_t)n;
	return oldest == 0 ? 0 : -ENODATA;
}

static int look(int fd, const struct heap_header *h, uint32_t index, uint64_t mono_ns,
		uint64_t *ret_change)
{
	off_t at = (off_t)(h->labels.histories.offset +
			   (uint64_t)index * sizeof(struct heap_label_history));
	struct heap_label_history history = {0};
	uint64_t count_after = 0;
	int64_t n;

	(void)!pread(fd, &history, sizeof(history), at);
	(void)!pread(fd, &count_after, sizeof(count_after), at);
	n = find_change(&history, count_after, mono_ns);
	if (n < 0)
		return (int)n;
	*ret_change = n > 0 ? history.changes[(n - 1) % HEAP_LABEL_CHANGES] : 0;
	return 0;
}

/* Of the histories with this thread id the one that changed last before. */
int heap_table_set_at(int fd, uint32_t tid, uint64_t mono_ns, uint32_t *ret_set)
{
	_cleanup_free_ uint32_t *tids = NULL;
	uint64_t best = 0, change;
	struct heap_header h;
	int r = heap_table_header(fd, &h), lost;
	uint32_t n;

	if (r < 0)
		return r;
	n = min(h.labels.threads.used, h.labels.threads.capacity);
	n = min(n, (uint32_t)MAX_THREADS);
	if (!lies_in(&h, &h.labels.threads, sizeof(*tids), n) ||
	    !lies_in(&h, &h.labels.histories, sizeof(struct heap_label_history), n))
		return -EBADMSG;
	lost = h.labels.threads_lost ? -ENODATA : 0; /* it may be one of those without */
	tids = calloc(n + 1u, sizeof(*tids));
	if (!tids)
		return -ENOMEM;
	(void)!pread(fd, tids, n * sizeof(*tids), (off_t)h.labels.threads.offset);
	for (uint32_t i = 0; i < n; i++) {
		if (tids[i] != tid)
			continue;
		lost = r = look(fd, &h, i, mono_ns, &change);
		if (r < 0)
			break;
		best = max(best, change);
	}
	if (lost < 0)
		return lost;
	*ret_set = HEAP_LABEL_CHANGE_SET(best);
	return 0;
}
