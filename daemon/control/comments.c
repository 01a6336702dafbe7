#include "daemon/control/comments.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/losses.h"
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

/* The allocator's numbers are of what it handed out, not of what is resident. So
 * the anonymous pages are divided: stacks, what the allocator has of the rest, and
 * what is left. The parts always add up to RSS. */
struct reckoning {
	bool allocator; /* its numbers are known */
	uint64_t live, free, stacks, other, table, files;
};

static void reckon(const struct process_memory *m, const struct heap_reply *reply,
		   struct reckoning *ret)
{
	const struct heap_usage *a = &reply->after;
	uint64_t rest = m->anonymous - min(m->anonymous, m->stacks), held;
	bool glibc = strcmp(reply->allocator, "glibc") == 0;

	*ret = (struct reckoning){
		.allocator = a->in_use > 0,
		.stacks = m->stacks,
		.table = m->table,
		.files = m->rss - min(m->rss, m->anonymous + m->table),
	};
	held = glibc && m->by_mapping ? m->glibc_areas + a->mapped : a->in_use + a->free;
	held = min(held, rest);
	ret->live = min(a->in_use, held);
	ret->free = held - ret->live;
	ret->other = rest - held;
}

static void add_piece(struct comments *c, uint64_t bytes, const char *what)
{
	add(c, "reckoning: %9.1f MB %s", mb((double)bytes), what);
}

static void add_anonymous(struct comments *c, const struct process_memory *m,
			  const struct reckoning *r)
{
	char stacks[64];

	snprintf(stacks, sizeof(stacks), "thread stacks: of %u of %u threads", m->threads_found,
		 m->threads);
	if (m->by_mapping)
		add_piece(c, r->stacks, stacks);
	if (!r->allocator)
		add_piece(c, r->other,
			  "heap and other anonymous memory (a trim would tell them apart)");
	else
		add_piece(c, r->other,
			  "other anonymous memory: mmap by hand, written data of libraries");
	if (!m->by_mapping)
		add(c,
		    "reckoning: thread stacks are in there: the process has too many mappings to "
		    "look at each");
}

static void add_heap(struct comments *c, const struct heap_profile *p,
		     const struct heap_reply *reply, const struct reckoning *r)
{
	const struct heap_usage *b = &reply->before, *a = &reply->after;

	add(c,
	    "reckoning: %9.1f MB heap in use, as allocator %s counts; this profile estimates %.1f "
	    "MB",
	    mb((double)r->live), reply->allocator, mb((double)p->inuse_bytes));
	add(c,
	    "reckoning: %9.1f MB heap free but still resident (the allocator had %.1f MB free "
	    "before "
	    "the trim, %.1f MB after)",
	    mb((double)r->free), mb((double)b->free), mb((double)a->free));
	if (a->in_use > r->live + a->in_use / 20)
		add(c,
		    "reckoning: the allocator has handed out %.1f MB; the rest was never touched",
		    mb((double)a->in_use));
}

static void add_reckoning(struct comments *c, const struct heap_profile *p,
			  const struct comments_heap *h)
{
	static const struct heap_reply silent;
	const struct process_memory *m = h->memory;
	bool answered = h->trim && h->trim->result == 0;
	const struct heap_reply *reply = answered ? &h->trim->reply : &silent;
	struct reckoning r;

	if (!m)
		return;
	reckon(m, reply, &r);
	if (answered && reply->result == HEAP_TRIM_DONE)
		add(c, "reckoning: RSS was %.1f MB before the trim; the %.1f MB after it are:",
		    mb((double)h->trim->rss_before), mb((double)m->rss));
	else
		add(c, "reckoning: the %.1f MB of RSS are:", mb((double)m->rss));
	if (r.allocator)
		add_heap(c, p, reply, &r);
	add_anonymous(c, m, &r);
	add_piece(c, r.files, "files and shared memory: the program, its libraries, what it maps");
	if (r.table > 0)
		add_piece(c, r.table, "the table that this profile was read from");
	if (m->swap > 0)
		add(c, "reckoning: besides, %.1f MB are swapped out", mb((double)m->swap));
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
		[HEAP_LOST_STACKS] =
			"samples lost, so this shows too little: the table of stacks is full",
		[HEAP_LOST_LIVE] =
			"samples lost, so this shows too little: the table of live objects is full",
		[HEAP_LOST_NESTED] =
			"samples lost: taken inside a signal handler that interrupted one",
		[HEAP_LOST_MODULES] = "frames without module: the table of modules is full",
	};

	for (int i = 0; i < HEAP_LOST_N; i++)
		if (h->lost[i] && what[i])
			add(c, "%" PRIu64 " %s", h->lost[i], what[i]);
}

void comments_of_heap(struct comments *c, const struct heap_profile *profile,
		      const struct comments_heap *heap)
{
	if (heap->note)
		add(c, "%s", heap->note);
	if (*heap->trim_line)
		add(c, "%s", heap->trim_line);
	add_reckoning(c, profile, heap);
	if (heap->allocator)
		add(c, "incomplete: the program %s", heap->allocator);
	add_heap_losses(c, &profile->header);
	add_ages(c, profile);
	if (profile->header.notes & HEAP_NOTE_RATE_INVALID)
		add(c, "PROFD_RATE could not be read: the default rate of %" PRIu64 " bytes holds",
		    profile->header.rate_bytes);
}

