#include "daemon/scribe/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/profile/freeze.h"
#include "daemon/profile/trace.h"
#include "daemon/scribe/json.h"
#include "daemon/scribe/trace_slices.h"
#include "daemon/scribe/trace_stacks.h"
#include "profd/base.h"
#include "profd/limits.h"

struct events {
	struct trace_header header;
	struct trace_event *items;
	uint32_t *order; /* of time */
};

static void events_done(struct events *ev)
{
	free(ev->items);
	free(ev->order);
}

static int read_at(int fd, void *bytes, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t got = pread(fd, bytes, n, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EBADMSG;
		bytes = (uint8_t *)bytes + got;
		n -= (size_t)got;
		at += got;
	}
	return 0;
}

static bool is_event(const struct trace_event *e, size_t n_samples)
{
	bool any = e->kind == TRACE_SNAPSHOT || e->kind == TRACE_LOST;

	return e->kind < TRACE_KIND_N && e->detail <= PROFILE_TRACE &&
	       (e->entry < n_samples || (e->entry == TRACE_NO_ENTRY && any));
}

/* Equal times: as they were added. */
static int by_time(const void *left, const void *right, void *userdata)
{
	const struct trace_event *items = userdata;
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	if (items[a].time_ns != items[b].time_ns)
		return items[a].time_ns < items[b].time_ns ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int read_events(int fd, size_t n_samples, struct events *ev)
{
	struct stat st;
	size_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	r = read_at(fd, &ev->header, sizeof(ev->header), 0);
	if (r < 0)
		return r;
	n = ev->header.n_events;
	if (ev->header.magic != TRACE_MAGIC || n > PROFD_MAX_TRACE_EVENTS ||
	    (uint64_t)st.st_size != sizeof(ev->header) + n * sizeof(*ev->items))
		return -EBADMSG;
	ev->items = calloc(n + 1, sizeof(*ev->items));
	ev->order = calloc(n + 1, sizeof(*ev->order));
	if (!ev->items || !ev->order)
		return -ENOMEM;
	r = read_at(fd, ev->items, n * sizeof(*ev->items), sizeof(ev->header));
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		ev->order[i] = (uint32_t)i;
		if (!is_event(&ev->items[i], n_samples))
			return -EBADMSG;
	}
	qsort_r(ev->order, n, sizeof(*ev->order), by_time, ev->items);
	return 0;
}

static void put_other(const struct pprof *p, const struct trace_header *h, struct gzip_writer *w)
{
	json_put(w, "\"otherData\":{\"producer\":\"profd " PROFD_VERSION "\"");
	json_putf(w, ",\"start_unix_ns\":\"%" PRId64 "\",\"duration_ns\":\"%" PRIu64 "\"",
		  h->start_unix_ns, h->end_ns - h->start_ns);
	json_putf(w, ",\"events\":%" PRIu64 ",\"events_lost\":%" PRIu64 ",\"stacks_lost\":%" PRIu64,
		  h->n_events, h->refused, h->stacks_refused);
	json_put(w, ",\"comments\":[");
	for (size_t i = 0; i < pprof_n_comments(p); i++) {
		json_put(w, i > 0 ? "," : "");
		json_put_string(w, pprof_comment(p, i));
	}
	json_put(w, "]}");
}

static int put_events(const struct pprof *p, const struct trace_stacks *stacks,
		      const struct events *ev, struct gzip_writer *w)
{
	struct trace_slices *slices;
	int r = trace_slices_new(p, stacks, &ev->header, w, &slices);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < ev->header.n_events; i++)
		r = trace_slices_look(slices, &ev->items[ev->order[i]]);
	if (r == 0) {
		trace_slices_begin(slices);
		for (size_t i = 0; i < ev->header.n_events; i++)
			trace_slices_put(slices, &ev->items[ev->order[i]]);
		trace_slices_end(slices);
	}
	trace_slices_free(slices);
	return r;
}

static int put_all(const struct pprof *p, const struct events *ev, struct gzip_writer *w)
{
	struct trace_stacks *stacks;
	int r = trace_stacks_new(p, &stacks);

	if (r < 0)
		return r;
	json_put(w, "{\"displayTimeUnit\":\"ns\",");
	put_other(p, &ev->header, w);
	json_put(w, ",\"stackFrames\":");
	trace_stacks_put_all(stacks, w);
	json_put(w, ",\"traceEvents\":[");
	r = put_events(p, stacks, ev, w);
	json_put(w, "\n]}\n");
	trace_stacks_free(stacks);
	return r;
}

int trace_write(const struct pprof *p, int events_fd, int fd)
{
	_cleanup_(events_done) struct events ev = {0};
	struct gzip_writer *w;
	int r, written;

	r = read_events(events_fd, pprof_n_samples(p), &ev);
	if (r < 0)
		return r;
	r = gzip_writer_new(fd, &w);
	if (r < 0)
		return r;
	r = put_all(p, &ev, w);
	written = gzip_writer_finish(w);
	gzip_writer_free(w);
	return r < 0 ? r : written;
}
