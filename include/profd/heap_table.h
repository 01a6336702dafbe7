/*
 * The shared heap table: what the preload client writes and profd reads.
 *
 * One memfd per process, sealed against shrinking and growing. The header is
 * the first page; the regions follow, each an array of fixed-size records,
 * reserved at start and touched only as far as it is used. The client is the
 * only writer but for `request`. The reader trusts nothing: it copies, then
 * checks (proto/heap_table.h).
 *
 * Records are published one by one: a writer takes an index with an atomic
 * add on heap_region.used, fills the record, and sets its `ready` word last
 * (release). The reader skips what is not ready, so a table is readable at any
 * moment, also after its process was killed in the middle of a write.
 *
 * Units. A sample of S bytes at mean interval R (rate_bytes) stands for
 *     w = 1 / (1 - exp(-S/R))   objects, and   w * S   bytes
 * (R <= 1: w = 1), the inverse of its probability to be sampled when intervals
 * are drawn from the exponential distribution. Objects are kept in units of
 * 1/65536, bytes in units of 1/16. The weight is a function of S alone, so the
 * same amounts are added at the allocation and at the free, and live values
 * return to exactly zero.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define HEAP_TABLE_MAGIC     0x3142415444464f52ULL /* "ROFDTAB1" */
#define HEAP_TABLE_VERSION   4
#define HEAP_TABLE_NAME	     "profd-heap"   /* of the memfd; see proto/heap_name.h */
#define HEAP_TABLE_MAX_BYTES (256ULL << 20) /* a larger table is refused */

#define HEAP_OBJECT_SHIFT 16 /* objects: fixed point, 1/65536 */
#define HEAP_BYTE_SHIFT	  4  /* bytes: fixed point, 1/16 */

enum heap_region_id {
	HEAP_REGION_MODULES, /* struct heap_module */
	HEAP_REGION_STRINGS, /* bytes; module paths */
	HEAP_REGION_FRAMES,  /* uint64_t, see HEAP_FRAME */
	HEAP_REGION_STACKS,  /* struct heap_stack */
	HEAP_REGION_BUCKETS, /* struct heap_bucket */
	HEAP_REGION_KEYS,    /* uint64_t: addresses of live sampled objects; 0: free slot */
	HEAP_REGION_LIVE,    /* struct heap_live, same index as its key */
	HEAP_REGION_N,
};

struct heap_region {
	uint64_t offset;   /* from the start of the table, page aligned */
	uint32_t capacity; /* records */
	uint32_t stride;   /* bytes of one record */
	uint32_t used;	   /* atomic; may run past capacity when full */
	uint32_t pad;
};
static_assert(sizeof(struct heap_region) == 24, "wire format");

/* A frame is a module index and an address in the ELF file's own terms (pc
 * minus load bias). HEAP_NO_MODULE: code of no module (JIT); the address is
 * the run-time one. The innermost frame is first. All but the innermost are
 * return addresses as found on the stack: a reader subtracts one to look the
 * call up. The innermost is the return address into the caller of malloc, so
 * it is one too. */
#define HEAP_NO_MODULE 0xffffu
#define HEAP_FRAME(module, address)                                                                \
	(((uint64_t)(module) << 48) | ((uint64_t)(address)&0xffffffffffffULL))
#define HEAP_FRAME_MODULE(f)  ((uint32_t)((f) >> 48))
#define HEAP_FRAME_ADDRESS(f) ((f)&0xffffffffffffULL)

#define HEAP_BUILD_ID_MAX 20
#define HEAP_SEGMENT_N	  4

struct heap_segment { /* an executable PT_LOAD */
	uint64_t vaddr;
	uint64_t bytes;
	uint64_t file_offset;
};

