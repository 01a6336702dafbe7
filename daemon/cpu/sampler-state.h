/*
 * The sampler from inside: sampler.c drains what sampler-open.c has opened.
 */
#pragma once

#include "daemon/cpu/event.h"
#include "daemon/cpu/ring.h"
#include "daemon/cpu/sampler.h"

#define SAMPLER_NOTE_BYTES 160

struct sampler_cpu {
	int fd;
	struct perf_ring ring;
	size_t next_bytes; /* the record at the tail; 0: none */
	uint64_t next_ns;
	uint64_t last_ns; /* of the record before it: time does not run backwards */
};

struct sampler {
	struct event event;
	bool restricted; /* the kernel's part was refused */
	char note[SAMPLER_NOTE_BYTES];
	unsigned frequency_hz;
	size_t ring_bytes;
	uint32_t stack_bytes;
	struct sampler_cpu *cpus;
	size_t n_cpus;
	struct sampler_stats stats;
	uint8_t *scratch; /* RING_RECORD_MAX bytes: a record that ran round the end */
};

/* Opens and maps what @config asks for, or the nearest that is granted. Returns
 * 0, or -errno with one line in @why. */
int sampler_open(struct keeper *keeper, const struct sampler_config *config, struct sampler *s,
		 char *why, size_t why_size);
void sampler_close(struct sampler *s);
