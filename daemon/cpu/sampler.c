/*
 * Draining: the rings are each (nearly) in order of time, and are merged by
 * always taking the record that is the oldest of all. Nothing is copied but a
 * record that runs round its ring's end; a record is handled where it lies and
 * then given back.
 *
 * Nearly: an interrupt may slip a record in before one that took its time a
 * moment earlier. Such a record is taken to be as old as the one before it, so
 * that what comes out never goes back in time.
 *
 * Losses. The kernel counts, by event, the records that found no room, and tells
 * whoever reads the event; it also leaves a record in the ring, once there is
 * room again, with the number of all together. The counters are exact and are
 * there at once, but reading one may interrupt another CPU. So they are read
 * when something can have been lost: when a ring was found almost full, and
 * when such a record has come.
 */
#include "daemon/cpu/sampler.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/cpu/record.h"
#include "daemon/cpu/sampler-state.h"
#include "profd/base.h"

bool sampler_measures_time(struct keeper *keeper, const char *event)
{
	struct event e;

	return !event || event_find(keeper, event, &e) < 0 || e.measure != SAMPLER_EVENTS;
}

int sampler_new(struct keeper *keeper, const struct sampler_config *config, struct sampler **ret_s,
		char *why, size_t why_size)
{
	struct sampler *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	if (s)
		s->scratch = malloc(RING_RECORD_MAX);
	if (s && s->scratch)
		rc = sampler_open(keeper, config, s, why, why_size);
	else
		snprintf(why, why_size, "out of memory");
	if (rc < 0) {
		sampler_free(s);
		return rc;
	}
	*ret_s = s;
	return 0;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	sampler_close(s);
	free(s->scratch);
	free(s);
}

const char *sampler_event(const struct sampler *s)
{
	return s->event.name;
}

const char *sampler_event_note(const struct sampler *s)
{
	return s->note;
}

unsigned sampler_frequency(const struct sampler *s)
{
	return s->event.own_period != 0 ? 0 : s->frequency_hz;
}

enum sampler_measure sampler_measure(const struct sampler *s)
{
	return s->event.measure;
}

const char *sampler_event_type(const struct sampler *s)
{
	return s->event.type;
}

static int64_t sample_ns(const struct sampler *s)
{
	return (int64_t)(NSEC_PER_SEC / s->frequency_hz);
}

int64_t sampler_period(const struct sampler *s)
{
	return s->event.measure == SAMPLER_TIME ? sample_ns(s) : (int64_t)s->event.own_period;
}

static int64_t times(uint64_t n, uint64_t each)
{
	int64_t product;

	return __builtin_mul_overflow(n, each, &product) ? INT64_MAX : product;
}

size_t sampler_values(const struct sampler *s, uint64_t n, uint64_t period,
		      int64_t ret[SAMPLER_VALUES_MAX])
{
	size_t at = 0;

	ret[at++] = times(n, 1);
	if (s->event.measure != SAMPLER_TIME)
		ret[at++] = times(n, period);
	if (s->event.measure != SAMPLER_EVENTS)
		ret[at++] = times(n, (uint64_t)sample_ns(s));
	return at;
}

size_t sampler_ring_bytes(const struct sampler *s)
{
	return s->ring_bytes;
}

size_t sampler_n_fds(const struct sampler *s)
{
	return s->n_cpus;
}

int sampler_fd(const struct sampler *s, size_t i)
{
	return s->cpus[i].fd;
}

void sampler_stats(const struct sampler *s, struct sampler_stats *ret_stats)
{
	*ret_stats = s->stats;
}

void sampler_inherit(struct sampler *s, const struct sampler *before)
{
	s->stats = before->stats;
	s->stats.exact = !s->no_lost;
}

/* ---- draining */

static void look_ahead(struct sampler *s, struct sampler_cpu *c)
{
	int bytes = ring_look_ahead(&c->ring, record_time_offset, &c->next_ns);

	s->stats.malformed += bytes < 0;
	c->next_bytes = (size_t)max(bytes, 0);
	c->next_ns = max(c->next_ns, c->last_ns);
}

static struct sampler_cpu *oldest(struct sampler *s)
{
	struct sampler_cpu *found = NULL;

	for (size_t i = 0; i < s->n_cpus; i++)
		if (s->cpus[i].next_bytes > 0 && (!found || s->cpus[i].next_ns < found->next_ns))
			found = &s->cpus[i];
	return found;
}

static void tell_lost(uint64_t n, uint64_t period, const struct sampler_handlers *handlers,
		      void *userdata)
{
	if (n > 0 && handlers->on_lost)
		handlers->on_lost(n, period, userdata);
}

