/*
 * Each thread is in one state at a time, and a switch, a start or an end leads from one to
 * the next. What it was in at the beginning is told by the first event that says so: who is
 * switched out, sampled or ends was running; who is switched in was not.
 *
 *	ABSENT   -> READY     it starts
 *	READY, WAITING -> RUNNING -> WAITING, READY
 *	any      -> ABSENT    it ends; what its number still does then is not shown
 *	any      -> UNKNOWN   switches are missing; until the next event
 *
 * A slice is open in the three states that have a name. An event that does not follow from
 * the state (one before it was lost) ends the slice all the same, so that none overlap.
 */
#include "daemon/scribe/trace_slices.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "daemon/profile/freeze.h"
#include "daemon/scribe/json.h"
#include "profd/base.h"
#include "profd/limits.h"

enum state {
	STATE_UNDECIDED, /* while looking */
	STATE_UNKNOWN,
	STATE_ABSENT,
	STATE_RUNNING,
	STATE_WAITING,
	STATE_READY,
};

struct who { /* strings are the profile's */
	int64_t pid, tid;
	const char *comm, *thread, *unit, *wchan; /* NULL: not known */
};

struct lane {
	UT_hash_handle hh;
	int64_t id[2]; /* pid, tid */
	struct who who;
	enum state state;
	bool found_ready; /* while looking */
	uint32_t entry;	  /* STATE_WAITING at the beginning: why; or TRACE_NO_ENTRY */
	uint32_t stack;	  /* told ahead of its wait; likewise */
	uint16_t cpu;
};

struct trace_slices {
	const struct pprof *profile;
	const struct trace_stacks *stacks;
	const struct trace_header *header;
	struct gzip_writer *w;
	struct lane *lanes;
	bool lost;	  /* while looking: events are missing before this one */
	bool any;	  /* something was written */
	size_t text_left; /* for stacks beside events */
};

int trace_slices_new(const struct pprof *p, const struct trace_stacks *stacks,
		     const struct trace_header *header, struct gzip_writer *w,
		     struct trace_slices **ret_slices)
{
	struct trace_slices *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->profile = p;
	s->stacks = stacks;
	s->header = header;
	s->w = w;
	s->text_left = PROFD_MAX_TRACE_TEXT;
	*ret_slices = s;
	return 0;
}

void trace_slices_free(struct trace_slices *s)
{
	struct lane *lane, *next;

	if (!s)
		return;
	HASH_ITER (hh, s->lanes, lane, next) {
		HASH_DEL(s->lanes, lane);
		free(lane);
	}
	free(s);
}

/* ---- who */

static void read_who(const struct pprof *p, uint32_t entry, struct who *ret)
{
	struct pprof_sample sample;

	*ret = (struct who){0};
	pprof_sample(p, entry, &sample);
	for (size_t i = 0; i < sample.n_labels; i++) {
		struct pprof_label l;

		pprof_sample_label(p, entry, i, &l);
		if (strcmp(l.key, "pid") == 0)
			ret->pid = l.num;
		else if (strcmp(l.key, "tid") == 0)
			ret->tid = l.num;
		else if (strcmp(l.key, "comm") == 0)
			ret->comm = l.str;
		else if (strcmp(l.key, "thread") == 0)
			ret->thread = l.str;
		else if (strcmp(l.key, "unit") == 0)
			ret->unit = l.str;
		else if (strcmp(l.key, "wchan") == 0)
			ret->wchan = l.str;
	}
}

static struct lane *find_lane(struct trace_slices *s, const struct who *who)
{
	const int64_t id[2] = {who->pid, who->tid};
	struct lane *lane;

	HASH_FIND (hh, s->lanes, id, sizeof(id), lane)
		;
	if (lane)
		return lane;
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		return NULL;
	memcpy(lane->id, id, sizeof(id));
	lane->who = *who;
	lane->entry = lane->stack = TRACE_NO_ENTRY;
	lane->cpu = TRACE_NO_CPU;
	lane->state = s->lost ? STATE_UNKNOWN : STATE_UNDECIDED;
	HASH_ADD(hh, s->lanes, id, sizeof(lane->id), lane);
	return lane;
}

/* ---- what it did at the beginning */

static void decide(struct lane *lane, const struct trace_event *e)
{
	switch ((enum trace_kind)e->kind) {
	case TRACE_START:
		lane->state = STATE_ABSENT;
		return;
	case TRACE_IN:
		lane->state = lane->found_ready ? STATE_READY : STATE_WAITING;
		return;
	case TRACE_OUT:
	case TRACE_PREEMPTED:
	case TRACE_SAMPLE:
	case TRACE_EXIT:
		lane->state = STATE_RUNNING;
		lane->cpu = e->cpu;
		return;
	case TRACE_ASLEEP:
		lane->state = STATE_WAITING;
		lane->entry = e->entry;
		return;
	case TRACE_READY:
		lane->found_ready = true;
		return;
	case TRACE_STACK:
	case TRACE_SNAPSHOT:
	case TRACE_LOST:
	case TRACE_KIND_N:
		return;
	}
}

