/*
 * The estimator. What a reader wants is time by stack, and the two come from
 * different places: every switch is heard of (a record of 32 bytes), so that
 * the time each thread waits is known exactly; stacks are copied (16 KiB) for
 * one switch in N only, N being raised when there are many. Scaling each sampled
 * wait by N would be unbiased, for the choice is made when a wait begins and
 * cannot depend on its length; but its variance is without measure: while two
 * programs switch 100,000 times a second, another one's single wait of a second
 * would count as nothing or as a hundred seconds.
 *
 * So sampling only ever decides where known time goes, never how much there is.
 * Waits without a stack are summed by thread and class of length; in the end
 * (profile/settle.h) each such sum is divided among the stacks that were sampled
 * in the same thread and class, by their weighted time. Totals are exact, of
 * the thread and of the class, so short waits cannot pass for long ones nor the
 * reverse; error is left only in the shares of stacks that wait about equally
 * long in one thread, and falls with the number sampled. A sum that no stack was
 * sampled for is shown as such. While N is 1, nothing is estimated at all. And
 * a wait that lasts gets looked at while it goes on (wait_on_look), so the long
 * and rare do not depend on luck.
 *
 * The pairing. A thread's states, and what moves it:
 *
 *     RUNS --stack--> BEGUN --out--> WAITS --in--> RUNS
 *     RUNS --out, not preempted----> WAITS
 *     BEGUN --out, preempted--> RUNS        (the stack is dropped)
 *
 * Anything else means that a record is missing. A thread that is switched out
 * while it WAITS has been in, unheard: its wait ended after records began to be
 * missing, and is counted up to there. Ids of threads that end are remembered
 * for a moment, for a last switch comes after their end.
 */
#include "daemon/cpu/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "profd/base.h"
#include "profd/limits.h"

#define BLOCK_TIDS 1024
#define BLOCKS	   4096 /* ids are below 2^22 */
#define ENDED	   1024

enum state {
	RUNS,
	BEGUN,
	WAITS,
};

struct thread {
	pid_t pid, tid;
	enum state state;
	bool found;   /* WAITS, but no record has said so */
	bool ignored; /* RUNS, for all we say */
	enum wait_stack stack;
	bool chance; /* as in struct wait */
	uint64_t since_ns;
	uint64_t looked_ns; /* LOOKED: when */
	uint64_t weight;
	struct frame *frames;
	size_t n_frames;
	struct {
		uint64_t count, ns;
	} sums[WAIT_CLASSES]; /* of ended waits without a stack */
	struct thread *prev, *next;
};

struct block { /* of threads, by id */
	unsigned used;
	struct thread *threads[BLOCK_TIDS];
};

struct wait_table {
	void (*on_wait)(const struct wait *w, void *userdata);
	void *userdata;
	struct block *blocks[BLOCKS];
	struct thread *threads; /* those looked for least lately first */
	pid_t ended[ENDED];	/* ids, by their low bits */
	uint64_t lost_ns;	/* records are missing after this; 0: none were */
	struct wait_stats stats;
};

unsigned wait_class(uint64_t ns)
{
	unsigned half_bits = (63u - (unsigned)__builtin_clzll(ns | 1)) / 2;

	return half_bits < 6 ? 0 : min(half_bits - 5, WAIT_CLASSES - 1u);
}

/* ---- threads */

static bool is_tid(pid_t tid)
{
	return tid > 0 && tid < BLOCKS * BLOCK_TIDS;
}

static struct thread *find(const struct wait_table *t, pid_t tid)
{
	const struct block *b = is_tid(tid) ? t->blocks[tid / BLOCK_TIDS] : NULL;

	return b ? b->threads[tid % BLOCK_TIDS] : NULL;
}

static bool has_ended(const struct wait_table *t, pid_t tid)
{
	return t->ended[tid % ENDED] == tid;
}

static struct thread *add(struct wait_table *t, pid_t pid, pid_t tid)
{
	struct block **b = &t->blocks[tid / BLOCK_TIDS];
	struct thread *thread;

	if (t->stats.threads >= PROFD_MAX_WAITING)
		return NULL;
	if (!*b)
		*b = calloc(1, sizeof(**b));
	thread = *b ? calloc(1, sizeof(*thread)) : NULL;
	if (!thread)
		return NULL;
	thread->pid = pid;
	thread->tid = tid;
	thread->chance = true;
	(*b)->threads[tid % BLOCK_TIDS] = thread;
	(*b)->used++;
	DL_APPEND(t->threads, thread);
	t->stats.threads++;
	return thread;
}

