/*
 * perf's records, from bytes to structs. Nothing is copied: what is parsed
 * points into the bytes.
 */
#pragma once

#include <asm/perf_regs.h>
#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/cpu/sampler.h"

/* What every sample holds; the parser knows this set, and the same without
 * PERF_SAMPLE_PERIOD, and no other. */
#define RECORD_SAMPLE_TYPE                                                                         \
	(PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |                   \
	 PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |                      \
	 PERF_SAMPLE_STACK_USER)

/* What of it stands at the end of the other records, too. */
#define RECORD_TRAILER_TYPE (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU)

/* AX BX CX DX SI DI BP SP IP R8..R15, in this order. The same set as
 * unwind_perf_regs, which lies in a room that this one does not see. */
#define RECORD_REGS_USER (0x1ffULL << PERF_REG_X86_AX | 0xffULL << PERF_REG_X86_R8)
#define RECORD_REGS_N	 17

struct record {
	uint32_t type; /* PERF_RECORD_*, tells which member holds */
	uint64_t time_ns;
	union {
		struct sampler_sample sample;
		struct process_mmap mmap;
		struct {
			pid_t pid, tid;
			const char *comm;
			bool exec;
		} comm;
		struct { /* FORK, EXIT */
			pid_t pid, parent, tid;
		} task;
		uint64_t lost; /* LOST, LOST_SAMPLES */
	};
};

/* Where a record keeps its time, as an offset from its start; 0: it is too
 * short to have one. */
size_t record_time_offset(const struct perf_event_header *header);

/* Parses a whole record. @bytes is 8-byte aligned. @fixed_period: that of every
 * sample, which then do not hold one; 0: they do. Returns 0; -EBADMSG: malformed;
 * -ENOTSUP: well formed for all we know, but of no interest. */
int record_parse(const uint8_t *bytes, size_t n, uint64_t fixed_period, struct record *ret_record);