struct heap_module {
	uint32_t ready;
	uint32_t path_offset; /* in the strings region */
	uint32_t path_bytes;  /* without a terminator */
	uint32_t n_segments;
	uint64_t bias; /* run-time address minus ELF address */
	struct heap_segment segments[HEAP_SEGMENT_N];
	uint8_t build_id_bytes; /* 0: the module has none */
	uint8_t build_id[HEAP_BUILD_ID_MAX];
	uint8_t pad[3];
};
static_assert(sizeof(struct heap_module) == 144, "wire format");

enum heap_kind {
	HEAP_KIND_HEAP,
	HEAP_KIND_BLOCK, /* see struct heap_waits, and the next */
	HEAP_KIND_MUTEX,
	HEAP_KIND_THREADCREATE, /* threads created: a count alone */
	HEAP_KIND_CPU,		/* see struct heap_cpu */
};

enum heap_stack_flag {
	HEAP_STACK_TRUNCATED = 1 << 0, /* more frames than PROFD_MAX_FRAMES */
	HEAP_STACK_BROKEN = 1 << 1,    /* the walk ended before the thread's first frame */
};

struct heap_stack {
	uint32_t ready;
	uint32_t frames_index; /* first frame, in the frames region */
	uint16_t n_frames;
	uint8_t kind;
	uint8_t flags;
	uint32_t labels; /* heap and CPU: index of the thread's label set plus one; 0: none */
	uint64_t hash;
};
static_assert(sizeof(struct heap_stack) == 24, "wire format");

/* Sums of one stack and one size class. `size_class` is the upper end of the
 * class in bytes: 16-byte steps up to 128, then eight classes a doubling. */
struct heap_bucket {
	uint32_t ready;
	uint32_t stack;
	uint64_t size_class;
	uint64_t alloc_objects; /* atomic, and the three below; fixed point */
	uint64_t alloc_bytes;
	uint64_t free_objects; /* the reader takes frees first, so they never exceed allocs */
	uint64_t free_bytes;
};
static_assert(sizeof(struct heap_bucket) == 48, "wire format");

struct heap_live {
	uint64_t size;	  /* bytes asked for */
	uint64_t objects; /* weight, fixed point; bytes follow: size*objects >> 12 */
	uint32_t bucket;
	uint32_t birth_ms; /* CLOCK_MONOTONIC_COARSE minus heap_header.start_mono_ms */
};
static_assert(sizeof(struct heap_live) == 24, "wire format");

/* The live objects are found by address in tables of growing size
 * ("generations", generation g has HEAP_GENERATION_SLOTS(g) slots, one after
 * the other in the region), each a set of lines of HEAP_LINE_SLOTS slots. */
#define HEAP_LINE_SLOTS		 8
#define HEAP_GENERATION_SLOTS(g) (1024u << (2 * (g)))

enum heap_state {
	HEAP_STATE_STARTING,
	HEAP_STATE_ACTIVE,
	HEAP_STATE_OFF,	   /* see reason */
	HEAP_STATE_EXITED, /* left by exit(): the table is final */
};

enum heap_reason {
	HEAP_REASON_NONE,
	HEAP_REASON_FORK, /* the child could not get a table of its own */
};

enum heap_lost {		    /* samples that were drawn and not recorded */
		 HEAP_LOST_STACKS,  /* stack, frame or bucket region full */
		 HEAP_LOST_LIVE,    /* no room for the live object: nothing of it was counted */
		 HEAP_LOST_NESTED,  /* a signal handler allocated while a sample was being taken */
		 HEAP_LOST_MODULES, /* module region full: frames lose their module */
		 HEAP_LOST_WAITS,   /* block, mutex, threadcreate: no room for the stack, or for the
				       lock */
		 HEAP_LOST_N,
};

enum heap_note {
	HEAP_NOTE_RATE_INVALID = 1 << 0, /* PROFD_RATE could not be read: the default holds */
	HEAP_NOTE_NO_SERVICE = 1 << 1,	 /* nobody answers requests: the thread for it has
					  * stepped aside, or there never was one */
};

