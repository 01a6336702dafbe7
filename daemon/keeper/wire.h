/*
 * What engine and keeper say to one another, over a SOCK_SEQPACKET socket: one
 * request, one answer, in turns. Both are the same program, so this is no format that
 * lasts; but the one who asks is not trusted. So every message has one length that
 * is right, and fields that mean nothing are zero.
 *
 * Answers carry what they open as a descriptor beside them (SCM_RIGHTS), or
 * the bytes of what they read behind their head.
 */
#pragma once

#include <assert.h>
#include <linux/perf_event.h>
#include <stdint.h>

#include "daemon/keeper/keeper.h"
#include "daemon/keeper/peek.h"
#include "profd/limits.h"

enum wire_verb {
	WIRE_EVENT = 1,	 /* wire_event */
	WIRE_LEND,	 /* wire_lend, with the event's descriptor */
	WIRE_OPEN,	 /* wire_file */
	WIRE_READ,	 /* wire_file */
	WIRE_THREAD,	 /* wire_thread */
	WIRE_MACHINE,	 /* wire_file, without pid */
	WIRE_TRACEPOINT, /* wire_tracepoint */
	WIRE_STACK,	 /* wire_stack */
	WIRE_REST,	 /* wire_head, without pid */
	WIRE_MAPPED,	 /* wire_mapped and a path */
	WIRE_PROGRAM,	 /* wire_head */
	WIRE_PERF_MAP,	 /* wire_perf_map */
	WIRE_DEBUG,	 /* wire_debug, a path and a name */
	WIRE_TABLE,	 /* wire_mapped */
	WIRE_DESCRIBE,	 /* wire_head, without pid */
	WIRE_STOP,	 /* wire_stop */
};

struct wire_head {
	uint32_t verb;
	int32_t pid;
};

struct wire_event {
	struct wire_head head; /* pid -1: of the machine */
	int32_t cpu;
	uint32_t zero;
	struct perf_event_attr attr;
};

struct wire_lend {
	struct wire_head head;
	uint64_t bytes;
};

struct wire_file {
	struct wire_head head;
	uint32_t file;
	uint32_t zero;
};

struct wire_thread {
	struct wire_head head;
	int32_t tid;
	uint32_t file;
};

struct wire_tracepoint {
	struct wire_head head;
	char system[KEEPER_TRACEPOINT_BYTES], name[KEEPER_TRACEPOINT_BYTES];
};

struct wire_stack {
	struct wire_head head;
	int32_t tid;
	uint32_t zero;
	uint64_t sp;
};

struct wire_stop {
	struct wire_head head;
	int32_t tid;
	uint32_t zero;
};

struct wire_mapped {
	struct wire_head head;
	uint64_t start, end;
	uint32_t path_bytes; /* that follow, without an end; 0: none */
	uint32_t zero;
};

struct wire_perf_map {
	struct wire_head head;
	int32_t inner_pid;
	uint32_t uid;
	uint64_t max_bytes;
};

#define WIRE_BUILD_ID_BYTES 64

struct wire_debug {
	struct wire_head head;
	uint32_t place, dir, in_target, owner;
	uint32_t build_id_bytes, path_bytes, name_bytes;
	uint32_t zero;
	uint8_t build_id[WIRE_BUILD_ID_BYTES]; /* the rest is zero */
};

#define WIRE_REQUEST_BYTES (sizeof(struct wire_debug) + PROFD_MAX_PATH + PROFD_MAX_PATH)

/* Of a file that is read: what /proc writes in one piece. */
#define WIRE_READ_BYTES 8192

struct wire_answer {
	int32_t result; /* -errno; 0 */
	uint32_t bytes; /* that follow */
	uint64_t cpu_ns; /* of the keeper's, since the answer before */
};

/* The most that is answered: a thread, and its stack. */
#define WIRE_BYTES	  (sizeof(struct peek_thread) + PEEK_BYTES)
#define WIRE_ANSWER_BYTES (sizeof(struct wire_answer) + WIRE_BYTES)

static_assert(sizeof(struct wire_head) == 8, "wire");
static_assert(sizeof(struct wire_event) == 16 + sizeof(struct perf_event_attr), "wire");
static_assert(sizeof(struct wire_lend) == 16, "wire");
static_assert(sizeof(struct wire_file) == 16, "wire");
static_assert(sizeof(struct wire_thread) == 16, "wire");
static_assert(sizeof(struct wire_tracepoint) == 8 + 2 * KEEPER_TRACEPOINT_BYTES, "wire");
static_assert(sizeof(struct wire_stack) == 24, "wire");
static_assert(sizeof(struct wire_stop) == 16, "wire");
static_assert(sizeof(struct wire_mapped) == 32, "wire");
static_assert(sizeof(struct wire_perf_map) == 24, "wire");
static_assert(sizeof(struct wire_debug) == 40 + WIRE_BUILD_ID_BYTES, "wire");
static_assert(sizeof(struct wire_answer) == 16, "wire");
static_assert(sizeof(struct keeper_description) <= WIRE_BYTES, "it is an answer");
