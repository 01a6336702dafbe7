/*
 * Every bound on what a peer, a target or a file can make profd do. One
 * number, one name; where the bound is met, a counter says so.
 */
#pragma once

/* A stack keeps its innermost frames; what lies beyond is cut and marked. */
#define PROFD_MAX_FRAMES 127	  /* of an allocation: the table of stacks is shared memory */
#define PROFD_MAX_USER_FRAMES 512 /* of a CPU sample; the kernel's part has at most 127 */

/* control socket */
#define PROFD_MAX_PACKET (64 * 1024) /* bytes of one message */
#define PROFD_MAX_PEERS 256	     /* connections at once */
#define PROFD_MAX_UNTIL_STOPPED_NS (86400ULL * 1000000000) /* of a snapshot */
#define PROFD_MAX_COUNT 100000	     /* snapshots in one request */
#define PROFD_MAX_ACCEPTS 1024	     /* connections accepted before others have their turn */
/* Of each user who is not root; the next ones also not of those in group profd. */
#define PROFD_MAX_CONNECTS_SECOND 500 /* new connections, */
#define PROFD_MAX_CONNECTS_BURST 1000 /* and at once after a rest */
#define PROFD_MAX_PEERS_OF_USER 64    /* connections at once */
#define PROFD_MAX_PEERS_OF_USERS (PROFD_MAX_PEERS - 64) /* all such users together */
#define PROFD_USER_WORK_PERCENT 5     /* of the daemon's time, for requests */
#define PROFD_USER_WORK_BURST_MS 250  /* and at once after a rest */
#define PROFD_USER_FILE_MS 20	      /* what a profile counts for in that */
#define PROFD_USER_EVERY_NS 1000000000ULL /* between the snapshots of a series, at least */
#define PROFD_MAX_QUEUED_BYTES_OF_USER (4u << 20) /* answers that are not read */
#define PROFD_MAX_MESSAGES_TURN 16    /* of one peer before others have their turn */

/* engine */
#define PROFD_MAX_PROCESSES 32768
#define PROFD_MAX_CLIENTS 4096
#define PROFD_MAX_STORED_TABLES 1024 /* that outlive an engine, and profd */
#define PROFD_MAX_REFUSED 256	  /* clients of another version that are remembered */
#define PROFD_MAX_ENDED 256	  /* targets that have ended, for `list` */
#define PROFD_ENDED_SECONDS 86400 /* how long they are listed */
#define PROFD_MAX_MODULES 16384
#define PROFD_MAX_IDLE_MODULES 1024  /* that nobody holds, kept for their next use */
#define PROFD_MODULE_IDLE_SECONDS 60 /* how long */
#define PROFD_MAX_MAPPINGS 65536	/* executable mappings of one process */
#define PROFD_MAX_WINDOW_STACKS 262144	/* distinct (stack, labels) of one window */
#define PROFD_MAX_WINDOW_BYTES (32u << 20) /* of one window */
#define PROFD_MAX_CFI_BYTES (32u << 20) /* .eh_frame copies kept in memory */
#define PROFD_MAX_PATH 4096
#define PROFD_MAX_SMAPS_BYTES (16u << 20) /* some 24,000 mappings; beyond it only the sums */
#define PROFD_MAX_SYMBOL_BYTES (32u << 20)  /* of a program whose allocator is looked for */
#define PROFD_MAX_SYMBOL_BYTES_ROUND (128u << 20) /* of all programs in one request */
#define PROFD_MAX_ENVIRON_BYTES (128u << 10) /* looked at of a process's environment */
#define PROFD_MAX_STACK_THREADS 1024	/* whose stacks are looked for */
#define PROFD_MAX_PERF_MAPS 256		      /* held open, of processes that generate code */
#define PROFD_MAX_PERF_MAP_BYTES (64u << 20)  /* a larger one is refused */

/* off-CPU time, while it is measured */
#define PROFD_MAX_WAITING 32768     /* threads */
#define PROFD_MAX_WAITING_SEEN 4096 /* threads asleep already that are looked for at the start */
#define PROFD_MAX_WAIT_STACKS 4000  /* stack copies a second, over all CPUs */

#define PROFD_MAX_THREADS_SEEN 16384 /* of one snapshot of threads */

