/*
 * The short records: PERF_RECORD_SWITCH_CPU_WIDE and the few that come with it,
 * of an event whose samples would hold SWITCH_RECORD_SAMPLE_TYPE.
 *
 * Each names its own thread, although the record before it has named it as the
 * one to come: now and then two records in a row are missing and no loss is told.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SWITCH_RECORD_SAMPLE_TYPE (PERF_SAMPLE_TID | PERF_SAMPLE_TIME)

struct switch_record {
	uint32_t type;	    /* SWITCH_CPU_WIDE, FORK, EXIT, LOST or LOST_SAMPLES */
	bool in, preempted; /* of a switch; in: told once more, from the other side */
	pid_t pid, tid;	    /* that is switched, or begins, or ends */
	pid_t other_pid, other_tid; /* that takes its place */
	uint64_t time_ns;
	uint64_t lost;
};

/* Where such a record keeps its time; 0: it is too short to have one. */
size_t switch_record_time_offset(const struct perf_event_header *header);

/* Returns 0; -EBADMSG: malformed; -ENOTSUP: of no interest. */
int switch_record_parse(const uint8_t *bytes, size_t n, struct switch_record *ret_record);
