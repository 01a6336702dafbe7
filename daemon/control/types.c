#include "daemon/control/types.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"

#define MEASURE_DEFAULT_NS (10 * NSEC_PER_SEC)

bool types_parse(struct peer *p, const Profd__Snapshot *q, struct series_spec *spec)
{
	enum heap_kind kind;

	for (size_t i = 0; i < q->n_types; i++) {
		if (strcmp(q->types[i], "heap") == 0) {
			spec->heap = true;
		} else if (strcmp(q->types[i], "cpu") == 0) {
			spec->cpu = true;
		} else if (strcmp(q->types[i], "offcpu") == 0) {
			spec->offcpu = true;
		} else if (strcmp(q->types[i], "threads") == 0) {
			spec->threads = true;
		} else if (strcmp(q->types[i], "trace") == 0) {
			spec->trace = true;
		} else if (heap_waits_parse(q->types[i], &kind)) {
			spec->waits |= HEAP_WAITS_BIT(kind);
		} else {
			peer_error(p, EINVAL,
				   "%.64s: unknown profile type: there are heap, cpu, offcpu, "
				   "block, mutex, threadcreate, threads and trace",
				   q->types[i]);
			return false;
		}
	}
	if (!spec->heap && !spec->cpu && !spec->offcpu && !spec->threads && !spec->trace &&
	    !spec->waits)
		spec->heap = true;
	/* nothing of these is measured before it is asked for */
	if ((spec->offcpu || spec->trace) && spec->seconds_ns == 0)
		spec->seconds_ns = MEASURE_DEFAULT_NS;
	return true;
}

bool types_parse_waits(struct peer *p, char *const *types, size_t n, unsigned *ret_waits)
{
	unsigned waits = 0;
	enum heap_kind kind;

	for (size_t i = 0; i < n; i++) {
		if (!heap_waits_parse(types[i], &kind)) {
			peer_error(p, EINVAL, "%.64s: unknown profile type", types[i]);
			return false;
		}
		waits |= HEAP_WAITS_BIT(kind);
	}
	*ret_waits = waits;
	return true;
}

/* Nothing is measured before it is asked for, but by clients that always do. */
void types_choose_seconds(const struct peer *p, struct series_spec *spec)
{
	if (spec->seconds_ns > 0 || !(spec->waits & HEAP_WAITS_MEASURED))
		return;
	for (struct heap_client *c = heap_clients_first(p->ctx->clients); c; c = c->next)
		if (!c->dead && series_matches(spec, c) && !heap_waits_always(c))
			spec->seconds_ns = MEASURE_DEFAULT_NS;
}