/* A thread of which there is nothing but that it was found running ran all the time. */
static void decide_rest(struct trace_slices *s)
{
	for (struct lane *lane = s->lanes; lane; lane = lane->hh.next)
		if (lane->state == STATE_UNDECIDED)
			lane->state = lane->found_ready ? STATE_RUNNING : STATE_UNKNOWN;
}

int trace_slices_look(struct trace_slices *s, const struct trace_event *e)
{
	struct lane *lane;
	struct who who;

	if (e->kind == TRACE_LOST) {
		decide_rest(s);
		s->lost = true;
	}
	if (e->entry == TRACE_NO_ENTRY)
		return 0;
	read_who(s->profile, e->entry, &who);
	lane = find_lane(s, &who);
	if (!lane)
		return -ENOMEM;
	if (lane->state == STATE_UNDECIDED)
		decide(lane, e);
	return 0;
}

/* ---- writing */

/* Leaves the object open. */
static void put_event(struct trace_slices *s, const char *ph, const struct who *who,
		      uint64_t time_ns)
{
	uint64_t ns = max(time_ns, s->header->start_ns) - s->header->start_ns;

	json_putf(s->w,
		  "%s\n{\"ph\":\"%s\",\"pid\":%" PRId64 ",\"tid\":%" PRId64 ",\"ts\":%" PRIu64
		  ".%03u",
		  s->any ? "," : "", ph, who->pid, who->tid, ns / 1000, (unsigned)(ns % 1000));
	s->any = true;
}

static void put_name(struct trace_slices *s, const char *category, const char *name)
{
	json_putf(s->w, ",\"cat\":\"%s\",\"name\":", category);
	json_put_string(s->w, name);
}

static void put_metadata(struct trace_slices *s, const struct who *who, const char *what,
			 const char *key, const char *value)
{
	json_putf(s->w,
		  "%s\n{\"ph\":\"M\",\"pid\":%" PRId64 ",\"tid\":%" PRId64
		  ",\"ts\":0,\"name\":\"%s\",\"args\":{\"%s\":",
		  s->any ? "," : "", who->pid, who->tid, what, key);
	json_put_string(s->w, value);
	json_put(s->w, "}}");
	s->any = true;
}

static bool differs(const char *a, const char *b)
{
	return a && (!b || strcmp(a, b) != 0);
}

/* @before NULL: nothing has been said. */
static void put_names(struct trace_slices *s, const struct who *who, const struct who *before)
{
	if (differs(who->comm, before ? before->comm : NULL))
		put_metadata(s, who, "process_name", "name", who->comm);
	if (differs(who->thread, before ? before->thread : NULL))
		put_metadata(s, who, "thread_name", "name", who->thread);
	if (differs(who->unit, before ? before->unit : NULL))
		put_metadata(s, who, "process_labels", "labels", who->unit);
}

static void put_arg(struct trace_slices *s, bool *any, const char *key, const char *value)
{
	if (!value)
		return;
	json_putf(s->w, "%s\"%s\":", *any ? "," : "", key);
	json_put_string(s->w, value);
	*any = true;
}

/* Ends the event with the stack of @entry, and why the kernel let it wait. */
static void put_stack(struct trace_slices *s, uint32_t entry, bool waits)
{
	uint32_t leaf = entry == TRACE_NO_ENTRY ? 0 : trace_stacks_leaf(s->stacks, entry);
	uint32_t user = leaf;
	bool any = false;
	struct who who;

	while (waits && user > 0 && trace_stacks_is_kernel(s->stacks, user))
		user = trace_stacks_caller(s->stacks, user);
	if (leaf > 0)
		json_putf(s->w, ",\"sf\":\"%u\"", leaf);
	json_put(s->w, ",\"args\":{");
	if (waits && leaf > 0) {
		put_arg(s, &any, "reason", trace_stacks_reason(s->stacks, leaf));
		put_arg(s, &any, "syscall", trace_stacks_syscall(s->stacks, leaf));
	} else if (waits && entry != TRACE_NO_ENTRY) {
		read_who(s->profile, entry, &who);
		put_arg(s, &any, "reason", who.wchan);
	}
	if (user > 0)
		put_arg(s, &any, "function", trace_stacks_function(s->stacks, user));
	if (leaf > 0 && s->text_left > 0) {
		json_putf(s->w, "%s\"stack\":", any ? "," : "");
		s->text_left -= min(s->text_left, trace_stacks_put(s->stacks, leaf, s->w));
	}
	json_put(s->w, "}}");
}

static bool is_open(const struct lane *lane)
{
	return lane->state == STATE_RUNNING || lane->state == STATE_WAITING ||
	       lane->state == STATE_READY;
}