/*
 * CPU time by the program's own timers, where profd may not use perf events. A
 * bucket of a stack of HEAP_KIND_CPU has size class 0, and counts samples as
 * objects and nanoseconds as bytes; a reader takes allocated minus freed, for what
 * a fork's child inherits counts as freed. Its innermost frame is the interrupted
 * instruction plus one, so that a reader treats it as any other. New
 * ones are added while half of the stacks, frames and buckets is free: the rest is
 * the heap's.
 */
enum heap_cpu_end {
	HEAP_CPU_GOES_ON,
	HEAP_CPU_CONFINED,  /* the program is setting a system call filter */
	HEAP_CPU_NO_SIGNAL, /* there was none that the program did not use */
};

struct heap_cpu {
	uint32_t hz;	  /* samples a second of CPU time; 0: none are taken */
	uint32_t end;	  /* enum heap_cpu_end */
	uint64_t lost;	  /* atomic: samples that there was no room for */
	uint64_t missed;  /* atomic: samples of threads that ended before the kernel took them */
	uint64_t refused; /* atomic: threads that could have no timer */
};
static_assert(sizeof(struct heap_cpu) == 32, "wire format");

/*
 * What threads wait for one another. A bucket of these kinds has size class 0, and
 * keeps a count as objects and nanoseconds as bytes; a reader takes allocated minus
 * freed, as for CPU time.
 *
 * HEAP_KIND_BLOCK: the waiter's stack. A wait of d ns is taken with the probability
 * p = min(1, d / block_rate_ns), and what is taken counts as 1/p waits of d/p ns in
 * all: both sums are unbiased, and long waits, which weigh most, are all taken.
 *
 * HEAP_KIND_MUTEX: the stack that held a lock which others waited for, and released
 * it: one contention, and the time that they have waited, all of them together, since
 * they came or since the release before. One in mutex_fraction is taken, at random,
 * and counts for that many, as does its time; and of these, as of waits, those shorter
 * than block_rate_ns by their length (PROFD_BLOCK_RATE_NS where that is 0).
 *
 * The client measures while `on` is not 0: from its start to its end if its
 * environment says so (`always`, which it sets itself), else when profd asks. profd
 * writes `on` last, and nothing if `always` is set. What comes after until_mono_ns is
 * not recorded: a profd that has died is not waited for.
 */
struct heap_waits {
	uint32_t on;
	uint32_t always;
	uint64_t block_rate_ns;	 /* 0: no HEAP_KIND_BLOCK */
	uint64_t mutex_fraction; /* 0: no HEAP_KIND_MUTEX */
	uint64_t until_mono_ns;	 /* CLOCK_MONOTONIC */
};
static_assert(sizeof(struct heap_waits) == 32, "wire format");

/*
 * Labels that the program gives its threads (include/profd.h). A thread has one set
 * at a time, known by its index plus one; 0: none. Sets are kept once each, sorted by
 * key, and never change: the text is key NUL value NUL, and so on.
 *
 * A stack of the heap's or of the program's own timers names its set. A sample that
 * the kernel takes does not, and is looked at later: for these each thread that has
 * labels keeps a history of its changes, under its thread id. `on` is 0 until a program
 * labels its first thread, and all of this untouched.
 */
#define HEAP_LABELS_MAX_SETS  4096
#define HEAP_LABELS_MAX_TEXT  (1u << 20) /* bytes of all of them */
#define HEAP_LABELS_MAX_PAIRS 8		 /* of a set, */
#define HEAP_LABELS_MAX_BYTES 512	 /* and of its text */
#define HEAP_LABEL_MAX_KEY    63	 /* bytes, without the terminator */
#define HEAP_LABEL_MAX_VALUE  127	 /* what is longer is cut */
#define HEAP_LABEL_RESERVED   "pid", "tid", "comm", "thread", "unit", "state", "wchan", "bytes"
#define HEAP_LABEL_PREFIX     "pprof::" /* reserved as well */