/* The thread, made if it is new; NULL: none, one that has ended, or no room. */
static struct thread *get(struct wait_table *t, pid_t pid, pid_t tid)
{
	struct thread *thread = find(t, tid);

	if (thread || !is_tid(tid) || pid <= 0 || has_ended(t, tid))
		return thread;
	thread = add(t, pid, tid);
	t->stats.threads_refused += !thread;
	return thread;
}

static int keep_frames(struct thread *thread, const struct frame *frames, size_t n)
{
	thread->frames = malloc(max(n, (size_t)1) * sizeof(*frames));
	if (!thread->frames)
		return -ENOMEM;
	if (n > 0)
		memcpy(thread->frames, frames, n * sizeof(*frames));
	thread->n_frames = n;
	return 0;
}

static void drop_frames(struct thread *thread)
{
	free(thread->frames);
	thread->frames = NULL;
	thread->n_frames = 0;
	thread->weight = 0;
	thread->stack = WAIT_STACK_NONE;
	thread->chance = true;
}

static void drop(struct wait_table *t, struct thread *thread)
{
	struct block **b = &t->blocks[thread->tid / BLOCK_TIDS];

	(*b)->threads[thread->tid % BLOCK_TIDS] = NULL;
	if (--(*b)->used == 0) {
		free(*b);
		*b = NULL;
	}
	DL_DELETE(t->threads, thread);
	t->stats.threads--;
	drop_frames(thread);
	free(thread);
}

int wait_table_new(void (*on_wait)(const struct wait *w, void *userdata), void *userdata,
		   struct wait_table **ret_table)
{
	struct wait_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->on_wait = on_wait;
	t->userdata = userdata;
	*ret_table = t;
	return 0;
}

void wait_table_free(struct wait_table *t)
{
	if (!t)
		return;
	while (t->threads)
		drop(t, t->threads);
	free(t);
}

void wait_stats(const struct wait_table *t, struct wait_stats *ret_stats)
{
	*ret_stats = t->stats;
}

void wait_keep_modules(const struct wait_table *t, struct module_table *modules)
{
	for (const struct thread *thread = t->threads; thread; thread = thread->next)
		for (size_t i = 0; i < thread->n_frames; i++)
			module_keep_id(modules, thread->frames[i].module);
}

/* ---- handing over */

static void hand_over(struct wait_table *t, const struct thread *thread, uint64_t ns, bool goes_on)
{
	struct wait w = {
		.pid = thread->pid,
		.tid = thread->tid,
		.stack = thread->stack,
		.frames = thread->frames,
		.n_frames = thread->n_frames,
		.weight = thread->weight,
		.class = wait_class(ns),
		.chance = thread->chance,
		.count = !goes_on,
		.ns = ns,
		.goes_on = goes_on,
	};

	t->on_wait(&w, t->userdata);
}

static void hand_over_sums(struct wait_table *t, struct thread *thread)
{
	for (unsigned i = 0; i < WAIT_CLASSES; i++) {
		struct wait w = {
			.pid = thread->pid,
			.tid = thread->tid,
			.class = i,
			.chance = true,
			.count = thread->sums[i].count,
			.ns = thread->sums[i].ns,
		};

		if (w.count > 0)
			t->on_wait(&w, t->userdata);
	}
	memset(thread->sums, 0, sizeof(thread->sums));
}

/* ---- a wait's life */

static void begin(struct thread *thread, enum state state, uint64_t time_ns)
{
	thread->state = state;
	thread->found = false;
	thread->since_ns = time_ns;
}

static void end(struct wait_table *t, struct thread *thread, uint64_t time_ns)
{
	uint64_t ns = time_ns - min(thread->since_ns, time_ns);

	if (thread->stack == WAIT_STACK_LOOKED && thread->looked_ns >= time_ns)
		drop_frames(thread); /* what was seen came after it */
	if (thread->stack == WAIT_STACK_NONE) {
		thread->sums[wait_class(ns)].count++;
		thread->sums[wait_class(ns)].ns += ns;
	} else {
		hand_over(t, thread, ns, false);
	}
	drop_frames(thread);
	begin(thread, RUNS, time_ns);
}

/* It does something that only a running thread can do. */
static void end_unheard(struct wait_table *t, struct thread *thread)
{
	if (thread->state == RUNS)
		return;
	if (thread->found) { /* it ran when watching began, and was seen asleep later */
		drop_frames(thread);
		begin(thread, RUNS, 0);
		return;
	}
	t->stats.ends_lost++;
	end(t, thread, max(t->lost_ns, thread->since_ns));
}