static void leave(struct trace_slices *s, struct lane *lane, enum state next, uint64_t time_ns)
{
	if (is_open(lane)) {
		put_event(s, "E", &lane->who, time_ns);
		json_put(s->w, "}");
	}
	lane->state = next;
}

/* Opens the slice of the state that the thread is in. */
static void open_slice(struct trace_slices *s, struct lane *lane, uint64_t time_ns)
{
	static const char *const names[] = {
		[STATE_RUNNING] = "running", [STATE_WAITING] = "waiting", [STATE_READY] = "ready"};

	put_event(s, "B", &lane->who, time_ns);
	put_name(s, "sched", names[lane->state]);
	if (lane->state == STATE_WAITING)
		put_stack(s, lane->entry, true);
	else if (lane->state == STATE_RUNNING && lane->cpu != TRACE_NO_CPU)
		json_putf(s->w, ",\"args\":{\"cpu\":%u}}", lane->cpu);
	else
		json_put(s->w, "}");
}

static void enter(struct trace_slices *s, struct lane *lane, enum state state,
		  const struct trace_event *e)
{
	leave(s, lane, state, e->time_ns);
	lane->cpu = e->cpu;
	lane->entry = lane->stack;
	lane->stack = TRACE_NO_ENTRY;
	open_slice(s, lane, e->time_ns);
}

static void put_instant(struct trace_slices *s, const struct who *who, const struct trace_event *e,
			char scope, const char *category, const char *name)
{
	put_event(s, "i", who, e->time_ns);
	put_name(s, category, name);
	json_putf(s->w, ",\"s\":\"%c\"", scope);
}

static void put_sample(struct trace_slices *s, struct lane *lane, const struct trace_event *e)
{
	uint32_t leaf = trace_stacks_leaf(s->stacks, e->entry);

	if (lane->state == STATE_UNKNOWN)
		enter(s, lane, STATE_RUNNING, e);
	put_instant(s, &lane->who, e, 't', "sample",
		    leaf > 0 ? trace_stacks_function(s->stacks, leaf) : "[unknown]");
	put_stack(s, e->entry, false);
}

static void put_snapshot(struct trace_slices *s, const struct who *who, const struct trace_event *e,
			 char scope)
{
	put_instant(s, who, e, scope, "snapshot", profile_type_name((enum profile_type)e->detail));
	json_put(s->w, "}");
}

static void put_of_lane(struct trace_slices *s, struct lane *lane, const struct trace_event *e)
{
	bool gone = lane->state == STATE_ABSENT;

	switch ((enum trace_kind)e->kind) {
	case TRACE_START:
		enter(s, lane, STATE_READY, e);
		return;
	case TRACE_IN:
		if (!gone)
			enter(s, lane, STATE_RUNNING, e);
		return;
	case TRACE_OUT:
		if (!gone)
			enter(s, lane, STATE_WAITING, e);
		return;
	case TRACE_PREEMPTED:
		if (!gone)
			enter(s, lane, STATE_READY, e);
		return;
	case TRACE_EXIT:
		leave(s, lane, STATE_ABSENT, e->time_ns);
		put_instant(s, &lane->who, e, 't', "sched", "exit");
		json_put(s->w, "}");
		return;
	case TRACE_STACK:
		lane->stack = e->entry;
		return;
	case TRACE_SAMPLE:
		put_sample(s, lane, e);
		return;
	case TRACE_SNAPSHOT:
		put_snapshot(s, &lane->who, e, 'p');
		return;
	case TRACE_ASLEEP:
	case TRACE_READY:
	case TRACE_LOST:
	case TRACE_KIND_N:
		return;
	}
}

void trace_slices_begin(struct trace_slices *s)
{
	decide_rest(s);
	for (struct lane *lane = s->lanes; lane; lane = lane->hh.next)
		put_names(s, &lane->who, NULL);
	for (struct lane *lane = s->lanes; lane; lane = lane->hh.next)
		if (is_open(lane))
			open_slice(s, lane, s->header->start_ns);
}

static void leave_all(struct trace_slices *s, uint64_t time_ns)
{
	for (struct lane *lane = s->lanes; lane; lane = lane->hh.next)
		leave(s, lane, lane->state == STATE_ABSENT ? STATE_ABSENT : STATE_UNKNOWN, time_ns);
}

void trace_slices_put(struct trace_slices *s, const struct trace_event *e)
{
	static const struct who machine;
	struct lane *lane;
	struct who who;

	if (e->kind == TRACE_LOST)
		leave_all(s, e->time_ns);
	else if (e->entry == TRACE_NO_ENTRY)
		put_snapshot(s, &machine, e, 'g');
	if (e->entry == TRACE_NO_ENTRY)
		return;
	read_who(s->profile, e->entry, &who);
	lane = find_lane(s, &who);
	if (!lane)
		return;
	put_names(s, &who, &lane->who);
	lane->who = who;
	put_of_lane(s, lane, e);
}

void trace_slices_end(struct trace_slices *s)
{
	leave_all(s, s->header->end_ns);
}