struct heap_label_set {
	uint32_t ready;
	uint32_t text_offset; /* in the text region */
	uint32_t text_bytes;
	uint32_t pad;
	uint64_t hash;
};
static_assert(sizeof(struct heap_label_set) == 24, "wire format");

/* The last HEAP_LABEL_CHANGES of `count` changes; number n lies at n modulo that. */
#define HEAP_LABEL_CHANGES    511
#define HEAP_LABEL_TIME_SHIFT 10 /* CLOCK_MONOTONIC, in units of 1024 ns: 9 years of them */
#define HEAP_LABEL_CHANGE(ns, set)                                                                 \
	(((uint64_t)(ns) >> HEAP_LABEL_TIME_SHIFT) << 16 | ((set)&0xffffu))
#define HEAP_LABEL_CHANGE_NS(c)	 (((c) >> 16) << HEAP_LABEL_TIME_SHIFT)
#define HEAP_LABEL_CHANGE_SET(c) ((uint32_t)((c)&0xffffu))

struct heap_label_history {
	uint64_t count; /* atomic, after the change */
	uint64_t changes[HEAP_LABEL_CHANGES];
};
static_assert(sizeof(struct heap_label_history) == 4096, "wire format");

struct heap_labels {
	uint32_t on;
	uint32_t pad;
	struct heap_region sets;      /* struct heap_label_set */
	struct heap_region text;      /* bytes */
	struct heap_region threads;   /* uint32_t: thread ids, 0: never used; one may be there
				       * twice, as ids return: the later history holds */
	struct heap_region histories; /* struct heap_label_history, same index as its thread */
	uint64_t refused;	      /* atomic: labels that there was no room for */
	uint64_t threads_lost;	      /* atomic: threads without a history */
};
static_assert(sizeof(struct heap_labels) == 120, "wire format");

enum heap_verb {
	HEAP_VERB_NONE,
	HEAP_VERB_TRIM,
};

/* Written by profd; `seq` last, then a futex wake on it. */
struct heap_request {
	uint32_t seq;
	uint32_t verb;
	uint64_t budget_bytes; /* more free bytes than this: do not trim */
};

enum heap_trim_result {
	HEAP_TRIM_DONE,
	HEAP_TRIM_OVER_BUDGET,
	HEAP_TRIM_UNSUPPORTED, /* an allocator that has no purge we know */
};

struct heap_usage {	 /* the allocator's own numbers, bytes */
	uint64_t in_use; /* handed out to the program, rounding included */
	uint64_t free;	 /* held by the allocator */
	uint64_t mapped; /* of in_use: allocations with a mapping of their own */
};

/* Written by the client; `seq` last: equal to the request's when answered. */
struct heap_reply {
	uint32_t seq;
	uint32_t result; /* enum heap_trim_result */
	uint64_t duration_ns;
	struct heap_usage before;
	struct heap_usage after;
	char allocator[16]; /* "glibc", "jemalloc", ...; NUL-terminated */
};

struct heap_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes; /* sizeof(struct heap_header) */
	uint64_t table_bytes;
	uint64_t rate_bytes;
	uint64_t start_unix_ns;
	uint64_t start_mono_ms;
	uint32_t pid;	 /* as the client sees itself; for people, not for trust */
	uint32_t state;	 /* atomic, enum heap_state */
	uint32_t reason; /* enum heap_reason */
	uint32_t notes;	 /* enum heap_note */
	struct heap_region regions[HEAP_REGION_N];
	uint64_t lost[HEAP_LOST_N]; /* atomic */
	uint64_t samples;	    /* atomic: allocations recorded */
	struct heap_cpu cpu;
	struct heap_request request;
	struct heap_reply reply;
	struct heap_waits waits; /* apart from what is written often: every lock looks here */
	struct heap_labels labels;
};
static_assert(sizeof(struct heap_header) == 560, "wire format");
