/*
 * The switches from inside: switches.c drains what switches-open.c has opened.
 */
#pragma once

#include "daemon/cpu/ring.h"
#include "daemon/cpu/switches.h"

struct switches_lane { /* an event and its ring */
	int fd, cpu;
	bool stacks; /* of samples; else of short records */
	struct perf_ring ring;
	size_t next_bytes; /* the record at the tail; 0: none */
	uint64_t next_ns;
	uint64_t last_ns; /* of the record before it: time does not run backwards */
	uint64_t counted; /* stacks: switches by the last one */
	pid_t in_tid;	  /* short records: whom the last switch put on the CPU */
};

struct switches {
	struct switches_lane *lanes; /* two for each CPU */
	size_t n_lanes;
	bool adapted; /* the period is */
	unsigned period;
	uint64_t adapted_ns;	   /* when last; 0: never */
	uint64_t adapted_switches; /* and how many there were */
	uint64_t random;
	const char *note;
	struct switches_stats stats;
	uint8_t *scratch; /* RING_RECORD_MAX bytes: a record that ran round the end */
};

/* Opens, maps and starts both events on every CPU. Returns 0, or -errno with one
 * line in @why; what was opened by then is closed by switches_close(). */
int switches_open(struct keeper *keeper, const struct switches_config *config, struct switches *s,
		  char *why, size_t why_size);
void switches_close(struct switches *s);
