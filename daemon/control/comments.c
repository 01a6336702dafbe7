#include "daemon/control/comments.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "profd/base.h"

__attribute__((format(printf, 2, 3))) static void add(struct comments *c, const char *format, ...)
{
	va_list args;
	char *line;

	if (c->n == COMMENTS_MAX)
		return;
	va_start(args, format);
	if (vasprintf(&line, format, args) >= 0)
		c->lines[c->n++] = line;
	va_end(args);
}

static double mb(double bytes)
{
	return bytes / 1e6;
}

/* RSS, piece by piece. What the allocator holds need not be resident, so what is
 * left of the anonymous pages is a lower bound, and 0 when that shows. */
static void add_reckoning(struct comments *c, const struct heap_profile *p,
			  const struct trim *trim)
{
	const struct heap_usage *b = &trim->reply.before, *a = &trim->reply.after;
	const struct process_memory *m = &trim->memory;
	uint64_t held = a->in_use + a->free;

	if (trim->result < 0)
		return;
	add(c, "reckoning: in use (estimated) %.1f MB, allocator %s in use %.1f MB",
	    mb((double)p->inuse_bytes), trim->reply.allocator, mb((double)a->in_use));
	add(c, "reckoning: allocator free %.1f MB before the trim, %.1f MB after",
	    mb((double)b->free), mb((double)a->free));
	add(c, "reckoning: RSS %.1f MB before the trim, %.1f MB after",
	    mb((double)trim->rss_before), mb((double)m->rss));
	add(c,
	    "reckoning: of RSS, %.1f MB file-backed, %.1f MB anonymous; of these at least %.1f MB "
	    "not the allocator's (stacks, mmap); %.1f MB swapped out",
	    mb((double)(m->rss - min(m->rss, m->anonymous))), mb((double)m->anonymous),
	    mb((double)(m->anonymous - min(m->anonymous, held))), mb((double)m->swap));
}

/* The scribe puts a function's name in place of the addresses (scribe/ages.h). */
static void add_ages(struct comments *c, const struct heap_profile *p)
{
	for (size_t i = 0; i < p->n_ages; i++) {
		const struct heap_age *a = &p->ages[i];
		char text[HEAP_AGE_ADDRESSES * 20 + 1] = "";
		size_t n = 0;

		for (unsigned j = 0; j < a->n_addresses; j++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s0x%" PRIx64,
					      j > 0 ? " " : "", a->addresses[j]);
		if (a->n_live > 0 && n > 0)
			add(c,
			    "age of %zu samples in {%s}: youngest %.1fs, median %.1fs, "
			    "oldest %.1fs",
			    a->n_live, text, a->youngest_ms / 1e3, a->median_ms / 1e3,
			    a->oldest_ms / 1e3);
	}
}

static void add_heap_losses(struct comments *c, const struct heap_header *h)
{
	static const char *const what[HEAP_LOST_N] = {
		[HEAP_LOST_STACKS] = "samples lost: the table of stacks is full",
		[HEAP_LOST_LIVE] = "samples lost: the table of live objects is full",
		[HEAP_LOST_NESTED] =
			"samples lost: taken inside a signal handler that interrupted one",
		[HEAP_LOST_MODULES] = "frames without module: the table of modules is full",
	};

	for (int i = 0; i < HEAP_LOST_N; i++)
		if (h->lost[i])
			add(c, "%" PRIu64 " %s", h->lost[i], what[i]);
}

void comments_of_heap(struct comments *c, const struct heap_profile *profile,
		      const struct trim *trim, const char *trim_line, const char *note)
{
	if (note)
		add(c, "%s", note);
	if (*trim_line)
		add(c, "%s", trim_line);
	if (trim)
		add_reckoning(c, profile, trim);
	add_heap_losses(c, &profile->header);
	add_ages(c, profile);
	if (profile->header.notes & HEAP_NOTE_RATE_INVALID)
		add(c, "PROFD_RATE could not be read: the default rate holds");
}

void comments_of_cpu(struct comments *c, const struct control_context *ctx,
		     const struct window_span *span, const char *note)
{
	struct sampler_stats s;

	if (note)
		add(c, "%s", note);
	sampler_stats(ctx->sampler, &s);
	add(c, "event %s at %u Hz", sampler_event(ctx->sampler), sampler_frequency(ctx->sampler));
	if (*sampler_event_note(ctx->sampler))
		add(c, "%s", sampler_event_note(ctx->sampler));
	if (s.lost)
		add(c, "%" PRIu64 " records lost by the kernel since profd started", s.lost);
	if (s.throttled)
		add(c, "%" PRIu64 " times throttled by the kernel since profd started",
		    s.throttled);
	if (aggregate_refused(span->samples))
		add(c, "%" PRIu64 " samples lost: too many different stacks",
		    aggregate_refused(span->samples));
}

void comments_done(struct comments *c)
{
	for (size_t i = 0; i < c->n; i++)
		free((char *)c->lines[i]);
	c->n = 0;
}