void wait_on_stack(struct wait_table *t, const struct wait_origin *o)
{
	struct thread *thread = get(t, o->pid, o->tid);

	if (!thread || thread->ignored)
		return;
	end_unheard(t, thread);
	begin(thread, BEGUN, o->time_ns);
	if (keep_frames(thread, o->frames, o->n_frames) < 0)
		return;
	thread->weight = max(o->weight, (uint64_t)1);
	thread->stack = WAIT_STACK_SAMPLED;
}

void wait_on_out(struct wait_table *t, pid_t pid, pid_t tid, bool preempted, uint64_t time_ns)
{
	struct thread *thread = preempted ? find(t, tid) : get(t, pid, tid);

	if (!thread || thread->ignored)
		return;
	if (thread->state == BEGUN && !preempted) {
		thread->state = WAITS;
		return;
	}
	if (thread->state == BEGUN) {
		drop_frames(thread);
		thread->state = RUNS;
		return;
	}
	end_unheard(t, thread);
	if (!preempted)
		begin(thread, WAITS, time_ns);
}

void wait_on_in(struct wait_table *t, pid_t tid, uint64_t time_ns)
{
	struct thread *thread = find(t, tid);

	if (thread && thread->state != RUNS)
		end(t, thread, time_ns);
}

void wait_on_start(struct wait_table *t, pid_t tid)
{
	struct thread *thread = find(t, tid);

	if (thread) { /* its end was not heard of */
		end_unheard(t, thread);
		hand_over_sums(t, thread);
		drop(t, thread);
	}
	if (is_tid(tid) && has_ended(t, tid))
		t->ended[tid % ENDED] = 0;
}

void wait_on_exit(struct wait_table *t, pid_t tid, uint64_t time_ns)
{
	wait_on_start(t, tid);
	if (is_tid(tid))
		t->ended[tid % ENDED] = tid;
}

void wait_on_lost(struct wait_table *t, uint64_t since_ns)
{
	t->lost_ns = max(t->lost_ns, since_ns);
}

/* ---- those that wait already */

void wait_on_found(struct wait_table *t, pid_t pid, pid_t tid, uint64_t since_ns)
{
	struct thread *thread = find(t, tid) ? NULL : get(t, pid, tid);

	if (!thread)
		return;
	begin(thread, WAITS, since_ns);
	thread->found = true;
	thread->stack = WAIT_STACK_BEFORE;
	thread->chance = false;
}

size_t wait_list_unknown(struct wait_table *t, uint64_t before_ns, struct wait_thread *ret,
			 size_t room)
{
	struct thread *thread = t->threads, *last = thread ? thread->prev : NULL, *next;
	size_t n = 0;

	for (; thread && n < room; thread = next) {
		next = thread == last ? NULL : thread->next;
		if (thread->state != WAITS || thread->since_ns >= before_ns ||
		    thread->stack == WAIT_STACK_SAMPLED || thread->stack == WAIT_STACK_LOOKED)
			continue;
		ret[n++] = (struct wait_thread){
			.pid = thread->pid,
			.tid = thread->tid,
			.before = thread->stack == WAIT_STACK_BEFORE,
		};
		DL_DELETE(t->threads, thread);
		DL_APPEND(t->threads, thread);
	}
	return n;
}

void wait_on_look(struct wait_table *t, const struct wait_look *look)
{
	struct thread *thread = find(t, look->tid);
	bool chance;

	if (!thread || thread->state != WAITS || thread->stack == WAIT_STACK_SAMPLED)
		return;
	chance = thread->stack == WAIT_STACK_NONE && !look->whole;
	drop_frames(thread);
	if (keep_frames(thread, look->frames, look->n_frames) < 0)
		return;
	thread->stack = WAIT_STACK_LOOKED;
	thread->chance = chance;
	thread->looked_ns = look->time_ns;
}

void wait_ignore(struct wait_table *t, pid_t pid, pid_t tid)
{
	struct thread *thread = get(t, pid, tid);

	if (!thread)
		return;
	memset(thread->sums, 0, sizeof(thread->sums));
	drop_frames(thread);
	begin(thread, RUNS, 0);
	thread->ignored = true;
}

void wait_flush(struct wait_table *t, uint64_t time_ns)
{
	struct thread *thread;

	DL_FOREACH (t->threads, thread) {
		hand_over_sums(t, thread);
		if (thread->state == RUNS || thread->since_ns >= time_ns)
			continue;
		hand_over(t, thread, time_ns - thread->since_ns, true);
		thread->since_ns = time_ns;
	}
}
