/*
 * The sampler from inside: sampler-open.c finds out what is granted and opens
 * it, sampler-cpus.c holds the events of each CPU, sampler.c drains them.
 */
#pragma once

#include "daemon/cpu/event.h"
#include "daemon/cpu/ring.h"
#include "daemon/cpu/sampler.h"

#define SAMPLER_NOTE_BYTES 160

struct sampler_cpu {
	unsigned cpu;
	int fd;	     /* the event that is sampled; the ring is its */
	int side_fd; /* records about tasks and mappings, into the same ring */
	struct perf_ring ring;
	size_t next_bytes; /* the record at the tail; 0: none */
	uint64_t next_ns;
	uint64_t last_ns; /* of the record before it: time does not run backwards */

	bool look;		  /* something may have been lost since the counters were read */
	uint64_t lost_records;	  /* by LOST records */
	uint64_t lost, side_lost; /* as far as told */
	uint64_t last_period;

	bool gone;
	uint64_t checked_tail, enabled_ns; /* at the last check; 0: not read */
};

struct sampler {
	struct keeper *keeper;
	struct event event;
	pid_t pid;		   /* 0: whole machine */
	const char *online;	   /* the file */
	bool restricted;	   /* the kernel's part was refused */
	bool no_build_id, no_lost; /* an older kernel */
	char note[SAMPLER_NOTE_BYTES];
	unsigned frequency_hz;
	size_t ring_bytes;
	uint32_t stack_bytes;
	struct sampler_cpu *cpus;
	size_t n_cpus;
	uint64_t next_check_ns;
	struct sampler_stats stats;
	uint8_t *scratch; /* RING_RECORD_MAX bytes: a record that ran round the end */
};

/* Opens and maps what @config asks for, or the nearest that is granted. Returns
 * 0, or -errno with one line in @why. */
int sampler_open(struct keeper *keeper, const struct sampler_config *config, struct sampler *s,
		 char *why, size_t why_size);
void sampler_close(struct sampler *s);

/* The events of all CPUs that are online; none is mapped yet. 0 or -errno, and
 * then none is open. */
int sampler_open_cpus(struct sampler *s);
/* Maps its ring of s->ring_bytes, and has both events write to it. */
int sampler_map_cpu(const struct sampler *s, struct sampler_cpu *c);
int sampler_enable_cpu(const struct sampler_cpu *c);

/* The counters of an event: how long it was on, and what was lost of it. */
struct sampler_reading {
	uint64_t value, enabled_ns, lost;
};
int sampler_read_event(const struct sampler *s, int fd, struct sampler_reading *ret_reading);