void comments_of_waits(struct comments *c, const struct heap_profile *profile, bool block,
		       const char *note)
{
	const struct heap_header *h = &profile->header;

	if (note)
		add(c, "%s", note);
	if (block)
		add(c, "block: shorter waits than %" PRIu64 " ns are sampled, and scaled up",
		    h->waits.block_rate_ns);
	if (h->lost[HEAP_LOST_WAITS])
		add(c,
		    "%" PRIu64
		    " waits and threads lost since the process started: no room for their stacks",
		    h->lost[HEAP_LOST_WAITS]);
}

/* Those of the span; the totals, as they are now, too where they are more. */
static void add_losses(struct comments *c, const struct window_span *span,
		       const struct window_moment *now)
{
	for (int i = 0; i < LOSS_N; i++) {
		const char *what = loss_info(i)->comment;

		if (span->counters[i] == 0 || !what)
			continue;
		if (span->counters[i] == now->counters[i])
			add(c, "%" PRIu64 " %s", span->counters[i], what);
		else
			add(c, "%" PRIu64 " %s (%" PRIu64 " since profd started)",
			    span->counters[i], what, now->counters[i]);
	}
	if (aggregate_refused(span->samples))
		add(c, "%" PRIu64 " samples lost: too many different stacks",
		    aggregate_refused(span->samples));
}

/* Where there is no sampler. */
static void add_timers(struct comments *c, const struct control_timers *t)
{
	const char *prefix = "perf_event_open: ", *why = t->refused;

	if (strncmp(why, prefix, strlen(prefix)) == 0)
		why += strlen(prefix);
	add(c, "CPU samples by the program's own timers at %u Hz: user stacks only%s%s", t->hz,
	    *why ? "; perf_event_open was refused: " : "", why);
	if (t->lost)
		add(c, "%" PRIu64 " samples lost so far: a table of stacks is full", t->lost);
	if (t->missed)
		add(c,
		    "%" PRIu64 " samples lost so far: their threads ended before the kernel's next "
		    "tick",
		    t->missed);
	if (t->threads_refused)
		add(c, "%" PRIu64 " threads had no timer: their CPU time is not in here",
		    t->threads_refused);
	if (t->confined)
		add(c,
		    "%" PRIu64 " processes set a system call filter: what they did from then on "
		    "is not in here",
		    t->confined);
}

void comments_of_cpu(struct comments *c, const struct control_context *ctx,
		     const struct window_span *span, const char *note)
{
	const struct sampler *s = ctx->sampler;
	struct window_moment now;

	if (note)
		add(c, "%s", note);
	if (!s)
		add_timers(c, &ctx->timers);
	else if (sampler_frequency(s))
		add(c, "event %s at %u Hz", sampler_event(s), sampler_frequency(s));
	else
		add(c, "event %s", sampler_event(s));
	if (s && *sampler_event_note(s))
		add(c, "%s", sampler_event_note(s));
	losses_moment(ctx, &now);
	add_losses(c, span, &now);
}

void comments_of_offcpu(struct comments *c, const struct control_context *ctx,
			const struct window_span *span, const char *note)
{
	struct window_moment now;
	struct switches_stats s;

	if (note)
		add(c, "%s", note);
	switches_stats(ctx->switches, &s);
	add(c, "off-CPU: %" PRIu64 " switches to waiting, %" PRIu64 " with their stacks",
	    s.switches, s.stacks);
	if (*switches_note(ctx->switches))
		add(c, "%s", switches_note(ctx->switches));
	losses_offcpu_moment(ctx, &now);
	add_losses(c, span, &now);
}

void comments_of_threads(struct comments *c, const struct threads_counts *counts)
{
	add(c, "%" PRIu64 " threads of %" PRIu64 " process%s, looked at one after the other",
	    counts->threads, counts->processes, counts->processes == 1 ? "" : "es");
	if (counts->stopped)
		add(c,
		    "%" PRIu64 " of them stopped for it, one by one: %" PRIu64
		    " us at the most, %" PRIu64 " us in all",
		    counts->stopped, counts->stopped_most_ns / 1000, counts->stopped_ns / 1000);
	if (counts->broken)
		add(c, "%" PRIu64 " stacks could not be followed to their end", counts->broken);
	if (counts->refused)
		add(c, "%" PRIu64 " threads left out: beyond the limit of %d", counts->refused,
		    PROFD_MAX_THREADS_SEEN);
}

void comments_of_trace(struct comments *c, const struct control_context *ctx, const char *note)
{
	const struct sampler *s = ctx->sampler;
	struct switches_stats switches;

	if (note)
		add(c, "%s", note);
	if (s && sampler_frequency(s))
		add(c, "samples by %s at %u Hz", sampler_event(s), sampler_frequency(s));
	switches_stats(ctx->switches, &switches);
	if (switches.period > 1)
		add(c, "of %u waits one has its stack: there are many", switches.period);
	if (*switches_note(ctx->switches))
		add(c, "%s", switches_note(ctx->switches));
}

void comments_of_sight(struct comments *c, const struct sight *sight)
{
	add(c, "of one user's processes only%s",
	    sight->kernel ? "" : ", without kernel frames, as that user may not sample the kernel");
}

void comments_done(struct comments *c)
{
	for (size_t i = 0; i < c->n; i++)
		free((char *)c->lines[i]);
	c->n = 0;
}