/* Pid 0 is the idle task, or a task of another pid namespace; a negative one,
 * a task that has just ended: its sample was taken, and is nobody's. */
static void handle_sample(struct sampler *s, struct sampler_cpu *c, struct sampler_sample *sample,
			  const struct sampler_handlers *handlers, void *userdata)
{
	c->last_period = sample->period;
	if (sample->pid == 0)
		return;
	if (sample->pid < 0) {
		s->stats.orphans++;
		tell_lost(1, sample->period, handlers, userdata);
		return;
	}
	s->stats.samples++;
	if (handlers->on_sample)
		handlers->on_sample(sample, userdata);
}

static void handle(struct sampler *s, struct sampler_cpu *c, struct record *r,
		   const struct sampler_handlers *handlers, void *userdata)
{
	uint64_t time_ns = c->next_ns;

	switch (r->type) {
	case PERF_RECORD_SAMPLE:
		r->sample.time_ns = time_ns;
		handle_sample(s, c, &r->sample, handlers, userdata);
		break;
	case PERF_RECORD_MMAP2:
		if (handlers->on_mmap)
			handlers->on_mmap(&r->mmap, time_ns, userdata);
		break;
	case PERF_RECORD_COMM:
		if (handlers->on_comm)
			handlers->on_comm(r->comm.pid, r->comm.tid, r->comm.comm, r->comm.exec,
					  time_ns, userdata);
		break;
	case PERF_RECORD_FORK:
		if (handlers->on_fork)
			handlers->on_fork(r->task.pid, r->task.parent, r->task.tid, time_ns,
					  userdata);
		break;
	case PERF_RECORD_EXIT:
		if (handlers->on_exit)
			handlers->on_exit(r->task.pid, r->task.tid, time_ns, userdata);
		break;
	case PERF_RECORD_LOST:
		c->lost_records += r->lost;
		c->look = true;
		break;
	case PERF_RECORD_LOST_SAMPLES: /* by the hardware: they never came to the ring */
		s->stats.lost += r->lost;
		tell_lost(r->lost, c->last_period, handlers, userdata);
		break;
	case PERF_RECORD_THROTTLE:
		s->stats.throttled++;
		break;
	}
}

static void handle_next(struct sampler *s, struct sampler_cpu *c,
			const struct sampler_handlers *handlers, void *userdata)
{
	const uint8_t *bytes = ring_read(&c->ring, c->next_bytes, s->scratch);
	struct record record;
	int rc = record_parse(bytes, c->next_bytes, s->event.own_period, &record);

	s->stats.records++;
	if (rc == -EBADMSG)
		s->stats.malformed++;
	else if (rc == 0)
		handle(s, c, &record, handlers, userdata);
	c->last_ns = c->next_ns;
	ring_advance(&c->ring, c->next_bytes);
	look_ahead(s, c);
}

/* So full that the longest of records may not have fitted. */
static bool is_almost_full(const struct perf_ring *ring)
{
	return ring->data_bytes - (size_t)(ring->head - ring->tail) < RING_RECORD_MAX;
}

static void take_losses(struct sampler *s, struct sampler_cpu *c,
			const struct sampler_handlers *handlers, void *userdata)
{
	uint64_t period = s->event.own_period ?: max(c->last_period, UINT64_C(1));
	struct sampler_reading main = {.lost = c->lost_records}, side = {0};

	c->look = false;
	if (!s->no_lost && (sampler_read_event(s, c->fd, &main) < 0 ||
			    sampler_read_event(s, c->side_fd, &side) < 0))
		return;
	if (main.lost > c->lost) {
		s->stats.lost += main.lost - c->lost;
		tell_lost(main.lost - c->lost, period, handlers, userdata);
		c->lost = main.lost;
	}
	if (side.lost > c->side_lost) {
		s->stats.lost_records += side.lost - c->side_lost;
		c->side_lost = side.lost;
	}
}

void sampler_drain(struct sampler *s, uint64_t horizon_ns, const struct sampler_handlers *handlers,
		   void *userdata)
{
	struct sampler_cpu *c;

	for (size_t i = 0; i < s->n_cpus; i++) {
		c = &s->cpus[i];
		ring_refresh(&c->ring);
		c->look |= is_almost_full(&c->ring);
		look_ahead(s, c);
	}
	while ((c = oldest(s)) && (c->next_ns < horizon_ns || horizon_ns == UINT64_MAX))
		handle_next(s, c, handlers, userdata);
	for (size_t i = 0; i < s->n_cpus; i++)
		if (s->cpus[i].look)
			take_losses(s, &s->cpus[i], handlers, userdata);
}