/* traces */
#define PROFD_MAX_TRACES 4		       /* under way at once */
#define PROFD_MAX_TRACE_EVENTS (1u << 19)      /* of one */
#define PROFD_MAX_TRACE_STACKS 65536	       /* distinct stacks, and threads, of one */
#define PROFD_MAX_TRACE_STACK_BYTES (4u << 20) /* that they take */
#define PROFD_MAX_TRACE_SEEN 2048	       /* threads that are looked at when it begins */
#define PROFD_MAX_TRACE_TEXT (32u << 20)       /* of stacks written out with events */

/* store */
#define PROFD_MAX_KEPT_TARGETS 4096 /* that have ended, and whose newest file always stays */

/* scribe */
#define PROFD_SCRIBE_JOB_SECONDS 60 /* a job that takes longer is a hang */
#define PROFD_SCRIBE_JOB_CPU_SECONDS 45 /* of CPU time, whatever else the machine does */
#define PROFD_SCRIBE_MAX_MODULES 4096
#define PROFD_MAX_PERF_MAP_LINES (1u << 20) /* what follows is not looked at */
#define PROFD_MAX_PERF_MAP_NAME 1024	    /* bytes; what is longer is cut */
#define PROFD_SCRIBE_CACHE_BYTES (16u << 20) /* of answers kept for the next snapshot */
#define PROFD_MAX_QUARANTINED 64 /* files that are remembered to have ended a scribe */
#define PROFD_MAX_DEBUG_DIRS 16
#define PROFD_MAX_DEBUG_NAME 255 /* bytes of a debuglink's file name */
#define PROFD_MAX_DEBUG_SECTIONS 4096 /* section headers looked at for links */
#define PROFD_MAX_SPLIT_FILES 8192 /* .dwo files that one program, or one job, may ask for */
#define PROFD_DEBUG_RECHECK_SECONDS 60 /* until one that was not there is looked for again */
#define PROFD_MAX_CRC_BYTES (1ULL << 30) /* of a debug file that is known by checksum only */
#define PROFD_MAX_UNPACKED_BYTES (512ULL << 20) /* what compressed sections may say they hold */
#define PROFD_MAX_DEBUGDATA_BYTES (64ULL << 20) /* .gnu_debugdata, decompressed */

/* profd-fetch, of debuginfod servers */
#define PROFD_MAX_FETCH_BYTES (1ULL << 30)   /* of one file */
#define PROFD_MAX_FETCHED_BYTES (4ULL << 30) /* for one profile */
#define PROFD_FETCH_SECONDS 600              /* for one profile */
#define PROFD_MAX_FETCH_SERVERS 8

/* block and mutex, where they are measured on request */
#define PROFD_BLOCK_RATE_NS 20000 /* struct heap_waits */
#define PROFD_MUTEX_FRACTION 1
#define PROFD_WAITS_SLACK_NS (60ULL * 1000000000) /* a client goes on so long without us */

/* trim */
#define PROFD_TRIM_DEADLINE_MS 1000
#define PROFD_TRIM_BUDGET_BYTES (1ULL << 30) /* free heap beyond which a trim is not asked for */

/* profd-http */
#define PROFD_HTTP_MAX_CONNECTIONS 64
#define PROFD_HTTP_MAX_HEADER_BYTES (32 * 1024) /* request line and headers */
#define PROFD_HTTP_MAX_BODY_BYTES (64 * 1024)
#define PROFD_HTTP_REQUEST_SECONDS 10 /* for a request to arrive whole */
#define PROFD_HTTP_IDLE_SECONDS 60    /* between two requests of a connection */
#define PROFD_HTTP_SEND_SECONDS 60    /* for an answer to be taken, and a second each */
#define PROFD_HTTP_SEND_BYTES (256 * 1024) /* of these */
#define PROFD_HTTP_MAX_SECONDS 3600   /* of a profile */
#define PROFD_HTTP_PATIENCE_MS 30000  /* for profd to answer */
#define PROFD_HTTP_MAX_FILES 256      /* targets summed in one profile */
#define PROFD_HTTP_MAX_TARGETS 8192   /* listed */
#define PROFD_HTTP_MAX_PROFILE_BYTES (256u << 20) /* inflated */
#define PROFD_HTTP_FRESH_MS 500	      /* how long a heap profile without a trim is handed out */
#define PROFD_HTTP_MAX_CACHED 64      /* such profiles */
#define PROFD_HTTP_MAX_SYMBOLS 16384  /* addresses in one request */
